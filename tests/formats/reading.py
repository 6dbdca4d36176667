"""A source read as a load reads it: probed through the registry, all batches, all rejections."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa

from cim.errors import CimError
from loaders.base import Rejection, SourceInfo, SourceOptions
from loaders.registry import choose


@dataclass(slots=True)
class Reading:
    """What came of a source. `trouble` is the error that ended the reading, if one did."""

    info: SourceInfo
    loader: str
    records: list[dict[str, Any]] = field(default_factory=list)
    geometry: list[Any] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    trouble: CimError | None = None
    largest_batch: int = 0

    @property
    def codes(self) -> list[str]:
        return [rejection.code for rejection in self.rejections]

    @property
    def fields(self) -> dict[str, str]:
        return {f.name: f.kind.value for f in self.info.fields}

    def column(self, name: str) -> list[Any]:
        return [record[name] for record in self.records]


def read(path: Path, batch_rows: int = 1000, **options: Any) -> Reading:
    """Everything a source gives; batches are checked against the contract of `loaders.base.Batch`."""
    stated = SourceOptions(**options)
    loader, info = choose(path, stated)
    result = Reading(info, loader.name)
    names = [f.name for f in info.fields]
    try:
        for batch in loader.read(path, stated, batch_rows):
            assert batch.table.column_names == names
            assert isinstance(batch.table, pa.Table)
            assert len(batch.geometry) == len(batch.rows)
            assert not names or len(batch.table) == len(batch.rows)
            assert batch.geometry.dtype == object
            assert batch.rows.dtype == np.int64
            assert all(f.type != pa.large_string() and not pa.types.is_nested(f.type) for f in batch.table.schema)
            result.records += batch.table.to_pylist() if names else [{} for _ in batch.rows]
            result.geometry += list(batch.geometry)
            result.rows += batch.rows.tolist()
            result.rejections += batch.rejections
            result.largest_batch = max(result.largest_batch, len(batch.rows))
    except CimError as error:
        result.trouble = error
    numbers = sorted([*result.rows, *(r.row for r in result.rejections)])
    assert len(set(numbers)) == len(numbers)
    return result


def frame(path: Path, **how: Any) -> geopandas.GeoDataFrame:
    """The same file by geopandas, for comparison."""
    return geopandas.read_file(path, **how)


def csv_of(*lines: str, encoding: str = "utf-8", end: str = "\n") -> bytes:
    """Lines as the bytes of a file."""
    return io.StringIO(end.join(lines) + end, newline="").read().encode(encoding)
