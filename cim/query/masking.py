"""Places as a caller may know them: the centre of a grid's cell in place of a geometry (catalogue B47).

The cells are at least `precision_m` high and wide everywhere: rows of equal height from the equator, each cut from
the meridian of Greenwich on into cells as wide as its middle latitude asks for. A feature is in the cell that holds the
middle of its box. The grid is the same for every request, so a feature has one masked place and no averaging finds another.
"""

import math
from dataclasses import replace

from cim.model import Collection, Extent, Scope
from cim.sql import Cast, Sql

METRES_A_DEGREE = 110_574.0
"""Of latitude at the equator, the shortest there are; a degree of longitude there is longer."""

MIN_COSINE = 0.01
"""Of the latitude of a row's middle: towards the poles cells end to grow."""

DISTRICT_DIGITS = 6
"""A masked feature tells its district; the code of a street or community would place it within a cell."""

PIXELS_A_WORLD = 256
_EQUATOR_M = 40_075_016.69


def is_masked(collection: Collection, scope: Scope) -> bool:
    """True where the caller is told cells instead of places."""
    return scope.precision_m is not None and collection.is_maskable


def sees_whole(collection: Collection, scope: Scope) -> bool:
    """True where every property and place of a row that the caller sees may be shown as it is stored."""
    return not is_masked(collection, scope) and not scope.hides_some(collection.id)


def as_seen(collection: Collection, scope: Scope) -> Collection:
    """The collection as it is described to the caller: without what is hidden, its extent and count as far as they may know.

    Within an area neither extent nor count is told: both speak of rows that do not exist for the caller.
    """
    if scope.area_code is None and sees_whole(collection, scope):
        return collection
    seen = replace(
        collection,
        properties=tuple(p for p in collection.properties if not hides(collection, scope, p.name)),
        searched=collection.searched_columns(),
    )
    if is_masked(collection, scope):
        seen = replace(seen, geometry_type="Point", extent=_masked_extent(collection.extent, scope))
    if scope.area_code is not None:
        seen = replace(seen, extent=Extent(), feature_count=None)
    return seen


def hides(collection: Collection, scope: Scope, name: str) -> bool:
    """True where a property does not exist for the caller: it is hidden, or tells the place that is masked."""
    if scope.hides(collection.id, name):
        return True
    return is_masked(collection, scope) and any(p.reveals_place for p in collection.properties if p.name == name)


def _masked_extent(extent: Extent, scope: Scope) -> Extent:
    """Bounds of the cells that the bounds lie in."""
    bounds = extent.bounds_crs84
    if bounds is None:
        return extent
    height = cell_height_deg(scope)
    west, south, east, north = bounds
    south, north = max(math.floor(south / height) * height, -90.0), min(math.ceil(north / height) * height, 90.0)
    width = height / max(math.cos(math.radians(max(abs(south), abs(north)))), MIN_COSINE)
    west, east = max(math.floor(west / width) * width, -180.0), min(math.ceil(east / width) * width, 180.0)
    return replace(extent, bounds_crs84=(west, south, east, north))


def cell_height_deg(scope: Scope) -> float:
    """Height of the cells of a caller who is told no exact place."""
    assert scope.precision_m is not None
    return scope.precision_m / METRES_A_DEGREE


def deepest_zoom(collection: Collection, scope: Scope, most: int) -> int:
    """The last zoom of tiles that shows something new: there a cell is at least a pixel of a tile of 256."""
    if not is_masked(collection, scope):
        return most
    assert scope.precision_m is not None
    return min(most, max(0, math.ceil(math.log2(_EQUATOR_M / PIXELS_A_WORLD / scope.precision_m))))


def masked_place(scope: Scope) -> Sql:
    """Expression over `geom`: the centre of its cell, NULL where there is no place."""
    height = Sql.of("{}", Cast(cell_height_deg(scope), "float8"))
    y = Sql.of("LEAST((floor((ST_YMin(geom) + ST_YMax(geom)) / 2 / {}) + 0.5) * {}, 90)", height, height)
    width = Sql.of("({} / GREATEST(cos(radians({})), {}))", height, y, Cast(MIN_COSINE, "float8"))
    x = Sql.of("(floor((ST_XMin(geom) + ST_XMax(geom)) / 2 / {}) + 0.5) * {}", width, width)
    # LEAST passes over NULL, so that a row without a place must be told first
    return Sql.of("CASE WHEN NOT ST_IsEmpty(geom) THEN ST_SetSRID(ST_MakePoint(LEAST({}, 180), {}), 4326) END", x, y)


def reach(scope: Scope, geometry: Sql) -> Sql:
    """The box in which a true geometry meets whose masked place may lie in `geometry` (EPSG:4326), evaluated once a statement."""
    height = Cast(cell_height_deg(scope), "float8")
    return Sql.of(
        "(SELECT ST_Expand(ST_Envelope(asked), height / GREATEST(cos(radians(LEAST(90, "
        "GREATEST(abs(ST_YMin(asked)), abs(ST_YMax(asked))) + height))), {}), height) "
        "FROM (SELECT {} AS asked, {} AS height) AS given)",
        Cast(MIN_COSINE, "float8"),
        geometry,
        height,
    )


def masked_code(scope: Scope) -> Sql:
    """Expression over `area_code`: as far as the caller may know it, the district or their own area."""
    digits = max(DISTRICT_DIGITS, len(scope.area_code or ""))
    return Sql.of("left(area_code, {})", Cast(digits, "int"))
