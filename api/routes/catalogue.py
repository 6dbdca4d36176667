"""The catalogue of data services, in the words of OGC API Records: search and read."""

from collections.abc import Mapping

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
from api.services import VARY, tag_of, visible_row, working_of
from cim.bbox import parse_bbox
from cim.catalogue.life import STATES
from cim.catalogue.search import search_terms
from cim.catalogue.service import KINDS, SHARE_CLASSES, checked
from cim.errors import InvalidBody, InvalidParameter
from cim.query.areas import parse_area_code
from cim.query.cursor import decode_cursor, encode_cursor
from cim.query.services import ServiceQuery, organisations_sql, put_organisation_sql, services_sql

router = APIRouter(tags=["catalogue"])

OFFERS = (Representation("json", GEOJSON, also=(JSON,)), Representation("html", HTML))
DOCUMENT = (Representation("json", JSON), Representation("html", HTML))
FILTERS = ("q", "kind", "theme", "organisation", "share-class", "area", "bbox", "state", "limit", "cursor")
MAX_TERMS = 30


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
    return json_answer(request, body, vary=VARY)


def _service_query(values: Mapping[str, str]) -> ServiceQuery:
    terms = search_terms(values.get("q", ""))
    if len(terms) > MAX_TERMS:
        raise InvalidParameter("q", values["q"], f"at most {MAX_TERMS} words, a Chinese one counting by its characters")
    for name, allowed in (("kind", tuple(KINDS)), ("share-class", SHARE_CLASSES), ("state", STATES)):
        if name in values and values[name] not in allowed:
            raise InvalidParameter(name, values[name], f"one of {', '.join(allowed)}")
    return ServiceQuery(
        state=values.get("state"),
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
    query = _service_query(values)
    if "cursor" in values:
        after = decode_cursor(key, query.fingerprint(), values["cursor"])
        query = ServiceQuery(**{name: getattr(query, name) for name in query.__slots__ if name != "after"}, after=after)
    rows = list(await database_of(request).fetch_rows(services_sql(query, scope)))
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
    return answer(request, orjson.dumps(body), GEOJSON, links=links, vary=VARY)


async def record(request: Request) -> Response:
    """One service."""
    scope = await scope_of(request)
    values = query_parameters(request, ())
    row = await visible_row(request, scope)
    base, lang = settings_of(request).public_url, preferred_language(request)
    working = await working_of(request, scope, row)
    document = record_of(row, base, lang) | ({} if working is None else {"working": working})
    if choose(request, OFFERS, f=values.get("f")).f == "html":
        properties = document["properties"]
        rows = [(name, value) for name, value in properties.items() if not isinstance(value, list | dict) and value]
        links = [Link(absolute(e["url"], base), "service", title=e["url"]) for e in properties["endpoints"]]
        return document_page(request, properties["title"], properties["description"], links, rows)
    body = orjson.dumps(document)
    tag = tag_of(row, working, body)
    if is_unchanged(request, tag):
        return Response(status_code=304, headers={"ETag": tag, "Vary": VARY})
    return answer(request, body, GEOJSON, headers={"ETag": tag}, vary=VARY)


async def organisations(request: Request) -> Response:
    """Who offers services."""
    query_parameters(request, ())
    rows = await database_of(request).fetch_rows(organisations_sql())
    return json_answer(request, {"organisations": [dict(row) for row in rows]}, vary=VARY)


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
router.add_route("/catalogue/items/{service_id}", record, methods=["GET"])
router.add_route("/catalogue/organisations", organisations, methods=["GET"])
router.add_route("/catalogue/organisations/{organisation_id}", put_organisation, methods=["PUT"])
