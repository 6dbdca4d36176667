"""Rejected rows of a load run, written so that a user can mend them and load them again."""

from collections.abc import Iterator
from typing import Any

import orjson
import psycopg

from cim.errors import NotFound

FORMATS = ("csv", "geojson", "json")
_RISKY = ("=", "+", "-", "@", "\t", "\r")


def inert(text: str) -> str:
    """A cell that a spreadsheet does not take for a formula: a leading = + - @ gets an apostrophe (CWE-1236)."""
    return "'" + text if text.startswith(_RISKY) else text


def _cell(value: object) -> str:
    text = "" if value is None else inert(str(value))
    return '"' + text.replace('"', '""') + '"'


def written(connection: psycopg.Connection[Any], run_id: int, form: str) -> Iterator[bytes]:
    """The rejections of a run as CSV (a row each), GeoJSON (originals with the reason) or JSON, piece by piece.

    Raises NotFound for an unknown run.
    """
    if connection.execute("SELECT FROM cim.load_run WHERE id = %s", [run_id]).fetchone() is None:
        raise NotFound("load run", run_id)
    with connection.transaction(), connection.cursor("rejections") as rows:
        rows.execute(
            "SELECT source_row, code, reason, field, value, is_rejected, original FROM cim.load_rejection "
            "WHERE load_run_id = %s ORDER BY source_row, code",
            [run_id],
        )
        yield from _FORMS[form](rows)


def _csv(rows: Any) -> Iterator[bytes]:
    yield b"row,code,reason,field,value,rejected,original\r\n"
    for row, code, reason, field, value, is_rejected, original in rows:
        cells = [row, code, reason, field, value, is_rejected, orjson.dumps(original).decode()]
        yield ",".join(_cell(cell) for cell in cells).encode() + b"\r\n"


def _geojson(rows: Any) -> Iterator[bytes]:
    yield b'{"type":"FeatureCollection","features":['
    separator = b""
    for row, code, reason, *_, is_rejected, original in rows:
        if is_rejected:
            yield separator + orjson.dumps({**original, "rejection": {"row": row, "code": code, "reason": reason}})
            separator = b",\n"
    yield b"]}\n"


def _json(rows: Any) -> Iterator[bytes]:
    names = ("row", "code", "reason", "field", "value", "rejected", "original")
    yield b"["
    separator = b""
    for row in rows:
        yield separator + orjson.dumps(dict(zip(names, row, strict=True)))
        separator = b",\n"
    yield b"]\n"


_FORMS = {"csv": _csv, "geojson": _geojson, "json": _json}
