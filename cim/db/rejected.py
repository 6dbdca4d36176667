"""Rejections of a load on their way into `cim.load_rejection`."""

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

_COPY = (
    b"COPY cim.load_rejection (load_run_id, source_row, code, reason, field, value, original, is_rejected) FROM STDIN"
)


def reject(connection: psycopg.Connection[Any], run_id: int, rejections: Iterable[dict[str, Any]]) -> None:
    """Store them: one a row and code, the last one where there are several."""
    rows = {(r["row"], r["code"]): r for r in rejections}
    if not rows:
        return
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for r in rows.values():
            texts = [_storable(r[k]) for k in ("code", "reason", "field", "value")]
            original = Jsonb(_storable_json(r["original"]))
            copy.write_row((run_id, r["row"], *texts, original, r["is_rejected"]))


def repeated(rows: Iterable[tuple[int, str, Any]]) -> list[dict[str, Any]]:
    """Rejections of rows whose id an earlier row of the source has: number, id and original of each."""
    return [
        {
            "row": row,
            "code": "duplicate-id",
            "reason": "an earlier row of the source has the same id",
            "field": "id",
            "value": value,
            "original": feature,
            "is_rejected": True,
        }
        for row, value, feature in rows
    ]


def _storable(text: str | None) -> str | None:
    """Text that PostgreSQL takes: NUL shown as ␀, lone surrogates as �."""
    if text is None:
        return None
    return str(text).replace("\x00", "␀").encode("utf-8", "replace").decode()


def _storable_json(value: Any) -> Any:
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, dict):
        return {str(_storable(str(k))): _storable_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_storable_json(v) for v in value]
    return value
