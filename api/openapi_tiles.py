"""The description of tiles; operation ids end as OGC 20-057 has them (/req/oas30/operation-id)."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from api.documents import JSON, MVT
from api.openapi_parts import parameter, ref
from api.tiling import STYLE, TILEJSON
from cim.model import Collection, Scope
from cim.query.grids import GRIDS
from cim.query.tiles import tile_properties

Describe = Callable[..., dict[str, Any]]
"""`api.openapi`'s way to write one GET operation."""

_OBJECT = {"type": "object"}
_GRID = parameter(
    "tileMatrixSetId", "Tile matrix set", {"type": "string", "enum": [grid.id for grid in GRIDS]}, place="path"
)


def grid_paths(get: Describe) -> dict[str, Any]:
    """The tile matrix sets."""
    tag = "Tiles"
    return {
        "/tileMatrixSets": get(
            "getTileMatrixSetsList", tag, "Tile matrix sets that tiles are offered in", {JSON: _OBJECT}
        ),
        "/tileMatrixSets/{tileMatrixSetId}": get(
            "getTileMatrixSet", tag, "Definition of a tile matrix set", {JSON: _OBJECT}, [_GRID]
        ),
    }


_COLLECTIONS: dict[str, Any] = {
    **parameter(
        "collections", "Collections by id or address, the layers in this order; all without it", {"type": "array"}
    ),
    "style": "form",
    "explode": False,
}
_COLLECTIONS["schema"]["items"] = {"type": "string"}
_PLACE = [
    parameter(name, text, {"type": "integer", "minimum": 0}, place="path")
    for name, text in (
        ("tileMatrix", "Zoom"),
        ("tileRow", "Row from the north"),
        ("tileCol", "Column from the west"),
    )
]


def dataset_paths(get: Describe, conditions: Sequence[str]) -> dict[str, Any]:
    """Tiles of several collections at once; `conditions` names the parameters that each of them has."""
    tag = "Tiles"
    shared = [ref("parameters", name) for name in conditions]
    drawn = get(
        "dataset.vector.getTile",
        tag,
        "A vector tile with a layer for each collection",
        {MVT: {"type": "string", "format": "binary"}},
        [_GRID, *_PLACE, _COLLECTIONS, *shared],
    )
    drawn["get"]["responses"]["204"] = {"description": "Nothing lies in the tile"}
    described = {JSON: _OBJECT, TILEJSON: _OBJECT}
    return {
        "/tiles": get("dataset.vector.getTileSetsList", tag, "Tilesets of all", {JSON: _OBJECT}, [_COLLECTIONS]),
        "/tiles/{tileMatrixSetId}": get(
            "dataset.vector.getTileSet", tag, "Metadata of a tileset", described, [_GRID, _COLLECTIONS]
        ),
        "/tiles/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}": drawn,
    }


def tile_paths(get: Describe, collection: Collection, tag: str, conditions: Iterable[Any]) -> dict[str, Any]:
    """Tiles, tilesets and style of a collection; `conditions` are the parameters that items have too."""
    home = f"/collections/{collection.id}"
    prefix = f"{collection.id}.collection.vector"
    names = [p.name for p in tile_properties(collection, Scope())]
    carried: dict[str, Any] = {
        **parameter("properties", "Properties that the features carry beside their id", {"type": "array"}),
        "style": "form",
        "explode": False,
    }
    carried["schema"]["items"] = {"type": "string", **({"enum": names} if names else {})}
    drawn = get(
        f"{prefix}.getTile",
        tag,
        "A vector tile",
        {MVT: {"type": "string", "format": "binary"}},
        [_GRID, *_PLACE, *conditions, carried],
    )
    drawn["get"]["responses"]["204"] = {"description": "Nothing lies in the tile"}
    described = {JSON: _OBJECT, TILEJSON: _OBJECT}
    return {
        f"{home}/tiles": get(f"{prefix}.getTileSetsList", tag, "Tilesets", {JSON: _OBJECT}),
        f"{home}/tiles/{{tileMatrixSetId}}": get(
            f"{prefix}.getTileSet", tag, "Metadata of a tileset", described, [_GRID]
        ),
        f"{home}/tiles/{{tileMatrixSetId}}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}": drawn,
        f"{home}/style": get(f"{collection.id}.style", tag, "A style for MapLibre", {STYLE: _OBJECT}),
    }
