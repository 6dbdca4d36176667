"""CityJSON geometry objects → surfaces with coordinates; every index is checked (catalogue B15)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from loaders.citymodel_footprint import Points, Surface

_DEPTH = {
    "MultiSurface": 0,
    "CompositeSurface": 0,
    "Solid": 1,
    "MultiSolid": 2,
    "CompositeSolid": 2,
}
"""How many levels of lists lie around the list of surfaces."""


class BrokenObject(ValueError):
    """A city object that cannot be read; `code` is that of the rejection."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def vertices_of(document: dict[str, Any]) -> Points:
    """The vertices as they stand, `(n, 3) float64`. Raises BrokenObject."""
    raw = document.get("vertices", [])
    try:
        vertices = np.array(raw, dtype=np.float64) if raw else np.empty((0, 3))
    except (TypeError, ValueError) as error:
        raise BrokenObject("cityjson/vertices", "vertices is not a list of [x, y, z]") from error
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise BrokenObject("cityjson/vertices", "vertices is not a list of [x, y, z]")
    return vertices


def transform_of(document: dict[str, Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(scale, translate) of the file; (1, 0) where it has none (CityJSON 1.0). Raises BrokenObject."""
    transform = document.get("transform")
    if transform is None:
        return np.ones(3), np.zeros(3)
    try:
        scale = np.array(transform["scale"], dtype=np.float64)
        translate = np.array(transform["translate"], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenObject("cityjson/transform", "transform needs scale and translate of three numbers") from error
    if scale.shape != (3,) or translate.shape != (3,) or not np.isfinite([scale, translate]).all():
        raise BrokenObject("cityjson/transform", "transform needs scale and translate of three numbers")
    if (scale == 0).any():
        raise BrokenObject("cityjson/transform", f"transform.scale is {scale.tolist()}: all vertices fall together")
    return scale, translate


def surfaces_of(geometry: Any, vertices: Points) -> tuple[str, list[Surface]]:
    """The LoD and the surfaces of one geometry object; of solids the outer shell.

    Points, lines and templates give no surfaces. Raises BrokenObject for an index outside `vertices`.
    """
    if not isinstance(geometry, dict):
        raise BrokenObject("cityjson/geometry", "a geometry is no object")
    lod = str(geometry.get("lod", ""))
    depth = _DEPTH.get(str(geometry.get("type")))
    if depth is None:
        return lod, []
    semantics = geometry.get("semantics")
    semantics = semantics if isinstance(semantics, dict) else {}
    values = semantics.get("values")
    kinds = [s.get("type") if isinstance(s, dict) else None for s in semantics.get("surfaces") or []]
    found = [
        Surface(tuple(_ring(ring, vertices) for ring in _list(rings)), _kind(value, kinds))
        for rings, value in _outer(geometry.get("boundaries"), values, depth)
    ]
    return lod, found


def _outer(boundaries: Any, values: Any, depth: int) -> Iterator[tuple[Any, Any]]:
    """(surface, its semantic value) of the outer shells."""
    boundaries = _list(boundaries)
    values = values if isinstance(values, list) else []
    if depth == 0:
        for index, surface in enumerate(boundaries):
            yield surface, values[index] if index < len(values) else None
    elif depth == 1:
        if boundaries:
            yield from _outer(boundaries[0], values[0] if values else None, 0)
    else:
        for index, solid in enumerate(boundaries):
            yield from _outer(solid, values[index] if index < len(values) else None, depth - 1)


def _kind(value: Any, kinds: list[Any]) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(kinds):
        return kinds[value] if isinstance(kinds[value], str) else None
    return None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BrokenObject("cityjson/boundaries", "boundaries are not nested as the geometry's type asks")
    return value


def _ring(ring: Any, vertices: Points) -> Points:
    indexes = _list(ring)
    for index in indexes:
        if not isinstance(index, int) or isinstance(index, bool):
            raise BrokenObject("cityjson/boundaries", "boundaries are not nested as the geometry's type asks")
        if not 0 <= index < len(vertices):
            raise BrokenObject(
                "cityjson/vertex-index", f"a surface names vertex {index}; there are {len(vertices)}, counted from 0"
            )
    taken: Points = vertices[indexes] if indexes else np.empty((0, 3))
    return taken
