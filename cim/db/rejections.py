"""Rejected rows of a load run, written so that a user can mend them and load them again.

As GeoJSON and as CSV a row has its own fields and, in front, `cim_row` and why it was rejected. The loaders know
these fields: a mended row keeps the number that it has in its source, and so its identity (`loaders.mended`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg

from cim.cells import inert
from cim.db.wkt import wkt_of
from cim.errors import NotFound
from cim.sql import Cast, Sql

Row = tuple[Any, ...]
"""source_row, code, reason, field, value, is_rejected, original (JSON text), bounds (in degrees, or None)."""

_NAMES = ("row", "code", "reason", "field", "value", "rejected", "original", "bounds")
_MARKED, _ORIGINAL, _BOUNDS = slice(0, 6), 6, 7
MARKS = ("cim_row", "cim_code", "cim_reason", "cim_field", "cim_value", "cim_rejected")
"""Fields that stand before a row's own."""

PLACE = "cim_wkt"
"""Column of the geometry in a CSV, where the row's own columns do not hold it."""

_TABLES = ("CSV", "Spreadsheet (XLSX)")
_PLAIN_CRS = (None, "OGC:CRS84", "EPSG:4326")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the rows of a run have in common: the CRS of the originals, whether the source is a table, its fields."""

    crs: str | None
    is_table: bool
    fields: tuple[str, ...]

    @property
    def has_place_column(self) -> bool:
        """True where a CSV needs a column for the geometry."""
        return not self.is_table and PLACE not in self.fields


@dataclass(frozen=True, slots=True)
class Form:
    """How rejections are written: what stands before, between and after, and one row (None leaves it out)."""

    frame: Callable[[RunFacts], tuple[bytes, bytes, bytes]]
    line: Callable[[Row, RunFacts], bytes | None]


def _cell(value: object) -> str:
    if isinstance(value, (dict, list, bool)):
        value = orjson.dumps(value).decode()
    text = "" if value is None else inert(str(value), may_be_number=True)
    return '"' + text.replace('"', '""') + '"'


def _record(values: Iterator[object]) -> bytes:
    return ",".join(map(_cell, values)).encode() + b"\r\n"


def _csv_frame(facts: RunFacts) -> tuple[bytes, bytes, bytes]:
    names = (*MARKS, *facts.fields, *([PLACE] if facts.has_place_column else []))
    return b"\xef\xbb\xbf" + _record(iter(names)), b"", b""


def _csv_line(row: Row, facts: RunFacts) -> bytes:
    original = orjson.loads(row[_ORIGINAL])
    properties = original.get("properties") or {}
    values = [*row[_MARKED], *(properties.get(name) for name in facts.fields)]
    if facts.has_place_column:
        values.append(_place(original.get("geometry"), facts.crs))
    return _record(iter(values))


def _place(geometry: Any, crs: str | None) -> str | None:
    """EWKT where the CRS has an EPSG code, else WKT."""
    text = wkt_of(geometry)
    code = "4326" if crs in _PLAIN_CRS else (crs or "").removeprefix("EPSG:")
    return f"SRID={code};{text}" if text and code.isdigit() else text


def _geojson_frame(facts: RunFacts) -> tuple[bytes, bytes, bytes]:
    crs = "" if facts.crs in _PLAIN_CRS else f'"crs":{orjson.dumps(_crs_member(facts.crs)).decode()},'
    return b'{"type":"FeatureCollection",' + crs.encode() + b'"features":[', b",\n", b"]}\n"


def _crs_member(crs: str | None) -> dict[str, Any]:
    """The member that GeoJSON of 2008 (section 3) has for another CRS than CRS84; x stays easting or longitude."""
    return {"type": "name", "properties": {"name": crs}}


def _geojson_line(row: Row, facts: RunFacts) -> bytes | None:
    number, code, reason, _, _, is_rejected, text, _ = row
    if not is_rejected:
        return None
    original = orjson.loads(text)
    marks = {"cim_row": number, "cim_code": code, "cim_reason": reason}
    return orjson.dumps({**original, "properties": {**marks, **(original.get("properties") or {})}})


def _json_line(row: Row, facts: RunFacts) -> bytes:
    values = (*row[_MARKED], orjson.loads(row[_ORIGINAL]), row[_BOUNDS])
    return orjson.dumps(dict(zip(_NAMES, values, strict=True)))


def _place_line(row: Row, facts: RunFacts) -> bytes | None:
    """The middle of where the row lies, with its box."""
    number, code, reason, field, value, is_rejected, _, bounds = row
    if bounds is None:
        return None
    west, south, east, north = bounds
    told = {"row": number, "code": code, "reason": reason, "field": field, "value": value, "rejected": is_rejected}
    middle = {"type": "Point", "coordinates": [(west + east) / 2, (south + north) / 2]}
    key = f"{number}/{code}"
    return orjson.dumps({"type": "Feature", "id": key, "bbox": bounds, "geometry": middle, "properties": told})


csv_lines = Form(_csv_frame, _csv_line)
geojson_lines = Form(_geojson_frame, _geojson_line)
json_lines = Form(lambda facts: (b"[", b",\n", b"]\n"), _json_line)
place_lines = Form(lambda facts: (b'{"type":"FeatureCollection","features":[', b",\n", b"]}\n"), _place_line)

FORMS = {"csv": csv_lines, "geojson": geojson_lines, "json": json_lines}


def facts_sql(run_id: int) -> Sql:
    """One row `crs, driver, fields` of a run; none where there is no such run."""
    return Sql.of(
        "SELECT r.options ->> 'crs' AS crs, r.options ->> 'driver' AS driver, COALESCE((SELECT array_agg(name ORDER BY place, name) "
        "FROM (SELECT name, min(place) AS place FROM cim.load_rejection AS j CROSS JOIN LATERAL jsonb_object_keys("
        "CASE WHEN jsonb_typeof(j.original -> 'properties') = 'object' THEN j.original -> 'properties' ELSE jsonb_build_object() END) "
        "WITH ORDINALITY AS key (name, place) WHERE j.load_run_id = r.id GROUP BY name) AS named), ARRAY[]::text[]) AS fields "
        "FROM cim.load_run AS r WHERE r.id = {}",
        Cast(run_id, "bigint"),
    )


def facts_of(crs: str | None, driver: str | None, fields: list[str]) -> RunFacts:
    """RunFacts of the columns of `facts_sql`."""
    return RunFacts(crs, driver in _TABLES, tuple(fields))


def written(connection: psycopg.Connection[Any], run_id: int, form: Form) -> Iterator[bytes]:
    """The rejections of a run, piece by piece. Raises NotFound for an unknown run."""
    text, values = facts_sql(run_id).compile_psycopg()
    found = connection.execute(text.encode(), values).fetchone()
    if found is None:
        raise NotFound("load run", run_id)
    facts = facts_of(*found)
    head, separator, tail = form.frame(facts)
    yield head
    is_first = True
    with connection.transaction(), connection.cursor("rejections") as rows:
        rows.execute(
            "SELECT source_row, code, reason, field, value, is_rejected, original::text, bounds FROM cim.load_rejection "
            "WHERE load_run_id = %s ORDER BY source_row, code",
            [run_id],
        )
        for row in rows:
            piece = form.line(row, facts)
            if piece is not None:
                yield piece if is_first else separator + piece
                is_first = False
    yield tail
