"""GeoParquet, and plain Parquet with longitude and latitude columns, by pyarrow.

A struct column such as Overture's `names` becomes one field for each of its members (`names.primary`), lists
and what is nested deeper become JSON text. A `covering` box column repeats the geometry and is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cim.errors import SourceRefused
from cim.model import Kind
from loaders.base import Batch, SourceInfo, SourceOptions
from loaders.fields import simple_column, source_fields
from loaders.place import Place, find_place, placed
from loaders.reference import CRS84, settle
from loaders.sniff import Content, content_of
from loaders.wkb import geometries_of, undecoded

PROBE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the footer says: the WKB column with its CRS, or None; columns not passed on."""

    geometry: str | None
    crs: str | None
    geometry_type: str | None
    left_out: frozenset[str]


class ParquetLoader:
    """GeoParquet 1.x (WKB), or Parquet with place columns."""

    name = "GeoParquet"

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """See Loader."""
        if content_of(path) is not Content.PARQUET:
            return None
        with _opened(path) as file:
            layout = _layout(file, path)
            sample = _flattened(next(file.iter_batches(PROBE_ROWS, columns=_columns(file, layout)), None), file)
            json_fields = dict.fromkeys(_json_fields(file.schema_arrow), Kind.JSON)
            if layout.geometry is not None:
                crs, notes = settle(layout.crs, options, path.name)
                fields = source_fields(sample.drop_columns([layout.geometry]), json_fields)
                return _info("GeoParquet", fields, layout.geometry_type, crs, file, notes)
            place = find_place(sample, options, path.name)
            fields = source_fields(sample, json_fields)
            if place is None:
                return _info("Parquet", fields, None, None, file, ["no place: no geometry, longitude or WKT column"])
            return _info("Parquet", fields, place.geometry_type, place.crs, file, list(place.notes))

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """See Loader."""
        first = 0
        place: Place | None = None
        with _opened(path) as file:
            layout = _layout(file, path)
            try:
                for piece in file.iter_batches(batch_rows, columns=_columns(file, layout)):
                    table = _flattened(piece, file)
                    if first == 0 and layout.geometry is None:
                        place = find_place(table.slice(0, PROBE_ROWS), options, path.name)
                    rows = np.arange(first + 1, first + 1 + len(table), dtype=np.int64)
                    yield (
                        _wkb_batch(table, layout.geometry, rows)
                        if layout.geometry
                        else placed(_plain_binaries(table), place, rows)
                    )
                    first += len(table)
            except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
                raise SourceRefused(f"{path.name} breaks off after row {first}: {str(error)[:200]}") from error


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, pre_buffer=False, memory_map=False, buffer_size=1 << 20)
    except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
        raise SourceRefused(f"{path.name} is broken: {str(error)[:200]}") from error


def _info(
    driver: str, fields: Any, geometry_type: str | None, crs: str | None, file: pq.ParquetFile, notes: list[str]
) -> SourceInfo:
    return SourceInfo(
        driver=driver,
        layer=None,
        layers=(),
        fields=fields,
        geometry_type=geometry_type,
        crs=crs,
        encoding="UTF-8",
        feature_count=file.metadata.num_rows,
        notes=tuple(notes),
    )


def _layout(file: pq.ParquetFile, path: Path) -> _Layout:
    """GeoParquet 1.1 section "File metadata"; else Parquet's own GEOMETRY type."""
    raw = (file.schema_arrow.metadata or {}).get(b"geo") or (file.metadata.metadata or {}).get(b"geo")
    if raw is None:
        return _native(file)
    try:
        geo = orjson.loads(raw)
        name = geo["primary_column"]
        column = geo["columns"][name]
        encoding = column["encoding"]
        coverings = column.get("covering", {}).get("bbox", {})
        boxes = {value[0] for value in coverings.values() if isinstance(value, list) and value}
        types = column.get("geometry_types") or []
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise SourceRefused(f"{path.name}: its 'geo' metadata are not GeoParquet's: {error}") from error
    if encoding != "WKB":
        raise SourceRefused(f"{path.name}: geometry encoding '{encoding}'; only WKB is taken: write it with WKB")
    if name not in file.schema_arrow.names:
        raise SourceRefused(f"{path.name}: its geometry column '{name}' is missing")
    crs = column.get("crs", CRS84)
    kind = str(types[0]).removesuffix(" Z") if len(types) == 1 else "Geometry"
    others = {n for n in geo["columns"] if n != name}
    left_out = frozenset((boxes | others) & set(file.schema_arrow.names) - {name})
    return _Layout(name, _authority(crs), kind, left_out)


def _authority(crs: Any) -> str | None:
    """PROJJSON as a code where it carries one; null means that the CRS is not known."""
    if crs is None or isinstance(crs, str):
        return crs
    identity = crs.get("id") or {}
    if identity.get("authority") and identity.get("code") is not None:
        return f"{identity['authority']}:{identity['code']}"
    return orjson.dumps(crs).decode()


def _native(file: pq.ParquetFile) -> _Layout:
    """A column of Parquet's logical type GEOMETRY, whose CRS is CRS84 unless it says otherwise."""
    for index in range(len(file.schema)):
        logical = file.schema.column(index).logical_type
        if logical.type in ("GEOMETRY", "GEOGRAPHY"):
            said = orjson.loads(logical.to_json()).get("crs") or CRS84
            if str(said).startswith("projjson:"):
                key = str(said).removeprefix("projjson:").encode()
                said = _authority(orjson.loads((file.metadata.metadata or {}).get(key, b"null")))
            return _Layout(file.schema.column(index).path, said, "Geometry", frozenset())
    return _Layout(None, None, None, frozenset())


def _columns(file: pq.ParquetFile, layout: _Layout) -> list[str] | None:
    if not layout.left_out:
        return None
    return [name for name in file.schema_arrow.names if name not in layout.left_out]


def _json_fields(schema: pa.Schema) -> list[str]:
    found = []
    for field in schema:
        if pa.types.is_struct(field.type):
            found += [f"{field.name}.{child.name}" for child in field.type if pa.types.is_nested(child.type)]
        elif pa.types.is_nested(field.type):
            found.append(field.name)
    return found


def _flattened(batch: pa.RecordBatch | None, file: pq.ParquetFile) -> pa.Table:
    """A batch with a field for each member of its structs, in plain types; the geometry column stays as it is."""
    if batch is None:
        return file.schema_arrow.empty_table()
    columns: dict[str, pa.ChunkedArray] = {}
    table = pa.Table.from_batches([batch])
    for name in table.column_names:
        column = table.column(name)
        if isinstance(column.type, pa.BaseExtensionType):
            column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
        if pa.types.is_struct(column.type):
            for child in column.type:
                columns[f"{name}.{child.name}"] = simple_column(pc.struct_field(column, child.name))
        elif pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            columns[name] = column
        else:
            columns[name] = simple_column(column)
    return pa.table(columns)


def _wkb_batch(table: pa.Table, name: str, rows: Any) -> Batch:
    values = table.column(name)
    attributes = _plain_binaries(table.drop_columns([name]))
    geometry, bad = geometries_of(values)
    if not bad:
        return Batch(attributes, geometry, rows)
    kept = np.ones(len(rows), bool)
    kept[list(bad)] = False
    return Batch(
        attributes.filter(pa.array(kept)), geometry[kept], rows[kept], undecoded(rows, attributes, bad, values)
    )


def _plain_binaries(table: pa.Table) -> pa.Table:
    """Other binary columns as hexadecimal text."""
    for index, field in enumerate(table.schema):
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            table = table.set_column(index, field.name, simple_column(table.column(index)))
    return table


PARQUET = ParquetLoader()
