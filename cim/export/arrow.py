"""Rows of an export as Arrow record batches, one after another."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from cim.export.request import ExportRequest
from cim.export.rows import Source
from cim.model import Kind
from cim.query.output.form import free_name

_TYPES = {
    Kind.TEXT: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATE: pa.date32(),
    Kind.INSTANT: pa.timestamp("us", tz="UTC"),
    Kind.JSON: pa.string(),
}


def field_names(request: ExportRequest) -> tuple[str, ...]:
    """Names of the fields, id first, then the geometry's: none differs from another by case only."""
    taken: set[str] = set()
    fields = [free_name("id", taken), *(free_name(column.name, taken) for column in request.columns)]
    return (*fields, free_name("geometry", taken))


def schema_of(request: ExportRequest, names: Sequence[str], *, has_instants: bool = True) -> pa.Schema:
    """The schema of the batches; without instants they are texts."""
    types = [pa.string(), *(_TYPES[column.kind] for column in request.columns), pa.binary()]
    if not has_instants:
        types = [pa.string() if pa.types.is_timestamp(one) else one for one in types]
    return pa.schema(list(zip(names, types, strict=True)))


def record_batches(source: Source, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows under `schema`; the last column is the geometry as WKB."""
    for batch in source.batches():
        columns = [_array(values, field.type) for values, field in zip(zip(*batch, strict=True), schema, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind) and any(isinstance(value, datetime) for value in values):
        values = [None if value is None else instant(value) for value in values]
    return pa.array(values, kind)


def instant(value: datetime) -> str:
    """An instant as text, in UTC."""
    return value.isoformat().replace("+00:00", "Z")
