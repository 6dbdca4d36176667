"""Keys that members of an organisation make: never more than the maker has."""

from collections.abc import Mapping
from typing import Any

from cim.db.keys import Owner
from cim.db.rights import Rights
from cim.errors import Forbidden, InvalidParameter
from cim.model import ROLES, Scope, roles_of
from cim.model.scope import DUTIES
from cim.people.members import some_of, text_member

MEMBERS = ("organisation_id", "for", "duties", "services", "grant_id")
FOR = ("person", "organisation")
MAX_SERVICES = 200


def check_maker(scope: Scope) -> None:
    """Raise Forbidden for a key that makes others without an admin's duty: who finds such a key shall not keep a way in."""
    if scope.key_prefix is not None and not {"org_admin", "district_admin", "city_admin"} & scope.roles:
        raise Forbidden("a key makes no other keys, unless it has an admin's duty: log in to make one, or rotate it")


def check_within(rights: Rights, scope: Scope) -> None:
    """Raise Forbidden for rights that go beyond the maker's own."""
    if not roles_of(rights.role) - set(DUTIES) <= scope.roles:
        mine = [role for role in ROLES if role in scope.roles]
        raise Forbidden(f"role: a key has no more than its maker, who is {mine[-1]}")
    beyond = []
    if scope.collections is not None and not set(rights.collections or ("*",)) <= scope.collections:
        beyond.append(f"collections (at most {', '.join(sorted(scope.collections)) or 'none'})")
    if scope.area_code is not None and not scope.covers(rights.area_code):
        beyond.append(f"area_code (within {scope.area_code})")
    if not scope.hidden <= set(rights.hidden):
        beyond.append(f"hidden (at least {', '.join(sorted(scope.hidden))})")
    if scope.precision_m is not None and (rights.precision_m or 0) < scope.precision_m:
        beyond.append(f"precision_m (at least {scope.precision_m:g})")
    if beyond:
        raise Forbidden(f"a key has no more than its maker: {'; '.join(beyond)}")


def duties_asked(body: Mapping[str, Any], scope: Scope) -> tuple[str, ...]:
    """Duties of the key: some of the maker's. Raises InvalidParameter, Forbidden."""
    duties = some_of("duties", body.get("duties", []), DUTIES)
    beyond = [duty for duty in duties if duty not in scope.roles]
    if beyond:
        raise Forbidden(f"duties: the maker of the key is no {', '.join(beyond)}")
    return tuple(duties)


def services_asked(body: Mapping[str, Any], scope: Scope) -> tuple[str, ...] | None:
    """Ids of services the key may call, None for all. Raises InvalidParameter, Forbidden."""
    value = body.get("services")
    if value is None:
        if scope.services is not None:
            raise Forbidden(f"services: the maker's own key calls {', '.join(sorted(scope.services))} only")
        return None
    if not isinstance(value, list) or len(value) > MAX_SERVICES:
        raise InvalidParameter("services", value, f"a list of at most {MAX_SERVICES} ids of services")
    names = tuple(sorted({str(text_member("services", one, 80, is_needed=True)) for one in value}))
    if scope.services is not None and not set(names) <= scope.services:
        raise Forbidden(f"services: the maker's own key calls {', '.join(sorted(scope.services))} only")
    return names


def owner_of(row: Mapping[str, Any]) -> Owner:
    """Whom a key acts for, from its row."""
    return Owner(
        organisation_id=row["organisation_id"],
        person_id=row["person_id"],
        duties=tuple(row["duties"]),
        services=None if row["services"] is None else tuple(row["services"]),
        grant_id=row["grant_id"],
    )


def rights_of(row: Mapping[str, Any]) -> Rights:
    """What a key is allowed, from its row."""
    return Rights(
        role=row["role"],
        collections=None if row["collections"] is None else tuple(row["collections"]),
        area_code=row["area_code"],
        hidden=tuple(row["hidden"]),
        precision_m=row["precision_m"],
    )
