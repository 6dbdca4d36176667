"""Mapbox vector tiles of a collection in WebMercatorQuad (OGC 17-083r4, annex D.1)."""

import math
import re
from dataclasses import dataclass

from cim.bbox import Bbox
from cim.errors import NotFound
from cim.model import Collection, Kind, Property, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.masking import sees_whole
from cim.query.predicate import envelope, visible_properties, where
from cim.query.source import rows
from cim.sql import Cast, Sql

TILE_MATRIX_SET = "WebMercatorQuad"
MAX_ZOOM = 24
EXTENT = 4096
BUFFER = 64
FULL_FROM_ZOOM = 13
MAX_FEATURES = 10_000
"""Features of a tile below zoom 13; above, five times as many."""
SCAN_FEATURES = 100_000
"""Features a tile looks at; where more are to be expected, a sample of the table's pages stands for all."""

_MAX_LATITUDE = 85.06
_DIGITS = re.compile(r"0|[1-9]\d{0,8}", re.ASCII)
_KINDS = (Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN)
MAX_PROPERTIES = 20


@dataclass(frozen=True, slots=True)
class TileCoord:
    """A tile of WebMercatorQuad; row 0 is the northernmost, col 0 begins at 180° west."""

    zoom: int
    row: int
    col: int

    def bbox(self, *, margin: float = BUFFER / EXTENT) -> Bbox:
        """Where features of the tile lie, with a margin in parts of the tile, cut at the antimeridian and ±85.06°."""
        count = 2**self.zoom
        return Bbox(
            max(-180.0, (self.col - margin) / count * 360 - 180),
            max(-_MAX_LATITUDE, _latitude((self.row + 1 + margin) / count)),
            min(180.0, (self.col + 1 + margin) / count * 360 - 180),
            min(_MAX_LATITUDE, _latitude((self.row - margin) / count)),
        )


def _latitude(part: float) -> float:
    """Latitude of a place `part` of the way from the top edge of the square world to its bottom."""
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * part))))


def parse_tile(zoom: str, row: str, col: str, deepest: int = MAX_ZOOM) -> TileCoord:
    """The tile that three path segments name. Raises NotFound when there is no such tile (catalogue B24)."""
    name = f"{zoom}/{row}/{col}"[:60]
    if not all(_DIGITS.fullmatch(part) for part in (zoom, row, col)) or int(zoom) > deepest:
        raise NotFound(f"tile of zoom 0 to {deepest}", name)
    tile = TileCoord(int(zoom), int(row), int(col))
    if tile.row >= 2**tile.zoom or tile.col >= 2**tile.zoom:
        raise NotFound(f"tile in a matrix of {2**tile.zoom:,} rows and columns", name)
    return tile


def tile_properties(collection: Collection, scope: Scope) -> tuple[Property, ...]:
    """What a tile carries beside the id: codes and numbers that a style draws by, not texts nor computed areas."""
    drawn = [
        p
        for p in visible_properties(collection, scope)
        if not p.is_filled and (p.codes is not None or p.kind in _KINDS)
    ]
    return tuple(drawn[:MAX_PROPERTIES])


def feature_cap(tile: TileCoord) -> int:
    """The most features the tile holds; the smallest are left out."""
    return MAX_FEATURES if tile.zoom < FULL_FROM_ZOOM else 5 * MAX_FEATURES


def sample_percent(collection: Collection, tile: TileCoord) -> float | None:
    """Which part of the table to look at, None for all of it."""
    bounds = collection.extent.bounds_crs84
    if bounds is None or collection.feature_count is None or collection.feature_count <= SCAN_FEATURES:
        return None
    expected = tile.bbox().share_of(bounds) * collection.feature_count
    return None if expected <= SCAN_FEATURES else 100 * SCAN_FEATURES / expected


def _ground(collection: Collection) -> Sql:
    """The geometry as it can be projected: the poles have no place in EPSG:3857."""
    bounds = collection.extent.bounds_crs84
    if bounds is not None and bounds[1] > -85 and bounds[3] < 85:
        return Sql.of("geom")
    world = Bbox(-180, -_MAX_LATITUDE, 180, _MAX_LATITUDE)
    return Sql.of("ST_ClipByBox2D(geom, {})", envelope(world))


def _order(collection: Collection, tile: TileCoord) -> Sql:
    """Largest first; points, which have no size, in an order that is the same everywhere and follows no place."""
    if tile.zoom >= FULL_FROM_ZOOM:
        return Sql.of("id")
    if collection.geometry_type == "Point":
        return Sql.of("hashtext(id), id")
    return Sql.of("(ST_XMax(geom) - ST_XMin(geom)) * (ST_YMax(geom) - ST_YMin(geom)) DESC, id")


def tile_sql(collection: Collection, query: FeatureQuery, scope: Scope, tile: TileCoord) -> Sql:
    """One row: `body` (the MVT, empty for nothing), `taken` (features looked at, one more than the cap when cut)."""
    columns = Sql.join("", [Sql.of(", {}", p.column) for p in tile_properties(collection, scope)])
    percent = None if query.known_at is not None else sample_percent(collection, tile)
    sample = Sql() if percent is None else Sql.of(" TABLESAMPLE SYSTEM ({}) REPEATABLE (0)", Cast(percent, "real"))
    cap = feature_cap(tile)
    square = Sql.of("(SELECT ST_TileEnvelope({}, {}, {}))", tile.zoom, tile.col, tile.row)
    return Sql.of(
        "WITH taken AS MATERIALIZED (SELECT id, geom{} FROM {} AS feature{} WHERE geom && {} AND ({}) ORDER BY {} LIMIT {}), "
        "drawn AS MATERIALIZED (SELECT id{}, ST_AsMVTGeom(ST_Transform({}, 3857), {}, {}, {}, true) AS tile_geometry "
        "FROM (SELECT * FROM taken ORDER BY {} LIMIT {}) AS kept ORDER BY id) "
        "SELECT (SELECT ST_AsMVT(drawn, {}, {}, 'tile_geometry') FROM drawn WHERE tile_geometry IS NOT NULL) AS body, "
        "(SELECT count(*) FROM taken) AS taken",
        columns,
        rows(collection, query, scope, within=tile.bbox(), sample=Sql() if sees_whole(collection, scope) else sample),
        sample if sees_whole(collection, scope) else Sql(),
        envelope(tile.bbox()),
        where(collection, query, scope),
        _order(collection, tile),
        Cast(cap + 1, "bigint"),
        columns,
        _ground(collection),
        square,
        Cast(EXTENT, "int"),
        Cast(BUFFER, "int"),
        _order(collection, tile),
        Cast(cap, "bigint"),
        Cast(collection.id, "text"),
        Cast(EXTENT, "int"),
    )
