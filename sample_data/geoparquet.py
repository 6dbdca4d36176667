"""GeoParquet 1.1 written in row groups: memory does not grow with the file."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from sample_data.plane import Geometries

GROUP_ROWS = 20_000
GEOMETRY = "geometry"


class GeoParquetWriter:
    """Collects rows to groups of GROUP_ROWS. The `geo` metadata, with the bounds, is written when it closes.

    Geometries are WKB, longitude first; no `crs` member means OGC:CRS84 (GeoParquet 1.1.0, "crs").
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema.append(pa.field(GEOMETRY, pa.binary()))
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", store_schema=False)
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._types: set[str] = set()
        self._bounds = [np.inf, np.inf, -np.inf, -np.inf]

    def write(self, table: pa.Table, geometry: Geometries) -> None:
        """Add rows."""
        if not len(table):
            return
        low_x, low_y, high_x, high_y = shapely.total_bounds(geometry).tolist()
        old = self._bounds
        self._bounds = [min(old[0], low_x), min(old[1], low_y), max(old[2], high_x), max(old[3], high_y)]
        self._types |= {shapely.GeometryType(t).name for t in np.unique(shapely.get_type_id(geometry)).tolist()}
        wkb = pa.array(shapely.to_wkb(geometry, byte_order=1), pa.binary())
        self._waiting.append(table.append_column(self._schema.field(GEOMETRY), wkb))
        self._rows += len(table)
        while self._rows >= GROUP_ROWS:
            self._flush(GROUP_ROWS)

    def _flush(self, rows: int) -> None:
        waiting = pa.concat_tables(self._waiting)
        self._writer.write_table(waiting.slice(0, rows), row_group_size=GROUP_ROWS)
        rest = waiting.slice(rows)
        self._waiting, self._rows = ([rest] if len(rest) else []), len(rest)

    def __enter__(self) -> "GeoParquetWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            if self._rows:
                self._flush(self._rows)
            types = sorted(
                {"POLYGON": "Polygon", "MULTIPOLYGON": "MultiPolygon", "POINT": "Point"}[t] for t in self._types
            )
            column: dict[str, object] = {"encoding": "WKB", "geometry_types": types}
            if types:
                column["bbox"] = self._bounds
            geo = {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
            self._writer.add_key_value_metadata({"geo": orjson.dumps(geo)})
        self._writer.close()


def batches(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a GeoParquet file, a row group at a time."""
    with pq.ParquetFile(path) as source:
        yield from source.iter_batches(GROUP_ROWS, columns=columns)
