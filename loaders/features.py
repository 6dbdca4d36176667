"""JSON features → a batch: attributes as Arrow columns, geometries, and a rejection for each broken one."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import shapely
from shapely.errors import ShapelyError

from cim.model import Kind
from loaders.base import Batch, Rejection, SourceField
from loaders.fields import SAMPLES, json_text, samples_of
from loaders.jsonscan import Piece
from loaders.wkb import MAX_NESTING

_BIG_NUMBER = re.compile(rb"[\s:,\[]-?\d{19,}[\s,\]}]")
_NOT_FIELDS = frozenset({"type", "geometry", "properties", "bbox"})
_COORDINATE_DEPTH = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}
_ARROW = {
    Kind.TEXT: pa.string(),
    Kind.JSON: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
}


class Undecodable(Exception):
    """A feature that is none: `code` and reason as a rejection has them."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(slots=True)
class Schema:
    """Fields of the features seen, in order of first appearance, with the types and samples of their values."""

    types: dict[str, set[type]] = field(default_factory=dict)
    samples: dict[str, dict[Any, None]] = field(default_factory=dict)
    geometry_types: set[str] = field(default_factory=set)
    count: int = 0
    broken: int = 0
    not_text: int = 0

    def see(self, feature: dict[str, Any]) -> None:
        """Take note of one feature."""
        self.count += 1
        geometry = feature.get("geometry")
        if isinstance(geometry, dict):
            self.geometry_types.add(str(geometry.get("type")))
        for name, value in values_of(feature).items():
            types = self.types.setdefault(name, set())
            if value is None:
                continue
            types.add(str if type(value) is int and abs(value) >= 2**63 else type(value))
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
    values: dict[str, Any] = dict(properties) if isinstance(properties, dict) else {}
    for name, value in feature.items():
        if name in _NOT_FIELDS:
            continue
        if name not in values:
            values[name] = value
        elif values[name] != value:
            values[f"feature_{name}"] = value
    return values


def decode(piece: Piece) -> dict[str, Any]:
    """A piece as a feature; a bare geometry becomes one. Raises Undecodable."""
    try:
        value = json.loads(piece.text) if _BIG_NUMBER.search(piece.text) else orjson.loads(piece.text)
    except (orjson.JSONDecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        value = _decode_slowly(piece, error)
    if not isinstance(value, dict):
        raise Undecodable("json/not-a-feature", f"a {type(value).__name__}, where a feature is expected")
    if value.get("type") == "Feature":
        return value
    if value.get("type") in _COORDINATE_DEPTH or value.get("type") == "GeometryCollection":
        return {"type": "Feature", "geometry": value, "properties": {}}
    if isinstance(value.get("properties"), dict) and "geometry" in value:
        return value
    raise Undecodable("json/not-a-feature", f"type {json_text(value.get('type'))[:60]}, where a feature is expected")


def _decode_slowly(piece: Piece, error: Exception) -> Any:
    """Python's own parser takes NaN and 1e999, which the checks then reject by name; it must not recurse far."""
    said = str(error)
    if isinstance(error, RecursionError) or "depth limit" in said or "recursion" in said:
        raise Undecodable("geometry/nesting", f"nested too deeply: {said[:100]}") from error
    try:
        text = piece.text.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise Undecodable(
            "encoding/invalid", f"byte {piece.at + problem.start} is not UTF-8; state the encoding by --encoding"
        ) from problem
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError as problem:
        raise Undecodable("json/invalid", f"line {piece.line}, byte {piece.at}: half a surrogate pair") from problem
    except RecursionError as problem:
        raise Undecodable("geometry/nesting", "nested too deeply") from problem
    except ValueError as problem:
        raise Undecodable("json/invalid", f"line {piece.line}, byte {piece.at}: {str(problem)[:150]}") from problem


def batch_of(pieces: Sequence[Piece], fields: Sequence[SourceField], first_row: int) -> Batch:
    """A batch of consecutive pieces, the first of which is row `first_row`."""
    features: list[dict[str, Any]] = []
    rows: list[int] = []
    rejections: list[Rejection] = []
    for row, piece in enumerate(pieces, first_row):
        try:
            feature = decode(piece)
            guard(feature.get("geometry"))
        except Undecodable as error:
            text = piece.text[:2000].decode("utf-8", "replace").replace("\x00", "")
            original: dict[str, Any] = {"type": "Feature", "geometry": None, "properties": {"_text": text}}
            rejections.append(Rejection(row, error.code, error.reason, None, None, original))
            continue
        features.append(feature)
        rows.append(row)
    geometry = geometries_of([feature.get("geometry") for feature in features])
    kept = []
    for index, feature in enumerate(features):
        shape = geometry[index]
        if isinstance(shape, str):
            properties = {**values_of(feature), "_geometry": json_text(feature.get("geometry"))[:2000]}
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


def guard(geometry: Any) -> None:
    """Raise Undecodable where collections are nested deeper than MAX_NESTING (catalogue B05)."""
    level = [geometry]
    for _ in range(MAX_NESTING + 1):
        level = [inner for outer in level for inner in _members(outer)]
        if not level:
            return
    raise Undecodable("geometry/nesting", f"geometry collections nested deeper than {MAX_NESTING}")


def _members(geometry: Any) -> list[Any]:
    """The geometries of a collection; empty for anything else."""
    if not isinstance(geometry, dict) or geometry.get("type") != "GeometryCollection":
        return []
    members = geometry.get("geometries")
    return members if isinstance(members, list) else []


def geometries_of(geometries: Sequence[Any]) -> np.ndarray[Any, Any]:
    """`(n,)`: a shapely geometry, None where there is none, or a text that says why it is not one."""
    texts = [None if g is None else json_text(g) for g in geometries]
    # a batch that reads as a whole needs no look at each value
    found = np.asarray(shapely.from_geojson(texts, on_invalid="ignore"), dtype=object)
    for index in np.flatnonzero(shapely.is_missing(found)).tolist():
        if geometries[index] is not None:
            found[index] = _by_hand(geometries[index])
    return found


def _by_hand(geometry: Any) -> Any:
    """A geometry whose numbers GEOS refuses (NaN, infinity), or a text that says what is wrong."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in _COORDINATE_DEPTH and kind != "GeometryCollection":
        return f"type {json_text(kind)[:60]} is no geometry type of RFC 7946"
    if kind == "GeometryCollection":
        return "a geometry collection with a member that is no geometry"
    coordinates = geometry.get("coordinates")
    if coordinates == []:
        return shapely.from_wkt(f"{kind.upper()} EMPTY")
    if problem := _misshapen(coordinates, _COORDINATE_DEPTH[kind], kind):
        return f"{kind}: {problem}"
    try:
        return shapely.geometry.shape(geometry)
    except (ShapelyError, ValueError, TypeError, IndexError, AttributeError) as error:
        return f"{kind}: {str(error)[:150]}"


def _misshapen(coordinates: Any, depth: int, kind: str) -> str | None:
    """What is wrong with coordinates that should be lists of positions `depth` levels down."""
    if not isinstance(coordinates, list):
        return f"coordinates are {json_text(coordinates)[:40]}, where a list is expected"
    if depth == 1 and kind.endswith("Polygon") and coordinates and coordinates[0] != coordinates[-1]:
        return "a ring that is not closed"
    if depth:
        return next((problem for inner in coordinates if (problem := _misshapen(inner, depth - 1, kind))), None)
    if len(coordinates) < 2:
        return "a position with fewer than two numbers"
    for number in coordinates:
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            return f"{json_text(number)[:40]} is not a number"
    return None


def table_of(features: Sequence[dict[str, Any]], fields: Sequence[SourceField]) -> pa.Table:
    """One column a field, null where a feature lacks it."""
    values = [values_of(feature) for feature in features]
    return pa.table({f.name: _column([v.get(f.name) for v in values], f.kind) for f in fields})


def _column(values: list[Any], kind: Kind) -> pa.Array:
    try:
        return pa.array(values, _ARROW[kind])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if v is None else v if isinstance(v, str) else json_text(v) for v in values], pa.string())
