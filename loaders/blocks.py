"""Arrow columns → the bytes that `COPY … FROM STDIN (FORMAT binary)` takes, without Python per row.

Each field is a 4-byte big-endian length and its value as PostgreSQL's `recv` functions read it; a null is the
length -1 alone (PostgreSQL 15, 55.2.6 and the `COPY` reference page, "Binary Format").
"""

import struct
from collections.abc import Collection as Names
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from loaders.check import MULTI

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)
_NULL = struct.pack(">i", -1)
_EPOCH_DAYS = 10_957  # 2000-01-01 in days since 1970-01-01
_MULTI_WKB_TYPE = {"MultiPoint": 4, "MultiLineString": 5, "MultiPolygon": 6}
_SRID_FLAG = 0x20000000


def copy_binary(table: pa.Table, json_columns: Names[str]) -> bytes:
    """The rows of `table` as one binary COPY stream.

    string → text (jsonb for `json_columns`), binary → as it is, int64 → bigint, double → double precision,
    bool → boolean, date32 → date, timestamp[us] → timestamptz.
    """
    if not table.num_rows:
        return _SIGNATURE + _TRAILER
    pieces: list[pa.Array | bytes] = [struct.pack(">h", table.num_columns)]
    for name in table.column_names:
        field = _field(_one(table.column(name)), name in json_columns)
        if isinstance(field, bytes) and isinstance(pieces[-1], bytes):
            pieces[-1] += field
        else:
            pieces.append(field)
    fields = [pa.scalar(piece, pa.binary()) if isinstance(piece, bytes) else piece for piece in pieces]
    if len(fields) == 1:  # every row the same
        fields.append(pa.array([b""] * table.num_rows, pa.binary()))
    rows = pc.binary_join_element_wise(*fields, b"", null_handling="replace", null_replacement=_NULL)
    return b"".join([_SIGNATURE, *(_data(piece) for piece in _pieces(rows)), _TRAILER])


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _pieces(rows: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return rows.chunks if isinstance(rows, pa.ChunkedArray) else [rows]


def _field(column: pa.Array, is_json: bool) -> pa.Array | bytes:
    """Length and value of each row as one binary value, null where the row is; bytes where all rows have the same."""
    kind = column.type
    if column.null_count == len(column):
        return _NULL
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _variable(column.cast(pa.binary()), b"\x01" if is_json else b"")
    if pa.types.is_boolean(kind):
        return _fixed(column, ">i1", lambda v: v)
    if pa.types.is_int64(kind):
        return _fixed(column, ">i8", lambda v: v)
    if pa.types.is_float64(kind):
        return _fixed(column, ">f8", lambda v: v)
    if pa.types.is_date32(kind):
        return _fixed(column.cast(pa.int32()), ">i4", lambda v: v - _EPOCH_DAYS)
    if pa.types.is_timestamp(kind) and kind.unit == "us":
        return _fixed(column.cast(pa.int64()), ">i8", lambda v: v - _EPOCH_DAYS * 86_400_000_000)
    raise TypeError(f"no binary form for {kind}")


def _fixed(column: pa.Array, form: str, shift: Any) -> pa.Array:
    size = np.dtype(form).itemsize
    values = pc.fill_null(column, False if pa.types.is_boolean(column.type) else 0).to_numpy(zero_copy_only=False)
    packed = np.empty(len(column), dtype=[("length", ">i4"), ("value", form)])
    packed["length"], packed["value"] = size, shift(values)
    array = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(size + 4), len(column), [None, pa.py_buffer(packed.tobytes())]
    )
    binary = array.cast(pa.binary())
    return binary if not column.null_count else pc.if_else(column.is_valid(), binary, pa.scalar(None, pa.binary()))


def _variable(column: pa.Array, lead: bytes) -> pa.Array:
    lengths = (pc.fill_null(pc.binary_length(column), 0).to_numpy() + len(lead)).astype(">i4")
    heads = pa.FixedSizeBinaryArray.from_buffers(pa.binary(4), len(column), [None, pa.py_buffer(lengths.tobytes())])
    parts = (
        [heads.cast(pa.binary()), pa.scalar(lead, pa.binary()), column] if lead else [heads.cast(pa.binary()), column]
    )
    return pc.binary_join_element_wise(*parts, b"")


def _data(values: pa.Array) -> bytes:
    """The bytes of a binary array, one value after another."""
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    return bytes(values.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0])))


def ewkb(geometry: npt.NDArray[Any], srid: int, geometry_type: str) -> pa.Array:
    """Geometries as EWKB with `srid`; single ones wrapped where `geometry_type` is a Multi type."""
    plain = pa.array(shapely.to_wkb(geometry, byte_order=1), pa.binary())
    reference = struct.pack("<I", srid)
    types = shapely.get_type_id(geometry)
    result = pa.nulls(len(geometry), pa.binary())
    single = MULTI.get(geometry_type)
    for type_id in np.unique(types[types >= 0]):
        is_it = pa.array(types == type_id)
        if type_id == single:
            code = struct.pack("<I", _MULTI_WKB_TYPE[geometry_type] | _SRID_FLAG)
            head = pa.scalar(b"\x01" + code + reference + struct.pack("<I", 1), pa.binary())
            made = pc.binary_join_element_wise(head, plain, b"")
        else:
            made = pc.binary_replace_slice(plain, 4, 5, bytes([_SRID_FLAG >> 24]) + reference)
        result = made if pc.all(is_it).as_py() else pc.if_else(is_it, made, result)
    return result
