"""The catalogue as a workbook."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from xlsxwriter import Workbook

from cim.cells import inert

MAX_CHARACTERS = 32_767
"""That a cell takes; a longer text is cut."""


def write_catalogue(rows: Iterable[Sequence[str]], path: Path) -> None:
    """A sheet with a frozen line of headings; `rows` are those of `cim.catalogue.table.table_rows`, all of them texts."""
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "tmpdir": str(path.parent),
    }
    with Workbook(str(path), options) as book:
        sheet = book.add_worksheet("services")
        sheet.freeze_panes(1, 1)
        bold = book.add_format({"bold": True})
        for number, row in enumerate(rows):
            for place, text in enumerate(row):
                if text:
                    sheet.write_string(number, place, inert(text)[:MAX_CHARACTERS], bold if number == 0 else None)
