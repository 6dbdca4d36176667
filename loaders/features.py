"""JSON features → a batch: attributes as Arrow columns, geometries, and a rejection for each broken one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from cim.model import Kind
from loaders.base import Batch, Rejection, SourceField
from loaders.fields import SAMPLES, json_text, samples_of
from loaders.jsondecode import Undecodable, decode_all
from loaders.jsongeometry import geometries_of
from loaders.jsonscan import Piece

_NOT_FIELDS = frozenset({"type", "geometry", "properties", "bbox"})
_USUAL = {"type", "properties", "geometry"}
_ARROW = {
    Kind.TEXT: pa.string(),
    Kind.JSON: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
}


@dataclass(slots=True)
class Schema:
    """Fields of the features seen, in order of first appearance, with the types and samples of their values."""

    types: dict[str, set[type]] = field(default_factory=dict)
    samples: dict[str, dict[Any, None]] = field(default_factory=dict)
    geometry_types: set[str] = field(default_factory=set)
    count: int = 0
    broken: int = 0
    not_text: int = 0

    def see(self, pieces: Sequence[Piece]) -> None:
        """Take note of consecutive features."""
        for feature in decode_all(pieces):
            if isinstance(feature, Undecodable):
                self.broken += 1
                self.not_text += feature.code == "encoding/invalid"
                continue
            self.count += 1
            geometry = feature.get("geometry")
            if isinstance(geometry, dict):
                self.geometry_types.add(str(geometry.get("type")))
            for name, value in values_of(feature).items():
                types = self.types.get(name)
                if types is None:
                    types = self.types[name] = set()
                if value is not None and (type(value) not in types or len(self.samples[name]) < SAMPLES):
                    self._note(name, value)
                elif type(value) is int and abs(value) >= 2**63:
                    types.add(str)

    def _note(self, name: str, value: Any) -> None:
        self.types[name].add(str if type(value) is int and abs(value) >= 2**63 else type(value))
        known = self.samples.setdefault(name, {})
        if len(known) < SAMPLES:
            known[value if isinstance(value, (str, int, float)) else json_text(value)] = None

    def fields(self) -> tuple[SourceField, ...]:
        """The fields as SourceInfo has them."""
        return tuple(
            SourceField(name, _kind(types), samples_of(self.samples.get(name, ())))
            for name, types in self.types.items()
        )

    @property
    def geometry_type(self) -> str | None:
        """The one type of all geometries, Geometry for several, None where no feature has one."""
        if not self.geometry_types:
            return None
        return next(iter(self.geometry_types)) if len(self.geometry_types) == 1 else "Geometry"


def _kind(types: set[type]) -> Kind:
    if not types:
        return Kind.TEXT
    if types <= {dict, list}:
        return Kind.JSON
    if types == {bool}:
        return Kind.BOOLEAN
    if types == {int}:
        return Kind.INTEGER
    return Kind.NUMBER if types <= {int, float} else Kind.TEXT


def values_of(feature: dict[str, Any]) -> dict[str, Any]:
    """The fields of a feature: its properties, its id, and other members (RFC 7946 section 6.1).

    A member whose name is also a property's is called `feature_<name>`, where its value differs.
    """
    properties = feature.get("properties")
    if len(feature) == 3 and isinstance(properties, dict) and feature.keys() == _USUAL:
        return properties
    values: dict[str, Any] = dict(properties) if isinstance(properties, dict) else {}
    for name, value in feature.items():
        if name in _NOT_FIELDS:
            continue
        if name not in values:
            values[name] = value
        elif values[name] != value:
            values[f"feature_{name}"] = value
    return values


def batch_of(pieces: Sequence[Piece], fields: Sequence[SourceField], first_row: int) -> Batch:
    """A batch of consecutive pieces, the first of which is row `first_row`."""
    features: list[dict[str, Any]] = []
    rows: list[int] = []
    rejections: list[Rejection] = []
    for row, (piece, feature) in enumerate(zip(pieces, decode_all(pieces), strict=True), first_row):
        if isinstance(feature, Undecodable):
            text = piece.text[:2000].decode("utf-8", "replace").replace("\x00", "")
            original: dict[str, Any] = {"type": "Feature", "geometry": None, "properties": {"_text": text}}
            rejections.append(Rejection(row, feature.code, feature.reason, None, None, original))
        else:
            features.append(feature)
            rows.append(row)
    geometry = geometries_of([feature.get("geometry") for feature in features])
    kept = []
    for index, feature in enumerate(features):
        shape = geometry[index]
        if isinstance(shape, str):
            properties = {name: _kept(value) for name, value in values_of(feature).items()}
            properties["_geometry"] = json_text(feature.get("geometry"))[:2000]
            original = {"type": "Feature", "geometry": None, "properties": properties}
            rejections.append(Rejection(rows[index], "geometry/invalid", shape, "geometry", None, original))
        else:
            kept.append(index)
    if len(kept) < len(features):
        features = [features[index] for index in kept]
        rows = [rows[index] for index in kept]
        geometry = geometry[kept]
    rejections.sort(key=lambda rejection: rejection.row)
    return Batch(table_of(features, fields), geometry, np.array(rows, dtype=np.int64), tuple(rejections))


def _kept(value: Any) -> Any:
    """A value as a rejection keeps it: nothing that JSON of 64-bit numbers cannot write."""
    if isinstance(value, (dict, list)) or (type(value) is int and abs(value) >= 2**63):
        return json_text(value)
    return value


def table_of(features: Sequence[dict[str, Any]], fields: Sequence[SourceField]) -> pa.Table:
    """One column a field, null where a feature lacks it."""
    values = [values_of(feature) for feature in features]
    return pa.table({f.name: _column([v.get(f.name) for v in values], f.kind) for f in fields})


def _column(values: list[Any], kind: Kind) -> pa.Array:
    try:
        return pa.array(values, _ARROW[kind])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if v is None else v if isinstance(v, str) else json_text(v) for v in values], pa.string())
