"""Organisations and services out of files: each row is written, left as it is, or rejected with a reason."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psycopg
import yaml

from cim.catalogue.review import Steps, put, put_directly
from cim.catalogue.service import checked
from cim.catalogue.table import csv_rows, xlsx_rows
from cim.db.services import done_here, first_row
from cim.errors import CimError, Conflict, Forbidden, InvalidParameter
from cim.gateway.policy import NONE, Allowed
from cim.model import Scope, roles_of
from cim.query.audit import Entry, append_sql
from cim.query.services import organisations_sql, owners_sql, put_organisation_sql

Connection = psycopg.Connection[Any]

_IGNORED = ("state", "keywords", "bbox_crs")
_ORGANISATION = {"organisation_id": "id", "title_zh": "name_zh", "title_en": "name_en", "contact": "contact"}
"""Member of a service that is of the same kind → member of an organisation."""

SHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
FORMATS = (".csv", *SHEETS, ".json", ".yaml", ".yml")
"""Ends of the names of files that are taken."""


@dataclass(frozen=True, slots=True)
class RejectedService:
    """A row that was not taken. `row` counts from 1, headings apart; `missing` are the members that the shelf asks for."""

    row: int
    id: str
    code: str
    reason: str
    missing: tuple[str, ...] = ()
    field: str = ""
    value: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON, and for the columns of a CSV."""
        names = ("row", "id", "field", "value", "code", "reason")
        return {**{name: getattr(self, name) for name in names}, "missing": list(self.missing)}


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


@dataclass(frozen=True, slots=True)
class Intake:
    """By whom rows come, and what they may: the operator writes for everybody and puts on the shelf.

    `by`: who it is for the separation of duties, as `cim.catalogue.life.identity_of` names a caller.
    `organisation_id`: the only one that rows may belong to, and theirs where they name none. `may_publish`: `state: published`
    goes on the shelf; else such a row is a draft that waits for review. `scope`: a caller, whose rows are drafts within their
    duties, beside what is on the shelf. `is_dry`: nothing is kept. `called`: what the audit calls them, where it is not `by`.
    """

    by: str = "operator"
    organisation_id: str | None = None
    may_publish: bool = True
    is_dry: bool = False
    allowed_upstreams: Allowed = field(default=NONE)
    scope: Scope | None = None
    called: str | None = None


OPERATOR = Intake()


def read_rows(path: Path, name: str, *, encoding: str = "utf-8-sig") -> list[Mapping[str, Any]]:
    """The rows of a YAML, JSON, CSV or spreadsheet file: a list of them, or the list `name` of a document.

    Tables as `cim.catalogue.table` has them. Raises InvalidParameter for a file that holds no rows.
    """
    kind = path.suffix.lower()
    if kind in SHEETS:
        return xlsx_rows(path)
    try:
        text = path.read_text(encoding=encoding)
        if kind == ".csv":
            return csv_rows(text)
        document = orjson.loads(text) if kind == ".json" else _yaml(text)
    except (UnicodeDecodeError, LookupError) as error:
        told = "not UTF-8; save it so, or name its encoding (gb18030 of older Chinese programs)"
        raise InvalidParameter(path.name, type(error).__name__, told) from error
    except (csv.Error, orjson.JSONDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InvalidParameter(path.name, type(error).__name__, "not a UTF-8 YAML, JSON or CSV file") from error
    rows = document.get(name) if isinstance(document, dict) else document
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidParameter(path.name, type(document).__name__, f"a list of entries, or a list '{name}', is needed")
    return rows


def _yaml(text: str) -> Any:
    """A YAML document without aliases: a few of them make a list of millions."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if "*" in text and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, loader)):
        raise yaml.YAMLError("aliases are not taken")
    return yaml.load(text, loader)  # noqa: S506 a safe one


def load_organisations(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write organisations; gives how many. Raises InvalidParameter for one without an id or a name."""
    count = 0
    for row in rows:
        texts = checked({ours: row.get(theirs) for ours, theirs in _ORGANISATION.items()}, is_partial=True)
        key, name_zh, name_en = texts["organisation_id"], texts["title_zh"] or "", texts["title_en"] or ""
        if not key or not (name_zh or name_en):
            raise InvalidParameter("organisations", key or count + 1, "an id and a name are needed")
        first_row(connection, put_organisation_sql(key, name_zh, name_en, texts["contact"]))
        count += 1
    return count


def load_services(
    connection: Connection,
    rows: Sequence[Mapping[str, Any]],
    intake: Intake = OPERATOR,
    tell: Callable[[Mapping[str, int], int], None] = lambda counts, expected: None,
) -> ServicesAccount:
    """Write services by their ids in one transaction: a new one is registered, one that differs edited.

    `tell` gets the account so far and the number of rows; what it raises ends the load, and nothing is kept.
    A row with `state: published` goes on the shelf, if it has all that the shelf asks for and `intake` may publish; one
    that was withdrawn here stays withdrawn. A row that is wrong is rejected with its reason, the others are taken.
    """
    counts = {"inserted": 0, "updated": 0, "unchanged": 0}
    entries: list[Entry] = []
    rejections: list[RejectedService] = []
    seen: set[str] = set()
    with _kept(connection, is_dry=intake.is_dry):
        known = _organisations(connection)
        owners = _owners(connection)
        for number, row in enumerate(rows, 1):
            tell({**counts, "read": number - 1, "rejected": len(rejections)}, len(rows))
            try:
                values = _values(row, known, seen, intake)
                _check_owner(values, owners, intake)
                with connection.transaction():
                    is_published = row.get("state") == "published"
                    counts[done_here(connection, _written(values, intake, is_published=is_published), entries)] += 1
            except CimError as error:
                rejections.append(_rejected(number, row, error))
        first_row(connection, append_sql(entries))
    return ServicesAccount(counts["inserted"], counts["updated"], counts["unchanged"], tuple(rejections))


@contextmanager
def _kept(connection: Connection, *, is_dry: bool) -> Iterator[None]:
    with connection.transaction(force_rollback=is_dry):
        yield


def _organisations(connection: Connection) -> dict[str, str]:
    """Id of each organisation by its id and by its names; a name that several have is none."""
    rows = connection.execute(organisations_sql().compile_psycopg()[0].encode()).fetchall()
    names = [(str(name), str(row[0])) for row in rows for name in {row[1], row[2]} if name]
    several = {name for name, _ in names if sum(name == other for other, _ in names) > 1}
    return {**{name: key for name, key in names if name not in several}, **{str(row[0]): str(row[0]) for row in rows}}


def _owners(connection: Connection) -> dict[str, str | None]:
    text, values = owners_sql().compile_psycopg()
    return dict(connection.execute(text.encode(), values).fetchall())


def _rejected(number: int, row: Mapping[str, Any], error: CimError) -> RejectedService:
    missing = error.facts.get("missing", ())
    names = tuple(str(name) for name in missing) if isinstance(missing, Sequence) else ()
    at_fault = error.parameter or ""
    value = row.get(at_fault)
    shown = "" if value is None else value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return RejectedService(
        number, str(row.get("id") or "")[:80], error.code, error.detail, names, at_fault[:80], shown[:200]
    )


def _values(row: Mapping[str, Any], organisations: Mapping[str, str], seen: set[str], intake: Intake) -> dict[str, Any]:
    """The members of a row. Raises a CimError for one that cannot be taken."""
    if row.get("state") not in (None, "draft", "published"):
        raise InvalidParameter("state", row["state"], "draft or published")
    members = {name: value for name, value in row.items() if name not in _IGNORED}
    owner = members.get("organisation_id") or intake.organisation_id
    if isinstance(owner, str) and owner:
        if owner.strip() not in organisations:
            raise InvalidParameter("organisation_id", owner, "no such organisation; load or PUT it first")
        members["organisation_id"] = organisations[owner.strip()]
    values = checked(members, allowed_upstreams=intake.allowed_upstreams)
    if values["id"] in seen:
        raise InvalidParameter("id", values["id"], "comes twice in this file")
    seen.add(values["id"])
    return values


def _check_owner(values: Mapping[str, Any], owners: Mapping[str, str | None], intake: Intake) -> None:
    """Raise Forbidden for a row of another organisation, Conflict for an id that another has taken."""
    own = intake.organisation_id
    if own is None:
        return
    if values["organisation_id"] != own:
        refused = Forbidden(f"'{values['organisation_id']}' is another organisation; services of '{own}' are taken")
        refused.parameter = "organisation_id"
        raise refused
    if owners.get(values["id"], own) != own:
        taken = Conflict(f"the id '{values['id']}' is taken; choose another")
        taken.parameter = "id"
        raise taken


def _written(values: Mapping[str, Any], intake: Intake, *, is_published: bool) -> Steps[str]:
    """Register, edit or leave a service; gives the word of the account."""
    if intake.may_publish and intake.scope is None:
        return put_directly(values, is_published=is_published, by=intake.by)
    roles = roles_of("admin") if intake.organisation_id is None else frozenset({"publisher"})
    kind, _, name = intake.by.partition(" ")
    caller = Scope(
        roles=roles,
        caller=intake.called or intake.by,
        organisation_id=intake.organisation_id,
        person_id=name if kind == "person" else None,
        key_prefix=name if kind == "key" else None,
    )
    return put(intake.scope or caller, values)
