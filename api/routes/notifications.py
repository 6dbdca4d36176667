"""Notifications: what an organisation, or somebody of it, should know."""

import re
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, scope_of
from api.documents import private_json
from api.listing import PAGING, listed
from api.params import check_members, json_object, query_parameters
from cim.errors import InvalidParameter, NotFound
from cim.interval import instant_text
from cim.people.members import count_member, one_of
from cim.people.rights import require_member
from cim.query.notifications import NOTIFICATIONS, mine, read_all_sql, read_sql, unread_sql
from cim.sql import Sql

router = APIRouter(tags=["people"])

FILTERS = ("unread", *PAGING)
MOST_UNREAD = 1_000
_ID = re.compile(r"[1-9]\d{0,17}", re.ASCII)


def _shown(row: Any) -> Mapping[str, Any]:
    return {**dict(row), "created_at": instant_text(row["created_at"]), "read_at": instant_text(row["read_at"])}


async def notifications(request: Request) -> Response:
    """Those to the caller and to the organisation, the latest first."""
    scope = await scope_of(request)
    values = query_parameters(request, FILTERS)
    require_member(scope)
    conditions = mine(scope)
    if one_of("unread", values.get("unread", "false"), ("true", "false")) == "true":
        conditions.append(Sql.of("n.read_at IS NULL"))
    return await listed(request, "notifications", NOTIFICATIONS, conditions, values, _shown)


async def unread(request: Request) -> Response:
    """`{"unread": n}`: how many nobody has read; a thousand stands for more as well."""
    scope = await scope_of(request)
    query_parameters(request, ())
    require_member(scope)
    return private_json(dict(await database_of(request).fetch_one(unread_sql(scope, MOST_UNREAD))))


async def read_through(request: Request) -> Response:
    """All up to the id `{"through"}` were read: those that came since stay unread."""
    scope = await scope_of(request)
    query_parameters(request, ())
    require_member(scope)
    body = await json_object(request)
    check_members(body, ("through",))
    through = count_member("through", body.get("through"), 2**63 - 1)
    if through is None:
        raise InvalidParameter("through", None, "the id of the latest notification that was read")
    await database_of(request).execute(read_all_sql(scope, through))
    return Response(status_code=204)


async def read(request: Request) -> Response:
    """It was read."""
    scope = await scope_of(request)
    query_parameters(request, ())
    require_member(scope)
    wanted, row, database = request.path_params["notification_id"], None, database_of(request)
    if _ID.fullmatch(wanted):
        row = await database.fetch_row(NOTIFICATIONS.page([Sql.of("n.id = {}", int(wanted)), *mine(scope)], None, 1))
    if row is None:
        raise NotFound("notification", wanted)
    await database.execute(read_sql(row["id"]))
    return Response(status_code=204)


router.add_route("/notifications", notifications, methods=["GET"])
router.add_route("/notifications/unread", unread, methods=["GET"])
router.add_route("/notifications/read", read_through, methods=["POST"])
router.add_route("/notifications/{notification_id}/read", read, methods=["POST"])
