"""Pieces of JSON → features, many at a time where all is well, one at a time where something is not."""

import gc
import json
from collections.abc import Sequence
from typing import Any

import orjson

from loaders.fields import json_text
from loaders.jsonscan import Piece
from loaders.wkb import MAX_NESTING

GEOMETRY_TYPES = frozenset(
    {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"}
)

_DIGITS_ONLY = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
_LONG_NUMBER = b"0" * 19


class Undecodable(Exception):
    """A feature that is none: `code` and reason as a rejection has them."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def decode_all(pieces: Sequence[Piece]) -> list[dict[str, Any] | Undecodable]:
    """For each piece a feature, or why it is none."""
    joined = b"[" + b",".join(piece.text for piece in pieces) + b"]"
    features: Any = None
    if not _has_long_number(joined):
        try:
            features = _loads(joined)
        except orjson.JSONDecodeError:
            features = None  # some piece is broken: each is looked at alone
    if features is None or len(features) != len(pieces):
        return [_decoded(piece) for piece in pieces]
    is_collection = b"GeometryCollection" in joined
    found: list[dict[str, Any] | Undecodable] = []
    for feature in features:
        try:
            found.append(_checked(feature, is_collection))
        except Undecodable as error:
            found.append(error)
    return found


def _loads(text: bytes) -> Any:
    """JSON without the collector, which would walk the millions of new lists again and again; they hold no cycle."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        return orjson.loads(text)
    finally:
        if was_on:
            gc.enable()


def _has_long_number(text: bytes) -> bool:
    """True where orjson would lose digits: integers of more than 64 bits become floats."""
    return _LONG_NUMBER in text.translate(_DIGITS_ONLY)


def _decoded(piece: Piece) -> dict[str, Any] | Undecodable:
    try:
        try:
            value = json.loads(piece.text) if _has_long_number(piece.text) else orjson.loads(piece.text)
        except (orjson.JSONDecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            value = _decode_slowly(piece, error)
        return _checked(value, True)
    except Undecodable as error:
        return error


def _checked(value: Any, is_collection: bool) -> dict[str, Any]:
    """A value as a feature; a bare geometry becomes one. Raises Undecodable."""
    if not isinstance(value, dict):
        raise Undecodable("json/not-a-feature", f"a {type(value).__name__}, where a feature is expected")
    kind = value.get("type")
    if kind == "Feature" or (isinstance(value.get("properties"), dict) and "geometry" in value):
        feature = value
    elif kind in GEOMETRY_TYPES:
        feature = {"type": "Feature", "geometry": value, "properties": {}}
    else:
        raise Undecodable("json/not-a-feature", f"type {json_text(kind)[:60]}, where a feature is expected")
    if is_collection:
        _guard(feature.get("geometry"))
    return feature


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


def _guard(geometry: Any) -> None:
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
