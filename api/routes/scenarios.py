"""Application scenarios: registered by organisations; grants, and with them calls, hang on one."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, scope_of
from api.documents import private_json
from api.listing import PAGING, listed
from api.params import json_object, query_parameters
from api.refusals import refuse
from cim.catalogue.application import require_applicant
from cim.catalogue.scenario import STATES, checked_scenario
from cim.db.audit import record
from cim.errors import Conflict, NotFound
from cim.interval import instant_text
from cim.model import Scope
from cim.people.members import one_of
from cim.people.rights import require_side
from cim.query.applications import SCENARIOS
from cim.query.people import hangs_on_seen, insert_scenario_sql, update_sql
from cim.sql import Sql

router = APIRouter(tags=["people"])

FILTERS = ("state", "organisation", *PAGING)


def _shown(row: Any) -> Mapping[str, Any]:
    return {**dict(row), "grants": list(row["grants"]), "created_at": instant_text(row["created_at"])}


async def scenarios(request: Request) -> Response:
    """Scenarios of the caller's organisation, or of all that they act for, with their grants in force."""
    scope = await scope_of(request)
    values = query_parameters(request, FILTERS)
    require_side(scope)
    conditions = hangs_on_seen(scope, Sql.of("c.organisation_id"))
    if "state" in values:
        conditions.append(Sql.of("c.state = {}", one_of("state", values["state"], STATES)))
    if "organisation" in values:
        conditions.append(Sql.of("c.organisation_id = {}", values["organisation"]))
    return await listed(request, "scenarios", SCENARIOS, conditions, values, _shown)


async def _scenario_of(request: Request, scope: Scope) -> Any:
    """The scenario's row where it exists for the caller. Raises NotFound."""
    require_side(scope)
    wanted, row = request.path_params["scenario_id"], None
    if "\x00" not in wanted:
        conditions = [Sql.of("c.id = {}", wanted), *hangs_on_seen(scope, Sql.of("c.organisation_id"))]
        row = await database_of(request).fetch_row(SCENARIOS.page(conditions, None, 1))
    if row is None:
        raise NotFound("scenario", wanted)
    return row


async def scenario(request: Request) -> Response:
    """One scenario."""
    scope = await scope_of(request)
    query_parameters(request, ())
    return private_json(_shown(await _scenario_of(request, scope)))


async def create(request: Request) -> Response:
    """Register a scenario of the caller's organisation."""
    scope = await scope_of(request)
    organisation_id = require_applicant(scope)
    query_parameters(request, ())
    given = checked_scenario(await json_object(request))
    await _check_public(request, scope, given)
    values = {
        **given,
        "organisation_id": organisation_id,
        "created_by": scope.caller,
    }
    async with database_of(request).transaction() as transaction:
        if await transaction.fetch_row(insert_scenario_sql(values)) is None:
            raise Conflict(f"a scenario '{values['id']}' exists already", rule="exists", parameter="id")
        await record(
            transaction, scope, event="scenario made", subject_kind="scenario", subject_id=values["id"], detail=values
        )
    request.path_params["scenario_id"] = values["id"]
    return private_json(_shown(await _scenario_of(request, scope)), 201, Location=f"/scenarios/{values['id']}")


async def _check_public(request: Request, scope: Scope, values: Mapping[str, Any]) -> None:
    """Raise Forbidden where somebody without a duty says for the organisation what is public."""
    if "is_public" in values and not (scope.is_city or scope.roles & {"publisher", "org_admin"}):
        await refuse(request, scope, "scenario", values["id"], "is_public is set by a publisher or an org_admin")


async def edit(request: Request) -> Response:
    """Change members of a scenario of one's own organisation, or archive it."""
    scope = await scope_of(request)
    query_parameters(request, ())
    row = await _scenario_of(request, scope)
    if row["organisation_id"] != scope.organisation_id and not scope.is_city:
        await refuse(request, scope, "scenario", row["id"], "a scenario is changed by its organisation")
    if not scope.is_city:
        require_applicant(scope)
    values = checked_scenario(await json_object(request), is_partial=True)
    await _check_public(request, scope, {"id": row["id"], **values})
    async with database_of(request).transaction() as transaction:
        await transaction.execute(update_sql("scenario", row["id"], values))
        await record(
            transaction, scope, event="scenario changed", subject_kind="scenario", subject_id=row["id"], detail=values
        )
    return private_json(_shown(await _scenario_of(request, scope)))


router.add_route("/scenarios", scenarios, methods=["GET"])
router.add_route("/scenarios", create, methods=["POST"])
router.add_route("/scenarios/{scenario_id}", scenario, methods=["GET"])
router.add_route("/scenarios/{scenario_id}", edit, methods=["PATCH"])
