"""Shapefiles: the encoding from --encoding, .cpg, the table's language driver or the ladder; the CRS from .prj."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio

from cim.errors import SourceRefused
from loaders.base import Batch, Rejection, SourceInfo, SourceOptions
from loaders.dbf import Table, encoding_of_table, is_also_utf8, open_table, unreadable_records
from loaders.encoding import MAX_BAD_SHARE, Encoding
from loaders.ogr import AS_TEXT, BREAKS, batch_of, broken, describe_layer
from loaders.sniff import Content, content_of


class ShapefileLoader:
    """A .shp with its .shx, .dbf and .prj, or a folder that holds one."""

    name = "Shapefile"

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """See Loader."""
        shape = main_file(path, options)
        if shape is None:
            return None
        encoding, notes = _encoding(shape, options)
        return describe_layer(
            self.name,
            shape,
            shape.stem,
            ((shape.stem, _geometry_type(shape)),),
            options,
            driver="ESRI Shapefile",
            encoding=encoding,
            notes=notes,
        )

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """See Loader. Row numbers are those of the shapes; deleted records are left out."""
        shape = main_file(path, options)
        assert shape is not None
        encoding, _ = _encoding(shape, options)
        table = _table(shape)
        unreadable = unreadable_records(table, encoding.codec) if table and encoding else {}
        codec = encoding.codec if encoding else None
        row = 0
        try:
            with pyogrio.raw.open_arrow(
                shape, batch_size=batch_rows, use_pyarrow=True, encoding=codec, return_fids=True, **AS_TEXT
            ) as (meta, stream):
                for record_batch in stream:
                    yield _batch(pa.Table.from_batches([record_batch]), meta, unreadable, encoding)
                    row += len(record_batch)
        except BREAKS as error:
            raise SourceRefused(f"{broken(shape, error).detail} (after feature {row})") from error


def main_file(path: Path, options: SourceOptions) -> Path | None:
    """The .shp of a path, or None. Raises SourceRefused when parts are missing or a folder has several."""
    shape: Path | None = None
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() == ".shp" and p.is_file())
        if options.layer is not None:
            found = [p for p in found if p.stem == options.layer] or found
        if len(found) > 1:
            names = ", ".join(p.stem for p in found[:30])
            raise SourceRefused(f"{path.name} holds {len(found)} shapefiles: name one by --layer: {names}")
        shape = found[0] if found else None
    elif content_of(path) is Content.SHAPEFILE:
        shape = path
    elif path.suffix.lower() in (".dbf", ".shx", ".prj", ".cpg") and _sibling(path, ".shp"):
        raise SourceRefused(f"{path.name} is a part of a shapefile: give the .shp")
    if shape is not None and _sibling(shape, ".shx") is None:
        raise SourceRefused(
            f"{shape.name} comes without its .shx: put .shp, .shx, .dbf and .prj side by side, or in a ZIP"
        )
    return shape


def _sibling(shape: Path, suffix: str) -> Path | None:
    for candidate in (suffix, suffix.upper()):
        path = shape.with_suffix(candidate)
        if path.is_file():
            return path
    return None


def _table(shape: Path) -> Table | None:
    path = _sibling(shape, ".dbf")
    return None if path is None else open_table(path)


def _geometry_type(shape: Path) -> str:
    try:
        return str(pyogrio.read_info(shape)["geometry_type"])
    except BREAKS as error:
        raise broken(shape, error) from error


def _encoding(shape: Path, options: SourceOptions) -> tuple[Encoding | None, tuple[str, ...]]:
    """The encoding of the table and notes about it. Raises SourceRefused when it does not fit much of the text."""
    table = _table(shape)
    if table is None:
        return None, ("no .dbf: shapes without attributes",)
    page = _sibling(shape, ".cpg")
    code_page = page.read_bytes()[:64].decode("ascii", "replace").strip() if page else None
    encoding = encoding_of_table(table, code_page, options.encoding)
    bad = unreadable_records(table, encoding.codec)
    if len(bad) > MAX_BAD_SHARE * max(table.records, 1):
        raise SourceRefused(
            f"{table.path.name}: {len(bad)} of {table.records} records are not {encoding.reason}; "
            "state the encoding, e.g. --encoding GB18030",
            parameter="encoding",
        )
    notes = [f"encoding {encoding.reason}"]
    if not encoding.codec.startswith("utf") and options.encoding is None and is_also_utf8(table):
        notes.append("the text is valid UTF-8 too: if names look wrong, state --encoding UTF-8")
    if bad:
        notes.append(f"{len(bad)} records hold text that is not {encoding.name}; they are rejected")
    return encoding, tuple(notes)


def _batch(table: pa.Table, meta: dict[str, Any], unreadable: dict[int, str], encoding: Encoding | None) -> Batch:
    fids = np.asarray(table.column(_fid_name(table, meta)).to_numpy(), dtype=np.int64)
    bad = np.array([int(fid) in unreadable for fid in fids], dtype=bool) if unreadable else np.zeros(len(fids), bool)
    rejections = [_rejection(int(fid), unreadable[int(fid)], encoding) for fid in fids[bad]]
    good = table.drop_columns([_fid_name(table, meta)])
    if bad.any():
        good = good.filter(pa.array(~bad))
    rows = fids[~bad] + 1
    batch = batch_of(good, meta, 0)
    kept = rows[batch.rows - 1]
    moved = [Rejection(int(rows[r.row - 1]), r.code, r.reason, r.field, r.value, r.original) for r in batch.rejections]
    return Batch(batch.table, batch.geometry, kept, tuple(sorted([*rejections, *moved], key=lambda r: r.row)))


def _fid_name(table: pa.Table, meta: dict[str, Any]) -> str:
    """The column in which GDAL gives feature ids: it comes first."""
    return str(table.column_names[0])


def _rejection(fid: int, what: str, encoding: Encoding | None) -> Rejection:
    name = encoding.name if encoding else "text"
    original: dict[str, Any] = {"type": "Feature", "geometry": None, "properties": {"_record": fid + 1}}
    return Rejection(fid + 1, "encoding/invalid", f"{what} is not {name}; state --encoding", None, None, original)


SHAPEFILE = ShapefileLoader()
