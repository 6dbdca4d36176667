"""Versions of a service, for the people of its organisation, of its district and of the city."""

from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, registry_of, scope_of, settings_of
from api.documents import JSON, Link, private_json, url_of
from api.params import parse_limit, query_parameters
from api.services import is_inside, visible_row, working_of
from cim.catalogue.life import EVENTS, differences, identity_of
from cim.catalogue.review import standing_of
from cim.errors import Forbidden, InvalidParameter, NotFound, Unauthorized
from cim.interval import instant_text
from cim.query.cursor import decode_cursor, encode_cursor
from cim.query.service_life import editors_sql, standing_sql, version_sql, versions_sql

router = APIRouter(tags=["catalogue"])

MAX_NUMBER = 2**31 - 1


async def _service(request: Request) -> str:
    """The id of the path, for those inside. Raises Unauthorized, NotFound, Forbidden for a service of others."""
    scope = await scope_of(request)
    if not scope.roles:
        raise Unauthorized("versions are for the people of the owner: send 'Authorization: Bearer <key>'")
    row = await visible_row(request, scope)
    found = await database_of(request).fetch_row(standing_sql(row["id"]))
    if found is None or not is_inside(scope, standing_of(found).held):
        raise Forbidden("versions are for the people of the organisation that owns the service")
    return str(row["id"])


def _number(request: Request, name: str) -> int:
    text = request.path_params[name]
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 10 and 0 < int(text) <= MAX_NUMBER):
        raise InvalidParameter(name, text, "the number of a version, from 1")
    return int(text)


def _shown(row: Any) -> dict[str, Any]:
    """A version as it is told: who did what to it and when; its document where the row has it."""
    told = {name: value for name, value in dict(row).items() if name != "document"}
    told |= {name: instant_text(value) for name, value in told.items() if name.endswith("_at")}
    return told | ({"document": orjson.loads(row["document"])} if "document" in dict(row) else {})


async def _version(request: Request, service_id: str, name: str) -> Any:
    number = _number(request, name)
    row = await database_of(request).fetch_row(version_sql(service_id, number))
    if row is None:
        raise NotFound("version", number)
    return row


async def draft(request: Request) -> Response:
    """The version in work, what it misses for the shelf, and what may be done with it.

    `own`: the caller edited or submitted what it holds, so its review is another's and not among `allowed`.
    """
    service_id = await _service(request)
    query_parameters(request, ())
    scope = await scope_of(request)
    working = await working_of(request, scope, {"id": service_id})
    if working is None or working["state"] not in ("draft", "in_review", "approved"):
        raise NotFound("draft of the service", service_id)
    people = (await database_of(request).fetch_one(editors_sql(service_id, working["version"])))["people"] or ()
    is_own = identity_of(scope) in people
    allowed = [name for name in working["allowed"] if not (is_own and EVENTS[name].is_review)]
    return private_json({"service": service_id, **working, "own": is_own, "allowed": allowed})


async def versions(request: Request) -> Response:
    """Versions of a service, the latest first."""
    service_id = await _service(request)
    values = query_parameters(request, ("limit", "cursor"))
    limit = parse_limit(values["limit"]) if "limit" in values else 50
    key, binding = registry_of(request).cursor_key, b"versions\n" + service_id.encode()
    before = int(decode_cursor(key, binding, values["cursor"])) if "cursor" in values else None
    rows = list(await database_of(request).fetch_rows(versions_sql(service_id, before=before, limit=limit)))
    links = []
    if len(rows) > limit:
        cursor = encode_cursor(key, binding, str(rows[limit - 1]["number"]))
        home = url_of(settings_of(request).public_url, "catalogue", "items", service_id, "versions")
        links.append(Link(f"{home}?limit={limit}&cursor={cursor}", "next", JSON))
    shown = [_shown(row) for row in rows[:limit]]
    return private_json({"service": service_id, "versions": shown, "links": [link.to_dict() for link in links]})


async def version(request: Request) -> Response:
    """One version with its document, its hash and who edited, submitted, reviewed and published it."""
    service_id = await _service(request)
    query_parameters(request, ())
    return private_json({"service": service_id, **_shown(await _version(request, service_id, "number"))})


async def compare(request: Request) -> Response:
    """The members that differ between two versions."""
    service_id = await _service(request)
    query_parameters(request, ())
    former = await _version(request, service_id, "former")
    later = await _version(request, service_id, "later")
    changed = differences(orjson.loads(former["document"]), orjson.loads(later["document"]))
    return private_json({"service": service_id, "from": former["number"], "to": later["number"], "members": changed})


router.add_route("/catalogue/items/{service_id}/draft", draft, methods=["GET"])
router.add_route("/catalogue/items/{service_id}/versions", versions, methods=["GET"])
router.add_route("/catalogue/items/{service_id}/versions/{number}", version, methods=["GET"])
router.add_route("/catalogue/items/{service_id}/versions/{former}/compare/{later}", compare, methods=["GET"])
