"""Buildings of a city model → rows: standard attributes under the names of the collection, others as they are."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cim.model import Kind
from loaders.base import Batch, Rejection, SourceField
from loaders.citymodel_footprint import Model, NoFootprint, Shape, shape_of
from loaders.fields import json_text, source_fields

FIXED = ("id", "height_m", "height_source", "footprint_source")
_RENAMED = {
    "storeysAboveGround": "floors_above",
    "storeysBelowGround": "floors_below",
    "yearOfConstruction": "year_built",
}
_MEASURED = "measuredHeight"
_CODED = ("class", "function", "usage")
_CODE = re.compile(r"[\d_]+")
_HIGHEST_M = 1500.0
_MOST_STOREYS = 300
_FIRST_YEAR = 1000


@dataclass(frozen=True, slots=True)
class Building:
    """One building of a source with its parts: `number` is its place in the file, from 1."""

    number: int
    id: str
    attributes: Mapping[str, Any]
    model: Model


@dataclass(frozen=True, slots=True)
class Row:
    """A building as it is loaded."""

    number: int
    values: dict[str, Any]
    shape: Shape


def row_of(building: Building, *, is_geographic: bool, metres_per_height_unit: float) -> Row | Rejection:
    """The building as a row, or why it is none."""
    try:
        shape = shape_of(building.model, is_geographic=is_geographic, metres_per_height_unit=metres_per_height_unit)
    except NoFootprint as error:
        return rejection(building.number, error.code, building.id, str(error), building.attributes)
    values: dict[str, Any] = {
        **_renamed(building.attributes),
        "id": building.id,
        "height_m": shape.height_m,
        "height_source": shape.height_source,
        "footprint_source": shape.footprint_source,
    }
    measured = _number(building.attributes.get(_MEASURED))
    if measured is not None and 0 < measured <= _HIGHEST_M:
        values["height_m"], values["height_source"] = measured, f"source: {_MEASURED}"
    return Row(building.number, values, shape)


def _renamed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes under the names of their columns, without what stands for "unknown"."""
    values = {}
    for name, value in attributes.items():
        if name in _RENAMED:
            value = _plausible(_RENAMED[name], value)
            name = _RENAMED[name]
        elif name in _CODED and isinstance(value, str) and _CODE.fullmatch(value):
            name = f"{name}_code"  # of a code list beside the file: a use in words must not be guessed from it
        values[f"{name}_" if name in FIXED else name] = value
    return values


def columns_of(attributes: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The columns of a source, from the attributes of all its buildings: the fixed ones, then as they appear."""
    names = dict.fromkeys(FIXED)
    for found in attributes:
        names.update(dict.fromkeys(_renamed(found)))
    return tuple(names)


def rejection(
    number: int, code: str, object_id: str, reason: str, attributes: Mapping[str, Any] | None = None
) -> Rejection:
    """A building that is not stored: the reason begins with its id."""
    properties = {"id": object_id, **(attributes or {})}
    original = {"type": "Feature", "geometry": None, "properties": properties}
    return Rejection(number, code, f"{object_id[:100]}: {reason}", value=object_id[:200], original=original)


def batch_of(rows: Sequence[Row], rejections: Sequence[Rejection], columns: Sequence[str]) -> Batch:
    """A batch of buildings with exactly `columns`."""
    table = table_of([row.values for row in rows], columns)
    shapes: npt.NDArray[Any] = np.empty(len(rows), dtype=object)
    shapes[:] = [row.shape.footprint for row in rows]
    return Batch(table, shapes, np.array([row.number for row in rows], dtype=np.int64), tuple(rejections))


def table_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pa.Table:
    """Rows as a table of `columns`; what a row lacks is null."""
    return pa.table({name: _column([row.get(name) for row in rows]) for name in columns})


def fields_of(rows: Sequence[Row], columns: Sequence[str]) -> tuple[SourceField, ...]:
    """The fields of a source, their kinds and samples from its first rows."""
    if rows:
        return source_fields(table_of([row.values for row in rows], columns))
    kinds = {"height_m": Kind.NUMBER}
    return tuple(SourceField(name, kinds.get(name, Kind.TEXT)) for name in columns)


def _column(values: list[Any]) -> pa.Array:
    """Values of one attribute as one Arrow type: mixed and nested ones as text and JSON text."""
    kinds = {type(v) for v in values if v is not None}
    if kinds <= {bool}:
        return pa.array(values, pa.bool_() if kinds else pa.string())
    if kinds <= {int} and all(-(2**63) <= v < 2**63 for v in values if v is not None):
        return pa.array(values, pa.int64())
    if kinds <= {int, float}:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    return pa.array([v if v is None or isinstance(v, str) else json_text(v) for v in values], pa.string())


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _plausible(name: str, value: object) -> int | None:
    """A count of storeys or a year; 9999 and 0001, which PLATEAU writes for "unknown", are none."""
    number = _number(str(value)[:4] if name == "year_built" and isinstance(value, str) else value)
    if number is None:
        return None
    is_known = number >= _FIRST_YEAR if name == "year_built" else 0 <= number <= _MOST_STOREYS
    return int(number) if is_known else None
