"""Grants: listed by both sides, given other conditions and revoked by who offers the service."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, registry_of, scope_of, settings_of
from api.documents import private_json
from api.listing import PAGING, listed
from api.params import check_members, json_object, query_parameters
from api.refusals import refuse
from cim.catalogue.application import (
    changes_grant,
    checked_conditions,
    conditions_of,
    decides,
    granted_conditions,
    may_do_with_grant,
)
from cim.db.audit import record
from cim.db.pool import Transaction
from cim.errors import Conflict, InvalidBody, NotFound
from cim.interval import instant_text
from cim.model import Scope
from cim.people.members import one_of, text_member
from cim.people.rights import require_side
from cim.query.applications import GRANT_STATES, GRANTS, both_sides_seen, change_grant_sql, revoke_grant_sql
from cim.query.notifications import notify_sql
from cim.sql import Sql

router = APIRouter(tags=["people"])

FILTERS = ("state", "service", "owner", "organisation", "scenario", *PAGING)
_ID = re.compile(r"[1-9]\d{0,17}", re.ASCII)
_INSTANTS = ("expires_at", "granted_at", "revoked_at")
_UNSHOWN = ("owner_area", "quota_window", "quota_taken")


def _shown(request: Request, row: Any, scope: Scope) -> Mapping[str, Any]:
    """`used_today`: calls of the day's quota that were let through, on the platform's day; None without a quota."""
    facts = {name: value for name, value in dict(row).items() if name not in _UNSHOWN}
    zone = ZoneInfo(settings_of(request).time_zone)
    today = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    used = row["quota_taken"] if row["quota_window"] == int(today.timestamp()) else 0
    return {
        **facts,
        **{name: instant_text(row[name]) for name in _INSTANTS},
        "used_today": None if row["quota_day"] is None else used,
        "may": may_do_with_grant(scope, row),
    }


async def grants(request: Request) -> Response:
    """Grants of the caller's organisation and for its services, the latest first."""
    scope = await scope_of(request)
    values = query_parameters(request, FILTERS)
    require_side(scope)
    conditions = both_sides_seen(scope, Sql.of("g.organisation_id"))
    if "state" in values:
        conditions.append(GRANT_STATES[one_of("state", values["state"], GRANT_STATES)])
    if "service" in values:
        conditions.append(Sql.of("g.service_id = {}", values["service"]))
    if "owner" in values:
        conditions.append(Sql.of("s.organisation_id = {}", values["owner"]))
    if "organisation" in values:
        conditions.append(Sql.of("g.organisation_id = {}", values["organisation"]))
    if "scenario" in values:
        conditions.append(Sql.of("g.scenario_id = {}", values["scenario"]))
    return await listed(request, "grants", GRANTS, conditions, values, lambda row: _shown(request, row, scope))


async def _grant_of(request: Request, scope: Scope) -> Any:
    """The grant's row where it exists for the caller. Raises NotFound."""
    require_side(scope)
    wanted, row = request.path_params["grant_id"], None
    if _ID.fullmatch(wanted):
        conditions = [Sql.of("g.id = {}", int(wanted)), *both_sides_seen(scope, Sql.of("g.organisation_id"))]
        row = await database_of(request).fetch_row(GRANTS.page(conditions, None, 1))
    if row is None:
        raise NotFound("grant", wanted)
    return row


async def grant(request: Request) -> Response:
    """One grant."""
    scope = await scope_of(request)
    query_parameters(request, ())
    return private_json(_shown(request, await _grant_of(request, scope), scope))


async def _to_change(request: Request) -> tuple[Any, Scope]:
    """The grant, if the caller decides over it. Raises NotFound, Forbidden."""
    scope = await scope_of(request)
    query_parameters(request, ())
    row = await _grant_of(request, scope)
    if not decides(scope, row["owner_id"], row["owner_area"]):
        why = "changed and revoked by a publisher or org_admin of who offers the service"
        await refuse(request, scope, "grant", str(row["id"]), why)
    if not changes_grant(scope, row):
        await refuse(request, scope, "grant", str(row["id"]), "nobody widens a grant of their own organisation")
    return row, scope


async def edit(request: Request) -> Response:
    """Other conditions for a grant; `expires_at` renews it. Calls have them within two seconds everywhere."""
    row, scope = await _to_change(request)
    asked = await json_object(request)
    if not asked:
        raise InvalidBody("nothing to change: the body is empty")
    changed = checked_conditions(asked, registry_of(request), parameter="conditions")
    kept = conditions_of(row)
    if row["state"] == "expired" and "expires_at" not in changed:
        raise Conflict("the grant has expired: say until when it goes on, as expires_at", rule="expired")
    conditions = granted_conditions(kept, changed)
    async with database_of(request).transaction() as transaction:
        if await transaction.fetch_row(change_grant_sql(row["id"], conditions)) is None:
            raise Conflict("the grant was revoked", rule="revoked")
        await _tell(transaction, row, "grant changed", "授权条件已变更", "has other conditions now")
        detail = {**conditions, "expires_at": instant_text(conditions["expires_at"])}
        await record(
            transaction, scope, event="grant changed", subject_kind="grant", subject_id=str(row["id"]), detail=detail
        )
    return private_json(_shown(request, await _grant_of(request, scope), scope))


async def revoke(request: Request) -> Response:
    """Revoke a grant for a `{"reason"}`; calls by it are refused within two seconds in every worker."""
    row, scope = await _to_change(request)
    body = await json_object(request)
    check_members(body, ("reason",))
    reason = text_member("reason", body.get("reason"), 2000, is_needed=True)
    assert reason is not None
    async with database_of(request).transaction() as transaction:
        if await transaction.fetch_row(revoke_grant_sql(row["id"], scope.caller, reason)) is None:
            raise Conflict("the grant was revoked before", rule="revoked")
        await _tell(transaction, row, "grant revoked", f"授权已撤销：{reason}", f"was revoked: {reason}")
        await record(
            transaction, scope, event="grant revoked", subject_kind="grant", subject_id=str(row["id"]), why=reason
        )
    return private_json(_shown(request, await _grant_of(request, scope), scope))


async def _tell(transaction: Transaction, row: Any, event: str, zh: str, en: str) -> None:
    await transaction.execute(
        notify_sql(
            row["organisation_id"],
            event,
            "grant",
            str(row["id"]),
            f"服务 {row['service_id']} 的授权 {row['id']}：{zh}",
            f"Grant {row['id']} for the service {row['service_id']} {en}",
        )
    )


router.add_route("/grants", grants, methods=["GET"])
router.add_route("/grants/{grant_id}", grant, methods=["GET"])
router.add_route("/grants/{grant_id}", edit, methods=["PATCH"])
router.add_route("/grants/{grant_id}/revoke", revoke, methods=["POST"])
