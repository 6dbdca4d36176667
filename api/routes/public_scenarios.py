"""The register of application scenarios (应用场景) that organisations made public: for everybody, without a key."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, scope_of
from api.documents import private_json
from api.listing import PAGING, listed
from api.params import query_parameters
from cim.errors import NotFound
from cim.interval import instant_text
from cim.query.scenarios import PUBLIC, REGISTER, has_words, uses
from cim.query.text_search import parse_terms
from cim.sql import Sql

router = APIRouter(tags=["catalogue"])

FILTERS = ("q", "service", "organisation", *PAGING)


def _shown(row: Any) -> Mapping[str, Any]:
    return {**dict(row), "services": orjson.loads(row["services"]), "created_at": instant_text(row["created_at"])}


async def public_scenarios(request: Request) -> Response:
    """Scenarios that their organisation made public, with the services on the shelf that they have grants for."""
    await scope_of(request)
    values = query_parameters(request, FILTERS)
    conditions = [PUBLIC]
    if "q" in values:
        conditions.append(has_words(parse_terms(values["q"].split(","))))
    if "service" in values:
        conditions.append(uses(values["service"]))
    if "organisation" in values:
        conditions.append(Sql.of("c.organisation_id = {}", values["organisation"]))
    return await listed(request, "scenarios", REGISTER, conditions, values, _shown)


async def public_scenario(request: Request) -> Response:
    """One public scenario."""
    await scope_of(request)
    query_parameters(request, ())
    wanted, row = request.path_params["scenario_id"], None
    if "\x00" not in wanted:
        row = await database_of(request).fetch_row(REGISTER.page([PUBLIC, Sql.of("c.id = {}", wanted)], None, 1))
    if row is None:
        raise NotFound("scenario", wanted)
    return private_json(_shown(row))


router.add_route("/catalogue/scenarios", public_scenarios, methods=["GET"])
router.add_route("/catalogue/scenarios/{scenario_id}", public_scenario, methods=["GET"])
