"""Geometries of a filter and the S_ functions (OGC 21-065r2, 7.4 and 7.5).

Literals are brought to CRS84 here, so that the column stays as it is and its index serves.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NoReturn

from cim.bbox import HALF_M, WEB_MERCATOR, Bbox, bbox_of
from cim.crs import Crs
from cim.errors import InvalidBody, TooLarge
from cim.query.filter.limits import Node, is_geometry, too_complex
from cim.query.filter.values import Expression, Type, fail, once
from cim.query.geometry import MAX_VERTICES, Place, check_geometry
from cim.query.predicate import STORED_SRID, envelope, geometry_of
from cim.sql import Sql

_PREDICATES = {
    "s_contains": "ST_Contains({}, {})",
    "s_crosses": "ST_Crosses({}, {})",
    "s_equals": "ST_Equals({}, {})",
    "s_intersects": "ST_Intersects({}, {})",
    "s_overlaps": "ST_Overlaps({}, {})",
    "s_touches": "ST_Touches({}, {})",
    "s_within": "ST_Within({}, {})",
}


def spatial(operator: str, left: Expression, right: Expression) -> Sql:
    """An S_ function. Raises InvalidParameter for what is no geometry."""
    for operand in (left, right):
        if operand.type is not Type.GEOMETRY:
            fail(operand, f"{operator.upper()} compares geometries, not {operand.described()}")
    if operator == "s_disjoint":
        return Sql.of("NOT ST_Intersects({}, {})", left.sql, right.sql)
    exact = Sql.of(_PREDICATES[operator], left.sql, right.sql)
    if left.is_constant == right.is_constant:
        return exact
    varying, constant = (right, left) if left.is_constant else (left, right)
    near = Sql.join(" OR ", [Sql.of("{} && {}", varying.sql, box) for box in constant.boxes])
    return Sql.of("(({}) AND {})" if len(constant.boxes) > 1 else "({} AND {})", near, exact)


def literal_geometries(node: Node, crs: Crs) -> list[str]:
    """GeoJSON texts in CRS84 of the geometries that a tree writes out, boxes left out.

    What they contain is undefined where one crosses itself: the caller asks `cim.query.predicate.validity` first.
    Raises InvalidParameter, FilterTooComplex.
    """
    return [checked_geometry(found, crs) for found in _geometries(node) if "type" in found]


def _geometries(node: Node) -> Iterator[dict[str, Any]]:
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting.extend(part)
        elif is_geometry(part):
            yield part
        elif isinstance(part, dict):
            waiting.extend(part.get("args") or part.get("interval") or ())


def geometry_literal(node: dict[str, Any], crs: Crs) -> Expression:
    """A GeoJSON geometry or a box in `crs`. Raises InvalidParameter, FilterTooComplex."""
    if "type" in node:
        sql = geometry_of(checked_geometry(node, crs))
        return Expression(Type.GEOMETRY, f"the {node['type']}", sql, is_constant=True, boxes=(sql,))
    parts = _box(node["bbox"], crs).parts()
    boxes = tuple(envelope(part) for part in [part for part in parts if part.min_x < part.max_x] or parts[:1])
    whole = boxes[0] if len(boxes) == 1 else once(Sql.of("ST_Collect({}, {})", *boxes))
    return Expression(Type.GEOMETRY, "BBOX", whole, is_constant=True, boxes=boxes)


def _box(numbers: Any, crs: Crs) -> Bbox:
    is_numbers = isinstance(numbers, list) and all(
        isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers
    )
    if not is_numbers:
        fail("BBOX", "a box has four numbers, or six with heights")
    return bbox_of(numbers, crs=crs, parameter="filter")


def checked_geometry(node: dict[str, Any], crs: Crs) -> str:
    """The GeoJSON text of a literal, in CRS84. Raises InvalidParameter, FilterTooComplex."""
    try:
        return check_geometry(node, None if crs.is_stored else place_in(crs))
    except TooLarge as error:
        raise too_complex(f"a geometry has more than {MAX_VERTICES:,} vertices") from error
    except InvalidBody as error:
        _refuse(error.detail.removeprefix("geometry: "), crs)


def _refuse(reason: str, crs: Crs) -> NoReturn:
    where = "" if crs.is_stored else f"; coordinates are read in {crs.uri}, its axes in the authority's order"
    fail("geometry", f"{reason}{where}")


@lru_cache(maxsize=256)
def place_in(crs: Crs) -> Place:
    """Longitude and latitude of two numbers in the axis order of `crs`; infinite where there are none."""
    from pyproj import Transformer

    transformer = Transformer.from_crs(crs.srid, STORED_SRID, always_xy=True)

    def place(first: float, second: float) -> tuple[float, float]:
        x, y = (second, first) if crs.is_swapped else (first, second)
        if crs.srid == WEB_MERCATOR and max(abs(x), abs(y)) > HALF_M:  # PROJ wraps around
            return math.inf, math.inf
        longitude, latitude = (x, y) if crs.srid == STORED_SRID else transformer.transform(x, y)
        return longitude, latitude

    return place
