"""Statements over the audit: appended, listed, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from cim.model import Scope
from cim.sql import Cast, Sql

DIGEST = Sql.of(
    "sha256(previous || convert_to(jsonb_build_array(number, extract(epoch FROM recorded_at), event, actor, "
    "organisation_id, subject_kind, subject_id, why, detail)::text, 'UTF8'))"
)
"""What the digest of a row must be: of the digest before it, and of the row without the two."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row to be: who did what to which thing, and why. `organisation_id`: whom it concerns."""

    actor: str
    event: str
    subject_kind: str
    subject_id: str
    organisation_id: str | None = None
    why: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def entry_of(
    scope: Scope,
    event: str,
    subject_kind: str,
    subject_id: str,
    *,
    why: str | None = None,
    detail: Mapping[str, Any] | None = None,
    organisation_id: str | None = None,
) -> Entry:
    """What the caller did; it concerns their own organisation where none is given."""
    owner = organisation_id or scope.organisation_id
    return Entry(scope.caller or "anonymous", event, subject_kind, subject_id, owner, why, dict(detail or {}))


def append_sql(entries: Sequence[Entry]) -> Sql:
    """Appends the rows in their order, and holds the head of the chain until the transaction ends.

    Rows are numbered without gaps in the order of commits, and none is older than the one before it. Many of one transaction
    go in one call: the head's row gets longer to find each time that one transaction writes it.
    """
    return Sql.of("SELECT cim.audit_append({}) AS number", Cast(orjson.dumps(list(entries)).decode(), "jsonb"))


def record_sql(
    actor: str,
    organisation_id: str | None,
    event: str,
    subject_kind: str,
    subject_id: str,
    why: str | None,
    detail: str,
) -> Sql:
    """The same for one row of what is done by no caller; `detail` is JSON."""
    return append_sql([Entry(actor, event, subject_kind, subject_id, organisation_id, why, orjson.loads(detail))])


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """What is asked of the audit; `organisation_id` is also what an organisation's admin is kept within. `since` is in, `until` out."""

    organisation_id: str | None = None
    subject_kind: str | None = None
    subject_id: str | None = None
    actor: str | None = None
    event: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    limit: int = 100

    def fingerprint(self) -> bytes:
        """The conditions without page size and position: what a cursor is bound to."""
        names = ("organisation_id", "subject_kind", "subject_id", "actor", "event", "since", "until")
        return b"audit\n" + repr([getattr(self, name) for name in names]).encode()


def rows_sql(query: AuditQuery) -> Sql:
    """Rows that match, the latest first, one more than the limit."""
    conditions = [
        Sql.of(text, value)
        for text, value in (
            ("organisation_id = {}", query.organisation_id),
            ("subject_kind = {}", query.subject_kind),
            ("subject_id = {}", query.subject_id),
            ("actor = {}", query.actor),
            ("event = {}", query.event),
            ("recorded_at >= {}", None if query.since is None else Cast(query.since, "timestamptz")),
            ("recorded_at < {}", None if query.until is None else Cast(query.until, "timestamptz")),
            ("number < {}", None if query.before is None else Cast(query.before, "bigint")),
        )
        if value is not None
    ]
    return Sql.of(
        "SELECT number, recorded_at, event, actor, organisation_id, subject_kind, subject_id, why, detail::text AS detail, "
        "encode(digest, 'hex') AS digest FROM cim.audit WHERE {} ORDER BY number DESC LIMIT {}",
        Sql.join(" AND ", conditions) or Sql.of("true"),
        Cast(query.limit + 1, "bigint"),
    )


HEAD_SQL = Sql.of("SELECT number, encode(digest, 'hex') AS digest FROM cim.audit_head WHERE name = 'audit'")
"""The last row of the chain, as the chain itself remembers it."""


NAMED_HEAD_SQL = Sql.of(
    "SELECT current_database() AS database, number, encode(digest, 'hex') AS digest FROM cim.audit_head WHERE name = 'audit'"
)
"""The same with the name of the database."""


def first_broken_sql(after: int, previous: bytes, recorded_at: datetime | None, count: int) -> Sql:
    """Of the `count` rows behind number `after`: the first that is not what it was, and the last one's facts.

    `number` is NULL where all are as written; `why` says what is wrong with the row.
    """
    return Sql.of(
        """
        WITH rows AS (
            SELECT number, recorded_at, digest, previous, {} AS expected,
                lag(number, 1, {}) OVER w AS number_before, lag(digest, 1, {}) OVER w AS digest_before,
                lag(recorded_at, 1, {}) OVER w AS recorded_before
            FROM cim.audit WHERE number > {} AND number <= {} WINDOW w AS (ORDER BY number)
        ),
        broken AS (
            SELECT number, CASE
                WHEN number <> number_before + 1 THEN 'rows before it are missing'
                WHEN digest <> expected THEN 'it was edited'
                WHEN previous <> digest_before THEN 'it does not follow from the row before it'
                ELSE 'it is older than the row before it' END AS why
            FROM rows
            WHERE number <> number_before + 1 OR digest <> expected OR previous <> digest_before
                OR recorded_at < recorded_before
            ORDER BY number LIMIT 1
        ),
        latest AS (SELECT number, digest, recorded_at FROM rows ORDER BY number DESC LIMIT 1)
        SELECT broken.number, broken.why, latest.number AS last_number, latest.digest AS last_digest,
            latest.recorded_at AS last_recorded_at
        FROM (SELECT) AS one LEFT JOIN broken ON true LEFT JOIN latest ON true
        """,
        DIGEST,
        Cast(after, "bigint"),
        Cast(previous, "bytea"),
        Cast(recorded_at, "timestamptz"),
        Cast(after, "bigint"),
        Cast(after + count, "bigint"),
    )


def digest_at_sql(number: int) -> Sql:
    """The digest of one row, in hexadecimal."""
    return Sql.of("SELECT encode(digest, 'hex') AS digest FROM cim.audit WHERE number = {}", Cast(number, "bigint"))


def first_after_sql(number: int) -> Sql:
    """The number of the first row behind `number`, or NULL."""
    return Sql.of("SELECT min(number) AS number FROM cim.audit WHERE number > {}", Cast(number, "bigint"))
