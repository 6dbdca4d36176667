"""Days of the ledger closed, one after the other, each close chained to the one before by its digest.

`rows_digest` is over the day's calls, as COPY writes them by id, so that it can be made of a copy of them elsewhere;
`sums_digest` is over the day's rows of `cim.call_day`, which stay when the calls are dropped.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

import orjson
import psycopg

from cim.db.ledger import SUMS, Connection, closing, one, partitions, run
from cim.query.audit import record_sql
from cim.sql import Sql

FIRST = bytes(32)
"""What stands before the first close."""


class _Days(Protocol):
    def of(self, seconds: float) -> str:
        """The day of an instant."""
        ...


@dataclass(frozen=True, slots=True)
class Close:
    """A day that is closed. Digests are sha256."""

    day: date
    number: int
    calls: int
    denied: int
    failed: int
    sent_bytes: int
    rows: int
    rows_digest: bytes
    sums_digest: bytes
    previous: bytes

    @property
    def digest(self) -> bytes:
        """Over all of it, the close before among it."""
        content = [
            self.number,
            self.day.isoformat(),
            self.calls,
            self.denied,
            self.failed,
            self.sent_bytes,
            self.rows,
            self.rows_digest.hex(),
            self.sums_digest.hex(),
            self.previous.hex(),
        ]
        return hashlib.sha256(orjson.dumps(content)).digest()


@dataclass(frozen=True, slots=True)
class Broken:
    """The first day whose close does not hold, and why."""

    day: date
    why: str


def close_due(connection: Connection, days: _Days, seconds: float) -> list[Close]:
    """Close every day that ended before the instant `seconds` and is not closed yet, from the first one with calls on."""
    due = date.fromisoformat(days.of(seconds)) - timedelta(days=1)
    closed = []
    while (day := _next(connection)) is not None and day <= due:
        closed.append(close(connection, day))
    return closed


def _next(connection: Connection) -> date | None:
    row = one(
        connection,
        Sql.of("SELECT coalesce((SELECT max(day) + 1 FROM cim.call_close), (SELECT min(day) FROM cim.call_day))"),
    )
    found: date | None = row[0]
    return found


def last_close(connection: Connection) -> Close | None:
    """The last day that is closed."""
    closed = [one for one, _ in all_closes(connection)]
    return closed[-1] if closed else None


def close(connection: Connection, day: date) -> Close:
    """Close the day after the last closed one; nothing is booked on it from then on."""
    with closing(connection):
        last = run(
            connection, Sql.of("SELECT number, digest FROM cim.call_close ORDER BY number DESC LIMIT 1")
        ).fetchone()
        made = _made(connection, day, 1 if last is None else last[0] + 1, FIRST if last is None else bytes(last[1]))
        run(
            connection,
            Sql.of(
                "INSERT INTO cim.call_close (day, number, calls, denied, failed, bytes, rows, rows_digest, sums_digest, "
                "previous, digest) VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})",
                made.day,
                made.number,
                made.calls,
                made.denied,
                made.failed,
                made.sent_bytes,
                made.rows,
                made.rows_digest,
                made.sums_digest,
                made.previous,
                made.digest,
            ),
        )
        detail = orjson.dumps({"number": made.number, "digest": made.digest.hex()}).decode()
        run(connection, record_sql("meter", None, "close", "ledger", day.isoformat(), None, detail))
    return made


def _made(connection: Connection, day: date, number: int, previous: bytes) -> Close:
    calls, denied, failed, sent_bytes, rows = one(
        connection, Sql.of("SELECT {} FROM cim.call WHERE day = {}", SUMS, day)
    )
    digests = rows_digest(connection, day), sums_digest(connection, day)
    return Close(day, number, calls, denied, failed, sent_bytes, rows, *digests, previous)


def rows_digest(connection: Connection, day: date) -> bytes:
    """Over the day's calls by id."""
    return _digest(
        connection,
        Sql.of(
            "SELECT call_id, organisation_id, (extract(epoch FROM received_at) * 1000000)::bigint, service_id, key_prefix, "
            "grant_id, scenario_id, method, status, outcome, bytes, rows, duration_ms, origin FROM cim.call "
            "WHERE day = {} ORDER BY call_id, organisation_id",
            day,
        ),
    )


def sums_digest(connection: Connection, day: date) -> bytes:
    """Over the day's rows of `cim.call_day` by organisation, service and scenario, then what of them cost nothing, where any did."""
    return _digest(
        connection,
        Sql.of(
            "SELECT organisation_id, service_id, scenario_id, calls, denied, failed, bytes, rows FROM cim.call_day "
            "WHERE day = {} ORDER BY 1, 2, 3",
            day,
        ),
        Sql.of(
            "SELECT organisation_id, service_id, scenario_id, free_bytes, free_rows FROM cim.call_day "
            "WHERE day = {} AND (free_bytes <> 0 OR free_rows <> 0) ORDER BY 1, 2, 3",
            day,
        ),
    )


def _digest(connection: Connection, *tables: Sql) -> bytes:
    digest = hashlib.sha256()
    for rows in tables:
        text, values = Sql.of("COPY ({}) TO STDOUT", rows).compile_psycopg()
        with psycopg.ClientCursor(connection).copy(text.encode(), values) as copy:  # COPY takes no parameters
            for block in copy:
                digest.update(block)
    return digest.digest()


def all_closes(connection: Connection) -> Iterator[tuple[Close, bytes]]:
    """Every close with the digest that is stored, in order."""
    rows = run(
        connection,
        Sql.of(
            "SELECT day, number, calls, denied, failed, bytes, rows, rows_digest, sums_digest, previous, digest "
            "FROM cim.call_close ORDER BY number"
        ),
    )
    for row in rows:
        day, number, calls, denied, failed, sent_bytes, total, *digests = row
        of_rows, of_sums, previous, digest = map(bytes, digests)
        yield Close(day, number, calls, denied, failed, sent_bytes, total, of_rows, of_sums, previous), digest


def verify(connection: Connection, *, anchor: tuple[int, bytes] | None = None) -> Broken | None:
    """The first day that does not hold, in the order of days; None where all hold.

    `anchor`: number and digest of a close that was noted elsewhere: a chain that was made anew does not have it.
    """
    kept = set(partitions(connection))
    previous, number, day = FIRST, 0, None
    for stored, digest in list(all_closes(connection)):
        why = _fault(connection, stored, digest, previous, number, day, kept)
        if why is None and anchor is not None and stored.number == anchor[0] and digest != anchor[1]:
            why = "its digest is not the one that was noted"
        if why is not None:
            return Broken(stored.day, why)
        previous, number, day = digest, stored.number, stored.day
    if anchor is not None and number < anchor[0]:
        return Broken((day or datetime.now(UTC).date()) + timedelta(days=1), "closes after the one before are missing")
    return None


def _fault(
    connection: Connection, stored: Close, digest: bytes, previous: bytes, number: int, day: date | None, kept: set[str]
) -> str | None:
    """Why a close does not hold."""
    if stored.number != number + 1 or (day is not None and stored.day != day + timedelta(days=1)):
        return "a close before it is missing"
    if stored.previous != previous or stored.digest != digest:
        return "its close was changed"
    if sums_digest(connection, stored.day) != stored.sums_digest:
        return "its sums were changed"
    if stored.day.strftime("call_%Y%m%d") in kept or not stored.calls + stored.denied:
        if rows_digest(connection, stored.day) != stored.rows_digest:
            return "its calls were changed"
        return _sums_fault(connection, stored)
    return None


def _sums_fault(connection: Connection, stored: Close) -> str | None:
    sums = one(connection, Sql.of("SELECT {} FROM cim.call WHERE day = {}", SUMS, stored.day))
    if tuple(sums) != (stored.calls, stored.denied, stored.failed, stored.sent_bytes, stored.rows):
        return "its totals are not those of its calls"
    return None
