"""Vector files that GDAL reads, as Arrow batches: GeoPackage, FlatGeobuf and others.

Content is recognised before GDAL sees a file (`loaders.sniff`), and in a child only the drivers of
`loaders.sandbox.ALLOWED_DRIVERS` are registered: a file cannot choose another driver.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError

from cim.errors import DriverRefused, SourceRefused
from cim.model import Kind
from loaders.base import MAX_CHOICES, Batch, SourceInfo, SourceOptions
from loaders.encoding import Encoding
from loaders.fields import simple_column, source_fields
from loaders.reference import settle
from loaders.sniff import Content, content_of
from loaders.wkb import geometries_of, undecoded

PROBE_ROWS = 1000

BREAKS = (DataSourceError, DataLayerError, FeatureError, pa.ArrowException, OSError)
"""What pyogrio and Arrow raise when a file is not what it says."""

AS_TEXT: dict[str, Any] = {"datetime_as_string": True}
"""Arrow columns have one time zone; as text each value keeps its own."""


@dataclass(frozen=True, slots=True)
class OgrLoader:
    """One format by one GDAL driver. `accepts` decides by content."""

    name: str
    driver: str
    accepts: Callable[[Path], bool]

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """See Loader. Raises SourceRefused for several layers and none named, and for a missing CRS."""
        if not self.accepts(path):
            return None
        layers = layers_of(path)
        layer = choose_layer(layers, options, path)
        return describe_layer(self.name, path, layer, layers, options, driver=self.driver)

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """See Loader."""
        yield from read_layer(path, choose_layer(layers_of(path), options, path), batch_rows)


def layers_of(path: Path) -> tuple[tuple[str, str | None], ...]:
    """(layer, geometry type or None) of a data source. Raises SourceRefused when GDAL cannot open it."""
    try:
        found = pyogrio.list_layers(path)
    except BREAKS as error:
        raise broken(path, error) from error
    return tuple((str(name), None if kind is None else str(kind)) for name, kind in found)


def broken(path: Path, error: Exception) -> SourceRefused:
    """What GDAL says, as a refusal."""
    said = str(error).replace(str(path), path.name).replace(str(path.parent), "…")
    return SourceRefused(f"{path.name} is broken: {said[:300]}")


def choose_layer(layers: tuple[tuple[str, str | None], ...], options: SourceOptions, path: Path) -> str:
    """The layer asked for, or the only one with a geometry. Raises SourceRefused with the names otherwise."""
    names = [name for name, _ in layers]
    if options.layer is not None:
        if options.layer in names:
            return options.layer
        raise SourceRefused(
            f"{path.name} has no layer '{options.layer[:80]}'; its layers: {', '.join(names)}",
            parameter="layer",
            facts={"choices": names},
        )
    spatial = [name for name, kind in layers if kind is not None]
    candidates = spatial or names
    if not candidates:
        raise SourceRefused(f"{path.name} has no layer")
    if len(candidates) > 1:
        raise SourceRefused(
            f"{path.name} has {len(candidates)} layers: name one by --layer: {', '.join(candidates[:30])}",
            parameter="layer",
            facts={"choices": candidates[:MAX_CHOICES]},
        )
    return candidates[0]


def describe_layer(
    name: str,
    path: Path,
    layer: str,
    layers: tuple[tuple[str, str | None], ...],
    options: SourceOptions,
    *,
    driver: str,
    encoding: Encoding | None = None,
    notes: tuple[str, ...] = (),
) -> SourceInfo:
    """SourceInfo of one layer: fields with samples from its first rows. Raises SourceRefused."""
    codec = encoding.codec if encoding else None
    try:
        _choose_reader(path, layer)
        info = pyogrio.read_info(path, layer=layer, encoding=codec)
        meta, sample = pyogrio.raw.read_arrow(path, layer=layer, max_features=PROBE_ROWS, encoding=codec, **AS_TEXT)
    except BREAKS as error:
        raise broken(path, error) from error
    if info["driver"] != driver:
        raise DriverRefused(f"{path.name} is of the GDAL driver {info['driver']}, where {driver} is needed")
    kind = dict(layers).get(layer)
    crs: str | None = None
    found: list[str] = []
    if kind is not None:
        crs, found = settle(info["crs"], options, f"{path.name}, layer {layer},")
    count = int(info["features"])
    return SourceInfo(
        driver=name,
        layer=layer,
        layers=tuple(n for n, _ in layers),
        fields=source_fields(attribute_table(sample, meta), _kinds(info)),
        geometry_type=kind,
        crs=crs,
        encoding=encoding.name if encoding else "UTF-8",
        feature_count=count if count >= 0 else None,
        notes=(*notes, *found),
    )


def _kinds(info: dict[str, Any]) -> dict[str, Kind]:
    """Kinds of the fields that come as text: what GDAL marks as JSON, and times, which keep their UTC offset."""
    kinds = {f: Kind.JSON for f, sub in zip(info["fields"], info["ogr_subtypes"], strict=True) if sub == "OFSTJSON"}
    instants = {
        f: Kind.INSTANT for f, kind in zip(info["fields"], info["ogr_types"], strict=True) if kind == "OFTDateTime"
    }
    return kinds | instants


def attribute_table(table: pa.Table, meta: dict[str, Any]) -> pa.Table:
    """The columns besides the geometry, in plain types, named as the source names them."""
    geometry = _geometry_name(table, meta)
    names = [name for name in table.column_names if name != geometry]
    if not names:
        return table.select([])
    return pa.table({name: simple_column(table.column(name)) for name in names})


def _geometry_name(table: pa.Table, meta: dict[str, Any]) -> str | None:
    name = meta["geometry_name"] or "wkb_geometry"
    return name if name in table.column_names else None


def read_layer(path: Path, layer: str, batch_rows: int, **how: Any) -> Iterator[Batch]:
    """Batches of one layer; `how` goes to pyogrio (encoding, where, open options). Raises SourceRefused at a break."""
    row = 0
    try:
        _choose_reader(path, layer)
        with pyogrio.raw.open_arrow(path, layer=layer, batch_size=batch_rows, use_pyarrow=True, **AS_TEXT, **how) as (
            meta,
            stream,
        ):
            for record_batch in stream:
                table = pa.Table.from_batches([record_batch])
                yield batch_of(table, meta, row)
                row += len(table)
    except BREAKS as error:
        raise SourceRefused(f"{broken(path, error).detail} (after feature {row})") from error


def _choose_reader(path: Path, layer: str) -> None:
    """Take GDAL's slower reader for a FlatGeobuf without a spatial index: only those can have null geometries.

    GDAL 3.12's fast one fails at random after a null geometry ("Unknown error").
    """
    if content_of(path) is Content.FLATGEOBUF:
        is_indexed = pyogrio.read_info(path, layer=layer)["capabilities"]["fast_spatial_filter"]
        pyogrio.set_gdal_config_options({"OGR_FLATGEOBUF_STREAM_BASE_IMPL": not is_indexed})


def batch_of(table: pa.Table, meta: dict[str, Any], rows_before: int) -> Batch:
    """A batch of a table with a WKB column; rows whose geometry cannot be decoded become rejections."""
    rows = np.arange(rows_before + 1, rows_before + 1 + len(table), dtype=np.int64)
    attributes = attribute_table(table, meta)
    name = _geometry_name(table, meta)
    if name is None:
        return Batch(attributes, np.full(len(table), None, dtype=object), rows)
    values = table.column(name)
    geometry, bad = geometries_of(values)
    if not bad:
        return Batch(attributes, geometry, rows)
    rejections = undecoded(rows, attributes, bad, values)
    kept = np.ones(len(table), bool)
    kept[list(bad)] = False
    return Batch(attributes.filter(pa.array(kept)), geometry[kept], rows[kept], rejections)


def _has(content: Content) -> Callable[[Path], bool]:
    return lambda path: content_of(path) is content


def _is_file_geodatabase(path: Path) -> bool:
    return path.is_dir() and path.suffix.lower() == ".gdb" and (path / "a00000001.gdbtable").is_file()


GEOPACKAGE = OgrLoader("GeoPackage", "GPKG", _has(Content.GEOPACKAGE))
FLATGEOBUF = OgrLoader("FlatGeobuf", "FlatGeobuf", _has(Content.FLATGEOBUF))
FILE_GEODATABASE = OgrLoader("File geodatabase", "OpenFileGDB", _is_file_geodatabase)
DXF = OgrLoader("DXF", "DXF", _has(Content.DXF))
