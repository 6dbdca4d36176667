"""Arrow columns → the text that `COPY … FROM STDIN` takes, without Python per row."""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from loaders.check import MULTI

_MULTI_WKB_TYPE = {"MultiPoint": 4, "MultiLineString": 5, "MultiPolygon": 6}
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


def copy_text(table: pa.Table) -> bytes:
    """The rows of `table` in COPY's text format: tabs between, a newline after, `\\N` for null."""
    if not table.num_rows:
        return b""
    columns = [_texts(column.combine_chunks()) for column in table.columns]
    columns[-1] = pc.binary_join_element_wise(columns[-1], "\n", "", null_handling="replace", null_replacement="\\N")
    lines = pc.binary_join_element_wise(*columns, "\t", null_handling="replace", null_replacement="\\N")
    pieces = lines.chunks if isinstance(lines, pa.ChunkedArray) else [lines]
    return b"".join(_data(piece) for piece in pieces)


def _texts(column: pa.Array) -> pa.Array:
    column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_string(column.type):
        return column.cast(pa.string())
    if pc.any(pc.match_substring_regex(column, "[\\\\\t\n\r]")).as_py():
        for plain, escaped in _ESCAPES:
            column = pc.replace_substring(column, plain, escaped)
    return column


def _data(strings: pa.Array) -> bytes:
    """The characters of a string array, one value after another."""
    offsets = np.frombuffer(strings.buffers()[1], np.int32)[strings.offset : strings.offset + len(strings) + 1]
    return strings.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0])).to_pybytes()


def ewkb_hex(geometry: npt.NDArray[Any], srid: int, geometry_type: str) -> pa.Array:
    """Geometries as hexadecimal EWKB with `srid`; single ones wrapped where `geometry_type` is a Multi type."""
    reference = struct.pack("<I", srid).hex()
    plain = _hexed(pa.array(shapely.to_wkb(geometry, byte_order=1), pa.binary()))
    stated = pc.binary_replace_slice(plain, 8, 10, "20" + reference)
    single = MULTI.get(geometry_type)
    if single is None:
        return stated
    head = (
        "01"
        + struct.pack("<I", _MULTI_WKB_TYPE[geometry_type])[:3].hex()
        + "20"
        + reference
        + struct.pack("<I", 1).hex()
    )
    is_single = shapely.get_type_id(geometry) == single
    wrapped = pc.binary_join_element_wise(pa.scalar(head), plain, "")
    return wrapped if is_single.all() else pc.if_else(pa.array(is_single), wrapped, stated)


def _hexed(binary: pa.Array) -> pa.Array:
    """Each value in hexadecimal."""
    if not len(binary):
        return pa.array([], pa.string())
    validity, offsets, data = binary.buffers()
    positions = np.frombuffer(offsets, np.int32)[: len(binary) + 1] * 2
    text = data.to_pybytes().hex().encode() if data is not None else b""
    return pa.StringArray.from_buffers(
        len(binary), pa.py_buffer(positions.astype(np.int32)), pa.py_buffer(text), validity, binary.null_count
    )
