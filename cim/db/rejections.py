"""Rejected rows of a load run, written so that a user can mend them and load them again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg

from cim.errors import NotFound

Row = tuple[Any, ...]
"""source_row, code, reason, field, value, is_rejected, original (JSON text)."""

_NAMES = ("row", "code", "reason", "field", "value", "rejected", "original")
_RISKY = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Form:
    """How rejections are written: what stands before, between and after, and one row (None leaves it out)."""

    frame: tuple[bytes, bytes, bytes]
    line: Callable[[Row], bytes | None]


def inert(text: str) -> str:
    """A cell that a spreadsheet does not take for a formula: a leading = + - @ gets an apostrophe (CWE-1236)."""
    return "'" + text if text.startswith(_RISKY) else text


def _cell(value: object) -> str:
    text = "" if value is None else inert(str(value))
    return '"' + text.replace('"', '""') + '"'


def _csv_line(row: Row) -> bytes:
    return ",".join(_cell(value) for value in row).encode() + b"\r\n"


def _geojson_line(row: Row) -> bytes | None:
    number, code, reason, _, _, is_rejected, original = row
    if not is_rejected:
        return None
    return orjson.dumps({**orjson.loads(original), "rejection": {"row": number, "code": code, "reason": reason}})


def _json_line(row: Row) -> bytes:
    return orjson.dumps(dict(zip(_NAMES, (*row[:-1], orjson.loads(row[-1])), strict=True)))


csv_lines = Form((",".join(_NAMES).encode() + b"\r\n", b"", b""), _csv_line)
geojson_lines = Form((b'{"type":"FeatureCollection","features":[', b",\n", b"]}\n"), _geojson_line)
json_lines = Form((b"[", b",\n", b"]\n"), _json_line)

FORMS = {"csv": csv_lines, "geojson": geojson_lines, "json": json_lines}


def written(connection: psycopg.Connection[Any], run_id: int, form: Form) -> Iterator[bytes]:
    """The rejections of a run, piece by piece. Raises NotFound for an unknown run."""
    if connection.execute("SELECT FROM cim.load_run WHERE id = %s", [run_id]).fetchone() is None:
        raise NotFound("load run", run_id)
    head, separator, tail = form.frame
    yield head
    is_first = True
    with connection.transaction(), connection.cursor("rejections") as rows:
        rows.execute(
            "SELECT source_row, code, reason, field, value, is_rejected, original::text FROM cim.load_rejection "
            "WHERE load_run_id = %s ORDER BY source_row, code",
            [run_id],
        )
        for row in rows:
            piece = form.line(row)
            if piece is not None:
                yield piece if is_first else separator + piece
                is_first = False
    yield tail
