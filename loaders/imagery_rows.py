"""Rows of imagery: the columns that every imagery loader yields, named like the collection's properties."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import shapely

from cim.model import Kind
from loaders.base import Batch, Rejection, SourceField
from loaders.convert import arrow_type

COLUMNS: dict[str, Kind] = {
    "id": Kind.TEXT,
    "stac_collection": Kind.TEXT,
    "title": Kind.TEXT,
    "datetime": Kind.INSTANT,
    "start_datetime": Kind.INSTANT,
    "end_datetime": Kind.INSTANT,
    "gsd_m": Kind.NUMBER,
    "cloud_cover_percent": Kind.NUMBER,
    "platform": Kind.TEXT,
    "crs": Kind.TEXT,
    "width": Kind.INTEGER,
    "height": Kind.INTEGER,
    "bands": Kind.JSON,
    "assets": Kind.JSON,
    "stac_properties": Kind.JSON,
}

_SCHEMA = pa.schema([(name, arrow_type(kind)) for name, kind in COLUMNS.items()])

Row = Mapping[str, Any]
"""Column → value; what is left out is null, JSON columns hold Python values here."""


@dataclass(frozen=True, slots=True)
class Described:
    """A row of imagery, its footprint in EPSG:4326 (lon, lat), and what was assumed."""

    row: Row
    footprint: shapely.Geometry
    notes: tuple[str, ...]


def fields(first: Row | None = None) -> tuple[SourceField, ...]:
    """The fields of an imagery source, with the values of `first` as samples."""
    return tuple(SourceField(name, kind, _samples((first or {}).get(name))) for name, kind in COLUMNS.items())


def _samples(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    text = value.isoformat() if isinstance(value, datetime) else value if isinstance(value, str) else json_text(value)
    return (text[:80],)


def json_text(value: Any) -> str:
    """Compact JSON; a number that JSON cannot write becomes null."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def utc(moment: datetime) -> datetime:
    """The instant in UTC. Raises OverflowError at the ends of the calendar."""
    return moment.astimezone(UTC)


def batch_of(
    rows: Sequence[Row],
    geometry: Sequence[shapely.Geometry | None],
    numbers: Sequence[int],
    rejections: Sequence[Rejection] = (),
    stac_collections: Sequence[Mapping[str, Any]] = (),
) -> Batch:
    """A batch of imagery rows; STAC collection documents travel in the table's metadata."""
    metadata = {b"stac_collections": orjson.dumps(list(stac_collections))} if stac_collections else None
    columns = [
        pa.array([_plain(row.get(name), kind) for row in rows], arrow_type(kind)) for name, kind in COLUMNS.items()
    ]
    shapes: npt.NDArray[Any] = np.empty(len(rows), dtype=object)
    shapes[:] = list(geometry)
    return Batch(
        pa.table(columns, schema=_SCHEMA.with_metadata(metadata)),
        shapes,
        np.array(numbers, dtype=np.int64),
        tuple(rejections),
    )


def _plain(value: Any, kind: Kind) -> Any:
    return json_text(value) if kind is Kind.JSON and value is not None else value
