"""The ledger's statements: spooled lines booked exactly once, partitions of days made and dropped.

On one autocommit psycopg connection. `book` is one transaction: COPY to staging, what is new to `cim.call`, and the sums of
just these rows to the roll-ups. Booking and closing exclude each other by an advisory lock.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg

from cim.db.guard import guard_table
from cim.sql import Cast, Identifier, Sql

Connection = psycopg.Connection[Any]

_BOOKING = 4403_0005
_PARTITIONS = 4403_0006
AHEAD = timedelta(days=1)
"""How far a worker's clock may be ahead of the database's."""
DAY = "call_%Y%m%d"
MONTH = "call_minute_%Y%m"

_STAGE = Sql.of(
    'CREATE TEMPORARY TABLE IF NOT EXISTS call_stage (day date, call_id uuid, received_us bigint, service_id text COLLATE "C", '
    'organisation_id text COLLATE "C", key_prefix text, grant_id text, scenario_id text COLLATE "C", method text, '
    "status smallint, outcome text, bytes bigint, rows bigint, duration_ms real, origin text) ON COMMIT DELETE ROWS"
)
_RECEIVED = Sql.of("timestamptz 'epoch' + received_us * interval '1 microsecond'")
_REST = Sql.of(
    "service_id, key_prefix, grant_id, scenario_id, method, status, outcome, bytes, rows, duration_ms, origin"
)
IS_DENIED = Sql.of("outcome IN ('refused', 'quota')")
"""Counted apart: the service was not called (`cim.metering.call.DENIED`)."""
IS_FAILED = Sql.of("(outcome IN ('upstream-timeout', 'upstream-error') OR (status >= 500 AND NOT {}))", IS_DENIED)
SUMS = Sql.of(
    "count(*) FILTER (WHERE NOT {}) AS calls, count(*) FILTER (WHERE {}) AS denied, count(*) FILTER (WHERE {}) AS failed, "
    "coalesce(sum(bytes), 0)::bigint AS bytes, coalesce(sum(rows), 0)::bigint AS rows",
    IS_DENIED,
    IS_DENIED,
    IS_FAILED,
)
"""Sums of calls as the roll-ups have them."""
_FREE = Sql.of(
    "coalesce(sum(bytes) FILTER (WHERE {} OR {}), 0)::bigint AS free_bytes, "
    "coalesce(sum(rows) FILTER (WHERE {} OR {}), 0)::bigint AS free_rows",
    IS_DENIED,
    IS_FAILED,
    IS_DENIED,
    IS_FAILED,
)
"""Of calls that cost nothing."""


@dataclass(frozen=True, slots=True)
class Booked:
    """What became of some lines: `new` were booked, `late` of them on another day, `quarantined` not at all; the rest was there."""

    lines: int
    new: int
    late: int
    quarantined: int


def run(connection: Connection, sql: Sql) -> psycopg.Cursor[Any]:
    """The cursor of a statement."""
    text, values = sql.compile_psycopg()
    return connection.execute(text.encode(), values)


def one(connection: Connection, sql: Sql) -> Any:
    """The row of a statement that always has one."""
    row = run(connection, sql).fetchone()
    assert row is not None
    return row


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Committed when the block ends, rolled back when it raises."""
    with connection.transaction():
        yield


def prepare(connection: Connection) -> None:
    """What a connection needs before it books."""
    run(connection, Sql.of("SET TimeZone = 'UTC'"))
    run(connection, Sql.of("SET statement_timeout = '60s'"))
    run(connection, Sql.of("SET lock_timeout = '30s'"))
    run(connection, _STAGE)


def book(connection: Connection, lines: list[bytes], columns: Iterable[str], window_days: int) -> Booked:
    """Book spooled lines, each call once however often it comes; all or nothing. One of `lines` may hold several, of one day.

    A call of a day that is closed goes to the first open day; one of a day outside the window goes to quarantine.
    Raises psycopg.DataError for a line that is none.
    """
    if not lines:
        return Booked(0, 0, 0, 0)
    today, closed = one(
        connection, Sql.of("SELECT (now() AT TIME ZONE 'UTC')::date, (SELECT max(day) FROM cim.call_close)")
    )
    days = {date.fromisoformat(text.decode("ascii", "replace")) for text in {line[:10] for line in lines}}
    first, last = today - timedelta(days=window_days), today + AHEAD
    inside = {day for day in days if first <= day <= last}
    ensure_partitions(connection, {*inside, *({closed + timedelta(days=1)} if closed else ())})
    with transaction(connection):
        run(connection, Sql.of("SELECT pg_advisory_xact_lock_shared({})", _BOOKING))
        names = Sql.join(", ", [Sql.of("{}", Identifier(name)) for name in columns])
        cursor = connection.cursor()
        with cursor.copy(Sql.of("COPY call_stage ({}) FROM STDIN", names).compile()[0].encode()) as copy:
            copy.write(b"".join(lines))
        quarantined = 0 if inside == days else _quarantine(connection, first, last)
        closed = one(connection, Sql.of("SELECT max(day) FROM cim.call_close"))[0]
        late = _move_late(connection, closed) if closed is not None and min(days) <= closed else 0
        new = one(connection, _BOOK)[0]
    return Booked(cursor.rowcount, new, late, quarantined)


_BOOK = Sql.of(
    """
    WITH fresh AS (
        INSERT INTO cim.call (day, call_id, organisation_id, received_at, {})
        SELECT day, call_id, organisation_id, {}, {} FROM call_stage
        ON CONFLICT DO NOTHING
        RETURNING day, received_at, organisation_id, service_id, scenario_id, status, outcome, bytes, rows
    ),
    minutes AS (
        INSERT INTO cim.call_minute AS m (day, minute, organisation_id, service_id, calls, denied, failed, bytes, rows)
        SELECT day, date_trunc('minute', received_at), organisation_id, service_id, {} FROM fresh
        GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
        ON CONFLICT (day, minute, organisation_id, service_id) DO UPDATE SET calls = m.calls + excluded.calls,
            denied = m.denied + excluded.denied, failed = m.failed + excluded.failed, bytes = m.bytes + excluded.bytes,
            rows = m.rows + excluded.rows
    ),
    days AS (
        INSERT INTO cim.call_day AS d (day, organisation_id, service_id, scenario_id, calls, denied, failed, bytes, rows,
            free_bytes, free_rows)
        SELECT day, organisation_id, service_id, scenario_id, {}, {} FROM fresh
        GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
        ON CONFLICT (day, organisation_id, service_id, scenario_id) DO UPDATE SET calls = d.calls + excluded.calls,
            denied = d.denied + excluded.denied, failed = d.failed + excluded.failed, bytes = d.bytes + excluded.bytes,
            rows = d.rows + excluded.rows, free_bytes = d.free_bytes + excluded.free_bytes,
            free_rows = d.free_rows + excluded.free_rows
    )
    SELECT count(*) FROM fresh
    """,
    _REST,
    _RECEIVED,
    _REST,
    SUMS,
    SUMS,
    _FREE,
)


def _quarantine(connection: Connection, first: date, last: date) -> int:
    """Set aside what is outside the window; how many were new there."""
    outside = Sql.of("day NOT BETWEEN {} AND {}", first, last)
    count = run(
        connection,
        Sql.of(
            "INSERT INTO cim.call_quarantine (day, call_id, organisation_id, received_at, {}) "
            "SELECT day, call_id, organisation_id, {}, {} FROM call_stage AS s WHERE {} AND NOT EXISTS "
            "(SELECT FROM cim.call AS c WHERE c.day = s.day AND c.call_id = s.call_id AND c.organisation_id = s.organisation_id) "
            "AND NOT EXISTS (SELECT FROM cim.call_late AS c WHERE c.day = s.day AND c.call_id = s.call_id) "
            "ON CONFLICT DO NOTHING",
            _REST,
            _RECEIVED,
            _REST,
            outside,
        ),
    ).rowcount
    run(connection, Sql.of("DELETE FROM call_stage WHERE {}", outside))
    return count


def release(connection: Connection) -> int:
    """Book what is in quarantine on the first open day, each call once; how many there were."""
    day = one(
        connection,
        Sql.of("SELECT coalesce((SELECT max(day) + 1 FROM cim.call_close), (now() AT TIME ZONE 'UTC')::date)"),
    )[0]
    ensure_partitions(connection, {day})
    with transaction(connection):
        run(connection, Sql.of("SELECT pg_advisory_xact_lock_shared({})", _BOOKING))
        run(
            connection,
            Sql.of(
                "INSERT INTO cim.call_late (day, call_id, organisation_id, booked_on) "
                "SELECT day, call_id, organisation_id, {} FROM cim.call_quarantine ON CONFLICT DO NOTHING",
                Cast(day, "date"),
            ),
        )
        run(
            connection,
            Sql.of(
                "INSERT INTO call_stage (day, call_id, organisation_id, received_us, {}) SELECT {}, call_id, organisation_id, "
                "(extract(epoch FROM received_at) * 1000000)::bigint, {} FROM cim.call_quarantine",
                _REST,
                Cast(day, "date"),
                _REST,
            ),
        )
        run(connection, Sql.of("DELETE FROM cim.call_quarantine"))
        new: int = one(connection, _BOOK)[0]
    return new


def _move_late(connection: Connection, closed: date) -> int:
    """Give calls of closed days, unless they are booked already, the first open day; how many there were."""
    moved = run(
        connection,
        Sql.of(
            "WITH late AS (INSERT INTO cim.call_late (day, call_id, organisation_id, booked_on) "
            "SELECT day, call_id, organisation_id, {} FROM call_stage AS s WHERE day <= {} AND NOT EXISTS "
            "(SELECT FROM cim.call AS c WHERE c.day = s.day AND c.call_id = s.call_id AND c.organisation_id = s.organisation_id) "
            "ON CONFLICT DO NOTHING RETURNING day, call_id) "
            "UPDATE call_stage AS s SET day = {} FROM late WHERE late.day = s.day AND late.call_id = s.call_id",
            Cast(closed + timedelta(days=1), "date"),
            closed,
            Cast(closed + timedelta(days=1), "date"),
        ),
    ).rowcount
    run(connection, Sql.of("DELETE FROM call_stage WHERE day <= {}", closed))
    return moved


def ensure_partitions(connection: Connection, days: Iterable[date]) -> None:
    """Make the partitions of these days where they are missing: one of calls a day, one of minutes a month."""
    months = {day.replace(day=1) for day in days}
    wanted = {day.strftime(DAY): ("call", day, day + timedelta(days=1)) for day in days}
    wanted |= {day.strftime(MONTH): ("call_minute", day, _next_month(day)) for day in months}
    missing = wanted.keys() - set(partitions(connection))
    for name in sorted(missing):
        parent, start, end = wanted[name]
        with transaction(connection):
            run(connection, Sql.of("SELECT pg_advisory_xact_lock({})", _PARTITIONS))
            if name in partitions(connection):
                continue
            # made apart and attached: that locks nobody out who reads or writes the ledger
            made, attached = one(
                connection,
                Sql.of(
                    "SELECT format('CREATE TABLE cim.%I (LIKE cim.%I INCLUDING ALL)', {}::text, {}::text), "
                    "format('ALTER TABLE cim.%I ATTACH PARTITION cim.%I FOR VALUES FROM (%L) TO (%L)', "
                    "{}::text, {}::text, {}::date, {}::date)",
                    name,
                    parent,
                    parent,
                    name,
                    start,
                    end,
                ),
            )
            connection.execute(made.encode())
            connection.execute(attached.encode())
            guard_table(connection, name)


def partitions(connection: Connection) -> list[str]:
    """Names of the partitions of calls and of minutes, in order."""
    rows = run(
        connection,
        Sql.of(
            "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
            "WHERE i.inhparent IN ('cim.call'::regclass, 'cim.call_minute'::regclass) ORDER BY 1"
        ),
    ).fetchall()
    return [row[0] for row in rows]


def _next_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def drop_old(connection: Connection, keep_days: int) -> list[str]:
    """Drop the calls of closed days older than `keep_days`; the roll-ups stay. Gives the names of the partitions dropped."""
    today, closed = one(
        connection, Sql.of("SELECT (now() AT TIME ZONE 'UTC')::date, (SELECT max(day) FROM cim.call_close)")
    )
    if closed is None:
        return []
    oldest = min(today - timedelta(days=keep_days), closed + timedelta(days=1)).strftime(DAY)
    gone = [
        name for name in partitions(connection) if len(name) == len(oldest) and "minute" not in name and name < oldest
    ]
    for name in gone:
        with transaction(connection):
            run(connection, Sql.of("SET LOCAL lock_timeout = '2s'"))
            run(connection, Sql.of("DROP TABLE cim.{}", Identifier(name)))
    return gone


@contextmanager
def closing(connection: Connection) -> Iterator[None]:
    """A transaction in which nothing is booked by others."""
    with transaction(connection):
        run(connection, Sql.of("SET LOCAL statement_timeout = 0"))  # a day may have millions of calls
        run(connection, Sql.of("SELECT pg_advisory_xact_lock({})", _BOOKING))
        yield


def try_alone(connection: Connection, key: int) -> bool:
    """True when this session has got the lock `key`, until it leaves it; for work that one of all workers does."""
    return bool(one(connection, Sql.of("SELECT pg_try_advisory_lock({})", key))[0])


def leave(connection: Connection, key: int) -> None:
    """Give the lock of `try_alone` back."""
    run(connection, Sql.of("SELECT pg_advisory_unlock({})", key))


def totals(connection: Connection) -> dict[str, int]:
    """Sums of the whole ledger, and what could not be booked where it belongs."""
    row = one(
        connection,
        Sql.of(
            "SELECT coalesce(sum(calls), 0)::bigint, coalesce(sum(denied), 0)::bigint, (SELECT count(*) FROM cim.call_late), "
            "(SELECT count(*) FROM cim.call_quarantine) FROM cim.call_day"
        ),
    )
    return dict(zip(("calls", "denied", "late", "quarantined"), row, strict=True))
