"""Addresses with `{z}`, `{x}` and `{y}` in them: tiles of the Web Mercator grid, rows from the north (`{-y}`: from the south)."""

from collections.abc import Sequence
from math import asinh, floor, log2, pi, radians, tan
from typing import Any, NamedTuple

MAX_ZOOM = 16
WORLD = (-180.0, -85.0, 180.0, 85.0)


class Tile(NamedTuple):
    """A tile: zoom, column from the west, row from the north."""

    z: int
    x: int
    y: int


def tile_at(box: Sequence[float] | None) -> Tile:
    """The tile in the middle of the box (west, south, east, north in degrees; the world without one), about as wide as the box."""
    west, south, east, north = box or WORLD
    zoom = max(0, min(MAX_ZOOM, floor(log2(360 / max(east - west, 1e-6)))))
    lon, lat = (west + east) / 2, max(-85.0, min(85.0, (south + north) / 2))
    last = 2**zoom - 1
    column = max(0, min(last, floor((lon + 180) / 360 * 2**zoom)))
    row = max(0, min(last, floor((1 - asinh(tan(radians(lat))) / pi) / 2 * 2**zoom)))
    return Tile(zoom, column, row)


def filled(template: str, tile: Tile) -> str:
    """The address of one tile."""
    numbers = {"{z}": tile.z, "{x}": tile.x, "{y}": tile.y, "{-y}": 2**tile.z - 1 - tile.y}
    for name, number in numbers.items():
        template = template.replace(name, str(number))
    return template


def split_template(path: str, query: str) -> tuple[str, str | None]:
    """The path as far as it has no `{`, without the slash at its end, and the rest of an address with one in it; None for none."""
    open_parts = "&".join(part for part in query.split("&") if "{" in part)
    asked = f"?{open_parts}" if open_parts else ""
    if "{" in path:
        folder, _, rest = path.partition("{")
        path, _, stem = folder.rpartition("/")
        return path, f"/{stem}{{{rest}{asked}"
    return path, asked or None


def tilejson(name: str, address: str) -> dict[str, Any]:
    """A TileJSON 3.0.0 document of tiles at an address with `{z}`, `{x}`, `{y}`; rows from the south are told by `scheme`."""
    document = {"tilejson": "3.0.0", "name": name, "tiles": [address.replace("{-y}", "{y}")]}
    return {**document, "scheme": "tms"} if "{-y}" in address else document
