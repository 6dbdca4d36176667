"""Vector tiles of several collections at once, a layer each (OGC 20-057, dataset tilesets and collections selection).

A tile is the collections' own tiles one behind the other, which is how layers stand in a Mapbox vector tile. So each layer
comes out of the same cache, under the same rights and as new as the collection's own tile is.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.conditions import SHARED, asking, read_conditions
from api.context import context_of, registry_of, scope_of, settings_of, visible_collections
from api.documents import JSON, json_answer, url_of
from api.negotiate import choose
from api.params import query_parameters
from api.routes.tiles import (
    JSON_OFFERS,
    TILE_OFFERS,
    TILESET_OFFERS,
    Asked,
    deepest,
    kept_tile,
    key_of,
    tile_answer,
)
from api.tile_cache import KeptTile
from api.tiling import Tiled, tilejson_document, tileset_document, tilesets_document
from cim.errors import InvalidParameter
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.grids import WEB_MERCATOR_QUAD, Grid, TileCoord, grid_of, parse_tile
from cim.query.tiles import BUDGET_BYTES, FULL_FROM_ZOOM, WHOLE_BUDGET_BYTES, tile_properties

router = APIRouter()

MAX_LAYERS = 32
"""Collections of one tile at most; a dataset of more gives the first of them, by id, where none are chosen."""
AT_ONCE = 2
"""Layers of one tile that are made at the same time: no caller takes every connection."""

CONDITIONS = tuple(name for one in SHARED for name in (one.name, *one.also))
_VARY = "Accept, Cookie, Authorization, X-API-Key"


def _selected(request: Request, scope: Scope, values: Mapping[str, str]) -> list[Collection]:
    """The collections that `collections` lists by id or address, in its order (/req/collections-selection/query-collections)."""
    visible = visible_collections(request, scope)
    if "collections" not in values:
        return visible[:MAX_LAYERS]
    known = {one.id: one for one in visible}
    addresses = {url_of(settings_of(request).public_url, "collections", name): name for name in known}
    ids = [addresses.get(text, text) for text in values["collections"].split(",")]
    for name in ids:
        if name not in known:
            raise InvalidParameter("collections", name, f"must be ids or addresses of collections: {', '.join(known)}")
    if len(set(ids)) < len(ids):
        raise InvalidParameter("collections", values["collections"], "each collection once, separated by commas")
    if len(ids) > MAX_LAYERS:
        raise InvalidParameter("collections", len(ids), f"at most {MAX_LAYERS} collections")
    return [known[name] for name in ids]


def _tiled(request: Request, scope: Scope, values: Mapping[str, str]) -> Tiled:
    layers = tuple((one, tile_properties(one, scope)) for one in _selected(request, scope, values))
    base = settings_of(request).public_url
    chosen = {"collections": values["collections"]} if "collections" in values else {}
    return Tiled(base, f"{base}/", "全部数据", "Everything", layers, url_of("", **chosen))


async def tilesets(request: Request) -> Response:
    """The tilesets of the node, one a tile matrix set (/req/dataset-tilesets/operation)."""
    scope = await scope_of(request)
    values = query_parameters(request, ("collections",))
    choose(request, JSON_OFFERS, f=values.get("f"))
    return json_answer(request, tilesets_document(_tiled(request, scope, values)), vary=_VARY)


async def tileset(request: Request) -> Response:
    """Metadata of such a tileset; of WebMercatorQuad also as TileJSON."""
    grid = grid_of(request.path_params["tile_matrix_set"])
    scope = await scope_of(request)
    values = query_parameters(request, ("collections",))
    kind = choose(request, TILESET_OFFERS if grid is WEB_MERCATOR_QUAD else JSON_OFFERS, f=values.get("f"))
    tiled = _tiled(request, scope, values)
    if kind.f == "tilejson":
        document = tilejson_document(tiled, _deepest([one for one, _ in tiled.layers], scope, grid))
        return json_answer(request, document, JSON, vary=_VARY)
    return json_answer(request, tileset_document(tiled, grid), vary=_VARY)


def _deepest(collections: list[Collection], scope: Scope, grid: Grid) -> int:
    """The last zoom that every layer has."""
    return min((deepest(one, scope, grid) for one in collections), default=grid.max_zoom)


async def tile(request: Request) -> Response:
    """One tile with a layer for each collection that has something in it, in their order; 204 when none has.

    `X-CIM-Truncated` names the layers that are reduced pictures, and of how many features (`buildings=5000`).
    """
    parts = request.path_params
    grid = grid_of(parts["tile_matrix_set"])
    scope = await scope_of(request)
    values = query_parameters(request, ("collections", *CONDITIONS))
    choose(request, TILE_OFFERS, f=values.get("f"))
    collections = _selected(request, scope, values)
    coord = parse_tile(parts["zoom"], parts["row"], parts["col"], grid, deepest=_deepest(collections, scope, grid))
    asked = [_asked(request, scope, one, values, coord) for one in collections]
    made = await _made(request, asked)
    reduced = [
        f"{one.collection.id}={layer.truncated}"
        for one, layer in zip(asked, made, strict=True)
        if layer.truncated is not None
    ]
    key, whole = context_of(request).tiles.joined(made)
    return tile_answer(request, key, whole, ", ".join(reduced) or None)[0]


def _asked(
    request: Request, scope: Scope, collection: Collection, values: Mapping[str, str], coord: TileCoord
) -> Asked:
    query = FeatureQuery(**read_conditions(asking(request, collection, scope, values), SHARED))
    drawn = tile_properties(collection, scope)
    key = key_of(collection, scope, query, coord, drawn)
    return Asked(registry_of(request).get(collection.id), collection, scope, query, coord, drawn, key)


async def _made(request: Request, asked: list[Asked]) -> list[KeptTile]:
    """The layers, the largest made again and smaller where all of them together are more than one tile may be."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one_of(one: Asked) -> KeptTile:
        async with room:
            return await kept_tile(request, one)

    async def all_of(several: list[Asked]) -> list[KeptTile]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one_of(one)) for one in several]
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]

    made = await all_of(asked)
    sizes = [len(layer.bodies["identity"]) for layer in made]
    share = fair_share(sizes, WHOLE_BUDGET_BYTES if asked and asked[0].tile.zoom >= FULL_FROM_ZOOM else BUDGET_BYTES)
    if share is None:
        return made
    large = [index for index, size in enumerate(sizes) if size > share]
    again = await all_of([_smaller(asked[index], share) for index in large])
    for index, layer in zip(large, again, strict=True):
        made[index] = layer
    return made


def fair_share(sizes: list[int], budget: int) -> int | None:
    """The most bytes that a layer may have, so that those which need less leave the others room; None where all fit."""
    if sum(sizes) <= budget:
        return None
    left, share = budget, 0
    for done, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - done)
        if size > share:
            break
        left -= size
    return share


def _smaller(asked: Asked, budget: int) -> Asked:
    key = key_of(asked.collection, asked.scope, asked.query, asked.tile, asked.properties, budget)
    return replace(asked, budget=budget, key=key)


router.add_route("/tiles/{tile_matrix_set}/{zoom}/{row}/{col}", tile, methods=["GET"])
router.add_route("/tiles/{tile_matrix_set}", tileset, methods=["GET"])
router.add_route("/tiles", tilesets, methods=["GET"])
