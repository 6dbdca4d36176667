"""Statistics over the features that match: by GET with parameters, by POST with a polygon."""

from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.aggregates import as_csv, as_geojson, as_json, shaped
from api.conditions import QUERY_NAMES, Asking, asking, asking_body, conditions_from, filter_names
from api.context import collection_of, context_of
from api.documents import GEOJSON, JSON, answer, json_answer
from api.negotiate import Representation, choose
from api.params import query_parameters
from api.routes.items import check_geometries
from cim.query.aggregate import Aggregation, Group, aggregate_sql, histogram_sql, shapes_sql, statistics
from cim.query.grouping import parse_groupings
from cim.query.measures import default_measures, parse_measures

router = APIRouter()

CSV = "text/csv"
OFFERS = (Representation("json", JSON), Representation("csv", CSV), Representation("geojson", GEOJSON))
WISHES = ("group-by", "measures")
"""Parameters of statistics, beside the conditions."""

_VARY = "Accept, Cookie, Authorization, X-API-Key"


async def aggregate(request: Request) -> Response:
    """Statistics by query parameters, grouped by `group-by`."""
    collection, scope = await collection_of(request)
    values = query_parameters(request, (*QUERY_NAMES, *WISHES, *filter_names(collection, scope)))
    kind = choose(request, OFFERS, f=values.get("f"))
    return await _answer(request, asking(request, collection, scope, values), kind)


async def aggregate_posted(request: Request) -> Response:
    """The same with the conditions in a JSON body."""
    collection, scope = await collection_of(request)
    kind = choose(request, OFFERS, f=query_parameters(request, ()).get("f"))
    return await _answer(request, await asking_body(request, collection, scope, WISHES), kind)


async def _answer(request: Request, asked: Asking, kind: Representation) -> Response:
    plan = _plan(asked)
    database = context_of(request).database
    await check_geometries(request, plan.query)
    found = await database.fetch_rows(aggregate_sql(plan))
    binned = [await database.fetch_rows(histogram_sql(plan, one)) for one in plan.histograms]
    groups, total = statistics(plan, found, binned)
    if kind.f == "csv":
        name = f'attachment; filename="{plan.collection.id}-statistics.csv"'
        headers = {"Content-Disposition": name}
        return answer(request, as_csv(plan, groups, total), f"{CSV}; charset=utf-8", headers=headers, vary=_VARY)
    if kind.f == "geojson":
        document = as_geojson(plan, groups, await _shapes(request, plan, groups))
        return answer(request, orjson.dumps(document), GEOJSON, vary=_VARY)
    return json_answer(request, as_json(plan, groups, total), vary=_VARY)


def _plan(asked: Asking) -> Aggregation:
    collection, scope = asked.collection, asked.scope
    query = conditions_from(asked)
    groupings = parse_groupings(collection, scope, asked.text("group-by")) if asked.has("group-by") else []
    wanted = asked.text("measures") if asked.has("measures") else None
    measures = default_measures(collection, scope) if wanted is None else parse_measures(collection, scope, wanted)
    return Aggregation(collection, query, scope, groupings, measures)


async def _shapes(request: Request, plan: Aggregation, groups: list[Group]) -> dict[str, Any]:
    """The geometry of each key that has one: cells of the grid, or areas that the caller may see."""
    place = shaped(plan)
    if place is None:
        return {}
    keys = [str(group.key[place]) for group in groups if group.key[place] is not None]
    grid = plan.groupings[place].grid
    if grid is not None:
        return {key: grid.cell(key) for key in keys}
    if not plan.scope.sees("areas"):
        return {}
    areas = context_of(request).registry.get("areas")
    rows = await context_of(request).database.fetch_rows(shapes_sql(areas, plan.scope, keys))
    return {row["code"]: orjson.loads(row["geometry"]) for row in rows}


router.add_route("/collections/{collection_id}/aggregate", aggregate, methods=["GET"])
router.add_route("/collections/{collection_id}/aggregate", aggregate_posted, methods=["POST"])
