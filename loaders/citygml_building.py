"""One CityGML Building element with its parts → surfaces by LoD, and attributes."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from loaders.citygml_xml import local
from loaders.citymodel_footprint import Model, Points, Surface

GML_IDS = ("{http://www.opengis.net/gml}id", "{http://www.opengis.net/gml/3.2}id")
_HREF = "{http://www.w3.org/1999/xlink}href"
_POLYGONS = frozenset({"Polygon", "PolygonPatch", "Triangle", "Rectangle"})
_SURFACES = frozenset({"GroundSurface", "WallSurface", "RoofSurface", "OuterFloorSurface", "OuterCeilingSurface"})
_PARTS = frozenset({"consistsOfBuildingPart", "buildingPart"})
_LEFT_OUT = frozenset(
    {
        *("interiorRoom", "buildingRoom", "buildingInstallation", "outerBuildingInstallation", "buildingUnit"),
        *("interiorBuildingInstallation", "buildingFurniture", "buildingSubdivision", "buildingConstructiveElement"),
        *("opening", "fillingSurface", "address", "appearance", "pointCloud"),
    }
)
_GENERIC = {"stringAttribute": str, "uriAttribute": str, "dateAttribute": str, "intAttribute": int}
_NUMBERS = {"doubleAttribute": float, "measureAttribute": float}
_FEET_M = 0.3048
_MAX_ATTRIBUTES = 200


class BrokenBuilding(ValueError):
    """A building whose coordinates cannot be read."""


def id_of(element: Any) -> str | None:
    """The element's gml:id."""
    return next((element.get(name) for name in GML_IDS if element.get(name)), None)


def model_of(building: Any, *, is_north_first: bool, dimension: int = 3) -> Model:
    """The surfaces of a building and its parts. Raises BrokenBuilding for coordinates that are no numbers.

    Rooms, installations and openings are left out. A link to a surface elsewhere in the building is followed.
    """
    named = {i: e for e in building.iter() if isinstance(e.tag, str) and (i := id_of(e))}
    model = Model()
    for lod, kind, polygon in _polygons(building, "", None, named, frozenset()):
        rings = tuple(_rings(polygon, is_north_first, dimension))
        if rings:
            model.add(lod, [Surface(rings, kind)])
    return model


def _polygons(
    element: Any, lod: str, kind: str | None, named: dict[str, Any], links: frozenset[str]
) -> Iterator[tuple[str, str | None, Any]]:
    """(LoD, kind of surface, polygon element) below `element`."""
    for child in element:
        name = local(child)
        if not name or name in _LEFT_OUT:
            continue
        if name in _POLYGONS:
            if lod:
                yield lod, kind, child
            continue
        inner_lod = name[3] if name.startswith("lod") and name[3:4].isdigit() else lod
        inner_kind = "RoofEdge" if name == "lod0RoofEdge" else name if name in _SURFACES else kind
        target = child.get(_HREF, "").removeprefix("#")
        if target and target in named and target not in links and inner_lod:
            linked = named[target]
            if local(linked) in _POLYGONS:
                yield inner_lod, inner_kind, linked
            else:
                yield from _polygons(linked, inner_lod, inner_kind, named, links | {target})
        yield from _polygons(child, inner_lod, inner_kind, named, links)


def _rings(polygon: Any, is_north_first: bool, dimension: int) -> Iterator[Points]:
    """Exterior and interior rings, `(n, 3)`, easting or longitude first."""
    for boundary in polygon:
        if local(boundary) not in ("exterior", "interior", "outerBoundaryIs", "innerBoundaryIs"):
            continue
        texts, size = [], dimension
        for element in boundary.iter():
            if local(element) in ("posList", "pos", "coordinates"):
                texts.append((element.text or "").replace(",", " "))
                size = int(element.get("srsDimension") or size) if local(element) != "coordinates" else size
        try:
            numbers = np.array(" ".join(texts).split(), dtype=np.float64)
            points = numbers.reshape(-1, size)
        except ValueError as error:
            raise BrokenBuilding(f"coordinates are not numbers in groups of {size}") from error
        if not np.isfinite(points).all():
            raise BrokenBuilding("a coordinate is not a finite number")
        if size == 2:
            points = np.column_stack([points, np.zeros(len(points))])
        yield points[:, [1, 0, 2]] if is_north_first else points


def attributes_of(building: Any) -> dict[str, Any]:
    """Simple attributes by their names, generic ones by their own, those of extensions as `container.name`.

    `measuredHeight` is in metres.
    """
    found: dict[str, Any] = {}
    for child in building:
        name = local(child)
        if name == "address":
            text = " ".join(t for e in child.iter() if "ciq" in str(e.tag).lower() and (t := _text(e)))
            found.setdefault("address", text or None)
        elif name == "measuredHeight":
            found["measuredHeight"] = _metres(child, child.get("uom"))
        elif name == "height":
            _take_height(child, found)
        elif name in _GENERIC or name in _NUMBERS or name in ("genericAttribute", "genericAttributeSet"):
            _take_generic(child, found)
        elif name in ("yearOfConstruction", "dateOfConstruction"):
            found["yearOfConstruction"] = _text(child)
        elif not len(child) and not child.get(_HREF):
            found.setdefault(name, _simple(child))
        elif name not in _LEFT_OUT | _PARTS and not name.startswith("lod") and name not in ("boundedBy", "boundary"):
            _take_extension(child, name, found)
        if len(found) >= _MAX_ATTRIBUTES:
            break
    return {name: value for name, value in found.items() if value is not None}


def _take_height(element: Any, found: dict[str, Any]) -> None:
    """CityGML 3.0: con:height/con:Height/con:value, the first one counts."""
    value = next((e for e in element.iter() if local(e) == "value"), None)
    if value is not None:
        found.setdefault("measuredHeight", _metres(value, value.get("uom")))


def _metres(element: Any, unit: str | None) -> float | None:
    try:
        height = float(_text(element) or "")
    except ValueError:
        return None
    return (
        height * _FEET_M if unit and unit.rpartition(":")[2].lstrip("#").lower() in ("ft", "foot", "[ft_i]") else height
    )


def _take_generic(element: Any, found: dict[str, Any]) -> None:
    """CityGML 2.0 `gen:stringAttribute name=…`, 3.0 `gen:StringAttribute` with a name inside."""
    for holder in element.iter():
        label = holder.get("name") or next((_text(c) for c in holder if local(c) == "name"), None)
        value = next((c for c in holder if local(c) == "value" and not len(c)), None)
        if label and value is not None:
            kind = local(holder)
            found.setdefault(label, _as(_text(value), {**_GENERIC, **_NUMBERS}.get(kind[:1].lower() + kind[1:], str)))


def _take_extension(element: Any, name: str, found: dict[str, Any]) -> None:
    for leaf in element.iter():
        if isinstance(leaf.tag, str) and not len(leaf) and (text := _text(leaf)):
            found.setdefault(f"{name}.{local(leaf)}", text)
            if len(found) >= _MAX_ATTRIBUTES:
                return


def _simple(element: Any) -> Any:
    text = _text(element)
    return _as(text, int) if local(element).startswith("storeys") else text


def _as(text: str | None, kind: type) -> Any:
    try:
        return None if text is None else kind(text)
    except ValueError:
        return text


def _text(element: Any) -> str | None:
    text = element.text.strip() if isinstance(element.tag, str) and element.text else ""
    return text or None
