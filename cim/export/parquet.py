"""GeoParquet 1.1.0: WKB with x first, PROJJSON of the system, a box for each row and for the file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from cim.export.arrow import field_names, record_batches, schema_of
from cim.export.request import ExportRequest
from cim.export.rows import Source
from cim.query.output.form import free_name

VERSION = "1.1.0"
_BOX = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])
_TYPE_NAMES = {
    0: "Point",
    1: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
    7: "GeometryCollection",
}
"""Names by the number that shapely gives a type."""


def write_parquet(source: Source, request: ExportRequest, path: Path) -> None:
    """One row group a batch, compressed by zstd."""
    names = field_names(request)
    schema = schema_of(request, names)
    box_name = free_name("bbox", {name.casefold() for name in names})
    whole = schema.append(pa.field(box_name, _BOX))
    seen: set[str] = set()
    bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
    with pq.ParquetWriter(path, whole, compression="zstd") as writer:
        for batch in record_batches(source, schema):
            shapes = shapely.from_wkb(batch.column(len(names) - 1).to_numpy(zero_copy_only=False))
            boxes = shapely.bounds(shapes)
            seen |= {_TYPE_NAMES[int(number)] for number in np.unique(shapely.get_type_id(shapes)) if number >= 0}
            bounds = np.array([*np.fmin(bounds[:2], _least(boxes[:, :2])), *np.fmax(bounds[2:], _most(boxes[:, 2:]))])
            writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, _boxes(boxes)], schema=whole))
        writer.add_key_value_metadata({"geo": json.dumps(_metadata(request.srid, names[-1], box_name, seen, bounds))})


def _least(values: Any) -> Any:
    return np.fmin.reduce(values, axis=0)


def _most(values: Any) -> Any:
    return np.fmax.reduce(values, axis=0)


def _boxes(boxes: Any) -> pa.Array:
    """A struct a row, null where there is no geometry."""
    mask = pa.array(np.isnan(boxes[:, 0]))
    columns = [pa.array(boxes[:, place], from_pandas=True) for place in range(4)]
    return pa.StructArray.from_arrays(columns, fields=list(_BOX), mask=mask)


def _metadata(srid: int, geometry: str, box: str, types: set[str], bounds: Any) -> dict[str, Any]:
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted(types),
        "crs": CRS.from_epsg(srid).to_json_dict(),
        "covering": {"bbox": {name: [box, name] for name in ("xmin", "ymin", "xmax", "ymax")}},
    }
    if np.isfinite(bounds).all():
        column["bbox"] = [float(value) for value in bounds]
    return {"version": VERSION, "primary_column": geometry, "columns": {geometry: column}}
