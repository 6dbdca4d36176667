"""City objects of one CityJSON document or feature → buildings with their parts merged."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from loaders.base import Rejection
from loaders.cityjson_geometry import BrokenObject, surfaces_of
from loaders.citymodel_footprint import Model, Points
from loaders.citymodel_rows import Building, rejection

KINDS = ("Building", "BuildingPart")
Pairs = Sequence[tuple[str, Any]]


def buildings_of(objects: Pairs, vertices: Points, first_number: int) -> Iterator[Building | Rejection]:
    """Each building once, in the order of the file; parts belong to the building above them.

    `objects` are (id, object) pairs, an id may come twice; numbers count them from `first_number`. A building
    one of whose objects is broken is rejected as a whole and names the object; a part without its building, and
    objects that are their own ancestors, are rejected themselves.
    """
    by_id = dict(reversed(objects))
    parts: dict[str, list[tuple[str, Any]]] = {}
    roots: list[tuple[int, str, Any] | Rejection] = []
    for number, (object_id, value) in enumerate(objects, first_number):
        if not isinstance(value, dict) or value.get("type") not in KINDS:
            continue
        try:
            root = _root(object_id, value, by_id)
        except BrokenObject as error:
            roots.append(rejection(number, error.code, object_id, str(error), _attributes(value)))
            continue
        if root == object_id:
            roots.append((number, object_id, value))
        else:
            parts.setdefault(root, []).append((object_id, value))
    for entry in roots:
        yield entry if isinstance(entry, Rejection) else _building(*entry, parts.get(entry[1], []), vertices)


def other_kinds(objects: Pairs) -> Counter[str]:
    """Objects that are no buildings, by type."""
    kinds = (str(value.get("type")) if isinstance(value, dict) else "no object" for _, value in objects)
    return Counter(kind for kind in kinds if kind not in KINDS and not kind.startswith("Building"))


def _root(object_id: str, value: dict[str, Any], by_id: dict[str, Any]) -> str:
    """The id of the building an object belongs to: its own for a building by itself."""
    current, current_id, seen = value, object_id, {object_id}
    while True:
        parents = current.get("parents")
        names = [p for p in parents if isinstance(p, str)] if isinstance(parents, list) else []
        if not names:
            if current["type"] == "BuildingPart":
                raise BrokenObject("cityjson/parent-missing", "a BuildingPart names no building it is part of")
            return current_id
        parent = by_id.get(names[0])
        if not isinstance(parent, dict):
            raise BrokenObject("cityjson/parent-missing", f"its parent '{names[0][:100]}' is not in the file")
        if parent.get("type") not in KINDS:
            return current_id  # a group
        if names[0] in seen:
            raise BrokenObject("cityjson/parent-cycle", f"it is its own ancestor, through '{names[0][:100]}'")
        seen.add(names[0])
        current, current_id = parent, names[0]


def _building(
    number: int, object_id: str, value: dict[str, Any], parts: list[tuple[str, Any]], vertices: Points
) -> Building | Rejection:
    model = Model()
    attributes = _attributes(value)
    if len(parts) == 1:
        attributes = {**_attributes(parts[0][1]), **attributes}
    for name, member in [(object_id, value), *parts]:
        try:
            for geometry in member.get("geometry") or []:
                model.add(*surfaces_of(geometry, vertices))
        except BrokenObject as error:
            reason = str(error) if name == object_id else f"its part '{name[:100]}': {error}"
            return rejection(number, error.code, object_id, reason, attributes)
    return Building(number, object_id, attributes, model)


def _attributes(value: dict[str, Any]) -> dict[str, Any]:
    attributes = value.get("attributes")
    return attributes if isinstance(attributes, dict) else {}
