"""The buildings of an IFC model as rows: facts, storeys, heights, and the hull of their elements on the map."""

import re
from dataclasses import dataclass, field
from typing import Any

import ifcopenshell.util.element
import ifcopenshell.util.placement
import ifcopenshell.util.unit
import numpy as np
import shapely

from loaders.base import Rejection, SourceOptions
from loaders.citymodel_rows import rejection
from loaders.ifc_place import NoPlace, Place, place_of
from loaders.ifc_points import Points, elements_of, points_of

COLUMNS = (
    *("id", "name", "address", "height_m", "height_source", "floors_above", "year_built"),
    *("footprint_source", "place_source", "ifc_schema"),
)
_ROOF = re.compile(r"\broof\b|\bdach\b|屋顶|屋面|天面", re.I)
_PLACEHOLDER = re.compile(r"^//|^enter address here$|^default$", re.I)


@dataclass(slots=True)
class Found:
    """Rows with their footprints (lon, lat) and numbers, rejections, and what a user should know."""

    count: int
    notes: list[str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    shapes: list[shapely.Geometry] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


def buildings_of(model: Any, options: SourceOptions, what: str) -> Found:
    """Each IfcBuilding as a row, or the reason why not. Raises SourceRefused for a map CRS that PROJ does not know."""
    place, notes = place_of(model, options, what)
    unit_m = float(ifcopenshell.util.unit.calculate_unit_scale(model))
    buildings = model.by_type("IfcBuilding")
    found = Found(len(buildings), notes)
    for number, building in enumerate(buildings, 1):
        facts = _facts(model, building)
        if isinstance(place, NoPlace):
            found.rejections.append(rejection(number, place.code, building.GlobalId, place.reason, facts))
            continue
        elements = elements_of(model, building, is_only=len(buildings) == 1)
        points = points_of(elements)
        footprint = _footprint(points, place, unit_m)
        if footprint is None:
            reason = f"its {len(elements)} elements span no area: no footprint can be made"
            found.rejections.append(rejection(number, "geometry/missing", building.GlobalId, reason, facts))
            continue
        source = f"convex hull of {len(elements)} elements"
        heights = _heights(building, points, unit_m)
        found.rows.append({**facts, **heights, "footprint_source": source, "place_source": place.source})
        found.shapes.append(footprint)
        found.numbers.append(number)
    return found


def _footprint(points: Points, place: Place, unit_m: float) -> shapely.MultiPolygon | None:
    """The hull on the map, made in model coordinates; corners nearer than a centimetre to its edges are left out."""
    if len(points) < 3:
        return None
    hull = shapely.simplify(shapely.convex_hull(shapely.multipoints(points[:, :2])), 0.01 / unit_m)
    if hull.geom_type != "Polygon" or hull.area <= 0:
        return None
    return shapely.MultiPolygon([shapely.transform(hull, place.to_degrees)])


def _facts(model: Any, building: Any) -> dict[str, Any]:
    """What the building says of itself; programs' placeholders are left out."""
    common = ifcopenshell.util.element.get_psets(building).get("Pset_BuildingCommon", {})
    simple = {key: value for key, value in common.items() if key != "id" and isinstance(value, (str, int, float, bool))}
    storeys = _storeys(building)
    counted = sum(elevation >= -0.01 and not _ROOF.search(name) for name, elevation, _ in storeys)
    year = re.search(r"\d{4}", str(simple.pop("YearOfConstruction", "")))
    return {
        "id": building.GlobalId,
        "name": _kept(building.LongName) or _kept(building.Name),
        "address": _address(building),
        "floors_above": counted or None,
        "year_built": int(year.group()) if year else None,
        "description": _kept(building.Description),
        "ifc_schema": model.schema_identifier,
        **simple,
    }


def _kept(text: str | None) -> str | None:
    return None if not text or not text.strip() or _PLACEHOLDER.search(text.strip()) else text.strip()


def _address(building: Any) -> str | None:
    found = building.BuildingAddress
    if found is None:
        return None
    parts = [*(found.AddressLines or ()), found.Town, found.Region, found.PostalCode, found.Country]
    if any(part and _PLACEHOLDER.search(part.strip()) for part in parts):
        return None  # a program's default, its town too
    return ", ".join(kept for p in parts if (kept := _kept(p))) or None


def _storeys(building: Any) -> list[tuple[str, float, Any]]:
    """(name, elevation in project units, entity), lowest first."""
    found = [e for e in ifcopenshell.util.element.get_decomposition(building) if e.is_a("IfcBuildingStorey")]
    return sorted(((s.Name or "", float(s.Elevation or 0.0), s) for s in found), key=lambda s: s[1])


def _heights(building: Any, points: Points, unit_m: float) -> dict[str, Any]:
    """The height above the lowest storey that is not below 0; null without a storey."""
    ground = next(((name, entity) for name, elevation, entity in _storeys(building) if elevation >= -0.01), None)
    if ground is None or ground[1].ObjectPlacement is None:
        return {}
    name, storey = ground
    level = float(np.array(ifcopenshell.util.placement.get_local_placement(storey.ObjectPlacement))[2, 3])
    height_m = (float(points[:, 2].max()) - level) * unit_m
    if height_m <= 0:
        return {}
    return {
        "height_m": round(height_m, 3),
        "height_source": f"derived: highest corner of the elements above storey '{name[:60]}'",
    }
