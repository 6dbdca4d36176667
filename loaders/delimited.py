"""CSV and its kin: encoding by the ladder of `loaders.encoding`, delimiter by what divides the first records evenly.

All columns come as text, so that no code loses its zeros; `SourceField.kind` says what all values of a column
fit, and the pipeline converts them and rejects by row. A first pass over the file finds kinds and row count.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.cells import ESCAPED
from cim.errors import SourceRefused
from loaders.base import Batch, Rejection, SourceField, SourceInfo, SourceOptions
from loaders.encoding import Encoding, encoding_of
from loaders.kinds import KindFinder
from loaders.place import Place, find_place, placed
from loaders.sniff import Content, content_of

SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".txt"})
DELIMITERS = (",", "\t", ";", "|")
MAX_CELL_CHARACTERS = 64 * 1024 * 1024
MAX_COLUMNS = 4096
SNIFF_CHARACTERS = 65_536
SNIFF_RECORDS = 30
PROBE_ROWS = 1000

_WORDS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


@dataclass(frozen=True, slots=True)
class _Head:
    """How the file is to be read."""

    encoding: Encoding
    delimiter: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Scan:
    """What the first pass found."""

    head: _Head
    fields: tuple[SourceField, ...]
    place: Place | None
    count: int


class DelimitedLoader:
    """Text tables with a header line."""

    name = "CSV"

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """See Loader."""
        if not _is_table(path):
            return None
        scan = _scanned(path, options)
        head, place = scan.head, scan.place
        shown = {"\t": "tab", " ": "space"}.get(head.delimiter, head.delimiter)
        notes = [f"encoding {head.encoding.reason}", f"columns divided by {shown}"]
        return SourceInfo(
            driver=self.name,
            layer=None,
            layers=(),
            fields=scan.fields,
            geometry_type=place.geometry_type if place else None,
            crs=place.crs if place else None,
            encoding=head.encoding.name,
            feature_count=scan.count,
            notes=(*notes, *(place.notes if place else ("no place: no longitude, latitude or WKT column",))),
        )

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """See Loader. Row 1 is the record after the header; empty lines are no rows."""
        scan = _scanned(path, options)
        for table, rows, rejections in _tables(path, scan.head, batch_rows):
            batch = placed(table, scan.place, rows)
            if rejections:
                both = sorted([*rejections, *batch.rejections], key=lambda rejection: rejection.row)
                batch = replace(batch, rejections=tuple(both))
            yield batch


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and content_of(path) is Content.TEXT


def _scanned(path: Path, options: SourceOptions) -> _Scan:
    facts = path.stat()
    return _scan(path, options, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=4)
def _scan(path: Path, options: SourceOptions, size: int, changed_ns: int) -> _Scan:
    """One pass over a file; `size` and `changed_ns` only tell its versions apart."""
    encoding = encoding_of(path, options.encoding)
    head = _head(path, encoding, options.delimiter)
    finder = KindFinder(head.names)
    sample: pa.Table | None = None
    count = 0
    for table, _, rejections in _tables(path, head, 20_000, is_tolerant=True):
        sample = table.slice(0, PROBE_ROWS) if sample is None else sample
        finder.see(table)
        count += len(table) + len(rejections)
    place = None if sample is None else find_place(sample, options, path.name)
    return _Scan(head, finder.fields(), place, count)


def _open(path: Path, encoding: Encoding) -> io.TextIOWrapper:
    """Text whose bytes that do not fit the encoding are marked by lone surrogates."""
    return path.open("r", encoding=encoding.codec, errors="surrogateescape", newline="")


def _head(path: Path, encoding: Encoding, stated: str | None) -> _Head:
    if stated is not None:
        stated = _WORDS.get(stated.lower(), stated)
        if len(stated) != 1 or stated in '\r\n"':
            raise SourceRefused(f"--delimiter '{stated[:20]}': one character, or tab, is needed", parameter="delimiter")
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    with _open(path, encoding) as text:
        delimiter = stated or _delimiter(text.read(SNIFF_CHARACTERS))
    with _open(path, encoding) as text:
        try:
            header = next((record for record in csv.reader(text, delimiter=delimiter) if record), [])
        except csv.Error as error:
            raise SourceRefused(f"{path.name}: its header line cannot be read: {error}") from error
    if _not_text(header):
        raise SourceRefused(f"{path.name}: its header is not {encoding.name}; state --encoding", parameter="encoding")
    if len(header) > MAX_COLUMNS:
        raise SourceRefused(f"{path.name} has {len(header)} columns; at most {MAX_COLUMNS} are taken")
    return _Head(encoding, delimiter, tuple(column_names(header)))


def _delimiter(text: str) -> str:
    """The delimiter that gives the most columns among those under which the records are equally wide."""
    best = (0.0, 1, ",")
    for delimiter in DELIMITERS:
        try:
            records = [
                r for r in islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), SNIFF_RECORDS) if r
            ]
        except csv.Error:
            continue
        records = records[:-1] if len(text) == SNIFF_CHARACTERS and len(records) > 1 else records
        if not records or len(records[0]) < 2:
            continue
        even = sum(len(record) == len(records[0]) for record in records) / len(records)
        if (even, len(records[0])) > best[:2]:
            best = (even, len(records[0]), delimiter)
    return best[2]


def column_names(header: list[str]) -> list[str]:
    """Names that are trimmed, not empty and differ: column_3, name_2."""
    names: list[str] = []
    seen: set[str] = set()
    for number, raw in enumerate(header, 1):
        base = raw.replace("\ufeff", "").replace("\x00", "").strip() or f"column_{number}"
        base = re.sub(ESCAPED, r"\1", base)
        name, again = base, 1
        while name in seen:
            again += 1
            name = f"{base}_{again}"
        seen.add(name)
        names.append(name)
    return names


def _not_text(cells: list[str]) -> bool:
    return any("\udc80" <= c <= "\udcff" for cell in cells if not cell.isascii() for c in cell)


def _tables(
    path: Path, head: _Head, batch_rows: int, *, is_tolerant: bool = False
) -> Iterator[tuple[pa.Table, np.ndarray[tuple[int], np.dtype[np.int64]], list[Rejection]]]:
    """(text table, row numbers, rejections) of consecutive records. Raises SourceRefused for a quote never closed.

    `is_tolerant` ends there instead.
    """
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    width = len(head.names)
    with _open(path, head.encoding) as text:
        reader = csv.reader(text, delimiter=head.delimiter, strict=True)
        next((record for record in reader if record), None)
        records: list[list[str]] = []
        numbers: list[int] = []
        rejections: list[Rejection] = []
        row, line = 0, reader.line_num
        trouble: SourceRefused | None = None
        while True:
            try:
                record = next(reader, None)
            except csv.Error as error:
                if "end of data" in str(error):
                    trouble = SourceRefused(
                        f"{path.name}: a quote that opens in line {line + 1} is never closed (after row {row})"
                    )
                    record = None
                else:
                    row += 1
                    reason = f"lines {line + 1} to {reader.line_num}: {error}"
                    rejections.append(Rejection(row, "csv/malformed", reason, original=_feature({})))
                    line = reader.line_num
                    continue
            if record is None:
                break
            if record:
                row += 1
                if problem := _problem(record, width, head, line + 1):
                    rejections.append(Rejection(row, *problem, original=_feature(_cells(record, head.names))))
                else:
                    records.append(record[:width])
                    numbers.append(row)
            line = reader.line_num
            if len(records) + len(rejections) >= batch_rows:
                yield _table(records, head.names), np.array(numbers, dtype=np.int64), rejections
                records, numbers, rejections = [], [], []
        if records or rejections:
            yield _table(records, head.names), np.array(numbers, dtype=np.int64), rejections
        if trouble is not None and not is_tolerant:
            raise trouble


def _problem(record: list[str], width: int, head: _Head, line: int) -> tuple[str, str] | None:
    """(code, reason) of a record that is no row."""
    if len(record) != width and (len(record) < width or any(cell.strip() for cell in record[width:])):
        return "csv/width", f"line {line} has {len(record)} cells, the header {width}"
    if _not_text(record):
        return "encoding/invalid", f"line {line} holds bytes that are not {head.encoding.name}"
    return None


def _cells(record: list[str], names: tuple[str, ...]) -> dict[str, str]:
    keys = [*names, *(f"column_{n}" for n in range(len(names) + 1, len(record) + 1))]
    safe = (cell[:2000].encode("utf-8", "surrogateescape").decode("utf-8", "replace") for cell in record[:MAX_COLUMNS])
    return dict(zip(keys, safe, strict=False))


def _feature(properties: dict[str, str]) -> dict[str, object]:
    return {"type": "Feature", "geometry": None, "properties": properties}


def _table(records: list[list[str]], names: tuple[str, ...]) -> pa.Table:
    """Text columns; an empty cell is null."""
    columns = list(zip(*records, strict=True)) if records else [()] * len(names)
    return pa.table(
        {
            n: restored(pa.array([c or None for c in column], pa.string()))
            for n, column in zip(names, columns, strict=True)
        }
    )


def restored(column: pa.Array) -> pa.Array:
    """Texts without the apostrophe that keeps a spreadsheet from taking them for formulas (`cim.cells`)."""
    if not pc.any(pc.starts_with(column, "'")).as_py():
        return column
    return pc.replace_substring_regex(column, ESCAPED, r"\1")


DELIMITED = DelimitedLoader()
