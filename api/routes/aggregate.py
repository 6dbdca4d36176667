"""Statistics over the features that match: by GET with parameters, by POST with a polygon."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of, registry_of, scope_of
from api.documents import JSON, json_answer
from api.negotiate import Representation, choose
from api.params import (
    BODY_MEMBERS,
    CONDITIONS,
    check_members,
    conditions_from,
    conditions_from_body,
    filter_names,
    json_object,
    query_parameters,
)
from api.routes.items import check_validity
from cim.errors import InvalidParameter
from cim.model import Collection, Scope
from cim.query.aggregate import Grouping, Measure, aggregate_sql, measured, parse_grouping
from cim.query.feature_query import FeatureQuery

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
    collection = registry_of(request).get(request.path_params["collection_id"])
    scope = await scope_of(request)
    values = query_parameters(request, (*CONDITIONS, "group-by", *filter_names(collection, scope)))
    choose(request, OFFERS, f=values.get("f"))
    query = conditions_from(values, collection, scope)
    return await _answer(request, collection, scope, query, values.get("group-by"))


async def aggregate_posted(request: Request) -> Response:
    """The same with the conditions in a JSON body."""
    collection = registry_of(request).get(request.path_params["collection_id"])
    scope = await scope_of(request)
    choose(request, OFFERS, f=query_parameters(request, ()).get("f"))
    body = await json_object(request)
    check_members(body, (*BODY_MEMBERS, "group-by"))
    group_by = body.get("group-by")
    if group_by is not None and not isinstance(group_by, str):
        raise InvalidParameter("group-by", group_by, "must be a string")
    query = conditions_from_body(body, collection, scope)
    if query.geometry is not None:
        await check_validity(request, query.geometry)
    return await _answer(request, collection, scope, query, group_by)


async def _answer(
    request: Request, collection: Collection, scope: Scope, query: FeatureQuery, group_by: str | None
) -> Response:
    grouping = None if group_by is None else parse_grouping(collection, scope, group_by)
    rows = await context_of(request).database.fetch_rows(aggregate_sql(collection, query, scope, grouping))
    document = aggregate_document(collection, scope, grouping, list(rows))
    return json_answer(request, document, vary="Accept, Authorization, X-API-Key")


router.add_route("/collections/{collection_id}/aggregate", aggregate, methods=["GET"])
router.add_route("/collections/{collection_id}/aggregate", aggregate_posted, methods=["POST"])
