"""The rows of the table: what is asked of everybody, what the database does for it, and what must be reached."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import orjson

from cim.model import Collection
from tools.bench import statements
from tools.bench.load import Ask, features
from tools.bench.places import Box, Places
from tools.bench.raw import Statement


@dataclass(frozen=True, slots=True)
class Row:
    """One question. `asks`: contender → its requests; `reach_raw`: share of the raw database; `reach_peer`: times the peer."""

    key: str
    title: str
    asks: dict[str, tuple[Ask, ...]]
    statements: tuple[Statement, ...] = ()
    reach_raw: float | None = None
    reach_peer: tuple[str, float] | None = None
    count: Callable[[bytes], int] = features
    least: int = 1
    is_cached: bool = field(default=False)


def _each(template: Callable[..., Ask], places: Sequence[object]) -> tuple[Ask, ...]:
    return tuple(template(place) for place in places)


def _box(box: Box) -> str:
    return ",".join(f"{number:.7f}".rstrip("0") for number in box)


def _in_box(path: str, limit: int, tail: str = "") -> Callable[..., Ask]:
    return lambda box: Ask(f"{path}?bbox={_box(box)}&limit={limit}{tail}")


def _polygon(ring: Sequence[tuple[float, float]]) -> str:
    return "POLYGON((" + ",".join(f"{x} {y}" for x, y in ring) + "))"


def _search(ring: Sequence[tuple[float, float]]) -> Ask:
    body = {"geometry": {"type": "Polygon", "coordinates": [ring]}, "limit": 10_000}
    return Ask("/collections/buildings/search", "POST", orjson.dumps(body).decode())


def _filtered(path: str, function: str, language: str, tail: str = "") -> Callable[..., Ask]:
    def ask(ring: Sequence[tuple[float, float]]) -> Ask:
        text = quote(f"{function}(geom,{_polygon(ring)})", safe="")
        return Ask(f"{path}?filter={text}&filter-lang={language}&limit=10000{tail}")

    return ask


def _tile(template: str) -> Callable[..., Ask]:
    return lambda tile: Ask(template.format(z=tile[0], row=tile[1], col=tile[2]))


def _scenes(path: str) -> Callable[..., Ask]:
    return lambda search: Ask(f"{path}?bbox={_box(search[0])}&datetime={search[1]}&limit=10")


OURS_TILE = "/collections/buildings/tiles/WebMercatorQuad/{z}/{row}/{col}"
TIPG = "/collections/peer.buildings/items"
PYGEOAPI = "/collections/buildings/items"
TILES = {
    "ours": _tile(OURS_TILE),
    "tipg": _tile("/collections/peer.building_tiles/tiles/WebMercatorQuad/{z}/{col}/{row}"),
    "martin": _tile("/building_tiles/{z}/{col}/{row}"),
}


def rows(places: Places, buildings: Collection, imagery: Collection) -> tuple[Row, ...]:
    """All rows but the walk and the cached tiles."""
    within = {
        "ours": _search,
        "tipg": _filtered(TIPG, "S_INTERSECTS", "cql2-text"),
        "pygeoapi": _filtered(PYGEOAPI, "INTERSECTS", "cql-text", "&f=json"),
    }
    return (
        _boxes("box-1000", "1,000 features in a box, GeoJSON", 1000, places, buildings, 0.8, 20),
        _boxes("box-10", "10 features in a box", 10, places, buildings, 0.4, 15),
        Row(
            "by-id",
            "one building by id",
            {
                "ours": _each(lambda i: Ask(f"/collections/buildings/items/{i}"), places.ids),
                "tipg": _each(lambda i: Ask(f"{TIPG}/{i}"), places.ids),
                "pygeoapi": _each(lambda i: Ask(f"{PYGEOAPI}/{i}?f=json"), places.ids),
            },
            statements.by_id(places, buildings),
            0.3,
            ("tipg", 12),
        ),
        Row(
            "polygon",
            "buildings within a drawn 1 km² polygon",
            {name: _each(template, places.rings) for name, template in within.items()},
            statements.within(places, buildings),
            0.8,
            ("tipg", 12),
        ),
        _tiles("tile-14", "MVT tile z14, not cached", places.tiles_14, buildings),
        _tiles("tile-16", "MVT tile z16, not cached", places.tiles_16, buildings),
        Row(
            "statistics",
            "statistics of a district by use",
            {
                "ours": _each(
                    lambda code: Ask(f"/collections/buildings/aggregate?area={code}&group-by=use"), places.districts
                )
            },
            statements.statistics(places, buildings),
            0.8,
        ),
        Row(
            "stac",
            "STAC search, 10 items of 100,000, box and time",
            {
                "ours": _each(_scenes("/stac/search"), places.searches),
                "pgstac": _each(_scenes("/search"), places.searches),
            },
            statements.scenes(places, imagery),
            0.4,
            ("pgstac", 20),
        ),
    )


def _boxes(key: str, title: str, limit: int, places: Places, buildings: Collection, reach: float, times: float) -> Row:
    boxes = places.boxes_10 if limit == 10 else places.boxes_1000
    asks = {
        "ours": _in_box("/collections/buildings/items", limit),
        "tipg": _in_box(TIPG, limit),
        "pygeoapi": _in_box(PYGEOAPI, limit, "&f=json"),
    }
    return Row(
        key,
        title,
        {name: _each(template, boxes) for name, template in asks.items()},
        statements.in_boxes(boxes, limit, buildings),
        reach,
        ("tipg", times),
        least=limit,
    )


def _tiles(key: str, title: str, tiles: Sequence[tuple[int, int, int]], buildings: Collection) -> Row:
    return Row(
        key,
        title,
        {name: _each(template, tiles) for name, template in TILES.items()},
        statements.tiles(tiles, buildings),
        0.8,
        ("martin", 2),
        count=len,
    )


def cached_row(key: str, size: str, tile: tuple[int, int, int]) -> Row:
    """The same tile again and again, from whatever cache there is."""
    asks = {name: (template(tile),) for name, template in TILES.items()}
    return Row(key, f"MVT tile, cached ({size})", asks, reach_peer=("martin", 0.8), count=len, is_cached=True)
