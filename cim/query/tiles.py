"""Mapbox vector tiles of a collection: all that a tile holds, or a reduced picture of it.

No GEOS function that nodes lines sees stored geometry (catalogue A5): it is scaled and snapped, and only what crosses
the tile's edge is cut, by a rectangle. Rows are ordered by id, so that the same rows always give the same bytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cim.bbox import Bbox
from cim.errors import UnknownProperty
from cim.model import Collection, Kind, Property, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.grids import BUFFER, EXTENT, TileCoord
from cim.query.masking import sees_whole
from cim.query.predicate import envelope, visible_properties, where
from cim.query.source import rows
from cim.query.stamps import stamp
from cim.sql import Cast, Sql

FULL_FROM_ZOOM = 13
"""From here on a tile holds everything, if the budget allows; below it is a reduced picture."""
MAX_FEATURES = 5_000
"""Features of a reduced tile at most."""
MAX_WHOLE = 50_000
"""Features of a whole tile at most."""
BUDGET_BYTES = 500_000
"""Of a tile below zoom 13, not compressed."""
WHOLE_BUDGET_BYTES = 2_000_000
"""Of a tile from zoom 13 on."""
SCAN_FEATURES = 100_000
"""Features a reduced tile looks at; where more are to be expected, a sample of the table's pages stands for all."""
SCAN_POINTS = 500_000
"""The same of points, which cost less to look at."""
PIXEL = 8
"""Tile coordinates: of features that are smaller, one stands for all that share a pixel of a 512-pixel map."""
CELL = 128
"""Tile coordinates: points of a reduced tile that share a cell of this side are one cluster."""
MAX_CLUSTERS = (EXTENT // CELL + 2) ** 2

_DEGREE = 1e7  # whole ten-millionths of a degree add up to the same sum in any order
_KINDS = (Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN)
MAX_PROPERTIES = 20


def tile_properties(collection: Collection, scope: Scope, names: Iterable[str] | None = None) -> tuple[Property, ...]:
    """What a tile carries beside the id: codes and numbers that a style draws by, not texts nor computed areas.

    `names`: only these, in the order of the collection. Raises UnknownProperty for one that tiles do not carry.
    """
    drawn = [
        p
        for p in visible_properties(collection, scope)
        if not p.is_filled and (p.codes is not None or p.kind in _KINDS)
    ][:MAX_PROPERTIES]
    if names is None:
        return tuple(drawn)
    wanted, known = set(names), [p.name for p in drawn]
    for name in wanted:
        if name not in known:
            raise UnknownProperty(collection.id, name, known, parameter="properties")
    return tuple(p for p in drawn if p.name in wanted)


@dataclass(frozen=True, slots=True)
class TilePlan:
    """How a tile is made: whole, or reduced to `cap` features. `budget` in bytes, `percent` of the table looked at.

    Points are reduced to clusters, whose number the cells bound.
    """

    is_whole: bool
    cap: int
    budget: int
    percent: float | None = None

    def is_kept(self, size: int, taken: int) -> bool:
        """True where a tile of `size` bytes, made of `taken` features, may be sent."""
        return size <= self.budget and (taken <= self.cap or not self.is_whole)

    def truncated(self, collection: Collection, taken: int) -> int | None:
        """The most features such a tile holds, where not all are in it one by one; None where they are."""
        if self.is_whole:
            return None
        if collection.geometry_type == "Point":
            return MAX_CLUSTERS if taken or self.percent is not None else None
        return self.cap if taken > self.cap or self.percent is not None else None


def first_plan(
    collection: Collection, query: FeatureQuery, tile: TileCoord, *, deepest: int = FULL_FROM_ZOOM
) -> TilePlan:
    """How to make the tile at first; `deepest` is the last zoom there is, which is whole too."""
    if tile.zoom >= min(FULL_FROM_ZOOM, deepest):
        return TilePlan(True, MAX_WHOLE, WHOLE_BUDGET_BYTES)
    return TilePlan(False, MAX_FEATURES, BUDGET_BYTES, _sample_percent(collection, query, tile))


def next_plan(plan: TilePlan, size: int, collection: Collection, query: FeatureQuery, tile: TileCoord) -> TilePlan:
    """How to make a tile again that came out too large: reduced, by as much as it was too large and at least by half."""
    if plan.is_whole:
        return TilePlan(False, MAX_FEATURES, plan.budget, _sample_percent(collection, query, tile))
    cap = min(plan.cap // 2, int(plan.cap * plan.budget / size))
    return TilePlan(False, max(cap, 1), plan.budget, plan.percent)


def tile_sql(
    collection: Collection,
    query: FeatureQuery,
    scope: Scope,
    tile: TileCoord,
    *,
    plan: TilePlan | None = None,
    properties: tuple[Property, ...] | None = None,
) -> Sql:
    """One row: `body` (the MVT, NULL for nothing), `taken`, `stamp` of the collection (`cim.query.stamps`).

    `taken`: features found, one more than the cap when there are more; of clustered points the clusters of two and more.
    The inner ORDER BY with LIMIT or OFFSET keeps `drawn` one row value, which ST_AsMVT needs also on distributed tables.
    """
    plan = first_plan(collection, query, tile) if plan is None else plan
    shown = tile_properties(collection, scope) if properties is None else properties
    is_clustered = not plan.is_whole and collection.geometry_type == "Point"
    box = tile.bbox(margin=CELL / EXTENT if is_clustered else BUFFER / EXTENT)
    condition = Sql.of("geom && {} AND ({})", envelope(box), where(collection, query, scope))
    every = Sql.of("{} AS feature WHERE {}", rows(collection, query, scope, within=box), condition)
    source = every if plan.percent is None else _sampled(collection, query, scope, box, plan.percent, condition)
    if plan.is_whole:
        kept, drawn, taken = Sql(), _whole(collection, tile, plan, shown, source), Sql.of("count(*)")
    elif is_clustered:
        kept, drawn, taken = Sql(), _clusters(tile, plan, shown, source), Sql.of("count(*) FILTER (WHERE cluster)")
    else:
        kept = Sql.of("WITH found AS MATERIALIZED ({}) ", _largest(tile, plan, source))
        drawn = _reduced(collection, tile, plan, shown, every)
        taken = Sql.of("(SELECT count(*) FROM found)")
    return Sql.of(
        "{}SELECT ST_AsMVT(drawn, {}, {}, 'tile_geometry') FILTER (WHERE NOT ST_IsEmpty(tile_geometry)) AS body, {} AS taken, "
        "({}) AS stamp FROM ({}) AS drawn",
        kept,
        Cast(collection.id, "text"),
        Cast(EXTENT, "int"),
        taken,
        stamp(collection.id),
        drawn,
    )


def _columns(shown: tuple[Property, ...]) -> Sql:
    return Sql.join("", [Sql.of(", {}", p.column) for p in shown])


def _sample_percent(collection: Collection, query: FeatureQuery, tile: TileCoord) -> float | None:
    """Which part of the table to look at, None for all of it: only a table can be sampled, not what was once in it."""
    bounds = collection.extent.bounds_crs84
    most = SCAN_POINTS if collection.geometry_type == "Point" else SCAN_FEATURES
    if (
        query.known_at is not None
        or bounds is None
        or collection.feature_count is None
        or collection.feature_count <= most
    ):
        return None
    expected = tile.bbox().share_of(bounds) * collection.feature_count
    return None if expected <= most else 100 * most / expected


def _sampled(
    collection: Collection, query: FeatureQuery, scope: Scope, box: Bbox, percent: float, condition: Sql
) -> Sql:
    """A part of the pages of the table, the same each time."""
    sample = Sql.of(" TABLESAMPLE SYSTEM ({}) REPEATABLE (0)", Cast(percent, "real"))
    if sees_whole(collection, scope):
        return Sql.of("{} AS feature{} WHERE {}", rows(collection, query, scope, within=box), sample, condition)
    hidden = rows(collection, query, scope, within=box, sample=sample)
    return Sql.of("{} AS feature WHERE {}", hidden, condition)


def _scaled(geometry: Sql, tile: TileCoord) -> Sql:
    """The geometry (degrees) in tile coordinates."""
    placed = geometry if tile.is_even else Sql.of("ST_Transform({}, 3857)", geometry)
    return Sql.of("ST_TransScale({}, {}, {}, {}, {})", placed, *(Cast(number, "float8") for number in tile.scale))


def _cut(tile: TileCoord) -> Sql:
    """The stored geometry, cut where it reaches over the tile's margin."""
    box = envelope(tile.bbox())
    return Sql.of("CASE WHEN geom @ {} THEN geom ELSE ST_ClipByBox2D(geom, {}) END", box, box)


def _shape(collection: Collection, geometry: Sql) -> Sql:
    """Tile coordinates made whole numbers, rings turned as MVT has them, a collection brought to its highest dimension."""
    snapped = Sql.of("ST_SnapToGrid({}, 1)", geometry)
    if collection.geometry_type.endswith("Polygon"):
        return Sql.of("ST_ForcePolygonCCW({})", snapped)
    if collection.geometry_type.startswith("Geometry"):
        return Sql.of("ST_CollectionExtract(ST_ForcePolygonCCW({}))", snapped)
    return snapped


def _whole(collection: Collection, tile: TileCoord, plan: TilePlan, shown: tuple[Property, ...], source: Sql) -> Sql:
    return Sql.of(
        "SELECT id{}, {} AS tile_geometry FROM {} ORDER BY id LIMIT {}",
        _columns(shown),
        _shape(collection, _scaled(_cut(tile), tile)),
        source,
        Cast(plan.cap + 1, "bigint"),
    )


def _size(tile: TileCoord) -> Sql:
    """Length of the longer side of the geometry's box, in pixels as they are in the middle of the tile."""
    width, height = _pixel(tile)
    return Sql.of("greatest((ST_XMax(geom) - ST_XMin(geom)) / {}, (ST_YMax(geom) - ST_YMin(geom)) / {})", width, height)


def _pixel(tile: TileCoord) -> tuple[Cast, Cast]:
    """Sides of a pixel in degrees."""
    box = tile.bbox(margin=0)
    sides = (box.max_x - box.min_x, box.max_y - box.min_y)
    return Cast(sides[0] / EXTENT * PIXEL, "float8"), Cast(sides[1] / EXTENT * PIXEL, "float8")


def _largest(tile: TileCoord, plan: TilePlan, source: Sql) -> Sql:
    """Ids of the largest features, and of those smaller than a pixel one of each pixel; one more than the cap.

    The box of a row is taken out of its geometry once, and no row is sorted before there is one a pixel (OFFSET 0 keeps the
    planner from writing the steps into one another): a third of what sorting a hundred thousand costs.
    """
    width, height = _pixel(tile)
    return Sql.of(
        "SELECT id, size FROM (SELECT min(id) AS id, max(size) AS size FROM (SELECT id, size, "
        "CASE WHEN size < 1 THEN floor((x - {}) / {})::bigint << 32 | width_bucket(y, {})::bigint END AS pixel, "
        "CASE WHEN size >= 1 THEN id END AS alone FROM (SELECT id, ST_XMin(box) AS x, ST_YMin(box) AS y, "
        "greatest((ST_XMax(box) - ST_XMin(box)) / {}, (ST_YMax(box) - ST_YMin(box)) / {}) AS size "
        "FROM (SELECT id, geom::box3d AS box FROM {} OFFSET 0) AS boxed OFFSET 0) AS measured) AS placed "
        "GROUP BY pixel, alone) AS kept ORDER BY size DESC, id LIMIT {}",
        Cast(tile.longitude(tile.col), "float8"),
        width,
        Cast(_edges(tile, EXTENT // PIXEL), "float8[]"),
        width,
        height,
        source,
        Cast(plan.cap + 1, "bigint"),
    )


def _edges(tile: TileCoord, parts: int) -> list[float]:
    """Latitudes that cut the tile and its margin into rows, from south to north."""
    beyond = max(1, parts * BUFFER // EXTENT)
    return [tile.latitude(tile.row + part / parts) for part in range(parts + beyond, -beyond - 1, -1)]


def _reduced(collection: Collection, tile: TileCoord, plan: TilePlan, shown: tuple[Property, ...], source: Sql) -> Sql:
    """What `_largest` found, with fewer vertices; areas smaller than a pixel are drawn as the pixel."""
    corner = _scaled(Sql.of("ST_SetSRID(ST_MakePoint(ST_XMin(geom), ST_YMin(geom)), 4326)"), tile)
    side = Cast(PIXEL, "float8")
    shape = Sql.of(
        "CASE WHEN {} < 1 AND ST_Dimension(geom) = 2 THEN (SELECT ST_MakeEnvelope(x, y, x + {}, y + {}) FROM "
        "(SELECT floor(ST_X(corner) / {}) * {} AS x, floor(ST_Y(corner) / {}) * {} AS y FROM (SELECT {} AS corner) AS low) AS low) "
        "ELSE ST_RemoveRepeatedPoints({}, {}) END",
        _size(tile),
        *(side,) * 6,
        corner,
        _scaled(_cut(tile), tile),
        Cast(PIXEL / 2, "float8"),
    )
    return Sql.of(
        "SELECT id{}, {} AS tile_geometry FROM {} AND id IN (SELECT id FROM found ORDER BY size DESC, id LIMIT {}) "
        "ORDER BY id OFFSET 0",
        _columns(shown),
        _shape(collection, shape),
        source,
        Cast(plan.cap, "bigint"),
    )


def _clusters(tile: TileCoord, plan: TilePlan, shown: tuple[Property, ...], source: Sql) -> Sql:
    """Points by the cell of a grid: one that is alone as it is, others as `cluster` with `point_count`.

    Of a sample the number is an estimate and marked as one, and no point is known to be alone.
    """
    cells = EXTENT // CELL
    west, width = tile.longitude(tile.col), (tile.longitude(tile.col + 1) - tile.longitude(tile.col)) / cells
    values = Sql.join("", [_value_alone(p) for p in shown])
    counted = Sql.of("count(*)")
    if plan.percent is not None:
        counted = Sql.of("round(count(*) * {})::bigint", Cast(100 / plan.percent, "float8"))
    gathered = Sql.of(
        "SELECT min(id) AS first_id, {} AS points{}, sum((ST_X(geom) * {})::int) / count(*)::float8 / {} AS x, "
        "sum((ST_Y(geom) * {})::int) / count(*)::float8 / {} AS y, width_bucket(ST_Y(geom), {}) AS cell_y, "
        "floor((ST_X(geom) - {}) / {}) AS cell_x FROM {} GROUP BY cell_y, cell_x",
        counted,
        values,
        *(Cast(_DEGREE, "float8"),) * 4,
        Cast(_edges(tile, cells), "float8[]"),
        Cast(west, "float8"),
        Cast(width, "float8"),
        source,
    )
    estimated = Sql() if plan.percent is None else Sql.of(", CASE WHEN points > 1 THEN TRUE END AS estimated")
    return Sql.of(
        "SELECT CASE WHEN points = 1 THEN first_id END AS id{}, CASE WHEN points > 1 THEN TRUE END AS cluster, "
        "CASE WHEN points > 1 THEN points END AS point_count{}, ST_SnapToGrid({}, 1) AS tile_geometry "
        "FROM ({}) AS gathered ORDER BY cell_y, cell_x OFFSET 0",
        _columns(shown),
        estimated,
        _scaled(Sql.of("ST_SetSRID(ST_MakePoint(x, y), 4326)"), tile),
        gathered,
    )


def _value_alone(shown: Property) -> Sql:
    if shown.kind is Kind.BOOLEAN:
        return Sql.of(", CASE WHEN count(*) = 1 THEN bool_and({}) END AS {}", shown.column, shown.column)
    return Sql.of(", CASE WHEN count(*) = 1 THEN min({}) END AS {}", shown.column, shown.column)
