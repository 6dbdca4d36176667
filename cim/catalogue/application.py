"""Applications for services: what is asked for, who decides, what is granted."""

from collections.abc import Iterable, Mapping
from typing import Any

from cim.db.rights import checked_rights
from cim.errors import Conflict, Forbidden, InvalidParameter, NotFound
from cim.interval import instant_text
from cim.model import Collection, Scope
from cim.people.members import count_member, future_member
from cim.people.rights import is_district, require_member

CONDITIONS = ("quota_day", "rate_calls", "rate_seconds", "expires_at", "area_code", "hidden", "precision_m")
"""What a grant may be limited by; applications ask for the same."""

STATES = ("submitted", "granted", "refused", "withdrawn")
MAX_CALLS = 10**15
MAX_RATE_S = 86_400


def checked_conditions(asked: Any, known: Iterable[Collection], *, parameter: str) -> dict[str, Any]:
    """Conditions as they are stored: JSON values, instants as RFC 3339. Only members that are given are there.

    Raises InvalidParameter.
    """
    if not isinstance(asked, dict) or not set(asked) <= set(CONDITIONS):
        raise InvalidParameter(parameter, asked, f"an object of {', '.join(CONDITIONS)}")
    rights = checked_rights({n: asked[n] for n in ("area_code", "hidden", "precision_m") if n in asked}, known)
    values = {
        "quota_day": count_member("quota_day", asked.get("quota_day"), MAX_CALLS),
        "rate_calls": count_member("rate_calls", asked.get("rate_calls"), 10**9),
        "rate_seconds": count_member("rate_seconds", asked.get("rate_seconds"), MAX_RATE_S),
        "expires_at": instant_text(future_member("expires_at", asked.get("expires_at"))),
        "area_code": rights.area_code,
        "hidden": list(rights.hidden),
        "precision_m": rights.precision_m,
    }
    return {name: value for name, value in values.items() if name in asked}


def granted_conditions(wanted: Mapping[str, Any], decided: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, unless the decision says otherwise. Raises InvalidParameter for half a rate, or an end that is over."""
    values = {**dict.fromkeys(CONDITIONS), "hidden": [], **wanted, **decided}
    if (values["rate_calls"] is None) != (values["rate_seconds"] is None):
        raise InvalidParameter("rate_calls", values["rate_calls"], "rate_calls and rate_seconds are given together")
    if values["expires_at"] is not None:
        values["expires_at"] = future_member("expires_at", values["expires_at"])
    return values


def conditions_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions of a grant, from its row, as `checked_conditions` gives them."""
    values = {name: row[name] for name in CONDITIONS}
    return {**values, "hidden": list(row["hidden"]), "expires_at": instant_text(row["expires_at"])}


def require_applicant(scope: Scope) -> str:
    """The organisation for which the caller applies. Raises Unauthorized, Forbidden."""
    organisation_id = require_member(scope)
    if not applies(scope):
        raise Forbidden("somebody of the organisation does this, or a key with the duty org_admin")
    return organisation_id


def applies(scope: Scope) -> bool:
    """True for somebody of an organisation, or its key with the duty org_admin."""
    return scope.organisation_id is not None and (scope.person_id is not None or "org_admin" in scope.roles)


def applicable(service: Mapping[str, Any] | None, service_id: str, organisation_id: str) -> Mapping[str, Any]:
    """The service, where it is applied for. Raises NotFound for one that is not on the shelf, Conflict, Forbidden."""
    if service is None or service["state"] not in ("published", "suspended"):
        raise NotFound("service", service_id)
    if service["organisation_id"] == organisation_id:
        raise Conflict("the service is your organisation's own: it needs no grant")
    if service["share_class"] == "unconditional":
        raise Conflict("the service is shared unconditionally: it is called without a grant")
    if service["share_class"] == "not_shared":
        raise Forbidden("the service is not shared")
    return service


def decides(scope: Scope, owner_id: str | None, owner_area: str | None) -> bool:
    """True where the caller decides applications for services of that organisation, and revokes their grants."""
    is_own = (
        owner_id is not None and owner_id == scope.organisation_id and bool({"publisher", "org_admin"} & scope.roles)
    )
    return scope.is_city or is_own or is_district(scope, owner_area)


def may_do(scope: Scope, row: Mapping[str, Any]) -> list[str]:
    """What the caller may do with the application: of `grant`, `refuse`, `withdraw`."""
    if row["state"] != "submitted":
        return []
    is_judge = decides(scope, row["owner_id"], row["owner_area"])
    may = (
        ["grant", "refuse"]
        if is_judge and not is_own_application(scope, row["applicant_id"], row["applied_by"])
        else []
    )
    return [*may, "withdraw"] if applies(scope) and row["organisation_id"] == scope.organisation_id else may


def may_do_with_grant(scope: Scope, row: Mapping[str, Any]) -> list[str]:
    """What the caller may do with the grant: of `edit`, `revoke`, `renew` (by an application)."""
    if row["state"] == "revoked":
        return []
    is_own = row["organisation_id"] == scope.organisation_id
    may = ["edit", "revoke"] if changes_grant(scope, row) else []
    return [*may, "renew"] if is_own and applies(scope) else may


def changes_grant(scope: Scope, row: Mapping[str, Any]) -> bool:
    """True where the caller decides over the grant, which is not of their own organisation: nobody widens such a one."""
    is_own = row["organisation_id"] == scope.organisation_id and "admin" not in scope.roles
    return decides(scope, row["owner_id"], row["owner_area"]) and not is_own


def is_own_application(scope: Scope, applicant_id: str | None, applied_by: str) -> bool:
    """True where the caller is who applied, by whatever key or session: nobody decides on their own."""
    return (applicant_id is not None and applicant_id == scope.person_id) or applied_by == scope.caller
