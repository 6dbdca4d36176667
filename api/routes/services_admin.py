"""The life of services: registered, edited, submitted, reviewed, put on the shelf, taken off it; and their versions."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, scope_of, settings_of
from api.documents import GEOJSON, private_json, url_of
from api.params import check_members, json_object, query_parameters
from api.portal.frame import preferred_language
from api.records import record_of
from api.services import tag_of, visible_row, working_of
from cim.catalogue.life import EDITORS, EVENTS, Event, require_duties
from cim.catalogue.review import edit as edited
from cim.catalogue.review import register as registered
from cim.catalogue.review import standing_of, take
from cim.catalogue.service import KINDS, checked, document_of, missing_for_the_shelf
from cim.db.audit import record as tell
from cim.db.services import done
from cim.errors import (
    CimError,
    Forbidden,
    InvalidBody,
    InvalidParameter,
    NotFound,
    PreconditionRequired,
    Unauthorized,
    UnknownParameter,
)
from cim.gateway.policy import Allowed, parse_allowed
from cim.model import Scope
from cim.query.service_life import standing_sql

router = APIRouter(tags=["catalogue"])

MAX_WHY = 2000
_HEX = frozenset("0123456789abcdef")


def _guarded(
    handler: Callable[[Request, Scope], Awaitable[Response]], duties: tuple[str, ...], doing: str
) -> Callable[[Request], Awaitable[Response]]:
    """The handler, for callers with one of the duties at the service of the path, or at any where it names none.

    An attempt at more than the caller has is written into the audit (catalogue B41).
    """

    async def handle(request: Request) -> Response:
        scope = await scope_of(request)
        query_parameters(request, ())
        if not scope.roles:
            raise Unauthorized(f"to {doing} a service needs a key or a session: 'Authorization: Bearer <key>'")
        try:
            if not scope.roles & set(duties):
                told = f"to {doing} a service needs one of the duties {', '.join(duties)}"
                raise Forbidden(told, rule="duty", facts={"duty": list(duties)})
            if "service_id" in request.path_params:
                row = await visible_row(request, scope)
                held = await database_of(request).fetch_row(standing_sql(row["id"]))
                if held is None:
                    raise NotFound("service", row["id"])
                require_duties(scope, standing_of(held).held, duties, doing)
            return await handler(request, scope)
        except (Forbidden, UnknownParameter) as error:
            await _tell_refusal(request, scope, error)
            raise

    handle.__doc__ = handler.__doc__
    return handle


async def _tell_refusal(request: Request, scope: Scope, error: CimError) -> None:
    subject = request.path_params.get("service_id", "")
    detail = {"code": error.code, "parameter": error.parameter, "method": request.method}
    async with database_of(request).transaction() as transaction:
        await tell(
            transaction, scope, event="refused", subject_kind="service", subject_id=subject, why=error.detail[:500], detail=detail
        )  # fmt: skip


async def _answer_record(request: Request, scope: Scope, status: int = 200) -> Response:
    """The record as the caller sees it, with the version in work."""
    row = await visible_row(request, scope)
    working = await working_of(request, scope, row)
    base = settings_of(request).public_url
    document = record_of(row, base, preferred_language(request)) | ({} if working is None else {"working": working})
    body = orjson.dumps(document)
    headers = {"ETag": tag_of(row, working, body), "Location": url_of(base, "catalogue", "items", row["id"])}
    return Response(body, status, headers=headers, media_type=GEOJSON)


async def register(request: Request, scope: Scope) -> Response:
    """Register a service as a draft of the caller's organisation."""
    values = checked(await json_object(request), allowed_upstreams=_allowed(request))
    request.path_params["service_id"] = values["id"]
    await done(database_of(request), registered(scope, values))
    return await _answer_record(request, scope, 201)


def _allowed(request: Request) -> Allowed:
    return parse_allowed(settings_of(request).allowed_upstreams)


async def check(request: Request, scope: Scope) -> Response:
    """What a registration would be refused for, or would still miss for the shelf; nothing is written."""
    values = checked(await json_object(request), allowed_upstreams=_allowed(request))
    return private_json({"missing": missing_for_the_shelf(document_of(values))})


async def replace(request: Request, scope: Scope) -> Response:
    """Draft a service anew: members that are not given become empty. `If-Match` as for an edit."""
    stated, service_id = _stated(request), request.path_params["service_id"]
    values = checked({"id": service_id, **await json_object(request)}, allowed_upstreams=_allowed(request))
    if values["id"] != service_id:
        raise InvalidParameter("id", "", f"must be '{service_id}', that of the address: an id cannot be changed")
    return await _change(request, scope, stated, lambda document: values)


async def edit(request: Request, scope: Scope) -> Response:
    """Draft an edit of a service beside what is on the shelf; `If-Match` must name the version that was read."""
    stated = _stated(request)
    values = checked(await json_object(request), is_partial=True, allowed_upstreams=_allowed(request))
    if "id" in values:
        raise InvalidParameter("id", values["id"], "an id cannot be changed")
    if "kind" in values and values["kind"] is None:
        raise InvalidParameter("kind", None, f"one of {', '.join(KINDS)}")
    if not values:
        raise InvalidBody("nothing to edit: the body is empty")
    return await _change(request, scope, stated, lambda document: {**document, **values})


def _stated(request: Request) -> list[str]:
    """The numbers of the versions that the caller read. Raises PreconditionRequired."""
    stated = request.headers.get("if-match")
    if stated is None:
        raise PreconditionRequired("send If-Match with the ETag that was read, so that no edit of another is lost")
    return [tag.strip().removeprefix("W/").strip('"').partition(".")[0] for tag in stated.split(",")]


async def _change(
    request: Request, scope: Scope, stated: list[str], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Response:
    await done(database_of(request), edited(scope, request.path_params["service_id"], stated, change))
    return await _answer_record(request, scope)


async def delete(request: Request, scope: Scope) -> Response:
    """Discard a draft: the service too, where it never was on the shelf; what was there is withdrawn instead."""
    await done(database_of(request), take(scope, request.path_params["service_id"], EVENTS["discard"]))
    return Response(status_code=204)


def _event(event: Event) -> Callable[[Request, Scope], Awaitable[Response]]:
    async def move(request: Request, scope: Scope) -> Response:
        body = await json_object(request) if await request.body() else {}
        check_members(body, ("why", "content_hash"))
        why, content_hash = body.get("why"), body.get("content_hash")
        if why is not None and not (isinstance(why, str) and len(why) <= MAX_WHY and "\x00" not in why):
            raise InvalidParameter("why", why, f"a text of at most {MAX_WHY} characters")
        if content_hash is not None and not (
            isinstance(content_hash, str) and len(content_hash) == 64 and _HEX.issuperset(content_hash)
        ):
            raise InvalidParameter("content_hash", content_hash, "64 hexadecimal digits, as the version has them")
        steps = take(
            scope,
            request.path_params["service_id"],
            event,
            why=(why or "").strip() or None,
            content_hash=content_hash,
        )
        await done(database_of(request), steps)
        if event.target is None:
            return Response(status_code=204)
        return await _answer_record(request, scope)

    move.__doc__ = f"{event.name.capitalize()} a service, {event.title_zh}."
    return move


for _path, _handler, _method, _doing in (
    ("/catalogue/items", register, "POST", "register"),
    ("/catalogue/check", check, "POST", "check"),
    ("/catalogue/items/{service_id}", replace, "PUT", "edit"),
    ("/catalogue/items/{service_id}", edit, "PATCH", "edit"),
    ("/catalogue/items/{service_id}", delete, "DELETE", "discard"),
):
    router.add_route(_path, _guarded(_handler, EDITORS, _doing), methods=[_method])
for _one in EVENTS.values():
    _move = _guarded(_event(_one), _one.duties, _one.name)
    router.add_route(f"/catalogue/items/{{service_id}}/{_one.name}", _move, methods=["POST"])
