"""Arrow columns as the fields of a source: kinds, samples, JSON text for what is nested."""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cim.model import Kind
from loaders.base import SourceField

SAMPLES = 5
SAMPLE_CHARACTERS = 80


def kind_of(column_type: pa.DataType) -> Kind:
    """The kind of a plain Arrow type; nested types are Kind.JSON."""
    if pa.types.is_dictionary(column_type):
        return kind_of(column_type.value_type)
    if pa.types.is_nested(column_type):
        return Kind.JSON
    if pa.types.is_boolean(column_type):
        return Kind.BOOLEAN
    if pa.types.is_integer(column_type):
        return Kind.INTEGER
    if pa.types.is_floating(column_type) or pa.types.is_decimal(column_type):
        return Kind.NUMBER
    if pa.types.is_date(column_type):
        return Kind.DATE
    return Kind.INSTANT if pa.types.is_timestamp(column_type) else Kind.TEXT


def samples_of(values: Iterable[Any]) -> tuple[str, ...]:
    """Up to five different values as text, empty ones left out."""
    found: dict[str, None] = {}
    for value in values:
        if value is None or value == "":
            continue
        found[_sample(value)] = None
        if len(found) == SAMPLES:
            break
    return tuple(found)


def _sample(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return (value if isinstance(value, str) else str(value))[:SAMPLE_CHARACTERS]


def source_fields(table: pa.Table, kinds: Mapping[str, Kind] = MappingProxyType({})) -> tuple[SourceField, ...]:
    """The fields of a first batch; `kinds` of text columns that hold JSON or instants."""
    return tuple(
        SourceField(
            name,
            kinds.get(name, kind_of(table.schema.field(name).type)),
            samples_of(_distinct(table.column(name))),
        )
        for name in table.column_names
    )


def _distinct(column: pa.ChunkedArray) -> list[Any]:
    head = column.slice(0, 1000)
    try:
        values = pc.unique(head)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        values = head
    return [shown for value in values if (shown := _shown(value)) is not None]


def _shown(value: pa.Scalar) -> Any:
    """A value, or None for text that is not in the encoding the source claims."""
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return None


def json_text(value: Any) -> str:
    """A nested value as compact JSON; NaN becomes null, bytes hexadecimal."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # integers of more than 64 bits
        return json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return list(value)
    return str(value)


def simple_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without the types that the pipeline need not know: views, large text, unsigned 64 bit, bytes."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return simple_column(column.cast(kind.value_type))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_time(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pa.timestamp("us", kind.tz), safe=False)  # Python has no nanoseconds
    if pa.types.is_date64(kind):
        return column.cast(pa.date32())
    if pa.types.is_uint64(kind):
        return column.cast(pa.string()) if (pc.max(column).as_py() or 0) > 2**63 - 1 else column.cast(pa.int64())
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        return column.cast(pa.float64())
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.chunked_array([_texts(column)])
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_duration(kind) or isinstance(kind, pa.BaseExtensionType):
        return pa.chunked_array([_texts(column)])
    return column


def _texts(column: pa.ChunkedArray) -> pa.Array:
    return pa.array([None if value is None else _text(value) for value in column.to_pylist()], pa.string())


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return json_text(value) if isinstance(value, (list, dict, tuple)) else str(value)
