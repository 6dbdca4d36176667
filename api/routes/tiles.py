"""Vector tiles of a collection, and how to ask for them (OGC API - Tiles, OGC 20-057)."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.conditions import QUERY_NAMES, asking, conditions_from, filter_names
from api.context import Context, collection_of, context_of, registry_of, scope_of, settings_of
from api.documents import JSON, MVT, Link, Whole, is_unchanged, json_answer, url_of
from api.hot import TileSent
from api.negotiate import Representation, choose
from api.params import query_parameters
from api.routes.items import check_geometries
from api.tile_cache import KeptTile
from api.tiling import (
    STYLE,
    TILEJSON,
    style_document,
    tiled_of,
    tilejson_document,
    tileset_document,
    tilesets_document,
)
from cim.errors import InvalidParameter
from cim.model import Collection, Property, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.grids import GRIDS, WEB_MERCATOR_QUAD, Grid, TileCoord, grid_of, parse_tile
from cim.query.masking import deepest_zoom
from cim.query.tiles import first_plan, next_plan, tile_properties, tile_sql

router = APIRouter()

TILE_OFFERS = (Representation("mvt", MVT, also=("application/x-protobuf", "application/octet-stream")),)
JSON_OFFERS = (Representation("json", JSON),)
TILESET_OFFERS = (*JSON_OFFERS, Representation("tilejson", TILEJSON))
STYLE_OFFERS = (Representation("style", STYLE, also=(JSON,)),)

TRIES = 4
"""Times a tile is made smaller that is larger than its budget."""
MAX_ASKED = 4_096
"""Addresses of tiles whose reading a worker remembers."""

_VARY = b"Accept, Cookie, Authorization, X-API-Key, Accept-Encoding"
_PATH = "/collections/{collection_id}/tiles"
_TILE = _PATH + "/{tile_matrix_set}/{zoom}/{row}/{col}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for. `key` is what it is kept under, None where it may not be kept.

    `source`: the registry's collection it was read against, `collection` the same as the caller sees it. `budget`: bytes
    it may take, where these are fewer than a tile of its zoom may.
    """

    source: Collection
    collection: Collection
    scope: Scope
    query: FeatureQuery
    tile: TileCoord
    properties: tuple[Property, ...]
    key: str | None
    budget: int | None = None


async def tile(request: Request) -> Response:
    """One tile: 204 when nothing lies in it; `X-CIM-Truncated` tells that it is a reduced picture, and of how many features."""
    scope = await scope_of(request)
    context = context_of(request)
    asked = _remembered(request, context, scope) or await _read(request, context)
    made = await kept_tile(request, asked)
    answered, coding = tile_answer(request, asked.key, made, None if made.truncated is None else str(made.truncated))
    if coding and asked.key is not None:
        request.scope["state"]["sent"] = TileSent(asked.source, asked.key, made, coding, _TILE, asked.scope)
    return answered


async def kept_tile(request: Request, asked: Asked) -> KeptTile:
    """The tile, kept or made now."""
    make = partial(make_tile, request, asked)
    if asked.key is None:
        return await make()
    return await context_of(request).tiles.tile(asked.key, asked.collection.id, make)


def _address(request: Request, scope: Scope) -> Hashable:
    return request.scope["path"], request.scope["query_string"], request.headers.get("accept"), scope


def _remembered(request: Request, context: Context, scope: Scope) -> Asked | None:
    """What the same address asked lately, if its collection is still declared and counted the same."""
    asked: Asked | None = context.tiles_asked.get(_address(request, scope))
    if asked is None or registry_of(request).find(asked.source.id) is not asked.source:
        return None
    return asked


async def _read(request: Request, context: Context) -> Asked:
    """What the address asks. Raises NotFound, InvalidParameter and its kin."""
    parts = request.path_params
    grid = grid_of(parts["tile_matrix_set"])
    collection, scope = await collection_of(request)
    coord = parse_tile(parts["zoom"], parts["row"], parts["col"], grid, deepest=deepest(collection, scope, grid))
    values = query_parameters(request, (*QUERY_NAMES, "properties", *filter_names(collection, scope)))
    choose(request, TILE_OFFERS, f=values.get("f"))
    query = conditions_from(asking(request, collection, scope, values))
    properties = tile_properties(collection, scope, _names(values.get("properties")))
    key = key_of(collection, scope, query, coord, properties) if is_own(query) else None
    asked = Asked(registry_of(request).get(collection.id), collection, scope, query, coord, properties, key)
    if len(context.tiles_asked) >= MAX_ASKED:
        context.tiles_asked.clear()
    context.tiles_asked[_address(request, scope)] = asked
    return asked


def key_of(
    collection: Collection,
    scope: Scope,
    query: FeatureQuery,
    coord: TileCoord,
    properties: tuple[Property, ...],
    budget: int | None = None,
) -> str:
    """What such a tile is kept under: a text knows its hash."""
    seen = Scope(area_code=scope.area_code, hidden=scope.hidden, precision_m=scope.precision_m)
    names = tuple(p.name for p in properties)
    return repr((collection.id, coord, query.fingerprint(), seen, names, budget))


def _names(text: str | None) -> list[str] | None:
    """The properties a tile shall carry, `properties=` for none beside the id. Raises InvalidParameter."""
    if text is None or not text:
        return None if text is None else []
    names = text.split(",")
    if len(set(names)) < len(names):
        raise InvalidParameter("properties", text, "each name once, separated by commas")
    return names


def is_own(query: FeatureQuery) -> bool:
    """True where the answer depends on rows of the collection alone, as they are now: only then its stamp says that it is good."""
    plain = FeatureQuery()
    others = replace(
        query,
        bbox=None,
        geometry=None,
        interval=None,
        ids=None,
        area=None,
        equals=(),
        filter=None,
        filter_areas=None,
        terms=(),
        known_at=None,
    )
    return others == plain


def deepest(collection: Collection, scope: Scope, grid: Grid) -> int:
    """The last zoom that there is for the caller; a grid in degrees is one zoom ahead of Web Mercator."""
    ahead = grid.columns - 1
    return max(deepest_zoom(collection, scope, grid.max_zoom + ahead) - ahead, 0)


async def make_tile(request: Request, asked: Asked) -> KeptTile:
    """The tile, made now: anew and smaller until it is within its budget."""
    await check_geometries(request, asked.query)
    database = context_of(request).database
    last = deepest(asked.collection, asked.scope, asked.tile.grid)
    plan = first_plan(asked.collection, asked.query, asked.tile, deepest=last)
    if asked.budget is not None:
        plan = replace(plan, budget=min(plan.budget, asked.budget))
    for _ in range(TRIES):
        row = await database.fetch_one(
            tile_sql(asked.collection, asked.query, asked.scope, asked.tile, plan=plan, properties=asked.properties)
        )
        body = row["body"] or b""
        if plan.is_kept(len(body), row["taken"]):
            break
        plan = next_plan(plan, len(body), asked.collection, asked.query, asked.tile)
    truncated = plan.truncated(asked.collection, row["taken"])
    return KeptTile(body, row["stamp"] or "", truncated, context_of(request).registry.cursor_key)


def tile_answer(request: Request, key: Hashable | None, made: KeptTile, truncated: str | None) -> tuple[Whole, str]:
    """The tile for the caller, 304 where they have it, 204 where it is empty; and its coding, "" where no body is sent."""
    headers = [(b"vary", _VARY), (b"cache-control", b"no-cache")]
    if truncated is not None:
        headers.append((b"x-cim-truncated", truncated.encode()))
    if not made.bodies["identity"]:
        return Whole(b"", 204, headers), ""
    headers.append((b"etag", made.etag.encode()))
    if is_unchanged(request, made.etag):
        return Whole(b"", 304, headers), ""
    accepted = request.headers.get("accept-encoding", "")
    coding, body = context_of(request).tiles.coded(key, made, accepted)
    headers.append((b"content-type", MVT.encode()))
    if coding != "identity":
        headers.append((b"content-encoding", coding.encode()))
    headers.append((b"content-length", str(len(body)).encode()))
    return Whole(body, 200, headers), coding


async def tilesets(request: Request) -> Response:
    """The tilesets of a collection, one a tile matrix set (OGC 20-057, /req/tilesets-list/tileset-path)."""
    collection, _ = await collection_of(request)
    choose(request, JSON_OFFERS, f=query_parameters(request, ()).get("f"))
    base = settings_of(request).public_url
    return json_answer(request, tilesets_document(tiled_of(base, collection, ())))


async def tileset(request: Request) -> Response:
    """Metadata of a tileset as OGC 20-057 has it; those of WebMercatorQuad also as TileJSON."""
    grid = grid_of(request.path_params["tile_matrix_set"])
    collection, scope = await collection_of(request)
    offers = TILESET_OFFERS if grid is WEB_MERCATOR_QUAD else JSON_OFFERS
    kind = choose(request, offers, f=query_parameters(request, ()).get("f"))
    base = settings_of(request).public_url
    tiled = tiled_of(base, collection, tile_properties(collection, scope))
    if kind.f == "tilejson":
        return json_answer(request, tilejson_document(tiled, deepest(collection, scope, grid)), JSON)
    return json_answer(request, tileset_document(tiled, grid))


async def style(request: Request) -> Response:
    """A style that draws the collection's tiles by MapLibre, and needs no other host."""
    collection, scope = await collection_of(request)
    choose(request, STYLE_OFFERS, f=query_parameters(request, ()).get("f"))
    base = settings_of(request).public_url
    last = deepest(collection, scope, WEB_MERCATOR_QUAD)
    return json_answer(request, style_document(base, collection, tile_properties(collection, scope), last), STYLE)


async def tile_matrix_sets(request: Request) -> Response:
    """The tile matrix sets that tiles are offered in (OGC 20-057, 9.1)."""
    choose(request, JSON_OFFERS, f=query_parameters(request, ()).get("f"))
    base = settings_of(request).public_url
    listed = []
    for grid in GRIDS:
        link = Link(url_of(base, "tileMatrixSets", grid.id), "self", JSON, grid.title)
        entry = {"id": grid.id, "title": grid.title, "crs": grid.crs, "links": [link.to_dict()]}
        listed.append(entry if grid.uri is None else {**entry, "uri": grid.uri})
    return json_answer(request, {"tileMatrixSets": listed})


async def tile_matrix_set(request: Request) -> Response:
    """The definition of a tile matrix set (OGC 17-083r4)."""
    grid = grid_of(request.path_params["tile_matrix_set"])
    choose(request, JSON_OFFERS, f=query_parameters(request, ()).get("f"))
    return json_answer(request, grid.document())


router.add_route(_TILE, tile, methods=["GET"])
router.add_route(_PATH + "/{tile_matrix_set}", tileset, methods=["GET"])
router.add_route(_PATH, tilesets, methods=["GET"])
router.add_route("/collections/{collection_id}/style", style, methods=["GET"])
router.add_route("/tileMatrixSets", tile_matrix_sets, methods=["GET"])
router.add_route("/tileMatrixSets/{tile_matrix_set}", tile_matrix_set, methods=["GET"])
