"""A STAC API over the imagery: core, collections, features and item search (STAC API 1.0.0)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.conditions import FILTER, asking, read_conditions
from api.context import database_of, registry_of, scope_of, settings_of
from api.documents import GEOJSON, HTML, JSON, OPENAPI_30, SCHEMA_JSON, Link, answer, json_answer, query_text, url_of
from api.etags import etag_of
from api.filters import CQL2_CLASSES
from api.negotiate import Representation, choose
from api.params import check_members, json_object, parse_limit, query_parameters
from api.portal.frame import preferred_language
from api.routes.collections import QUERYABLES_REL
from api.routes.items import check_geometries
from api.schemas import stac_queryables_document
from cim.bbox import bbox_of, parse_bbox
from cim.collections.imagery import IMAGERY
from cim.errors import InvalidParameter, NotFound
from cim.interval import instant_text, parse_interval
from cim.model import Scope
from cim.query.cursor import decode_cursor, encode_cursor
from cim.query.feature_query import FeatureQuery
from cim.query.geometry import check_geometry
from cim.query.stac import COLUMN_OF, collections_sql, item_sql, items_sql

router = APIRouter(tags=["stac"])

CONFORMS_TO = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    # clients know the filter under the name of the version and under that of the last candidate
    "https://api.stacspec.org/v1.0.0/item-search#filter",
    "https://api.stacspec.org/v1.0.0-rc.3/item-search#filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    *CQL2_CLASSES,
)
FILTERED = (FILTER.name, *FILTER.also)
SEARCHED = ("bbox", "datetime", "ids", "collections", "intersects", *FILTERED, "limit", "token")
ITEMS = ("bbox", "datetime", "ids", *FILTERED, "limit", "token")
"""Parameters of the items of a collection."""
MAX_IDS = 1000
MAX_LIMIT = 1000
_VARY = "Accept, Cookie, Authorization, X-API-Key"
_DOCUMENT = (Representation("json", JSON, also=(GEOJSON,)),)
_ITEMS = (Representation("json", GEOJSON, also=(JSON,)),)
_SCHEMA = (Representation("json", SCHEMA_JSON, also=(JSON,)),)


def _asked(request: Request, offers: Sequence[Representation], known: Sequence[str] = ()) -> dict[str, str]:
    """The query parameters. Raises InvalidParameter or NotAcceptable where no JSON is wanted: pages are not offered."""
    values = query_parameters(request, known)
    choose(request, offers, f=values.pop("f", None))
    return values


def _root(request: Request) -> str:
    return f"{settings_of(request).public_url}/stac"


async def landing(request: Request) -> Response:
    """The root catalog (STAC API core)."""
    _asked(request, _DOCUMENT)
    root, base = _root(request), settings_of(request).public_url
    rows = await database_of(request).fetch_rows(collections_sql(await scope_of(request)))
    links = [
        Link(root, "self", JSON),
        Link(root, "root", JSON),
        Link(f"{base}/api", "service-desc", OPENAPI_30),
        Link(f"{base}/api?f=html", "service-doc", HTML),
        Link(f"{root}/conformance", "conformance", JSON),
        Link(f"{root}/collections", "data", JSON),
        Link(f"{root}/search", "search", GEOJSON, "Search by GET", "GET"),
        Link(f"{root}/search", "search", GEOJSON, "Search by POST", "POST"),
        Link(f"{root}/queryables", QUERYABLES_REL, SCHEMA_JSON, "What a filter may name"),
        *[Link(url_of(root, "collections", row["id"]), "child", JSON, row["id"]) for row in rows],
    ]
    document = {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": "opencim",
        "title": "OpenCIM imagery 影像目录",
        "description": "Scenes of this node: footprints, time, bands and resolution.",
        "conformsTo": list(CONFORMS_TO),
        "links": [link.to_dict() for link in links],
    }
    return json_answer(request, document, vary=_VARY)


async def conformance(request: Request) -> Response:
    """The conformance classes."""
    _asked(request, _DOCUMENT)
    return json_answer(request, {"conformsTo": list(CONFORMS_TO)})


def _collection(row: Any, root: str) -> dict[str, Any]:
    """A STAC Collection: the document that a source gave where there is one, its links and extent our own."""
    given = orjson.loads(row["document"]) if row["document"] else {}
    home = url_of(root, "collections", row["id"])
    bounds = [[row[n] for n in ("min_lon", "min_lat", "max_lon", "max_lat")]]
    document = {
        "description": f"Scenes of {row['id']}",
        "license": "proprietary",
        **given,
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": row["id"],
        "links": [
            Link(home, "self", JSON).to_dict(),
            Link(root, "root", JSON).to_dict(),
            Link(root, "parent", JSON).to_dict(),
            Link(f"{home}/items", "items", GEOJSON).to_dict(),
            Link(f"{home}/queryables", QUERYABLES_REL, SCHEMA_JSON).to_dict(),
            *[
                link
                for link in given.get("links", [])
                if isinstance(link, dict) and link.get("rel") in ("license", "cite-as")
            ],
        ],
    }
    if row["items"] or "extent" not in given:
        spatial = bounds if row["min_lon"] is not None else [[-180.0, -90.0, 180.0, 90.0]]
        interval = [[instant_text(row["begin"]), instant_text(row["until"])]]
        document["extent"] = {"spatial": {"bbox": spatial}, "temporal": {"interval": interval}}
    return document


async def collections(request: Request) -> Response:
    """Every STAC collection."""
    _asked(request, _DOCUMENT)
    root = _root(request)
    rows = await database_of(request).fetch_rows(collections_sql(await scope_of(request)))
    links = [Link(f"{root}/collections", "self", JSON), Link(root, "root", JSON), Link(root, "parent", JSON)]
    body = {"collections": [_collection(row, root) for row in rows], "links": [link.to_dict() for link in links]}
    return json_answer(request, body, vary=_VARY)


async def below_collections(request: Request) -> Response:
    """A collection, its items or one item: told apart by the path as it was sent, for ids may hold an escaped slash."""
    parts = [unquote(part) for part in request.scope["raw_path"].decode("ascii").split("?")[0].split("/")[3:]]
    match parts:
        case [collection_id]:
            return await collection(request, collection_id)
        case [collection_id, "items"]:
            return await collection_items(request, collection_id)
        case [collection_id, "queryables"]:
            return await collection_queryables(request, collection_id)
        case [collection_id, "items", item_id]:
            return await item(request, collection_id, item_id)
    raise NotFound("page", request.url.path)


async def _collection_row(request: Request, wanted: str) -> Any:
    row = None
    if "\x00" not in wanted:
        row = await database_of(request).fetch_row(collections_sql(await scope_of(request), wanted))
    if row is None:
        raise NotFound("STAC collection", wanted)
    return row


async def collection(request: Request, wanted: str) -> Response:
    """One STAC collection."""
    _asked(request, _DOCUMENT)
    return json_answer(request, _collection(await _collection_row(request, wanted), _root(request)), vary=_VARY)


async def collection_items(request: Request, wanted: str) -> Response:
    """The items of one collection, with bbox, datetime, ids, filter, limit and paging.

    `collections` may repeat the collection of the path, for pystac-client sends it.
    """
    values = _asked(request, _ITEMS, (*ITEMS, "collections"))
    row = await _collection_row(request, wanted)
    if values.get("collections", row["id"]) != row["id"]:
        raise InvalidParameter("collections", values["collections"], f"the path is that of '{row['id']}'")
    address = url_of(_root(request), "collections", row["id"], "items")
    return await _page(request, _conditions(values), (row["id"],), values, address)


async def queryables(request: Request) -> Response:
    """What a filter over all items may name (STAC API Filter, Queryables)."""
    _asked(request, _SCHEMA)
    return _queryables(request, await scope_of(request), f"{_root(request)}/queryables")


async def collection_queryables(request: Request, wanted: str) -> Response:
    """What a filter over the items of one collection may name: the same."""
    _asked(request, _SCHEMA)
    row = await _collection_row(request, wanted)
    return _queryables(request, await scope_of(request), url_of(_root(request), "collections", row["id"], "queryables"))


def _queryables(request: Request, scope: Scope, address: str) -> Response:
    imagery = registry_of(request).get(IMAGERY.id)
    document = stac_queryables_document(imagery, scope, COLUMN_OF, preferred_language(request), address)
    return json_answer(request, document, SCHEMA_JSON, vary=f"Accept-Language, {_VARY}")


async def item(request: Request, wanted: str, item_id: str) -> Response:
    """One item."""
    _asked(request, _ITEMS)
    scope = await scope_of(request)
    row = None
    if "\x00" not in wanted + item_id:
        base = settings_of(request).public_url
        row = await database_of(request).fetch_row(item_sql(wanted, item_id, scope, base))
    if row is None:
        raise NotFound(f"item in {wanted}", item_id)
    return answer(request, row["body"], GEOJSON, vary=_VARY)


def _conditions(values: Mapping[str, Any]) -> FeatureQuery:
    """The conditions of parsed GET parameters."""
    ids = tuple(values["ids"].split(",")) if "ids" in values else None
    intersects = None
    if "intersects" in values:
        try:
            intersects = check_geometry(orjson.loads(values["intersects"]))
        except orjson.JSONDecodeError as error:
            raise InvalidParameter("intersects", values["intersects"], "a GeoJSON geometry") from error
    return _checked(
        FeatureQuery(
            bbox=parse_bbox(values["bbox"]) if "bbox" in values else None,
            geometry=intersects,
            interval=parse_interval(values["datetime"].replace(" ", "+")) if "datetime" in values else None,
            ids=ids,
            limit=min(parse_limit(values["limit"]), MAX_LIMIT) if "limit" in values else 10,
        )
    )


def _checked(query: FeatureQuery) -> FeatureQuery:
    if query.ids is not None and len(query.ids) > MAX_IDS:
        raise InvalidParameter("ids", len(query.ids), f"at most {MAX_IDS} ids")
    if query.bbox is not None and query.geometry is not None:
        raise InvalidParameter("intersects", "", "bbox and intersects exclude each other (STAC API item search)")
    return query


def _texts(body: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(v, str) and "\x00" not in v for v in value):
        raise InvalidParameter(name, value, "a list of texts")
    return tuple(value)


def _body_conditions(body: Mapping[str, Any]) -> FeatureQuery:
    """The conditions of a search body."""
    bbox, moment, limit = body.get("bbox"), body.get("datetime"), body.get("limit", 10)
    if bbox is not None and (
        not isinstance(bbox, list) or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in bbox)
    ):
        raise InvalidParameter("bbox", bbox, "a list of 4 or 6 numbers")
    if moment is not None and not isinstance(moment, str):
        raise InvalidParameter("datetime", moment, "an RFC 3339 instant or interval")
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise InvalidParameter("limit", limit, f"a whole number from 1 to {MAX_LIMIT}")
    intersects = body.get("intersects")
    return _checked(
        FeatureQuery(
            bbox=bbox_of(bbox) if bbox is not None else None,
            geometry=check_geometry(intersects) if intersects is not None else None,
            interval=parse_interval(moment) if moment is not None else None,
            ids=_texts(body, "ids"),
            limit=min(parse_limit(str(limit)), MAX_LIMIT),
        )
    )


async def search(request: Request) -> Response:
    """Item search by GET (STAC API 1.0.0, item-search)."""
    values = _asked(request, _ITEMS, SEARCHED)
    wanted = tuple(values["collections"].split(",")) if "collections" in values else None
    return await _page(request, _conditions(values), wanted, values, f"{_root(request)}/search")


async def search_by_body(request: Request) -> Response:
    """Item search by POST: the same conditions as a JSON body."""
    _asked(request, _ITEMS)
    body = await json_object(request)
    check_members(body, SEARCHED)
    if body.get("token") is not None and not isinstance(body["token"], str):
        raise InvalidParameter("token", body["token"], "a text from a next link")
    return await _page(request, _body_conditions(body), _texts(body, "collections"), body, f"{_root(request)}/search")


async def _page(
    request: Request, query: FeatureQuery, wanted: tuple[str, ...] | None, asked: Mapping[str, Any], address: str
) -> Response:
    """An ItemCollection; `next` carries the token (merged into the body for a POST)."""
    registry, scope, root = registry_of(request), await scope_of(request), _root(request)
    imagery, is_post = registry.get(IMAGERY.id), request.method == "POST"
    filtering = replace(asking(request, imagery, scope, asked), is_body=is_post, names=COLUMN_OF)
    if fields := read_conditions(filtering, (FILTER,)):
        query = replace(query, **fields)
    binding = b"stac\n" + repr(wanted).encode() + query.fingerprint()
    if asked.get("token") is not None:
        after = decode_cursor(registry.cursor_key, binding, asked["token"], parameter="token")
        query = replace(query, after=after)
    await check_geometries(request, query)
    base = settings_of(request).public_url
    row = await database_of(request).fetch_one(items_sql(query, wanted, scope, base, imagery))
    links = [Link(root, "root", JSON)]
    given = {} if is_post else {name: query_text(name, value) for name, value in asked.items()}
    if not is_post:
        links.append(Link(f"{address}?{'&'.join(given.values())}" if given else address, "self", GEOJSON))
    if row["has_more"]:
        token = encode_cursor(registry.cursor_key, binding, row["last_id"])
        if is_post:
            links.append(Link(address, "next", GEOJSON, None, "POST", {**asked, "token": token}))
        else:
            following = "&".join({**given, "token": query_text("token", token)}.values())
            links.append(Link(f"{address}?{following}", "next", GEOJSON, None, "GET"))
    head = orjson.dumps(
        {"type": "FeatureCollection", "numberReturned": row["returned"], "links": [link.to_dict() for link in links]}
    )
    body = b"".join((head[:-1], b',"features":[', row["body"] or b"", b"]}"))
    etag = etag_of(body, key=registry.cursor_key)
    return answer(request, body, GEOJSON, links=links, vary=_VARY, etag=etag)


router.add_route("/stac", landing, methods=["GET"])
router.add_route("/stac/conformance", conformance, methods=["GET"])
router.add_route("/stac/collections", collections, methods=["GET"])
router.add_route("/stac/collections/{path:path}", below_collections, methods=["GET"])
router.add_route("/stac/queryables", queryables, methods=["GET"])
router.add_route("/stac/search", search, methods=["GET"])
router.add_route("/stac/search", search_by_body, methods=["POST"])
