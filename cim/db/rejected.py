"""Rejections of a load on their way into `cim.load_rejection`."""

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

_COPY = b"COPY cim.load_rejection (load_run_id, source_row, code, reason, field, value, original, is_rejected, bounds) FROM STDIN"


def reject(connection: psycopg.Connection[Any], run_id: int, rejections: Iterable[dict[str, Any]]) -> None:
    """Store them: one a row and code, the last one where there are several."""
    rows = {(r["row"], r["code"]): r for r in rejections}
    if not rows:
        return
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for r in rows.values():
            texts = [_storable(r[k]) for k in ("code", "reason", "field", "value")]
            original = Jsonb(_storable_json(r["original"]))
            bounds = r["bounds"]
            copy.write_row(
                (run_id, r["row"], *texts, original, r["is_rejected"], None if bounds is None else list(bounds))
            )


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
            "bounds": bounds_of(feature["geometry"]),
        }
        for row, value, feature in rows
    ]


def bounds_of(geometry: Any) -> list[float] | None:
    """West, south, east, north of a GeoJSON geometry in degrees; None of none."""
    found = [*_positions((geometry or {}).get("coordinates") or [])]
    if not found:
        return None
    xs, ys = [x for x, _ in found], [y for _, y in found]
    return [min(xs), min(ys), max(xs), max(ys)]


def _positions(coordinates: list[Any]) -> Iterator[tuple[float, float]]:
    if coordinates and not isinstance(coordinates[0], list):
        yield float(coordinates[0]), float(coordinates[1])
    else:
        for part in coordinates:
            yield from _positions(part)


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
