"""Excel and OpenDocument spreadsheets: one sheet as a table with a header line, read by calamine.

Cells become text as a reader sees them (1001, not 1001.0); the pipeline converts them. A sheet is held in
memory while it is read: formats of this kind end at 1,048,576 rows.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook

from cim.errors import DecompressedTooLarge, SourceRefused
from loaders.base import Batch, SourceField, SourceInfo, SourceOptions
from loaders.delimited import column_names, restored
from loaders.kinds import KindFinder
from loaders.place import Place, find_place, placed
from loaders.sniff import Content, content_of

MAX_CONTENT_BYTES = 1024**3
PROBE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class _Sheet:
    name: str
    names: tuple[str, ...]
    fields: tuple[SourceField, ...]
    table: pa.Table
    place: Place | None
    layers: tuple[str, ...]
    first_row: int


class SpreadsheetLoader:
    """XLSX, XLSM, XLSB, XLS and ODS."""

    name = "Spreadsheet (XLSX)"

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """See Loader."""
        if not _is_spreadsheet(path):
            return None
        sheet = _opened(path, options)
        place = sheet.place
        notes = (f"sheet {sheet.name}, header in row {sheet.first_row}",)
        return SourceInfo(
            driver=self.name,
            layer=sheet.name,
            layers=sheet.layers,
            fields=sheet.fields,
            geometry_type=place.geometry_type if place else None,
            crs=place.crs if place else None,
            feature_count=len(sheet.table),
            notes=(*notes, *(place.notes if place else ("no place: no longitude, latitude or WKT column",))),
        )

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """See Loader. Row 1 is the line after the header."""
        sheet = _opened(path, options)
        for first in range(0, len(sheet.table), batch_rows):
            table = sheet.table.slice(first, batch_rows)
            yield placed(table, sheet.place, np.arange(first + 1, first + 1 + len(table), dtype=np.int64))


def _is_spreadsheet(path: Path) -> bool:
    content = content_of(path)
    if content not in (Content.SPREADSHEET, Content.ZIP):
        return False
    if not zipfile.is_zipfile(path):
        return content is Content.SPREADSHEET and path.suffix.lower() in (".xls", ".et", ".xlt")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = {member.filename for member in members[:1000]}
        if not ({"xl/workbook.xml", "xl/workbook.bin"} & names or {"mimetype", "content.xml"} <= names):
            return False
        size = sum(member.file_size for member in members)
    if size > MAX_CONTENT_BYTES:
        raise DecompressedTooLarge(
            f"{path.name} holds {size} bytes when unpacked; at most {MAX_CONTENT_BYTES} are taken"
        )
    return True


def _opened(path: Path, options: SourceOptions) -> _Sheet:
    facts = path.stat()
    return _open(path, options, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=1)
def _open(path: Path, options: SourceOptions, size: int, changed_ns: int) -> _Sheet:
    """The chosen sheet; `size` and `changed_ns` only tell a file's versions apart."""
    try:
        with CalamineWorkbook.from_path(str(path)) as workbook:
            layers = tuple(workbook.sheet_names)
            sheets = {name: _rows(workbook, name) for name in ((options.layer,) if options.layer in layers else layers)}
    except (CalamineError, OSError, ValueError) as error:
        raise SourceRefused(f"{path.name} is a broken spreadsheet: {str(error)[:200]}") from error
    filled = {name: rows for name, rows in sheets.items() if len(rows) > 1}
    if options.layer is not None and options.layer not in layers:
        raise SourceRefused(
            f"{path.name} has no sheet '{options.layer[:80]}'; its sheets: {', '.join(layers)}",
            parameter="layer",
            facts={"choices": list(layers)},
        )
    if len(filled) != 1:
        said = "has no sheet with rows" if not filled else f"has {len(filled)} sheets with rows: name one by --layer"
        names = list(filled or layers)
        raise SourceRefused(f"{path.name} {said}: {', '.join(names)}", parameter="layer", facts={"choices": names})
    name, rows = next(iter(filled.items()))
    return _sheet(path, options, name, rows, layers)


def _rows(workbook: Any, name: str) -> list[list[Any]]:
    rows: list[list[Any]] = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
    return rows


def _sheet(path: Path, options: SourceOptions, name: str, rows: list[list[Any]], layers: tuple[str, ...]) -> _Sheet:
    first = next((i for i, row in enumerate(rows) if sum(cell != "" for cell in row) > 1), 0)
    width = max((i + 1 for i, cell in enumerate(rows[first]) if cell != ""), default=0)
    names = tuple(column_names([_text(cell) or "" for cell in rows[first][:width]]))
    body = rows[first + 1 :]
    while body and not any(cell != "" for cell in body[-1]):
        body.pop()
    columns = {n: restored(pa.array([_text(row[i]) for row in body], pa.string())) for i, n in enumerate(names)}
    table = pa.table(columns)
    finder = KindFinder(names)
    finder.see(table)
    place = find_place(table.slice(0, PROBE_ROWS), options, path.name)
    return _Sheet(name, names, finder.fields(), table, place, layers, first + 1)


def _text(cell: Any) -> str | None:
    """A cell as text; None for an empty one."""
    if cell == "" or cell is None:
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == datetime.min.time() else cell.isoformat(sep=" ")
    return cell.isoformat() if isinstance(cell, date) else str(cell)


SPREADSHEET = SpreadsheetLoader()
