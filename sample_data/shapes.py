"""Footprints of several shapes from width, depth and wing thickness, many at a time."""

import numpy as np
import shapely

from sample_data.plane import Floats, Geometries

SHAPES = ("slab", "l", "u", "t", "courtyard", "cross", "tower", "octagon", "podium")
NUMBERS = {name: number for number, name in enumerate(SHAPES)}

_OUTER = {
    "slab": "-w -d, w -d, w d, -w d",
    "l": "-w -d, w -d, w -d+a, -w+a -d+a, -w+a d, -w d",
    "u": "-w -d, w -d, w d, w-a d, w-a -d+a, -w+a -d+a, -w+a d, -w d",
    "t": "-w -d, w -d, w -d+a, h -d+a, h d, -h d, -h -d+a, -w -d+a",
    "cross": "-w+n -d, w-n -d, w-n -d+n, w -d+n, w d-n, w-n d-n, w-n d, -w+n d, -w+n d-n, -w d-n, -w -d+n, -w+n -d+n",
    "octagon": "-w+c -d, w-c -d, w -d+c, w d-c, w-c d, -w+c d, -w d-c, -w -d+c",
}
_OUTER["tower"] = _OUTER["courtyard"] = _OUTER["podium"] = _OUTER["slab"]


def outer_ring(shape: str, width_m: Floats, depth_m: Floats, arm_m: Floats) -> Floats:
    """Corners `(n, k, 2)` about (0, 0), anticlockwise, the first not repeated."""
    w, d = width_m / 2, depth_m / 2
    less = np.minimum(w, d)
    terms = {"w": w, "d": d, "a": arm_m, "h": arm_m / 2, "n": less * 0.42, "c": less * 0.5}
    corners = [corner.split() for corner in _OUTER[shape].split(", ")]
    return np.stack([np.stack([_sum(x, terms), _sum(y, terms)], -1) for x, y in corners], 1)


def _sum(expression: str, terms: dict[str, Floats]) -> Floats:
    total = np.zeros_like(terms["w"])
    for part in expression.replace("-", " -").replace("+", " ").split():
        total = total - terms[part[1:]] if part.startswith("-") else total + terms[part]
    return total


def court_ring(width_m: Floats, depth_m: Floats, arm_m: Floats) -> Floats:
    """The hole of a courtyard building, `(n, 4, 2)` about (0, 0)."""
    return outer_ring("slab", width_m - 2 * arm_m, depth_m - 2 * arm_m, arm_m)


def polygons(outer: Floats, holes: Floats | None = None) -> Geometries:
    """Polygons of `(n, k, 2)` rings with one `(n, m, 2)` hole each or none; outer rings run anticlockwise."""
    shells = shapely.linearrings(outer)
    made = shapely.polygons(shells) if holes is None else shapely.polygons(shells, shapely.linearrings(holes)[:, None])
    oriented: Geometries = shapely.orient_polygons(made)
    return oriented
