"""A generated GeoParquet file in another format, a row group at a time."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio

from sample_data.geoparquet import GEOMETRY, batches

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "fgb": ("FlatGeobuf", {}),
    "gpkg": ("GPKG", {}),
    "geojson": ("GeoJSON", {"RFC7946": "YES", "COORDINATE_PRECISION": 7}),
    "geojsonl": ("GeoJSONSeq", {"COORDINATE_PRECISION": 7}),
}
"""Suffix → driver and its options."""


def write_format(parquet: Path, suffix: str, progress: Callable[[str, int, int], None]) -> Path:
    """`parquet` beside itself with another suffix; gives the path. A file of that name is replaced."""
    driver, options = FORMATS[suffix]
    target = parquet.with_suffix(f".{suffix}")
    target.unlink(missing_ok=True)
    total = pq.read_metadata(parquet).num_rows
    schema = pq.read_schema(parquet).remove_metadata()

    def counted() -> Iterator[pa.RecordBatch]:
        done = 0
        for batch in batches(parquet):
            yield batch.replace_schema_metadata(None)
            done += len(batch)
            progress(target.name, done, total)

    pyogrio.write_arrow(
        pa.RecordBatchReader.from_batches(schema, counted()),
        target,
        layer=parquet.stem,
        driver=driver,
        geometry_name=GEOMETRY,
        geometry_type="Polygon" if parquet.stem == "buildings" else "Point",
        crs="EPSG:4326",
        **options,
    )
    return target
