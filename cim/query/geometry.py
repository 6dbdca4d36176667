"""Geometry in a request body: checked here, without a geometry library, before any parser in C sees it (catalogue B05)."""

import math
from collections.abc import Callable
from typing import Any

import orjson

from cim.errors import InvalidBody, TooLarge, TooNested

MAX_NESTING = 8
MAX_VERTICES = 10_000

_COORDINATE_DEPTH = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}


Place = Callable[[float, float], tuple[float, float]]
"""Longitude and latitude of the first two numbers of a position that is written in another system."""


class _Counter:
    """Vertices seen so far in one geometry, and where their positions lie."""

    def __init__(self, place: Place | None) -> None:
        self.vertices = 0
        self.place = place

    def add(self) -> None:
        self.vertices += 1
        if self.vertices > MAX_VERTICES:
            raise TooLarge(f"the geometry has more than {MAX_VERTICES:,} vertices, which is the most taken here")


def check_geometry(document: Any, place: Place | None = None) -> str:
    """The GeoJSON geometry `document` (RFC 7946) as text for PostGIS in CRS84, its heights left out.

    Raises InvalidBody (not a geometry, ring not closed, outside CRS84), TooNested, TooLarge.
    """
    return orjson.dumps(_geometry(document, _Counter(place), 1)).decode()


def _geometry(document: Any, counter: _Counter, depth: int) -> dict[str, Any]:
    if depth > MAX_NESTING:
        raise TooNested(f"the geometry is nested more than {MAX_NESTING} deep", parameter="geometry")
    if not isinstance(document, dict):
        raise _invalid("it is not an object with type and coordinates")
    kind = document.get("type")
    if kind == "GeometryCollection":
        members = document.get("geometries")
        if not isinstance(members, list) or not members:
            raise _invalid("a GeometryCollection needs geometries")
        return {"type": kind, "geometries": [_geometry(member, counter, depth + 1) for member in members]}
    if not isinstance(kind, str) or kind not in _COORDINATE_DEPTH:
        raise _invalid(f"its type must be one of {', '.join([*_COORDINATE_DEPTH, 'GeometryCollection'])}")
    coordinates = _nested(document.get("coordinates"), _COORDINATE_DEPTH[kind], counter)
    if kind in ("Polygon", "MultiPolygon"):
        polygons = [coordinates] if kind == "Polygon" else coordinates
        for polygon in polygons:
            for ring in polygon:
                if len(ring) < 4 or ring[0] != ring[-1]:
                    raise _invalid("a ring must have four or more positions, the last one equal to the first")
    if kind in ("LineString", "MultiLineString"):
        for line in [coordinates] if kind == "LineString" else coordinates:
            if len(line) < 2:
                raise _invalid("a line must have two or more positions")
    return {"type": kind, "coordinates": coordinates}


def _nested(value: Any, depth: int, counter: _Counter) -> Any:
    if depth == 0:
        return _position(value, counter)
    if not isinstance(value, list) or not value:
        raise _invalid("its coordinates are not nested as its type asks")
    check: Callable[[Any], Any] = lambda member: _nested(member, depth - 1, counter)  # noqa: E731
    return [check(member) for member in value]


def _position(value: Any, counter: _Counter) -> list[float]:
    if not isinstance(value, list) or len(value) not in (2, 3):
        raise _invalid("a position is [longitude, latitude]")
    numbers = []
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise _invalid("a position holds finite numbers")
        numbers.append(float(number))
    if counter.place is not None:
        numbers[:2] = counter.place(numbers[0], numbers[1])
    if not (-180 <= numbers[0] <= 180 and -90 <= numbers[1] <= 90):
        raise _invalid("longitudes must lie in [-180, 180], latitudes in [-90, 90]")
    counter.add()
    return numbers[:2]


def _invalid(reason: str) -> InvalidBody:
    return InvalidBody(f"geometry: {reason}", parameter="geometry")
