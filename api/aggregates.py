"""Statistics as documents: JSON, CSV, GeoJSON with the shape of each group."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cim.cells import csv_rows
from cim.interval import instant_text
from cim.query.aggregate import Aggregation, Group
from cim.query.measures import Measure


def _value(group: Group, measure: Measure) -> Any:
    name = measure.declared.name
    if measure.name == "histogram":
        assert measure.width is not None
        bins = group.values.get((name, "histogram"), {})
        return [{"from": low, "to": low + measure.width, "count": bins[low]} for low in sorted(bins)]
    if measure.name == "avg":
        number, total = group.values.get((name, "number")), group.values.get((name, "sum"))
        return None if not number or total is None else total / number
    found = group.values.get((name, measure.name))
    return instant_text(found) if isinstance(found, datetime) else found


def _members(plan: Aggregation, group: Group) -> dict[str, Any]:
    """`count`, then a member for each property with its measures."""
    document: dict[str, Any] = {"count": group.count}
    for measure in plan.measures:
        document.setdefault(measure.declared.name, {})[measure.name] = _value(group, measure)
    return document


def _named(plan: Aggregation, group: Group) -> dict[str, Any]:
    shown = (instant_text(value) if isinstance(value, datetime) else value for value in group.key)
    return dict(zip((one.name for one in plan.groupings), shown, strict=True))


def as_json(plan: Aggregation, groups: Sequence[Group], total: Group) -> dict[str, Any]:
    """`groups` and `total`: each `count` and the measures by property."""
    document: dict[str, Any] = {
        "collection": plan.collection.id,
        "groupBy": ",".join(one.name for one in plan.groupings) or None,
        "groups": [{"group": _named(plan, group), **_members(plan, group)} for group in groups],
        "total": _members(plan, total),
    }
    for one in plan.groupings:
        if one.grid is not None:
            document["grid"] = {"kind": one.grid.kind, "edge_m": one.grid.size_m, "latitude": one.grid.latitude}
    return document


def _flat(plan: Aggregation, group: Group) -> dict[str, Any]:
    """The same in one level: `height_m_avg`."""
    flat: dict[str, Any] = {**_named(plan, group), "count": group.count}
    for measure in plan.measures:
        flat[f"{measure.declared.name}_{measure.name}"] = _value(group, measure)
    return flat


def as_geojson(plan: Aggregation, groups: Sequence[Group], shapes: Mapping[Any, Any]) -> dict[str, Any]:
    """A feature a group; `shapes` gives the geometry of a key of the first grouping that has one."""
    place = shaped(plan)
    features = []
    for group in groups:
        geometry = None if place is None else shapes.get(group.key[place])
        features.append({"type": "Feature", "geometry": geometry, "properties": _flat(plan, group)})
    return {"type": "FeatureCollection", "numberReturned": len(features), "features": features}


def shaped(plan: Aggregation) -> int | None:
    """Which grouping gives the shape of the groups."""
    for number, one in enumerate(plan.groupings):
        if one.area_level is not None or one.grid is not None:
            return number
    return None


def as_csv(plan: Aggregation, groups: Sequence[Group], total: Group) -> bytes:
    """A row a group, or one of the total where there are no groups. A text that a spreadsheet would run gets an apostrophe."""
    empty = Group(tuple(None for _ in plan.groupings))
    shown = groups if plan.groupings else [total]
    return csv_rows([_flat(plan, empty), *(_flat(plan, group).values() for group in shown)])
