"""Registrations as tables: CSV and XLSX to registrations and back, cell by cell.

A heading is a member's name or one of the words of `cim.catalogue.words`. An empty cell is no value. Themes are
separated by `;`, bbox by commas; endpoints are addresses of the service's own kind, one a line, or a JSON list.
What a spreadsheet would take for a formula carries an apostrophe (`cim.cells`), which is taken off again here.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson

from cim.catalogue.words import MEMBER_OF, TITLES, code_of, plain
from cim.cells import ESCAPED
from cim.errors import InvalidParameter, SetupProblem

MAX_ROWS = 100_000
HEAD_ROWS = 10
"""Rows of a sheet that are looked at for the headings; what stands above is a title."""

_ESCAPED = re.compile(ESCAPED)


def csv_rows(text: str) -> list[Mapping[str, Any]]:
    """The rows of a CSV text with a line of headings; the delimiter is a comma, a semicolon or a tab.

    Raises csv.Error for text that is no CSV.
    """
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    return _registrations(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True), 1)


def xlsx_rows(path: Path) -> list[Mapping[str, Any]]:
    """The rows of the first sheet with known headings among its first rows. Raises InvalidParameter where there is none."""
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise SetupProblem("spreadsheets need the package python-calamine: pip install 'opencim[load]'") from error
    try:
        with CalamineWorkbook.from_path(str(path)) as workbook:
            for name in workbook.sheet_names:
                cells = workbook.get_sheet_by_name(name).to_python(nrows=MAX_ROWS + HEAD_ROWS)
                rows = [[_shown(cell) for cell in row] for row in cells]
                if any(_is_heading(row) for row in rows[:HEAD_ROWS]):
                    return _registrations(iter(rows), HEAD_ROWS)
    except (CalamineError, OSError, ValueError) as error:
        raise InvalidParameter(path.name, type(error).__name__, "a spreadsheet that can be read is needed") from error
    raise InvalidParameter(path.name, "", f"no sheet has headings such as {', '.join(list(TITLES.values())[:4])}")


def _shown(cell: Any) -> str:
    """A cell of a sheet as a reader sees it: 440305, not 440305.0."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def _is_heading(row: Sequence[str]) -> bool:
    return sum(plain(cell) in MEMBER_OF for cell in row) >= 2


def _registrations(rows: Iterator[list[str]], head_rows: int) -> list[Mapping[str, Any]]:
    names: list[str] | None = None
    found: list[Mapping[str, Any]] = []
    for number, row in enumerate(rows):
        if names is None:
            if head_rows == 1 or _is_heading(row):
                names = _names(row)
            elif number + 1 >= head_rows:
                break
            continue
        if any(cell.strip() for cell in row):
            found.append(_registration(names, row))
        if len(found) > MAX_ROWS:
            raise InvalidParameter("rows", len(found), f"at most {MAX_ROWS:,} services in a file")
    return found


def _names(row: Sequence[str]) -> list[str]:
    """The members that the columns hold. Raises InvalidParameter for two columns of the same; an unknown heading stays as it is."""
    names = [MEMBER_OF.get(plain(cell), cell.strip()) for cell in row]
    while names and not names[-1]:
        names.pop()
    for place, name in enumerate(names):
        if name and name in names[:place]:
            raise InvalidParameter(name, row[place], f"two columns mean {name}")
    return names


def _registration(names: Sequence[str], row: Sequence[str]) -> dict[str, Any]:
    """A row as a registration; cells beyond the headings get a name that no registration has, so that it is refused."""
    values: dict[str, Any] = {}
    for place, cell in enumerate(row):
        text = _ESCAPED.sub(r"\1", cell).strip()
        if not text:
            continue
        name = names[place] if place < len(names) else ""
        values[name or f"column {place + 1}"] = _value(name, text)
    if isinstance(values.get("endpoints"), str):
        words = values["endpoints"].split()
        values["endpoints"] = [{"url": word, "kind": values.get("kind", "")} for word in words]
    return values


def _value(name: str, text: str) -> Any:
    match name:
        case "themes":
            return [word.strip() for word in re.split("[;；、]", text) if word.strip()]
        case "bbox":
            return [_number(word) for word in re.split("[,，;]", text.strip("[]()"))]
        case "cim_level":
            return _number(text.upper().removeprefix("CIM"))
        case "endpoints" if text.startswith("["):
            try:
                return orjson.loads(text)
            except orjson.JSONDecodeError:
                return text
    return code_of(name, text)


def _number(word: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def table_rows(services: Iterable[Mapping[str, Any]], *, columns: Sequence[str] = tuple(TITLES)) -> Iterator[list[str]]:
    """The headings in Chinese, then a row a service: what `csv_rows` and `xlsx_rows` read gives the same registrations.

    Whoever writes them makes the texts inert.
    """
    yield [TITLES.get(name, name) for name in columns]
    for service in services:
        yield [_cell(name, service.get(name), service) for name in columns]


def _cell(name: str, value: Any, service: Mapping[str, Any]) -> str:
    if value is None or value == []:
        return ""
    match name:
        case "themes":
            text = ";".join(value)
        case "bbox":
            text = ",".join(f"{v:.10g}" for v in value)
        case "endpoints":
            is_plain = all(set(one) <= {"url", "kind"} and one.get("kind") == service.get("kind") for one in value)
            text = "\n".join(one["url"] for one in value) if is_plain else orjson.dumps(value).decode()
        case _:
            text = str(value)
    return text
