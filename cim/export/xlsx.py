"""XLSX: one sheet of features with a frozen header, one that says what the columns are.

Ids and whole numbers of more than 15 digits are text, since spreadsheets keep 15. Text that looks like a formula is
made inert (`cim.cells`).
"""

from datetime import date, datetime
from pathlib import Path
from typing import Any

from xlsxwriter import Workbook

from cim.cells import inert
from cim.errors import NotWritable
from cim.export.arrow import instant
from cim.export.request import ExportRequest
from cim.export.rows import Source

MAX_ROWS = 1_048_575
MAX_CHARACTERS = 32_767
_EXACT = 10**15
_FIRST_DAY = date(1900, 3, 1)
"""Days before are counted differently by different programs."""


def write_xlsx(source: Source, request: ExportRequest, path: Path) -> None:
    """The workbook. Raises NotWritable for more rows or longer cells than a sheet takes."""
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "nan_inf_to_errors": True,
        "tmpdir": str(path.parent),
    }
    with Workbook(str(path), options) as book:
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        bold = book.add_format({"bold": True})
        sheet = book.add_worksheet(_sheet_name(request.collection))
        sheet.freeze_panes(1, 1)
        names = ["id", *(column.name for column in request.columns), *(request.places or ())]
        for place, name in enumerate(names):
            sheet.write_string(0, place, inert(name), bold)
        number = 0
        for batch in source.batches():
            for row in batch:
                number += 1
                if number > MAX_ROWS:
                    raise NotWritable(
                        f"a sheet takes {MAX_ROWS:,} rows; ask for f=csv or f=parquet, or for fewer features"
                    )
                for place, value in enumerate(row):
                    if value is not None:
                        _cell(sheet, number, place, value, day, names[place])
        _fields(book, request, bold)


def _cell(sheet: Any, number: int, place: int, value: Any, day: Any, name: str) -> None:
    if isinstance(value, bool):
        sheet.write_boolean(number, place, value)
    elif isinstance(value, datetime):
        sheet.write_string(number, place, instant(value))
    elif isinstance(value, date):
        if value >= _FIRST_DAY:
            sheet.write_datetime(number, place, value, day)
        else:
            sheet.write_string(number, place, value.isoformat())
    elif isinstance(value, float) or (isinstance(value, int) and -_EXACT < value < _EXACT):
        sheet.write_number(number, place, value)
    else:
        text = inert(str(value))
        if len(text) > MAX_CHARACTERS:
            raise NotWritable(
                f"'{name}' of row {number:,} has {len(text):,} characters and a cell takes {MAX_CHARACTERS:,}; "
                "ask for f=csv, f=gpkg or f=parquet"
            )
        sheet.write_string(number, place, text)


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
