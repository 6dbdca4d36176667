"""GeoJSON geometries → shapely, whole columns of points and polygons at a time, with a reason for what is none."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.errors import ShapelyError

from loaders.fields import json_text

_COORDINATE_DEPTH = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}


def geometries_of(geometries: Sequence[Any]) -> npt.NDArray[Any]:
    """`(n,)`: a shapely geometry, None where there is none, or a text that says why it is not one."""
    found = np.full(len(geometries), None, dtype=object)
    by_kind: dict[str, list[int]] = {}
    for index, geometry in enumerate(geometries):
        if geometry is not None:
            kind = geometry.get("type") if isinstance(geometry, dict) else None
            by_kind.setdefault(kind if isinstance(kind, str) else "", []).append(index)
    for kind, indices in by_kind.items():
        made = _together(kind, [geometries[index] for index in indices]) if kind else None
        found[indices] = _apart([geometries[index] for index in indices]) if made is None else made
    return found


def _together(kind: str, geometries: Sequence[dict[str, Any]]) -> npt.NDArray[Any] | None:
    """All geometries of one kind at once, or None where one of them needs a closer look."""
    coordinates: list[Any] = [geometry.get("coordinates") for geometry in geometries]
    try:
        if kind == "Point":
            positions = _numbers(coordinates)
            return None if positions is None else np.asarray(shapely.points(positions), dtype=object)
        if kind == "Polygon":
            return _polygons(coordinates)
        if kind == "MultiPolygon":
            parts = _polygons(list(chain.from_iterable(coordinates)))
            if parts is None or not all(coordinates):
                return None
            owners = np.repeat(np.arange(len(coordinates)), [len(c) for c in coordinates])
            return np.asarray(shapely.multipolygons(parts, indices=owners), dtype=object)
    except (TypeError, ValueError, ShapelyError):
        return None
    return None


def _polygons(coordinates: Sequence[Any]) -> npt.NDArray[Any] | None:
    rings = list(chain.from_iterable(coordinates))
    counts = np.array([len(ring) for ring in rings], dtype=np.int64)
    positions = _numbers(list(chain.from_iterable(rings)))
    if positions is None or not len(counts) or counts.min() < 4 or not all(coordinates):
        return None
    ends = np.cumsum(counts)
    if not (positions[ends - counts] == positions[ends - 1]).all():
        return None  # a ring that is not closed, or NaN
    lines = shapely.linearrings(positions, indices=np.repeat(np.arange(len(rings)), counts))
    owners = np.repeat(np.arange(len(coordinates)), [len(polygon) for polygon in coordinates])
    return np.asarray(shapely.polygons(lines, indices=owners), dtype=object)


def _numbers(positions: list[Any]) -> npt.NDArray[np.float64] | None:
    """`(n, 2 or 3) float64`, or None when some position is not two or three numbers like all others."""
    found = np.array(positions)
    if found.ndim != 2 or found.shape[1] not in (2, 3) or found.dtype.kind not in "fi":
        return None
    return found.astype(np.float64)


def _apart(geometries: Sequence[Any]) -> npt.NDArray[Any]:
    texts = [json_text(geometry) for geometry in geometries]
    found = np.asarray(shapely.from_geojson(texts, on_invalid="ignore"), dtype=object)
    for index in np.flatnonzero(shapely.is_missing(found)).tolist():
        found[index] = _by_hand(geometries[index])
    return found


def _by_hand(geometry: Any) -> Any:
    """A geometry whose numbers GEOS refuses (NaN, infinity), or a text that says what is wrong."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in _COORDINATE_DEPTH and kind != "GeometryCollection":
        return f"type {json_text(kind)[:60]} is no geometry type of RFC 7946"
    if kind == "GeometryCollection":
        return "a geometry collection with a member that is no geometry"
    coordinates = geometry.get("coordinates")
    if coordinates == []:
        return shapely.from_wkt(f"{kind.upper()} EMPTY")
    if problem := _misshapen(coordinates, _COORDINATE_DEPTH[kind], kind):
        return f"{kind}: {problem}"
    try:
        return shapely.geometry.shape(geometry)
    except (ShapelyError, ValueError, TypeError, IndexError, AttributeError) as error:
        return f"{kind}: {str(error)[:150]}"


def _misshapen(coordinates: Any, depth: int, kind: str) -> str | None:
    """What is wrong with coordinates that should be lists of positions `depth` levels down."""
    if not isinstance(coordinates, list):
        return f"coordinates are {json_text(coordinates)[:40]}, where a list is expected"
    if depth == 1 and kind.endswith("Polygon") and coordinates and coordinates[0] != coordinates[-1]:
        return "a ring that is not closed"
    if depth:
        return next((problem for inner in coordinates if (problem := _misshapen(inner, depth - 1, kind))), None)
    if len(coordinates) < 2:
        return "a position with fewer than two numbers"
    for number in coordinates:
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            return f"{json_text(number)[:40]} is not a number"
    return None
