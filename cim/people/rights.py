"""Who may change what of organisations and people: pure rules over a Scope."""

from collections.abc import Iterable

from cim.errors import Forbidden, InvalidParameter, Unauthorized
from cim.model import Scope
from cim.model.scope import DUTIES

OF_THE_CITY = ("district_admin", "city_admin")
"""Duties that only a city admin gives."""

HOW = "log in, or send a valid key as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'"


def require_caller(scope: Scope) -> None:
    """Raise Unauthorized for the anonymous caller."""
    if not scope.roles:
        raise Unauthorized(f"this needs a key or a session; {HOW}")


def require_side(scope: Scope) -> None:
    """Raise Unauthorized, Forbidden for a caller who acts neither for an organisation, nor for a district or the city."""
    require_caller(scope)
    if scope.organisation_id is None and not scope.is_city and "district_admin" not in scope.roles:
        raise Forbidden("the key sent acts for no organisation")


def require_member(scope: Scope) -> str:
    """The organisation that the caller acts for. Raises Unauthorized, Forbidden."""
    require_caller(scope)
    if scope.organisation_id is None:
        raise Forbidden("the key sent acts for no organisation")
    return scope.organisation_id


def is_district(scope: Scope, area_code: str | None) -> bool:
    """True for a district admin whose district holds the area of an organisation."""
    return "district_admin" in scope.roles and scope.area_code is not None and scope.covers(area_code)


def manages(scope: Scope, organisation_id: str, area_code: str | None) -> bool:
    """True where the caller makes and changes the people and keys of the organisation, which belongs to the area."""
    is_own = "org_admin" in scope.roles and scope.organisation_id == organisation_id
    return scope.is_city or is_own or is_district(scope, area_code)


def may_give(scope: Scope) -> list[str]:
    """The duties that the caller gives to people of organisations that they manage."""
    return [duty for duty in DUTIES if scope.is_city or duty not in OF_THE_CITY]


def check_given(scope: Scope, before: Iterable[str], after: Iterable[str]) -> None:
    """Raise Forbidden where somebody is given, or loses, a duty that is not the caller's to give."""
    changed, allowed = set(before) ^ set(after), may_give(scope)
    beyond = sorted(changed - set(allowed))
    if beyond:
        raise Forbidden(f"{', '.join(beyond)}: given and taken by a city admin only; you give {', '.join(allowed)}")


def check_district(duties: Iterable[str], area_code: str | None) -> None:
    """A district admin has a district. Raises InvalidParameter."""
    if "district_admin" in duties and area_code is None:
        raise InvalidParameter("area_code", "", "a district admin needs the code of the district", rule="district")
