"""XLSX: one sheet of features with a frozen header, one that says what the columns are.

XlsxWriter makes the workbook with its header; the rows go straight into the XML of the sheet (ECMA-376-1, 18.3.1),
which takes a fifth of the time that cell by cell takes. Ids and whole numbers of more than 15 digits are text, since
spreadsheets keep 15. Text that looks like a formula is made inert (`cim.cells`).
"""

import math
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.utility import xl_col_to_name

from cim.cells import inert
from cim.errors import NotWritable
from cim.export.arrow import instant
from cim.export.request import ExportRequest
from cim.export.rows import Source
from cim.model import Kind

MAX_ROWS = 1_048_575
MAX_CHARACTERS = 32_767
_EXACT = 10**15
_FIRST_DAY = date(1900, 3, 1)
"""Days before are counted differently by different programs."""
_DAY_0 = date(1899, 12, 30)

_SHEET = "xl/worksheets/sheet1.xml"
_SAMPLE = re.compile(r'<row r="2".*?<c r="A2" s="(\d+)">.*?</row>', re.DOTALL)
"""The row that shows which style a day has."""
_DIMENSION = re.compile(r"<dimension [^>]*/>")

_MARKUP = re.compile(r"[&<>]")
_NO_XML = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
"""What a cell writes as `_xHHHH_`: characters that XML has none for, and what would be read as such (ECMA-376-1, 22.9.2.19)."""
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

Cell = Callable[[str, Any], str]
"""The XML of a cell at a place (B7) with a value that is not None."""


def write_xlsx(source: Source, request: ExportRequest, path: Path) -> None:
    """The workbook. Raises NotWritable for more rows or longer cells than a sheet takes."""
    names = ["id", *(column.name for column in request.columns), *(request.places or ())]
    frame = path.with_name("frame.xlsx")
    _write_frame(request, names, frame)
    with zipfile.ZipFile(frame) as made, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for name in made.namelist():
            if name != _SHEET:
                archive.writestr(name, made.read(name))
        head, style, tail = _around(made.read(_SHEET).decode())
        with archive.open(_SHEET, "w", force_zip64=True) as sheet:
            sheet.write(head.encode())
            for text in _rows(source, names, _cells(request, style)):
                sheet.write(text.encode())
            sheet.write(tail.encode())
    frame.unlink()


def _write_frame(request: ExportRequest, names: Sequence[str], path: Path) -> None:
    """The workbook without its rows, but one that shows the style of a day."""
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with Workbook(str(path), {**options, "tmpdir": str(path.parent)}) as book:
        bold = book.add_format({"bold": True})
        sheet = book.add_worksheet(_sheet_name(request.collection))
        sheet.freeze_panes(1, 1)
        for place, name in enumerate(names):
            sheet.write_string(0, place, inert(name), bold)
        sheet.write_datetime(1, 0, _FIRST_DAY, book.add_format({"num_format": "yyyy-mm-dd"}))
        _fields(book, request, bold)


def _around(sheet: str) -> tuple[str, str, str]:
    """What stands before the rows, the number of the style of a day, and what stands behind the rows."""
    sheet = _DIMENSION.sub("", sheet)
    sample = _SAMPLE.search(sheet)
    assert sample is not None
    return sheet[: sample.start()], sample[1], sheet[sample.end() :]


def _rows(source: Source, names: Sequence[str], cells: Sequence[Cell]) -> Iterator[str]:
    """The XML of the rows, a batch at a time."""
    columns = [(place, xl_col_to_name(place), cell) for place, cell in enumerate(cells)]
    number = 1  # the header's
    for batch in source.batches():
        lines = []
        for row in batch:
            number += 1
            if number > MAX_ROWS + 1:
                raise NotWritable(f"a sheet takes {MAX_ROWS:,} rows; ask for f=csv or f=parquet, or for fewer features")
            try:
                written = [cell(f"{name}{number}", row[n]) for n, name, cell in columns if row[n] is not None]
            except _TooLong as error:
                _refuse(row, names, number - 1, error)
            lines.append(f'<row r="{number}">{"".join(written)}</row>')
        yield "".join(lines)


class _TooLong(Exception):
    """A text that no cell takes."""


def _refuse(row: Sequence[Any], names: Sequence[str], number: int, error: _TooLong) -> None:
    texts = ((name, inert(value)) for name, value in zip(names, row, strict=True) if isinstance(value, str))
    name, text = next((name, text) for name, text in texts if len(text) > MAX_CHARACTERS)
    raise NotWritable(
        f"'{name}' of row {number:,} has {len(text):,} characters and a cell takes {MAX_CHARACTERS:,}; "
        "ask for f=csv, f=gpkg or f=parquet"
    ) from error


def _cells(request: ExportRequest, style: str) -> list[Cell]:
    """How each column is written."""

    def day(place: str, value: date) -> str:
        if value < _FIRST_DAY:
            return _text(place, value.isoformat())
        return f'<c r="{place}" s="{style}"><v>{(value - _DAY_0).days}</v></c>'

    by_kind: dict[Kind, Cell] = {
        Kind.INTEGER: _whole,
        Kind.NUMBER: _number,
        Kind.BOOLEAN: lambda place, value: f'<c r="{place}" t="b"><v>{int(value)}</v></c>',
        Kind.DATE: day,
        Kind.INSTANT: lambda place, value: _text(place, instant(value)),
    }
    places = request.places or ()
    return [
        _text,
        *(by_kind.get(column.kind, _text) for column in request.columns),
        *([_text] if len(places) == 1 else [_number] * len(places)),
    ]


def _whole(place: str, value: int) -> str:
    return f'<c r="{place}"><v>{value}</v></c>' if -_EXACT < value < _EXACT else _text(place, str(value))


def _number(place: str, value: float) -> str:
    return f'<c r="{place}"><v>{value!r}</v></c>' if math.isfinite(value) else f'<c r="{place}" t="e"><v>#NUM!</v></c>'


def _text(place: str, value: str) -> str:
    text = inert(value)
    if len(text) > MAX_CHARACTERS:
        raise _TooLong
    if not text.isalnum():  # most texts that are hold nothing to escape
        text = _MARKUP.sub(lambda found: _ENTITIES[found[0]], text)
        text = _NO_XML.sub(lambda found: f"_x{ord(found[0]):04X}_", text)
        if text[:1].isspace() or text[-1:].isspace():
            return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def _fields(book: Any, request: ExportRequest, bold: Any) -> None:
    sheet = book.add_worksheet("fields")
    for place, name in enumerate(("property", "名称", "title", "unit")):
        sheet.write_string(0, place, name, bold)
    for number, column in enumerate(request.columns, 1):
        for place, text in enumerate((column.name, column.title_zh, column.title_en, column.unit or "")):
            sheet.write_string(number, place, inert(text))


def _sheet_name(text: str) -> str:
    """At most 31 characters, none that a sheet's name may not have."""
    name = "".join("_" if c in "[]:*?/\\'" else c for c in text)[:31]
    return name if name.casefold() not in ("history", "fields") else name + "_"
