"""The catalogue of data services, in the words of OGC API Records: search, read, register, edit, publish, withdraw."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, registry_of, scope_of, settings_of
from api.documents import GEOJSON, HTML, JSON, Link, answer, is_unchanged, json_answer, url_of
from api.html import document_page
from api.negotiate import Representation, choose
from api.params import check_members, json_object, parse_limit, query_parameters
from api.records import absolute, record_of
from api.routes.portal import preferred_language
from api.security import require_admin
from cim.bbox import parse_bbox
from cim.catalogue.search import search_terms
from cim.catalogue.service import (
    KINDS,
    MEMBERS,
    SHARE_CLASSES,
    TRANSITIONS,
    allowed_events,
    checked,
    missing_for_the_shelf,
)
from cim.errors import (
    Conflict,
    Incomplete,
    InvalidBody,
    InvalidParameter,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
)
from cim.gateway.policy import Allowed, parse_allowed
from cim.model import Scope
from cim.query.areas import parse_area_code
from cim.query.cursor import decode_cursor, encode_cursor
from cim.query.services import (
    ServiceQuery,
    delete_sql,
    insert_sql,
    move_sql,
    organisations_sql,
    put_organisation_sql,
    service_sql,
    services_sql,
    update_sql,
)

router = APIRouter(tags=["catalogue"])

OFFERS = (Representation("json", GEOJSON, also=(JSON,)), Representation("html", HTML))
DOCUMENT = (Representation("json", JSON), Representation("html", HTML))
STATES = ("draft", "published", "withdrawn")
FILTERS = ("q", "kind", "theme", "organisation", "share-class", "area", "bbox", "state", "limit", "cursor")
MAX_TERMS = 30
_VARY = "Accept, Accept-Language, Cookie, Authorization, X-API-Key"


async def catalogue(request: Request) -> Response:
    """What the catalogue is, and where its records are."""
    values = query_parameters(request, ())
    base, lang = settings_of(request).public_url, preferred_language(request)
    title = "Catalogue of data services" if lang == "en" else "数据服务目录"
    description = (
        "Services on the shelf: found, read and called." if lang == "en" else "已上架的数据服务：查找、查看、调用。"
    )
    links = [
        Link(f"{base}/catalogue", "self", JSON),
        Link(f"{base}/catalogue/items", "items", GEOJSON, title),
        Link(f"{base}/catalogue/items?f=html", "items", HTML, title),
        Link(f"{base}/catalogue/organisations", "related", JSON, "Organisations" if lang == "en" else "机构"),
    ]
    if choose(request, DOCUMENT, f=values.get("f")).f == "html":
        return document_page(request, title, description, links[1:], [])
    body = {
        "id": "catalogue",
        "type": "Collection",
        "itemType": "record",
        "title": title,
        "description": description,
        "links": [link.to_dict() for link in links],
    }
    return json_answer(request, body, vary=_VARY)


def _service_query(values: Mapping[str, str], scope: Scope) -> ServiceQuery:
    states: tuple[str, ...] = STATES if scope.is_admin else ("published",)
    if "state" in values:
        if values["state"] not in STATES:
            raise InvalidParameter("state", values["state"], f"one of {', '.join(STATES)}")
        states = tuple(state for state in states if state == values["state"])
    terms = search_terms(values.get("q", ""))
    if len(terms) > MAX_TERMS:
        raise InvalidParameter("q", values["q"], f"at most {MAX_TERMS} words, a Chinese one counting by its characters")
    for name, allowed in (("kind", tuple(KINDS)), ("share-class", SHARE_CLASSES)):
        if name in values and values[name] not in allowed:
            raise InvalidParameter(name, values[name], f"one of {', '.join(allowed)}")
    return ServiceQuery(
        states=states,
        words=terms,
        kind=values.get("kind"),
        theme=values.get("theme"),
        organisation=values.get("organisation"),
        share_class=values.get("share-class"),
        area=parse_area_code(values["area"]) if "area" in values else None,
        bbox=parse_bbox(values["bbox"]) if "bbox" in values else None,
        limit=parse_limit(values["limit"]) if "limit" in values else 10,
    )


async def records(request: Request) -> Response:
    """Services that match: every word of `q` in title, description, themes or organisation, and the other conditions."""
    scope = await scope_of(request)
    values = query_parameters(request, FILTERS)
    kind = choose(request, OFFERS, f=values.get("f"))
    base, lang, key = settings_of(request).public_url, preferred_language(request), registry_of(request).cursor_key
    query = _service_query(values, scope)
    if "cursor" in values:
        after = decode_cursor(key, query.fingerprint(), values["cursor"])
        query = ServiceQuery(**{name: getattr(query, name) for name in query.__slots__ if name != "after"}, after=after)
    rows = list(await database_of(request).fetch_rows(services_sql(query)))
    page = rows[: query.limit]
    links = [Link(url_of(base, "catalogue", "items", **values), "self", kind.media_type)]
    if len(rows) > query.limit:
        cursor = encode_cursor(key, query.fingerprint(), page[-1]["id"])
        links.append(Link(url_of(base, "catalogue", "items", **{**values, "cursor": cursor}), "next", kind.media_type))
    found = [record_of(row, base, lang) for row in page]
    if kind.f == "html":
        title = "Data services" if lang == "en" else "数据服务"
        shown = [
            (record["id"], f"{record['properties']['title']} · {record['properties']['kind']}") for record in found
        ]
        items = [
            Link(url_of(base, "catalogue", "items", r["id"]) + "?f=html", "item", HTML, r["properties"]["title"])
            for r in found
        ]
        return document_page(request, title, "", [*items, *links], shown)
    body = {
        "type": "FeatureCollection",
        "numberReturned": len(found),
        "links": [link.to_dict() for link in links],
        "features": found,
    }
    return answer(request, orjson.dumps(body), GEOJSON, links=links, vary=_VARY)


async def _row(request: Request, scope: Scope) -> Any:
    """The service's row if the caller may see it. Raises NotFound: what is not on the shelf does not exist for others."""
    service_id = request.path_params["service_id"]
    row = None
    if "\x00" not in service_id:
        row = await database_of(request).fetch_row(service_sql(service_id))
    if row is None or (row["state"] != "published" and not scope.is_admin):
        raise NotFound("service", service_id)
    return row


def _tag(row: Any, body: bytes) -> str:
    """The version, by which edits are checked, and the content, which differs by language and with its organisation."""
    return f'"{row["version"]}.{hashlib.blake2b(body, digest_size=6).hexdigest()}"'


async def record(request: Request) -> Response:
    """One service."""
    scope = await scope_of(request)
    values = query_parameters(request, ())
    row = await _row(request, scope)
    base, lang = settings_of(request).public_url, preferred_language(request)
    document = record_of(row, base, lang)
    if choose(request, OFFERS, f=values.get("f")).f == "html":
        properties = document["properties"]
        rows = [(name, value) for name, value in properties.items() if not isinstance(value, list | dict) and value]
        links = [Link(absolute(e["url"], base), "service", title=e["url"]) for e in properties["endpoints"]]
        return document_page(request, properties["title"], properties["description"], links, rows)
    body = orjson.dumps(document)
    tag = _tag(row, body)
    if is_unchanged(request, tag):
        return Response(status_code=304, headers={"ETag": tag, "Vary": _VARY})
    return answer(request, body, GEOJSON, headers={"ETag": tag}, vary=_VARY)


async def _answer_record(request: Request, status: int = 200) -> Response:
    row = await _row(request, await scope_of(request))
    document = record_of(row, settings_of(request).public_url, preferred_language(request))
    body, base = orjson.dumps(document), settings_of(request).public_url
    headers = {"ETag": _tag(row, body), "Location": url_of(base, "catalogue", "items", row["id"])}
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
    row = await _row(request, scope)
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
    row = await _row(request, await scope_of(request))
    if await database_of(request).fetch_row(delete_sql(row["id"])) is None:
        raise Conflict(
            f"the service is {row['state']}; only a draft can be deleted, what was on the shelf is withdrawn"
        )
    return Response(status_code=204)


async def _move(request: Request, event: str) -> Response:
    require_admin(await scope_of(request))
    query_parameters(request, ())
    row = await _row(request, await scope_of(request))
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


async def organisations(request: Request) -> Response:
    """Who offers services."""
    query_parameters(request, ())
    rows = await database_of(request).fetch_rows(organisations_sql())
    return json_answer(request, {"organisations": [dict(row) for row in rows]}, vary=_VARY)


async def put_organisation(request: Request) -> Response:
    """Write an organisation from `{"name_zh", "name_en", "contact"}` (admins)."""
    require_admin(await scope_of(request))
    query_parameters(request, ())
    organisation_id = checked({"organisation_id": request.path_params["organisation_id"]}, is_partial=True)[
        "organisation_id"
    ]
    body = await json_object(request)
    check_members(body, ("name_zh", "name_en", "contact"))
    texts = [body.get(name) or "" for name in ("name_zh", "name_en", "contact")]
    if not all(isinstance(t, str) and len(t) <= 300 and "\x00" not in t for t in texts) or not (texts[0] or texts[1]):
        raise InvalidBody("name_zh or name_en is needed; texts have at most 300 characters")
    await database_of(request).execute(put_organisation_sql(organisation_id, texts[0], texts[1], texts[2] or None))
    return Response(status_code=204)


router.add_route("/catalogue", catalogue, methods=["GET"])
router.add_route("/catalogue/items", records, methods=["GET"])
router.add_route("/catalogue/items", register, methods=["POST"])
router.add_route("/catalogue/items/{service_id}", record, methods=["GET"])
router.add_route("/catalogue/items/{service_id}", replace, methods=["PUT"])
router.add_route("/catalogue/items/{service_id}", edit, methods=["PATCH"])
router.add_route("/catalogue/items/{service_id}", delete, methods=["DELETE"])
router.add_route("/catalogue/items/{service_id}/publish", publish, methods=["POST"])
router.add_route("/catalogue/items/{service_id}/withdraw", withdraw, methods=["POST"])
router.add_route("/catalogue/organisations", organisations, methods=["GET"])
router.add_route("/catalogue/organisations/{organisation_id}", put_organisation, methods=["PUT"])
