"""Points of an IFC building's elements in the model's coordinates, without tessellation.

Corners of extrusions, boxes and face sets and vertices of shells, placed: enough for a hull, in milliseconds.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import ifcopenshell.util.element
import ifcopenshell.util.placement
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

MAX_POINTS = 2_000_000
_MAX_DEPTH = 8
_BODY = ("Body", "Facetation", "Box", "Axis", "FootPrint", None)
"""Representations in the order in which they are asked; plans, clearances and annotations are not asked."""
_NOT_THE_BUILDING = (
    *("IfcFurnishingElement", "IfcOpeningElement", "IfcVirtualElement", "IfcGeographicElement", "IfcCivilElement"),
    *("IfcFeatureElement",),
)


def elements_of(model: Any, building: Any, *, is_only: bool) -> list[Any]:
    """The physical elements of a building; of the whole file where it is the only building."""
    found = model.by_type("IfcElement") if is_only else ifcopenshell.util.element.get_decomposition(building)
    return [e for e in found if e.is_a("IfcElement") and not any(_is(e, kind) for kind in _NOT_THE_BUILDING)]


def points_of(elements: Iterable[Any]) -> Points:
    """`(n, 3)` points of all elements in project units; an element without a shape gives its origin."""
    parts: list[Points] = []
    total = 0
    for element in elements:
        if element.ObjectPlacement is None:
            continue
        matrix = np.array(ifcopenshell.util.placement.get_local_placement(element.ObjectPlacement))
        local = _shape_points(element)
        placed = _moved(local if len(local) else np.zeros((1, 3)), matrix)
        placed = placed[np.isfinite(placed).all(axis=1)]
        parts.append(placed)
        total += len(placed)
        if total > MAX_POINTS:
            break
    return np.concatenate(parts) if parts else np.empty((0, 3))


def _is(entity: Any, kind: str) -> bool:
    try:
        return bool(entity.is_a(kind))
    except RuntimeError:  # a class that this schema does not have
        return False


def _moved(points: Points, matrix: Points) -> Points:
    moved: Points = points @ matrix[:3, :3].T + matrix[:3, 3]
    return moved


def _shape_points(element: Any) -> Points:
    shape = element.Representation
    representations = list(shape.Representations) if shape is not None else []
    for wanted in _BODY:
        found = [
            points
            for r in representations
            if r.RepresentationIdentifier == wanted
            for item in r.Items
            for points in _item_points(item, 0)
        ]
        if found:
            return np.concatenate(found)
    return np.empty((0, 3))


def _item_points(item: Any, depth: int) -> Iterator[Points]:
    if depth > _MAX_DEPTH:
        return
    if item.is_a("IfcMappedItem"):
        matrix = np.array(ifcopenshell.util.placement.get_mappeditem_transformation(item))
        for inner in item.MappingSource.MappedRepresentation.Items:
            for points in _item_points(inner, depth + 1):
                yield _moved(points, matrix)
    elif item.is_a("IfcBooleanResult"):
        yield from _item_points(item.FirstOperand, depth + 1)
    elif item.is_a("IfcExtrudedAreaSolid"):
        yield from _extrusion(item)
    elif item.is_a("IfcBoundingBox"):
        corner = np.array(item.Corner.Coordinates, dtype=float)
        size = np.array([item.XDim, item.YDim, item.ZDim], dtype=float)
        yield np.array([corner + size * [i & 1, i >> 1 & 1, i >> 2] for i in range(8)])
    elif _is(item, "IfcTessellatedFaceSet"):
        yield _three(item.Coordinates.CoordList)
    elif item.is_a("IfcPolyline"):
        yield _three([p.Coordinates for p in item.Points])
    elif item.is_a("IfcFaceBasedSurfaceModel") or item.is_a("IfcShellBasedSurfaceModel") or _is_brep(item):
        yield from _vertices(item)


def _is_brep(item: Any) -> bool:
    return bool(item.is_a("IfcManifoldSolidBrep"))


def _vertices(item: Any) -> Iterator[Points]:
    """Corners of the loops of a shell; of curved ones the vertices."""
    found: list[Any] = []
    for entity in item.file.traverse(item):
        if entity.is_a("IfcPolyLoop"):
            found += [p.Coordinates for p in entity.Polygon]
        elif entity.is_a("IfcVertexPoint") and entity.VertexGeometry.is_a("IfcCartesianPoint"):
            found.append(entity.VertexGeometry.Coordinates)
    if found:
        yield _three(found)


def _extrusion(item: Any) -> Iterator[Points]:
    outline = _profile(item.SweptArea)
    if not len(outline):
        return
    direction = np.array(item.ExtrudedDirection.DirectionRatios, dtype=float)
    length = float(np.linalg.norm(direction))
    path = direction / length * item.Depth if length else np.zeros(3)
    both = np.concatenate([outline, outline + path])
    matrix = (
        np.eye(4) if item.Position is None else np.array(ifcopenshell.util.placement.get_axis2placement(item.Position))
    )
    yield _moved(both, matrix)


def _profile(profile: Any) -> Points:
    """Corners of a profile; of one with other parameters its enclosing rectangle."""
    if _is(profile, "IfcArbitraryClosedProfileDef"):
        return _curve(profile.OuterCurve)
    facts = profile.get_info(recursive=False)
    width = facts.get("XDim") or facts.get("OverallWidth") or facts.get("Width") or facts.get("FlangeWidth")
    depth = facts.get("YDim") or facts.get("OverallDepth") or facts.get("Depth") or width
    if facts.get("Radius"):
        width = depth = 2 * facts["Radius"]
    if not width or not depth:
        return np.empty((0, 3))
    corners = np.array([[x * width / 2, y * depth / 2, 0.0] for x in (-1, 1) for y in (-1, 1)])
    return _in_plane(corners, facts["Position"]) if facts.get("Position") is not None else corners


def _in_plane(points: Points, position: Any) -> Points:
    """Points of a profile moved by its IfcAxis2Placement2D."""
    x, y = position.Location.Coordinates[:2]
    cos, sin = position.RefDirection.DirectionRatios[:2] if position.RefDirection is not None else (1.0, 0.0)
    length = float(np.hypot(cos, sin)) or 1.0
    turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, length]]) / length
    moved: Points = points @ turn + [x, y, 0.0]
    return moved


def _curve(curve: Any) -> Points:
    if _is(curve, "IfcIndexedPolyCurve"):
        return _three(curve.Points.CoordList)
    found = [p.Coordinates for line in _lines(curve) for p in line.Points]
    return _three(found) if found else np.empty((0, 3))


def _lines(curve: Any) -> list[Any]:
    if curve.is_a("IfcPolyline"):
        return [curve]
    if curve.is_a("IfcCompositeCurve"):
        return [line for s in curve.Segments if hasattr(s, "ParentCurve") for line in _lines(s.ParentCurve)]
    return []


def _three(rows: Any) -> Points:
    """Coordinates of two or three numbers as `(n, 3)`."""
    points = np.array(rows, dtype=float)
    return points if points.shape[1] == 3 else np.column_stack([points, np.zeros(len(points))])
