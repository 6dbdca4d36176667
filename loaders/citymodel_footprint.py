"""Footprint and height of a building from the surfaces of its levels of detail.

Several LoDs of one building are one building: the footprint comes from the LoD that draws it best, the height from
the most detailed one. Which it was stands in the row.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.errors import GEOSException

Points = npt.NDArray[np.float64]

MAX_VERTICES = 500_000
"""A building with more is not taken."""

MAX_INVALID_VERTICES = 1_000
"""A surface with more vertices is not repaired: GEOS may take minutes (catalogue A1, A4)."""

_FLAT = 0.95  # cosine of the steepest slope that counts as horizontal: 18°
_SAME_LEVEL_M = 0.5
_METRES_PER_DEGREE = 111_320.0


class NoFootprint(ValueError):
    """A building whose surfaces give no footprint; `code` is that of the rejection."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Surface:
    """Rings as `(n, 3) float64`, the exterior first, easting or longitude first; `kind` e.g. GroundSurface."""

    rings: tuple[Points, ...]
    kind: str | None = None


@dataclass(slots=True)
class Model:
    """The surfaces of one building and its parts, by LoD ("0", "1.2", …)."""

    surfaces: dict[str, list[Surface]] = field(default_factory=dict)

    def add(self, lod: str, surfaces: Iterable[Surface]) -> None:
        """Surfaces of one more geometry or part."""
        self.surfaces.setdefault(lod, []).extend(surfaces)


@dataclass(frozen=True, slots=True)
class Shape:
    """`footprint` is in the source's horizontal CRS; `height_m` is None where the model is flat."""

    footprint: shapely.MultiPolygon
    footprint_source: str
    height_m: float | None
    height_source: str | None


def shape_of(model: Model, *, is_geographic: bool, metres_per_height_unit: float = 1.0) -> Shape:
    """Footprint and derived height. Raises NoFootprint.

    In this order: LoD 0, the ground surfaces of LoD 2, 1, 3 and 4, the lowest horizontal surfaces of those, the
    projection of all surfaces. The height is the highest minus the lowest vertex of the most detailed LoD.
    """
    lods = {lod: found for lod, found in model.surfaces.items() if found}
    if not lods:
        raise NoFootprint("geometry/missing", "the building has no surfaces (and none of its parts has)")
    if sum(len(r) for found in lods.values() for s in found for r in s.rings) > MAX_VERTICES:
        raise NoFootprint("geometry/too-complex", f"more than {MAX_VERTICES} vertices")
    grid = 1e-8 if is_geographic else 0.001
    footprint, source = _footprint(lods, grid, is_geographic)
    height_m, height_source = _height(lods, metres_per_height_unit)
    return Shape(footprint, source, height_m, height_source)


def _footprint(lods: dict[str, list[Surface]], grid: float, is_geographic: bool) -> tuple[shapely.MultiPolygon, str]:
    ordered = sorted(lods, key=_suitability)
    if _level(ordered[0]) == 0:
        at_ground = [s for s in lods[ordered[0]] if s.kind != "RoofEdge"]
        if merged := _merged(at_ground or lods[ordered[0]], grid):
            return merged, "LoD 0" if at_ground else "LoD 0, roof edge"
    for lod in ordered:
        ground = [s for s in lods[lod] if s.kind == "GroundSurface"]
        if ground and (merged := _merged(ground, grid)):
            return merged, f"ground surfaces of LoD {lod}"
    for lod in ordered:
        shadow = _merged(lods[lod], grid)
        if shadow is None:
            continue
        lowest = _merged(_lowest(lods[lod], is_geographic), grid)
        if lowest is not None and lowest.area >= 0.5 * shadow.area:
            return lowest, f"lowest horizontal surfaces of LoD {lod}"
        return shadow, f"all surfaces of LoD {lod}, seen from above"
    raise NoFootprint("geometry/empty", "seen from above the building's surfaces have no area")


def _level(lod: str) -> float:
    try:
        return float(lod)
    except ValueError:
        return 9.0


def _suitability(lod: str) -> tuple[int, float]:
    """LoD 0 first, then 2.x, 1.x, 3.x, 4; inside one the most detailed first."""
    level = _level(lod)
    return [0, 2, 1, 3, 4, 9].index(int(level)) if int(level) in (0, 1, 2, 3, 4) else 9, -level


def _merged(surfaces: Sequence[Surface], grid: float) -> shapely.MultiPolygon | None:
    """The union of surfaces seen from above, None where it has no area."""
    flat = [polygon for s in surfaces if (polygon := _seen_from_above(s, grid)) is not None]
    if not flat:
        return None
    try:
        union = shapely.union_all(flat, grid_size=grid)
    except GEOSException:
        union = shapely.union_all(flat)
    parts = [p for p in shapely.get_parts(union) if p.geom_type == "Polygon" and p.area > grid]
    return shapely.MultiPolygon(parts) if parts else None


def _seen_from_above(surface: Surface, grid: float) -> shapely.Geometry | None:
    rings = [r[:, :2] for r in surface.rings if len(r) >= 3]
    if not rings:
        return None
    polygon = shapely.Polygon(rings[0], rings[1:])
    if polygon.area <= grid * grid:
        return None
    if shapely.is_valid(polygon):
        return polygon
    if sum(len(r) for r in rings) > MAX_INVALID_VERTICES:
        raise NoFootprint(
            "geometry/too-complex", f"an invalid surface with more than {MAX_INVALID_VERTICES} vertices is not repaired"
        )
    return shapely.make_valid(polygon, method="structure", keep_collapsed=False)


def _lowest(surfaces: Sequence[Surface], is_geographic: bool) -> list[Surface]:
    floor = min(float(s.rings[0][:, 2].min()) for s in surfaces if len(s.rings) and len(s.rings[0]))
    return [
        s
        for s in surfaces
        if s.rings and float(s.rings[0][:, 2].max()) <= floor + _SAME_LEVEL_M and _is_flat(s.rings[0], is_geographic)
    ]


def _is_flat(ring: Points, is_geographic: bool) -> bool:
    points: Any = ring - ring[0]
    if is_geographic:
        east = _METRES_PER_DEGREE * float(np.cos(np.radians(ring[0, 1])))
        points = points * [east, _METRES_PER_DEGREE, 1.0]
    normal = np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0)  # Newell
    length = float(np.linalg.norm(normal))
    return length > 0 and abs(float(normal[2])) / length > _FLAT


def _height(lods: dict[str, list[Surface]], metres_per_height_unit: float) -> tuple[float | None, str | None]:
    for lod in sorted(lods, key=_level, reverse=True):
        heights = np.concatenate([s.rings[0][:, 2] for s in lods[lod] if s.rings])
        extent = (float(heights.max()) - float(heights.min())) * metres_per_height_unit
        if extent > 0:
            return round(extent, 3), f"derived: highest minus lowest vertex of LoD {lod}"
    return None, None
