"""Services behind the shelf: registered, edited, published, withdrawn."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, scope_of, settings_of
from api.documents import GEOJSON, url_of
from api.params import json_object, query_parameters
from api.records import record_of
from api.routes.portal import preferred_language
from api.security import require_admin
from api.services import tag_of, visible_row
from cim.catalogue.service import KINDS, MEMBERS, TRANSITIONS, allowed_events, checked, missing_for_the_shelf
from cim.errors import (
    Conflict,
    Incomplete,
    InvalidBody,
    InvalidParameter,
    PreconditionFailed,
    PreconditionRequired,
)
from cim.gateway.policy import Allowed, parse_allowed
from cim.query.services import delete_sql, insert_sql, move_sql, organisations_sql, update_sql

router = APIRouter(tags=["catalogue"])


async def _answer_record(request: Request, status: int = 200) -> Response:
    row = await visible_row(request, await scope_of(request))
    document = record_of(row, settings_of(request).public_url, preferred_language(request))
    body, base = orjson.dumps(document), settings_of(request).public_url
    headers = {"ETag": tag_of(row, body), "Location": url_of(base, "catalogue", "items", row["id"])}
    return Response(body, status, headers=headers, media_type=GEOJSON)


async def register(request: Request) -> Response:
    """Register a service as a draft (admins)."""
    require_admin(await scope_of(request))
    query_parameters(request, ())
    values = checked(await json_object(request), allowed_upstreams=_allowed(request))
    await _check_organisation(request, values)
    if await database_of(request).fetch_row(insert_sql(values)) is None:
        raise Conflict(f"a service '{values['id']}' exists already; edit it, or choose another id")
    request.path_params["service_id"] = values["id"]
    return await _answer_record(request, 201)


def _allowed(request: Request) -> Allowed:
    return parse_allowed(settings_of(request).allowed_upstreams)


async def _check_organisation(request: Request, values: Mapping[str, Any]) -> None:
    wanted = values.get("organisation_id")
    if wanted:
        known = [row["id"] for row in await database_of(request).fetch_rows(organisations_sql())]
        if wanted not in known:
            raise InvalidParameter(
                "organisation_id", wanted, f"one of {', '.join(known[:50]) or 'none yet: PUT one first'}"
            )


async def replace(request: Request) -> Response:
    """Write a service anew: members that are not given become empty. `If-Match` as for an edit (admins)."""
    row = await _row_to_change(request)
    values = checked({"id": row["id"], **await json_object(request)}, allowed_upstreams=_allowed(request))
    if values.pop("id") != row["id"]:
        raise InvalidParameter("id", "", f"must be '{row['id']}', that of the address: an id cannot be changed")
    return await _change(request, row, {**dict.fromkeys(name for name in MEMBERS if name != "id"), **values})


async def edit(request: Request) -> Response:
    """Edit members of a service; `If-Match` must name the version that was read (admins)."""
    row = await _row_to_change(request)
    values = checked(await json_object(request), is_partial=True, allowed_upstreams=_allowed(request))
    if "id" in values:
        raise InvalidParameter("id", values["id"], "an id cannot be changed")
    if "kind" in values and values["kind"] is None:
        raise InvalidParameter("kind", None, f"one of {', '.join(KINDS)}")
    if not values:
        raise InvalidBody("nothing to edit: the body is empty")
    return await _change(request, row, values)


async def _row_to_change(request: Request) -> Any:
    """The service's row, if the change is meant for its version. Raises PreconditionRequired, PreconditionFailed."""
    scope = await scope_of(request)
    require_admin(scope)
    query_parameters(request, ())
    row = await visible_row(request, scope)
    stated = request.headers.get("if-match")
    if stated is None:
        raise PreconditionRequired("send If-Match with the ETag that was read, so that no edit of another is lost")
    versions = [tag.strip().removeprefix("W/").strip('"').partition(".")[0] for tag in stated.split(",")]
    if str(row["version"]) not in versions and stated.strip() != "*":
        raise PreconditionFailed(f"the service is at version {row['version']} now; read it again")
    return row


async def _change(request: Request, row: Any, values: Mapping[str, Any]) -> Response:
    await _check_organisation(request, values)
    if row["state"] == "published":
        missing = missing_for_the_shelf({**_members(row), **values})
        if missing:
            raise Incomplete(row["id"], missing)
    if await database_of(request).fetch_row(update_sql(row["id"], row["version"], values)) is None:
        raise PreconditionFailed("the service was changed meanwhile; read it again")
    return await _answer_record(request)


def _members(row: Any) -> dict[str, Any]:
    return {**dict(row), "themes": orjson.loads(row["themes"]), "endpoints": orjson.loads(row["endpoints"])}


async def delete(request: Request) -> Response:
    """Delete a draft (admins); what has been on the shelf is withdrawn instead."""
    require_admin(await scope_of(request))
    query_parameters(request, ())
    row = await visible_row(request, await scope_of(request))
    if await database_of(request).fetch_row(delete_sql(row["id"])) is None:
        raise Conflict(
            f"the service is {row['state']}; only a draft can be deleted, what was on the shelf is withdrawn"
        )
    return Response(status_code=204)


async def _move(request: Request, event: str) -> Response:
    require_admin(await scope_of(request))
    query_parameters(request, ())
    row = await visible_row(request, await scope_of(request))
    sources, target = TRANSITIONS[event]
    if row["state"] not in sources:
        events = allowed_events(row["state"])
        raise Conflict(
            f"a service that is {row['state']} cannot {event}; it can {', '.join(events) or 'nothing'}",
            facts={"state": row["state"], "allowed": events},
        )
    missing = missing_for_the_shelf(_members(row)) if event == "publish" else []
    if missing:
        raise Incomplete(row["id"], missing)
    if await database_of(request).fetch_row(move_sql(row["id"], row["version"], target)) is None:
        raise Conflict("the service was changed meanwhile; read it again")
    return await _answer_record(request)


async def publish(request: Request) -> Response:
    """Put a service on the shelf, 上架 (admins)."""
    return await _move(request, "publish")


async def withdraw(request: Request) -> Response:
    """Take a service off the shelf, 下架 (admins)."""
    return await _move(request, "withdraw")


router.add_route("/catalogue/items", register, methods=["POST"])
router.add_route("/catalogue/items/{service_id}", replace, methods=["PUT"])
router.add_route("/catalogue/items/{service_id}", edit, methods=["PATCH"])
router.add_route("/catalogue/items/{service_id}", delete, methods=["DELETE"])
router.add_route("/catalogue/items/{service_id}/publish", publish, methods=["POST"])
router.add_route("/catalogue/items/{service_id}/withdraw", withdraw, methods=["POST"])
