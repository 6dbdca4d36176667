"""Organisations and services out of files: each row is written, left as it is, or rejected with a reason."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psycopg
import yaml
from psycopg.rows import dict_row

from cim.catalogue.service import checked, missing_for_the_shelf
from cim.errors import CimError, Incomplete, InvalidParameter
from cim.query.services import (
    insert_sql,
    merge_sql,
    organisations_sql,
    publish_sql,
    put_organisation_sql,
    service_sql,
)
from cim.sql import Sql

Connection = psycopg.Connection[Any]

_IGNORED = ("state", "keywords", "bbox_crs")
_JSON = ("themes", "endpoints")
_ORGANISATION = {"organisation_id": "id", "title_zh": "name_zh", "title_en": "name_en", "contact": "contact"}
"""Member of a service that is of the same kind → member of an organisation."""


@dataclass(frozen=True, slots=True)
class RejectedService:
    """A row that was not taken. `row` counts from 1; `missing` are the members that the shelf asks for."""

    row: int
    id: str
    code: str
    reason: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServicesAccount:
    """What a load of services did: read = inserted + updated + unchanged + rejected."""

    inserted: int
    updated: int
    unchanged: int
    rejections: tuple[RejectedService, ...]

    @property
    def rejected(self) -> int:
        """Rows not taken."""
        return len(self.rejections)

    @property
    def read(self) -> int:
        """Rows of the source."""
        return self.inserted + self.updated + self.unchanged + self.rejected

    def to_dict(self) -> dict[str, int]:
        """The counts, for JSON."""
        return {name: getattr(self, name) for name in ("read", "inserted", "updated", "unchanged", "rejected")}


def read_rows(path: Path, name: str) -> list[Mapping[str, Any]]:
    """The rows of a YAML, JSON or CSV file: a list of them, or the list `name` of a document.

    CSV cells: an empty one is no value, themes are separated by `;`, bbox by commas, and `endpoint` is an address of
    the service's own kind. Raises InvalidParameter for a file that holds no rows.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            return [_from_cells(cells) for cells in csv.DictReader(text.splitlines(keepends=True), strict=True)]
        document = orjson.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (UnicodeDecodeError, csv.Error, orjson.JSONDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InvalidParameter(path.name, type(error).__name__, "not a UTF-8 YAML, JSON or CSV file") from error
    rows = document.get(name) if isinstance(document, dict) else document
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidParameter(path.name, type(document).__name__, f"a list of entries, or a list '{name}', is needed")
    return rows


def _from_cells(cells: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of a CSV file as a registration; cells beyond the header keep the name None, which is refused."""
    row: dict[str, Any] = {str(name): value for name, value in cells.items() if value not in ("", None)}
    if "themes" in row:
        row["themes"] = [word.strip() for word in row["themes"].split(";") if word.strip()]
    if "bbox" in row:
        row["bbox"] = [_number(word) for word in row["bbox"].split(",")]
    if "cim_level" in row:
        row["cim_level"] = _number(row["cim_level"])
    if "endpoint" in row:
        row["endpoints"] = [{"url": row.pop("endpoint"), "kind": row.get("kind", "")}]
    return row


def _number(word: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def load_organisations(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write organisations; gives how many. Raises InvalidParameter for one without an id or a name."""
    count = 0
    for row in rows:
        texts = checked({ours: row.get(theirs) for ours, theirs in _ORGANISATION.items()}, is_partial=True)
        key, name_zh, name_en = texts["organisation_id"], texts["title_zh"] or "", texts["title_en"] or ""
        if not key or not (name_zh or name_en):
            raise InvalidParameter("organisations", key or count + 1, "an id and a name are needed")
        run(connection, put_organisation_sql(key, name_zh, name_en, texts["contact"]))
        count += 1
    return count


def load_services(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> ServicesAccount:
    """Write services by their ids in one transaction: a new one is registered, one that differs edited.

    A row with `state: published` goes on the shelf, if it has all that the shelf asks for; one that was withdrawn
    here stays withdrawn. A row that is wrong is rejected with its reason, the others are taken.
    """
    counts = {"inserted": 0, "updated": 0, "unchanged": 0}
    rejections: list[RejectedService] = []
    seen: set[str] = set()
    with connection.transaction():
        cursor = connection.execute(organisations_sql().compile_psycopg()[0].encode())
        known = {str(row[0]) for row in cursor}
        for number, row in enumerate(rows, 1):
            try:
                values = _values(row, known, seen)
                with connection.transaction():
                    counts[_write(connection, values, is_published=row.get("state") == "published")] += 1
            except CimError as error:
                missing = error.facts.get("missing", ())
                names = tuple(str(name) for name in missing) if isinstance(missing, Sequence) else ()
                rejections.append(
                    RejectedService(number, str(row.get("id") or "")[:80], error.code, error.detail, names)
                )
    return ServicesAccount(counts["inserted"], counts["updated"], counts["unchanged"], tuple(rejections))


def _values(row: Mapping[str, Any], organisations: set[str], seen: set[str]) -> dict[str, Any]:
    """The members of a row. Raises a CimError for one that cannot be taken."""
    if row.get("state") not in (None, "draft", "published"):
        raise InvalidParameter("state", row["state"], "draft or published")
    values = checked({name: value for name, value in row.items() if name not in _IGNORED})
    if values["id"] in seen:
        raise InvalidParameter("id", values["id"], "comes twice in this file")
    seen.add(values["id"])
    owner = values.get("organisation_id")
    if owner and owner not in organisations:
        raise InvalidParameter("organisation_id", owner, "no such organisation; load or PUT it first")
    return values


def _write(connection: Connection, values: Mapping[str, Any], *, is_published: bool) -> str:
    """Register, edit or leave a service, and put it on the shelf; gives the word of the account."""
    service_id = values["id"]
    is_new = run(connection, insert_sql(values)) is not None
    is_changed = not is_new and run(connection, merge_sql(service_id, values)) is not None
    service = run(connection, service_sql(service_id))
    assert service is not None
    goes_up = is_published and service["state"] == "draft"
    if goes_up or service["state"] == "published":
        missing = missing_for_the_shelf({**service, **{name: orjson.loads(service[name]) for name in _JSON}})
        if missing:
            raise Incomplete(service_id, missing)
    if goes_up:
        run(connection, publish_sql(service_id))
    if is_new:
        return "inserted"
    return "updated" if is_changed or goes_up else "unchanged"


def run(connection: Connection, sql: Sql) -> dict[str, Any] | None:
    """The first row of a statement, or None."""
    text, values = sql.compile_psycopg()
    cursor = connection.cursor(row_factory=dict_row).execute(text.encode(), values)
    return cursor.fetchone() if cursor.description else None
