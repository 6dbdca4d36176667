"""Cells of tables that a spreadsheet opens, and tables as CSV: text that looks like a formula is made inert, and restored on import.

The rule (CWE-1236, catalogue B45): a text that begins with `=`, `+`, `-`, `@`, a tab or a carriage return gets one
apostrophe in front; so does one that begins with apostrophes and then one of these, so that the rule can be undone.
What is no text (numbers, dates, truth values) is left as it is.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import orjson

BOM = b"\xef\xbb\xbf"
"""In front of a file it tells spreadsheets that the text is UTF-8."""

RISKY = r"^'*[=+@\t\r-]"
"""Pattern of the texts that get an apostrophe, as Python and PostgreSQL read it."""

ESCAPED = r"^'('*[=+@\t\r-])"
"""Pattern of the texts that lose one again."""

_RISKY = re.compile(RISKY)
_NUMBER = re.compile(r"[+-]\d+(?:\.\d*)?(?:[eE][+-]?\d+)?", re.ASCII)


def inert(text: str, *, may_be_number: bool = False) -> str:
    """A cell that a spreadsheet does not take for a formula.

    `may_be_number`: the cell is of a column without a type, so that -118.25 is left as it is.
    """
    if may_be_number and _NUMBER.fullmatch(text):
        return text
    return "'" + text if _RISKY.match(text) else text


def csv_rows(rows: Iterable[Iterable[object]]) -> bytes:
    """Rows as CSV in UTF-8 (RFC 4180), be they a whole table or a part of one that is sent as it is made.

    Texts are inert, days are RFC 3339's, lists and objects are JSON, None is an empty cell.
    """
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator="\r\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return sink.getvalue().encode()


def csv_table(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> bytes:
    """A whole table with its headings, a byte order mark in front."""
    return BOM + csv_rows([columns, *([row.get(name) for name in columns] for row in rows)])


def _cell(value: object) -> object:
    if isinstance(value, str):
        return inert(value)
    if isinstance(value, date):
        return value.isoformat()
    return orjson.dumps(value).decode() if isinstance(value, list | dict) else value
