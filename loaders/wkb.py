"""Geometries from untrusted WKB: a depth guard before the native parser, a rejection for what it refuses."""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from shapely.errors import ShapelyError

from loaders.base import Rejection

MAX_NESTING = 32
"""Geometry collections inside each other; native parsers recurse, and die of many (catalogue A7)."""

POINT, LINE, POLYGON = 1, 2, 3
SIMPLE, COMPOSED = (POINT, LINE, POLYGON), (4, 5, 6, 7)
CURVES = {8: "CircularString", 9: "CompoundCurve", 10: "CurvePolygon", 11: "MultiCurve", 12: "MultiSurface"}

Geometries = npt.NDArray[Any]


def geometries_of(column: pa.ChunkedArray | pa.Array) -> tuple[Geometries, dict[int, tuple[str, str]]]:
    """`(n,)` shapely geometries of a WKB column, None for null; index → (code, reason) of what is no geometry."""
    values = column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    bad: dict[int, tuple[str, str]] = {}
    for index in _composed(column):
        if reason := _unsafe(values[index]):
            bad[index] = reason
            values = values if values.flags.writeable else values.copy()
            values[index] = None
    geometry: Geometries = np.asarray(shapely.from_wkb(values, on_invalid="ignore"), dtype=object)
    missing = shapely.is_missing(geometry)
    if missing.any():
        for found in np.flatnonzero(missing):
            index = int(found)
            if values[index] is not None:
                bad[index] = ("geometry/invalid", _why(values[index]))
    return geometry, bad


def _why(value: bytes) -> str:
    try:
        shapely.from_wkb(value)
    except (ShapelyError, TypeError, ValueError) as error:
        return f"not a geometry: {str(error).strip()[:200]}"
    return "not a geometry"


def _composed(column: pa.ChunkedArray | pa.Array) -> list[int]:
    """Indices of values to walk before the native parser sees them, found without touching each value.

    Points, lines and polygons cannot nest, nor can a multi-geometry of one of these.
    """
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    found: list[int] = []
    first = 0
    for chunk in chunks:
        plain = chunk if pa.types.is_binary(chunk.type) else chunk.cast(pa.binary())
        found += [first + int(index) for index in _composed_of_chunk(plain)]
        first += len(chunk)
    return found


def _composed_of_chunk(chunk: pa.Array) -> npt.NDArray[np.int64]:
    _, offsets_buffer, data_buffer = chunk.buffers()
    if data_buffer is None or not len(chunk):
        return np.empty(0, np.int64)
    offsets = np.frombuffer(offsets_buffer, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    data = np.frombuffer(data_buffer, np.uint8)
    indices = np.flatnonzero(np.diff(offsets) >= 9).astype(np.int64)
    starts = offsets[:-1][indices].astype(np.int64)
    composed = ~_is_simple(data, starts)
    indices, starts = indices[composed], starts[composed]
    long = np.diff(offsets)[indices] >= 18
    single = np.zeros(len(indices), bool)
    at = starts[long]
    little = data[at] == 1
    counts = np.where(little[:, None], data[at[:, None] + np.arange(5, 9)], data[at[:, None] + np.arange(8, 4, -1)])
    is_one = (counts == (1, 0, 0, 0)).all(axis=1) & ~_has_srid(data, at) & (data[at] <= 1)
    single[long] = is_one & np.isin(_base(data, at), COMPOSED) & _is_simple(data, at + 9)
    return indices[~single]


def _has_srid(data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    return np.where(data[at] == 1, data[at + 4], data[at + 1]) & 0x20 > 0


def _is_simple(data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """True where a point, line string or polygon with a plain byte order begins."""
    return (data[at] <= 1) & np.isin(_base(data, at), SIMPLE)


def _base(data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The number of the geometry type without its dimensions."""
    little = data[at] == 1
    low = np.where(little, data[at + 1], data[at + 4]).astype(np.int64)
    high = np.where(little, data[at + 2], data[at + 3]).astype(np.int64)
    return (low + 256 * high) % 1000


def _unsafe(value: bytes | None) -> tuple[str, str] | None:
    """(code, reason) when the members of a composed geometry go deeper than MAX_NESTING, wherever they are."""
    if value is None:
        return None
    try:
        if _depth_of(value, 0, 0)[0] > MAX_NESTING:
            return "geometry/nesting", f"geometries nested deeper than {MAX_NESTING}"
    except ValueError as error:
        return ("geometry/type" if "taken" in str(error) else "geometry/invalid"), str(error)
    except (struct.error, IndexError):
        return None  # cut off: the native parser says so, at a depth that was walked
    return None


def _depth_of(value: bytes, at: int, depth: int) -> tuple[int, int]:
    """(deepest nesting, end) of the geometry at byte `at`; stops at MAX_NESTING + 1. Raises ValueError."""
    if value[at] > 1:
        raise ValueError(f"not a geometry: byte order mark {value[at]} at byte {at}")
    order = "<" if value[at] == 1 else ">"
    number = struct.unpack_from(order + "I", value, at + 1)[0]
    at += 9 if number & 0x20000000 else 5
    base = (number & 0x0FFFFFFF) % 1000
    size = 8 * (2 + (number >> 31 & 1) + (number >> 30 & 1) + (0, 1, 1, 2)[(number & 0x0FFFFFFF) // 1000 % 4])
    if base not in SIMPLE and base not in COMPOSED:
        raise ValueError(f"{CURVES.get(base, f'geometry type {base}')} is not taken: make it linear first")
    if base == POINT:
        return depth, at + size
    count = struct.unpack_from(order + "I", value, at)[0]
    at += 4
    if base == LINE:
        return depth, at + count * size
    if base == POLYGON:
        for _ in range(count):
            at += 4 + size * struct.unpack_from(order + "I", value, at)[0]
        return depth, at
    deepest = depth + 1
    for _ in range(count):
        if deepest > MAX_NESTING:
            break
        inner, at = _depth_of(value, at, depth + 1)
        deepest = max(deepest, inner)
    return deepest, at


def undecoded(
    rows: npt.NDArray[np.int64], table: pa.Table, bad: dict[int, tuple[str, str]], values: pa.ChunkedArray
) -> tuple[Rejection, ...]:
    """Rejections for the rows whose WKB is no geometry; the bytes are kept as hexadecimal text."""
    return tuple(
        Rejection(
            row=int(rows[index]),
            code=code,
            reason=reason,
            field="geometry",
            original={
                "type": "Feature",
                "geometry": {"wkb": (values[index].as_py() or b"")[:1_000_000].hex()},
                "properties": {name: _plain(table.column(name)[index].as_py()) for name in table.column_names},
            },
        )
        for index, (code, reason) in sorted(bad.items())
    )


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
