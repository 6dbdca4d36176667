"""What every source kind answers: can I read this (`probe`), and what are its rows (`read`).

A loader writes no SQL, opens no connection, prints nothing and asks nothing. It runs only inside the
sandboxed child (`loaders.child`), never in the process that holds the database connection.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cim.crs import check_datum
from cim.model import Kind

if TYPE_CHECKING:  # the parent of the reading child needs neither
    import numpy as np
    import pyarrow as pa

MAX_CHOICES = 300
"""Names that a refusal offers to choose from."""

BATCH_ROWS = 20_000
"""Rows a loader yields at a time: bounds memory, and is the unit of commit and of resuming."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What the caller stated about the source; None means "take it from the source or refuse".

    `crs`: "EPSG:4547" and the like, wins over nothing but a missing CRS unless `override_crs`.
    `datum`: wgs84 | gcj02 | bd09, the offset the coordinates carry. `lon`, `lat`, `wkt`: columns of a table
    that hold the place. `layer`: of a source with several. Raises InvalidParameter for another datum.
    """

    layer: str | None = None
    crs: str | None = None
    datum: str = "wgs84"
    encoding: str | None = None
    delimiter: str | None = None
    lon: str | None = None
    lat: str | None = None
    wkt: str | None = None
    timezone: str | None = None

    def __post_init__(self) -> None:
        check_datum(self.datum)


@dataclass(frozen=True, slots=True)
class SourceField:
    """One field of a source: its own name, the kind of its values, up to five sample values as text."""

    name: str
    kind: Kind
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What `probe` found. `crs` is what the geometries of `read` are in: an authority code or WKT.

    Geometries come with x = longitude/easting first whatever the CRS definition says. `geometry_type` is
    None for a table without a place. `notes` are assumptions a user should read (encoding guessed, CRS by
    the format's rule, rows that are always skipped). `id_field` is the field that the format itself declares to
    identify a row. `feature_count` may be None where counting means reading.
    """

    driver: str
    layer: str | None
    layers: tuple[str, ...]
    fields: tuple[SourceField, ...]
    geometry_type: str | None
    crs: str | None
    encoding: str | None = None
    feature_count: int | None = None
    licence: str | None = None
    attribution: str | None = None
    notes: tuple[str, ...] = ()
    id_field: str | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that is not stored, or (`is_rejected` false) stored after the repair that `reason` names.

    `row` is the 1-based row or feature number in the source, `code` e.g. `geometry/invalid`, `original` the
    row as a GeoJSON-like feature (dict with `type`, `geometry`, `properties`) in the source's CRS. `bounds`: where
    it lies, as west, south, east, north in degrees of WGS 84; None where that is not known.
    """

    row: int
    code: str
    reason: str
    field: str | None = None
    value: str | None = None
    original: dict[str, Any] = dataclasses.field(default_factory=dict)
    is_rejected: bool = True
    bounds: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of a source: `table` has one column a field (named as in SourceInfo.fields),
    `geometry` is a (n,) object array of shapely geometries (None for a missing one), `rows` a (n,) int64
    array of 1-based source row numbers. `rejections` are rows that could not even be decoded; they are not
    in `table`. Rows read = len(rows) + rejections with `is_rejected`.
    JSON-kind columns hold JSON text.
    """

    table: pa.Table
    geometry: np.ndarray[Any, Any]
    rows: np.ndarray[Any, Any]
    rejections: tuple[Rejection, ...] = ()


class Loader(Protocol):
    """One source kind."""

    @property
    def name(self) -> str:
        """How a user knows the format: GeoPackage."""
        ...

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """What is in `path`, or None when it is not of this kind.

        Decides by content first and suffix second. Raises SourceRefused, naming the option to give, when it
        is of this kind but cannot be read as it is (no CRS, unknown encoding, several layers and none named).
        """
        ...

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """The rows in file order. A broken row becomes a rejection; a broken file raises SourceRefused
        after the last good batch, with the line or byte of the break.
        """
        ...
