"""Applications for services: handed in by organisations, decided by those who offer the service, never by who applied."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, registry_of, scope_of, settings_of
from api.documents import private_json
from api.listing import PAGING, listed
from api.params import check_members, json_object, query_parameters
from api.refusals import refuse
from cim.catalogue.application import (
    STATES,
    applicable,
    checked_conditions,
    conditions_of,
    decides,
    granted_conditions,
    is_own_application,
    may_do,
    require_applicant,
)
from cim.catalogue.deadline import calendar_of, working_days_of
from cim.db.audit import record
from cim.db.pool import Transaction
from cim.errors import Conflict, InvalidParameter, NotFound
from cim.interval import instant_text
from cim.model import Scope
from cim.people.members import key_member, one_of, text_member
from cim.people.rights import require_side
from cim.query import applications as statements
from cim.query.applications import APPLICATIONS, GRANTS, SCENARIOS, both_sides_seen
from cim.query.notifications import notify_sql
from cim.sql import Sql

router = APIRouter(tags=["people"])

MEMBERS = ("service_id", "scenario_id", "grant_id", "purpose", "wanted")
FILTERS = ("state", "service", "owner", "organisation", "scenario", "overdue", *PAGING)
_ID = re.compile(r"[1-9]\d{0,17}", re.ASCII)
_INSTANTS = ("applied_at", "due_at", "decided_at")


def _shown(row: Any, scope: Scope) -> Mapping[str, Any]:
    facts = {name: value for name, value in dict(row).items() if name not in ("owner_area", "applicant_id")}
    return {
        **facts,
        "wanted": orjson.loads(row["wanted"]),
        **{name: instant_text(row[name]) for name in _INSTANTS},
        "may": may_do(scope, row),
    }


async def applications(request: Request) -> Response:
    """Applications of the caller's organisation and for its services, the latest first."""
    scope = await scope_of(request)
    values = query_parameters(request, FILTERS)
    require_side(scope)
    conditions = both_sides_seen(scope, Sql.of("a.organisation_id"))
    if "state" in values:
        conditions.append(Sql.of("a.state = {}", one_of("state", values["state"], STATES)))
    for name in ("service", "owner", "organisation", "scenario"):
        if name in values:
            conditions.append(_equal(name, values[name]))
    if one_of("overdue", values.get("overdue", "false"), ("true", "false")) == "true":
        conditions.append(Sql.of("a.state = 'submitted' AND a.due_at < now()"))
    return await listed(request, "applications", APPLICATIONS, conditions, values, lambda row: _shown(row, scope))


def _equal(name: str, value: str) -> Sql:
    match name:
        case "service":
            return Sql.of("a.service_id = {}", value)
        case "owner":
            return Sql.of("s.organisation_id = {}", value)
        case "organisation":
            return Sql.of("a.organisation_id = {}", value)
    return Sql.of("a.scenario_id = {}", value)


async def _application_of(request: Request, scope: Scope) -> Any:
    """The application's row where it exists for the caller. Raises NotFound."""
    require_side(scope)
    wanted, row = request.path_params["application_id"], None
    if _ID.fullmatch(wanted):
        conditions = [Sql.of("a.id = {}", int(wanted)), *both_sides_seen(scope, Sql.of("a.organisation_id"))]
        row = await database_of(request).fetch_row(APPLICATIONS.page(conditions, None, 1))
    if row is None:
        raise NotFound("application", wanted)
    return row


async def application(request: Request) -> Response:
    """One application."""
    scope = await scope_of(request)
    query_parameters(request, ())
    return private_json(_shown(await _application_of(request, scope), scope))


async def apply(request: Request) -> Response:
    """Hand in an application for a service that is shared conditionally; `due_at` is when it is decided at the latest.

    `grant_id` asks for a grant to be renewed, with the conditions it has unless `wanted` says otherwise.
    """
    scope = await scope_of(request)
    organisation_id = require_applicant(scope)
    query_parameters(request, ())
    body = await json_object(request)
    check_members(body, MEMBERS)
    wanted = checked_conditions(body.get("wanted", {}), registry_of(request), parameter="wanted")
    renewed = await _renewed(request, body, organisation_id)
    service_id = renewed["service_id"] if renewed else key_member("service_id", body.get("service_id"))
    found = await database_of(request).fetch_row(statements.applied_for_sql(service_id))
    service = applicable(found, service_id, organisation_id)
    if renewed:
        kept = {**conditions_of(renewed), "expires_at": None}
        wanted = {**kept, **wanted}
    values = {
        "service_id": service_id,
        "organisation_id": organisation_id,
        "scenario_id": renewed["scenario_id"] if renewed else await _scenario(request, body, organisation_id),
        "grant_id": renewed["id"] if renewed else None,
        "purpose": text_member("purpose", body.get("purpose"), 4000, is_needed=True),
        "wanted": wanted,
        "applied_by": scope.caller,
        "applicant_id": scope.person_id,
    }
    settings = settings_of(request)
    days = working_days_of(settings).get(service["share_class"], 10)
    due_at = calendar_of(settings).due_at(datetime.now(UTC), days)
    async with database_of(request).transaction() as transaction:
        await transaction.execute(statements.lock_organisation_sql(organisation_id))
        made = await transaction.fetch_row(statements.apply_sql(values, due_at))
        if made is None:
            raise Conflict("an application for the same service and scenario is open already", rule="applied")
        await _tell_owner(transaction, service, str(made["id"]), organisation_id)
        await record(
            transaction, scope, event="applied", subject_kind="application", subject_id=str(made["id"]), detail=values
        )
    request.path_params["application_id"] = str(made["id"])
    document = _shown(await _application_of(request, scope), scope)
    return private_json(document, 201, Location=f"/applications/{made['id']}")


async def _renewed(request: Request, body: Mapping[str, Any], organisation_id: str) -> Any:
    grant_id = body.get("grant_id")
    if grant_id is None:
        return None
    row = None
    if isinstance(grant_id, int) and not isinstance(grant_id, bool) and 0 < grant_id < 2**63:
        own = [Sql.of("g.id = {}", grant_id), Sql.of("g.organisation_id = {}", organisation_id)]
        row = await database_of(request).fetch_row(GRANTS.page([*own, Sql.of("g.revoked_at IS NULL")], None, 1))
    if row is None:
        raise InvalidParameter("grant_id", grant_id, "the id of a grant of your organisation that was not revoked")
    for name in ("service_id", "scenario_id"):
        if body.get(name) not in (None, row[name]):
            raise InvalidParameter(name, body[name], f"the grant to be renewed has {row[name]}")
    return row


async def _scenario(request: Request, body: Mapping[str, Any], organisation_id: str) -> str | None:
    if body.get("scenario_id") is None:
        return None
    wanted = key_member("scenario_id", body["scenario_id"])
    own = [Sql.of("c.id = {}", wanted), Sql.of("c.organisation_id = {} AND c.state = 'active'", organisation_id)]
    if await database_of(request).fetch_row(SCENARIOS.page(own, None, 1)) is None:
        raise InvalidParameter(
            "scenario_id", wanted, "the id of an active scenario of your organisation", rule="no-scenario"
        )
    return wanted


async def _tell_owner(transaction: Transaction, service: Any, subject_id: str, organisation_id: str) -> None:
    if service["organisation_id"] is None:
        return
    await transaction.execute(
        notify_sql(
            service["organisation_id"],
            "applied",
            "application",
            subject_id,
            f"{organisation_id} 申请使用服务 {service['id']}",
            f"{organisation_id} applies for the service {service['id']}",
            duty="publisher",
        )
    )


async def grant(request: Request) -> Response:
    """Grant what was asked for, with other conditions where the body says so; `{"note", "conditions"}`."""
    scope = await scope_of(request)
    row = await _to_decide(request, scope)
    body = await json_object(request)
    check_members(body, ("note", "conditions"))
    note = text_member("note", body.get("note"), 2000)
    decided = checked_conditions(body.get("conditions", {}), registry_of(request), parameter="conditions")
    conditions = granted_conditions(orjson.loads(row["wanted"]), decided)
    async with database_of(request).transaction() as transaction:
        await _lock_open(transaction, row)
        if row["grant_id"] is not None:
            made = await transaction.fetch_row(statements.change_grant_sql(row["grant_id"], conditions))
        else:
            way = (row["service_id"], row["organisation_id"], row["scenario_id"])
            await transaction.execute(statements.make_way_sql(*way))
            made = await transaction.fetch_row(statements.grant_sql(row, conditions, scope.caller))
        if made is None:
            raise Conflict(
                "a grant is in force for the same service, organisation and scenario, which can be renewed"
                if row["grant_id"] is None
                else "the grant to be renewed was revoked meanwhile"
            )
        detail = {"grant_id": made["id"], **conditions, "expires_at": instant_text(conditions["expires_at"])}
        await _decided(transaction, scope, row, "granted", note, detail)
    return private_json(_shown(await _application_of(request, scope), scope))


async def refuse_application(request: Request) -> Response:
    """Refuse an application, for a `{"reason"}` that the applicant is told."""
    scope = await scope_of(request)
    row = await _to_decide(request, scope)
    body = await json_object(request)
    check_members(body, ("reason",))
    reason = text_member("reason", body.get("reason"), 2000, is_needed=True)
    async with database_of(request).transaction() as transaction:
        await _lock_open(transaction, row)
        await _decided(transaction, scope, row, "refused", reason, {})
    return private_json(_shown(await _application_of(request, scope), scope))


async def withdraw(request: Request) -> Response:
    """Take an application back (its organisation)."""
    scope = await scope_of(request)
    query_parameters(request, ())
    row = await _application_of(request, scope)
    if row["organisation_id"] != scope.organisation_id:
        await refuse(request, scope, "application", str(row["id"]), "an application is withdrawn by who handed it in")
    require_applicant(scope)
    async with database_of(request).transaction() as transaction:
        await _lock_open(transaction, row)
        await transaction.execute(statements.decide_sql(row["id"], "withdrawn", scope.caller, None, None))
        await record(transaction, scope, event="withdrawn", subject_kind="application", subject_id=str(row["id"]))
    return private_json(_shown(await _application_of(request, scope), scope))


async def _to_decide(request: Request, scope: Scope) -> Any:
    """The application, if the caller may decide on it. Raises NotFound, Forbidden."""
    query_parameters(request, ())
    row = await _application_of(request, scope)
    if not decides(scope, row["owner_id"], row["owner_area"]):
        why = "decided by a publisher or org_admin of who offers the service"
        await refuse(request, scope, "application", str(row["id"]), why)
    if is_own_application(scope, row["applicant_id"], row["applied_by"]):
        await refuse(request, scope, "application", str(row["id"]), "nobody decides on their own application")
    return row


async def _lock_open(transaction: Transaction, row: Any) -> None:
    """Raise Conflict for an application that is decided, or that another is deciding."""
    now = await transaction.fetch_one(statements.lock_application_sql(row["id"]))
    if now["state"] != "submitted":
        raise Conflict(f"the application is {now['state']} already", rule="decided", facts={"state": now["state"]})


async def _decided(
    transaction: Transaction, scope: Scope, row: Any, state: str, note: str | None, detail: Mapping[str, Any]
) -> None:
    await transaction.execute(statements.decide_sql(row["id"], state, scope.caller, note, detail.get("grant_id")))
    is_granted = state == "granted"
    reason = f": {note}" if note else ""
    await transaction.execute(
        notify_sql(
            row["organisation_id"],
            state,
            "application",
            str(row["id"]),
            f"申请 {row['id']}（服务 {row['service_id']}）{'已批准' if is_granted else '未获批准'}{reason}",
            f"Application {row['id']} for the service {row['service_id']} was {state}{reason}",
            person_id=row["applicant_id"],
        )
    )
    await record(
        transaction, scope, event=state, subject_kind="application", subject_id=str(row["id"]), why=note, detail=detail
    )


router.add_route("/applications", applications, methods=["GET"])
router.add_route("/applications", apply, methods=["POST"])
router.add_route("/applications/{application_id}", application, methods=["GET"])
router.add_route("/applications/{application_id}/grant", grant, methods=["POST"])
router.add_route("/applications/{application_id}/refuse", refuse_application, methods=["POST"])
router.add_route("/applications/{application_id}/withdraw", withdraw, methods=["POST"])
