"""The collections: what there is, where and when, with which properties."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import collection_of, context_of, scope_of, settings_of, visible_collections
from api.documents import GEOJSON, HTML, JSON, MVT, SCHEMA_JSON, Link, json_answer, url_of
from api.html import document_page, title_of
from api.negotiate import Representation, choose
from api.params import query_parameters
from api.routes.portal import preferred_language
from api.schemas import feature_schema_document, queryables_document, schema_document, sortables_document
from cim.crs import CRS84
from cim.interval import instant_text
from cim.model import Collection, Scope
from cim.query.tiles import TILE_MATRIX_SET

router = APIRouter()

OFFERS = (Representation("json", JSON), Representation("html", HTML))
SCHEMA_OFFERS = (Representation("json", SCHEMA_JSON, also=(JSON,)), Representation("html", HTML))
FEATURE_SCHEMA = Representation("feature", SCHEMA_JSON)

SCHEMA_REL = "http://www.opengis.net/def/rel/ogc/1.0/schema"
QUERYABLES_REL = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
SORTABLES_REL = "http://www.opengis.net/def/rel/ogc/1.0/sortables"
TILES_REL = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector"
Write = Callable[[Collection, Scope, str, str], dict[str, Any]]

_VARY = "Accept, Accept-Language, Cookie, Authorization, X-API-Key"


def collection_links(base: str, collection: Collection) -> list[Link]:
    """Where everything of a collection is (/req/core/fc-md-links, /req/core/sfc-md-success)."""
    home = url_of(base, "collections", collection.id)
    return [
        Link(f"{home}/items", "items", GEOJSON, "Features as GeoJSON"),
        Link(f"{home}/items?f=html", "items", HTML, "Features as HTML"),
        Link(f"{home}/schema", SCHEMA_REL, SCHEMA_JSON, "Schema of the collection"),
        Link(f"{home}/schema?f=feature", "describedby", SCHEMA_JSON, "Schema of its features as GeoJSON"),
        # GDAL before 3.7 (Debian 12) knows the relation under this spelling only
        Link(f"{home}/schema?f=feature", "describedBy", SCHEMA_JSON, "Schema of its features as GeoJSON"),
        Link(f"{home}/queryables", QUERYABLES_REL, SCHEMA_JSON, "What to ask for"),
        Link(f"{home}/sortables", SORTABLES_REL, SCHEMA_JSON, "What to sort by"),
        Link(f"{home}/tiles/{TILE_MATRIX_SET}", TILES_REL, JSON, "Vector tiles"),
        Link(f"{home}/tiles/{TILE_MATRIX_SET}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}", "item", MVT, templated=True),
    ]


def collection_document(base: str, collection: Collection, lang: str, crs_uris: Sequence[str]) -> dict[str, Any]:
    """A collection's description (OGC 17-069r4, 7.14; extents as 7.13.3 has them)."""
    extent: dict[str, Any] = {}
    bounds = collection.extent.bounds_crs84
    if bounds is not None:
        extent["spatial"] = {"bbox": [list(bounds)], "crs": CRS84.uri}
    begin, end = instant_text(collection.extent.begin), instant_text(collection.extent.end)
    if begin or end:
        extent["temporal"] = {
            "interval": [[begin, end]],
            "trs": "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian",
        }
    document: dict[str, Any] = {
        "id": collection.id,
        "title": title_of(collection, lang),
        "description": collection.description_en if lang == "en" else collection.description_zh,
        "itemType": "feature",
        "crs": list(crs_uris),
        "storageCrs": CRS84.uri,
        "defaultSortOrder": ["id"],
        "links": [],
    }
    if collection.feature_count is not None:
        document["itemCount"] = collection.feature_count
    if extent:
        document["extent"] = extent
    if collection.attribution:
        document["attribution"] = collection.attribution
    if collection.licence:
        document["license"] = collection.licence
    home = url_of(base, "collections", collection.id)
    own = [
        Link(home, "self", JSON, "This document"),
        Link(f"{home}?f=html", "alternate", HTML, "This document as HTML"),
    ]
    document["links"] = [link.to_dict() for link in (*own, *collection_links(base, collection))]
    return document


def _count_text(collection: Collection) -> str:
    return "" if collection.feature_count is None else f"{collection.feature_count:,}"


async def collections(request: Request) -> Response:
    """Every collection (OGC 17-069r4, /req/core/fc-md-op)."""
    values = query_parameters(request, ())
    kind = choose(request, OFFERS, f=values.get("f"))
    lang = preferred_language(request)
    base = settings_of(request).public_url
    known = visible_collections(request, await scope_of(request))
    links = [
        Link(f"{base}/collections", "self", JSON, "This document"),
        Link(f"{base}/collections?f=html", "alternate", HTML, "This document as HTML"),
    ]
    if kind.f == "html":
        shown = [Link(url_of(base, "collections", c.id) + "?f=html", "data", HTML, title_of(c, lang)) for c in known]
        title = "Collections" if lang == "en" else "数据集合"
        rows = [(title_of(c, lang), _count_text(c)) for c in known]
        return document_page(request, title, "", [*shown, *links], rows)
    documents = [collection_document(base, c, lang, context_of(request).crs_list.uris) for c in known]
    body = {"collections": documents, "links": [link.to_dict() for link in links]}
    return json_answer(request, body, vary=_VARY)


async def collection(request: Request) -> Response:
    """One collection (OGC 17-069r4, /req/core/sfc-md-op)."""
    found, _ = await collection_of(request)
    values = query_parameters(request, ())
    lang = preferred_language(request)
    base = settings_of(request).public_url
    document = collection_document(base, found, lang, context_of(request).crs_list.uris)
    if choose(request, OFFERS, f=values.get("f")).f == "html":
        rows = [("id", found.id), ("itemCount", _count_text(found)), ("extent", found.extent.bounds_crs84)]
        links = [link for link in collection_links(base, found) if not link.templated]
        return document_page(request, document["title"], document["description"], links, rows)
    return json_answer(request, document, vary=_VARY)


async def schema(request: Request) -> Response:
    """What the collection holds, as JSON Schema; `f=feature`: what a feature of it is as GeoJSON."""
    return await _described(request, "schema", schema_document, (*SCHEMA_OFFERS, FEATURE_SCHEMA))


async def queryables(request: Request) -> Response:
    """What features can be asked for by, as JSON Schema (OGC 19-079r2, 6.2)."""
    return await _described(request, "queryables", queryables_document, SCHEMA_OFFERS)


async def sortables(request: Request) -> Response:
    """What features can be sorted by, as JSON Schema (OGC 23-058r2, /req/sortables)."""
    return await _described(request, "sortables", sortables_document, SCHEMA_OFFERS)


async def _described(request: Request, what: str, write: Write, offers: tuple[Representation, ...]) -> Response:
    found, scope = await collection_of(request)
    kind = choose(request, offers, f=query_parameters(request, ()).get("f"))
    lang = preferred_language(request)
    address = url_of(settings_of(request).public_url, "collections", found.id, what)
    if kind.f == "feature":
        write, address = feature_schema_document, f"{address}?f=feature"
    document = write(found, scope, lang, address)
    if kind.f == "html":
        rows = [(name, one.get("title", "")) for name, one in document["properties"].items()]
        return document_page(request, f"{title_of(found, lang)} · {what}", document["description"], [], rows)
    return json_answer(request, document, SCHEMA_JSON, vary=_VARY)


router.add_route("/collections", collections, methods=["GET"])
router.add_route("/collections/{collection_id}", collection, methods=["GET"])
router.add_route("/collections/{collection_id}/schema", schema, methods=["GET"])
router.add_route("/collections/{collection_id}/queryables", queryables, methods=["GET"])
router.add_route("/collections/{collection_id}/sortables", sortables, methods=["GET"])
