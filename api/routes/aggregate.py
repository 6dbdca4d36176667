"""Statistics over the features that match: by GET with parameters, by POST with a polygon."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.conditions import QUERY_NAMES, Asking, asking, asking_body, conditions_from, filter_names
from api.context import collection_of, context_of
from api.documents import JSON, json_answer
from api.negotiate import Representation, choose
from api.params import query_parameters
from api.routes.items import check_validity
from cim.model import Collection, Scope
from cim.query.aggregate import Grouping, Measure, aggregate_sql, measured, parse_grouping

router = APIRouter()

OFFERS = (Representation("json", JSON),)


def aggregate_document(
    collection: Collection, scope: Scope, grouping: Grouping | None, rows: list[Any]
) -> dict[str, Any]:
    """The answer: a group a row, and all of them together."""
    names = [p.name for p in measured(collection, scope)]
    total = {name: Measure() for name in names}
    groups = []
    for row in rows:
        group: dict[str, Any] = {"group": {} if grouping is None else {grouping.name: row[0]}, "count": row[1]}
        for place, name in enumerate(names):
            values = row[2 + 4 * place : 6 + 4 * place]
            own = Measure()
            own.add(*values)
            total[name].add(*values)
            group[name] = own.to_dict()
        groups.append(group)
    whole = {"count": sum(row[1] for row in rows), **{name: one.to_dict() for name, one in total.items()}}
    return {
        "collection": collection.id,
        "groupBy": None if grouping is None else grouping.name,
        "groups": [] if grouping is None else groups,
        "total": whole,
    }


async def aggregate(request: Request) -> Response:
    """Statistics by query parameters, grouped by `group-by`."""
    collection, scope = await collection_of(request)
    values = query_parameters(request, (*QUERY_NAMES, "group-by", *filter_names(collection, scope)))
    choose(request, OFFERS, f=values.get("f"))
    return await _answer(request, asking(request, collection, scope, values))


async def aggregate_posted(request: Request) -> Response:
    """The same with the conditions in a JSON body."""
    collection, scope = await collection_of(request)
    choose(request, OFFERS, f=query_parameters(request, ()).get("f"))
    return await _answer(request, await asking_body(request, collection, scope, ("group-by",)))


async def _answer(request: Request, asked: Asking) -> Response:
    collection, scope = asked.collection, asked.scope
    query = conditions_from(asked)
    grouping = parse_grouping(collection, scope, asked.text("group-by")) if asked.has("group-by") else None
    if query.geometry is not None:
        await check_validity(request, query.geometry)
    rows = await context_of(request).database.fetch_rows(aggregate_sql(collection, query, scope, grouping))
    document = aggregate_document(collection, scope, grouping, list(rows))
    return json_answer(request, document, vary="Accept, Authorization, X-API-Key")


router.add_route("/collections/{collection_id}/aggregate", aggregate, methods=["GET"])
router.add_route("/collections/{collection_id}/aggregate", aggregate_posted, methods=["POST"])
