"""The catalogue by OGC API Records: what it is, records that match, one record, what they can be asked for by.

The same under `/catalogue` and `/collections/catalogue`: the standard has catalogues among the collections.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.catalogue_document import FACETS_JSON, catalogue_of, facets_document
from api.context import context_of, database_of, registry_of, scope_of, settings_of
from api.documents import GEOJSON, HTML, JSON, SCHEMA_JSON, Link, answer, json_answer, query_text
from api.etags import etag_of
from api.html import document_page
from api.negotiate import Representation, choose
from api.params import query_parameters
from api.portal import shelf
from api.portal.frame import preferred_language
from api.portal.service import service
from api.record_query import RECORD_PROFILE, Facet, RecordQuery, record_parameters, record_query
from api.records import ISO_XML, JSON_LD, RECORD_OFFERS, record_of
from api.routes.items import check_geometries
from api.schemas import queryables_document, schema_document, sortables_document
from api.services import VARY, tag_of, visible_row, working_of
from cim.catalogue.dcat import catalogue_document, one_document
from cim.catalogue.iso import iso_document
from cim.collections.records import CATALOGUE_ID, RECORDS
from cim.interval import now_text
from cim.model import EVERYTHING, Scope
from cim.query.cursor import encode_cursor
from cim.query.records import FACETS, page_sql
from cim.query.service_life import working_sql

router = APIRouter(tags=["catalogue"])

OFFERS = (
    Representation("json", GEOJSON, also=(JSON,)),
    Representation("html", HTML),
    Representation("dcat", JSON_LD, also_f=("jsonld",)),
)
DOCUMENT = (Representation("json", JSON), Representation("html", HTML), OFFERS[2])
SCHEMA_OFFERS = (Representation("json", SCHEMA_JSON, also=(JSON,)), Representation("html", HTML))
FACET_OFFERS = (Representation("json", FACETS_JSON, also=(JSON, SCHEMA_JSON)), Representation("html", HTML))

HOMES = ("/catalogue", f"/collections/{CATALOGUE_ID}")


def home_of(request: Request) -> str:
    """The address of the catalogue under which it was asked."""
    path = HOMES[1] if request.url.path.startswith(HOMES[1]) else HOMES[0]
    return settings_of(request).public_url + path


@dataclass(frozen=True, slots=True)
class RecordPage:
    """What the database gave: rows in order, where the next page begins, facets and how many match where asked for."""

    rows: Sequence[Any]
    next_cursor: str | None
    facets: Mapping[str, Any] | None
    matched: int | None


async def read_page(request: Request, asked: RecordQuery, scope: Scope) -> RecordPage:
    """Run the query of a page, its facets beside it."""
    database, names = database_of(request), [one.name for one in asked.facets]
    await check_geometries(request, asked.query)
    counted = None
    if names or asked.count is not None:
        counts_now = context_of(request).facets.counts(names, asked.query, scope, is_kept=asked.is_of_catalogue)
        counted = asyncio.ensure_future(counts_now)
    try:
        found = list(await database.fetch_rows(page_sql(asked.query, scope, asked.terms)))
        counts = None if counted is None else await counted
    finally:
        if counted is not None and not counted.done():
            counted.cancel()
    rows = found[: asked.query.limit]
    cursor, matched = None, None
    if len(found) > len(rows):
        cursor = encode_cursor(registry_of(request).cursor_key, asked.binding, rows[-1]["position"])
    elif asked.query.is_first_page:
        matched = len(rows)
    if counts is None:
        return RecordPage(rows, cursor, None, matched)
    facets = {one.name: _facet(one, counts[0][one.name]) for one in asked.facets} if names else None
    return RecordPage(rows, cursor, facets, counts[1])


def _facet(asked: Facet, counts: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """One facet of an answer (OGC API Records Part 2, draft: /req/simple/query_response)."""
    ordered = list(counts)
    by, _, direction = asked.order.partition("_")
    if by == "value":
        ordered.sort(key=lambda one: one[0], reverse=direction == "desc")
    elif direction == "asc":
        ordered.sort(key=lambda one: (one[1], one[0]))
    shown = ordered[: asked.buckets]
    declared = RECORDS.property(FACETS[asked.name][0])
    buckets = [
        {
            "value": value,
            "count": count,
            **({"title": declared.codes[value]} if declared.codes and value in declared.codes else {}),
        }
        for value, count in shown
    ]
    return {"type": "term", "property": declared.name, "buckets": buckets, "more": len(ordered) > len(shown)}


async def catalogue(request: Request) -> Response:
    """What the catalogue is, and where its records are (/req/record-collection/mandatory-properties-collection)."""
    kind = choose(request, DOCUMENT)
    if kind.f == "html":
        return await shelf.front(request)
    query_parameters(request, ("profile",))
    if kind.f == "dcat":
        return await records(request)
    home, lang = home_of(request), preferred_language(request)
    document = catalogue_of(settings_of(request).public_url, home, lang)
    links = [Link(one["href"], one["rel"], one.get("type"), one.get("title")) for one in document["links"]]
    links = [one for one in links if one.rel in ("self", "alternate", "profile")]
    return answer(request, orjson.dumps(document), JSON, links=links, vary=VARY)


async def records(request: Request) -> Response:
    """Records that match (/req/records-api/records-op)."""
    kind = choose(request, OFFERS)
    if kind.f == "html":
        return await shelf.search(request)
    scope = await scope_of(request)
    values = record_parameters(request)
    asked = record_query(request, values, scope, registry_of(request).cursor_key)
    page = await read_page(request, asked, scope)
    base, home, lang = settings_of(request).public_url, home_of(request), preferred_language(request)
    links = _page_links(home, values, page, kind)
    if kind.f == "dcat":
        following = next((link.href for link in links if link.rel == "next"), None)
        titles = {"zh": RECORDS.title_zh, "en": RECORDS.title_en}
        document = catalogue_document(page.rows, base, here=links[0].href, following=following, titles=titles)
        return answer(request, orjson.dumps(document), JSON_LD, links=links, vary=VARY)
    found = [record_of(row, base, lang, home) for row in page.rows]
    if "mine" in values:
        await _tell_work(request, found)
    facts: dict[str, Any] = {"numberReturned": len(found)}
    if page.matched is not None:
        facts["numberMatched"] = page.matched
    if page.facets is not None:
        facts["facets"] = page.facets
    body = {"links": [link.to_dict() for link in links], **facts, "features": found}
    text = orjson.dumps(body)
    stamped = b"".join((b'{"type":"FeatureCollection","timeStamp":"', now_text().encode(), b'",', text[1:]))
    return answer(request, stamped, GEOJSON, links=links, vary=VARY, etag=etag_of(text))


async def _tell_work(request: Request, found: Sequence[dict[str, Any]]) -> None:
    """Add to records that are the caller's own which version of each is in work, and its state."""
    rows = await database_of(request).fetch_rows(working_sql([one["id"] for one in found]))
    work = {row["service_id"]: {"version": row["number"], "state": row["state"]} for row in rows}
    for one in found:
        if one["id"] in work:
            one["working"] = work[one["id"]]


def _page_links(home: str, values: Mapping[str, str], page: RecordPage, kind: Representation) -> list[Link]:
    """self, alternate, next, collection, profile (/req/core/rc-links, /req/query-param-profile/response)."""
    given = {name: query_text(name, value) for name, value in values.items()}
    address = f"{home}/items"
    links = [
        Link("?".join((address, "&".join(given.values()))) if given else address, "self", kind.media_type, "This page")
    ]
    kept = "".join(f"{text}&" for name, text in given.items() if name != "f")
    links += [
        Link(f"{address}?{kept}f={other.f}", "alternate", other.media_type, f"This page as {other.f}")
        for other in OFFERS
        if other.f != kind.f
    ]
    if page.next_cursor is not None:
        following = "&".join({**given, "cursor": query_text("cursor", page.next_cursor)}.values())
        links.append(Link(f"{address}?{following}", "next", kind.media_type, "The next page"))
    links.append(Link(home, "collection", JSON, "The catalogue"))
    if kind.f == "json":
        links.append(Link(RECORD_PROFILE, "profile"))
    return links


async def record(request: Request) -> Response:
    """One service (/req/records-api/record-op)."""
    kind = choose(request, RECORD_OFFERS)
    if kind.f == "html":
        return await service(request)
    scope = await scope_of(request)
    query_parameters(request, ("profile",))
    row = await visible_row(request, scope)
    base, home, lang = settings_of(request).public_url, home_of(request), preferred_language(request)
    document = record_of(row, base, lang, home)
    links = [Link(one["href"], one["rel"], one.get("type"), one.get("title")) for one in document["links"]]
    kept = [link for link in links if link.rel in ("self", "alternate", "collection")]
    if kind.f == "iso":
        return answer(request, iso_document(row, base), ISO_XML, links=kept, vary=VARY)
    if kind.f == "dcat":
        return answer(request, orjson.dumps(one_document(row, base)), JSON_LD, links=kept, vary=VARY)
    document["links"].append(Link(RECORD_PROFILE, "profile").to_dict())
    working = await working_of(request, scope, row)
    if working is not None:
        document["working"] = working
    body = orjson.dumps(document)
    return answer(request, body, GEOJSON, links=kept, vary=VARY, etag=tag_of(row, working, body))


async def _described(request: Request, what: str, write: Any) -> Response:
    kind = choose(request, SCHEMA_OFFERS, f=query_parameters(request, ()).get("f"))
    lang = preferred_language(request)
    document = write(RECORDS, EVERYTHING, lang, f"{home_of(request)}/{what}")
    if kind.f == "html":
        rows = [(name, one.get("title", "")) for name, one in document["properties"].items()]
        return document_page(request, f"{document['title']} · {what}", document["description"], [], rows)
    return json_answer(request, document, SCHEMA_JSON, vary=VARY)


async def queryables(request: Request) -> Response:
    """What records can be asked for by (OGC 19-079r2, 6.2)."""
    return await _described(request, "queryables", queryables_document)


async def sortables(request: Request) -> Response:
    """What records can be sorted by (/req/sorting/get-sortables-op)."""
    return await _described(request, "sortables", sortables_document)


async def schema(request: Request) -> Response:
    """What can be asked of a record, as JSON Schema (OGC 23-058r2)."""
    return await _described(request, "schema", schema_document)


async def facets(request: Request) -> Response:
    """What records can be counted by (OGC API Records Part 2, draft: /req/simple/response)."""
    scope = await scope_of(request)
    kind = choose(request, FACET_OFFERS, f=query_parameters(request, ()).get("f"))
    document = facets_document(scope, preferred_language(request))
    if kind.f == "html":
        rows = [(name, one["property"]) for name, one in document["facets"].items()]
        return document_page(request, f"{document['title']} · facets", "", [], rows)
    return json_answer(request, document, FACETS_JSON, vary=VARY)


async def themes(request: Request) -> Response:
    """The themes that services on the shelf have, and how many have each: the scheme that `themes` of a record names."""
    scope = await scope_of(request)
    query_parameters(request, ())
    asked = record_query(request, {"facets": "theme:1000"}, scope, registry_of(request).cursor_key)
    counts, _ = await context_of(request).facets.counts(("theme",), asked.query, scope)
    concepts = [{"id": value, "count": count} for value, count in counts["theme"]]
    scheme = f"{settings_of(request).public_url}/catalogue/themes"
    return json_answer(request, {"scheme": scheme, "concepts": concepts}, vary=VARY)


for _home in HOMES:
    router.add_route(_home, catalogue, methods=["GET"])
    router.add_route(f"{_home}/items", records, methods=["GET"])
    router.add_route(f"{_home}/items/{{service_id}}", record, methods=["GET"])
    router.add_route(f"{_home}/queryables", queryables, methods=["GET"])
    router.add_route(f"{_home}/sortables", sortables, methods=["GET"])
    router.add_route(f"{_home}/schema", schema, methods=["GET"])
    router.add_route(f"{_home}/facets", facets, methods=["GET"])
router.add_route("/catalogue/themes", themes, methods=["GET"])
