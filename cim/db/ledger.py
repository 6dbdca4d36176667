"""The ledger's statements: spooled lines booked exactly once, partitions of days made and dropped.

On one autocommit psycopg connection. `book` is one transaction: COPY to the partitions of the days, whose trigger adds the sums
of just these rows to the roll-ups (`cim.call_summed`). Where a call of them is there already, or belongs to another day, the
transaction is made anew by way of a table of the session. Booking and closing exclude each other by an advisory lock.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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

_STAGE = Sql.of("CREATE TEMPORARY TABLE IF NOT EXISTS call_stage (LIKE cim.call) ON COMMIT DELETE ROWS")
_COPY_BEGIN, _COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
"""What stands around the tuples of a binary COPY."""
_REST = Sql.of(
    "received_at, service_id, key_prefix, grant_id, scenario_id, method, status, outcome, bytes, rows, duration_ms, origin"
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


def book(connection: Connection, lines: Mapping[date, list[bytes]], columns: Sequence[str], window_days: int) -> Booked:
    """Book spooled lines of some days, each call once however often it comes; all or nothing. What is given may be several lines.

    A call of a day that is closed goes to the first open day; one of a day outside the window goes to quarantine.
    Raises psycopg.DataError for a line that is none.
    """
    if not lines:
        return Booked(0, 0, 0, 0)
    today, closed = one(
        connection, Sql.of("SELECT (now() AT TIME ZONE 'UTC')::date, (SELECT max(day) FROM cim.call_close)")
    )
    first, last = today - timedelta(days=window_days), today + AHEAD
    inside = {day for day in lines if first <= day <= last}
    ensure_partitions(connection, {*inside, *({closed + timedelta(days=1)} if closed else ())})
    if len(inside) == len(lines):
        with suppress(psycopg.errors.UniqueViolation):
            if (booked := _book_new(connection, lines, columns)) is not None:
                return booked
    return _book_any(connection, lines, columns, first, last)


def _book_new(connection: Connection, lines: Mapping[date, list[bytes]], columns: Sequence[str]) -> Booked | None:
    """Book calls straight to the partitions of their days; None where one of these is closed.

    Raises psycopg.errors.UniqueViolation for a call that is there already.
    """
    with _booking(connection):
        closed = _closed(connection)
        if closed is not None and min(lines) <= closed:
            return None
        new = sum(_copy(connection, Sql.of("cim.{}", _partition(day)), lines[day], columns) for day in sorted(lines))
    return Booked(new, new, 0, 0)


def _book_any(
    connection: Connection, lines: Mapping[date, list[bytes]], columns: Sequence[str], first: date, last: date
) -> Booked:
    """Book calls some of which may be there, or belong elsewhere: by way of a table of this session."""
    with _booking(connection):
        count = _copy(connection, Sql.of("call_stage"), [line for some in lines.values() for line in some], columns)
        quarantined = _quarantine(connection, first, last)
        closed = _closed(connection)
        late = 0 if closed is None else _move_late(connection, closed)
        new = _insert_staged(connection)
    return Booked(count, new, late, quarantined)


@contextmanager
def _booking(connection: Connection) -> Iterator[None]:
    """A transaction in which no day is closed."""
    with transaction(connection):
        run(connection, Sql.of("SELECT pg_advisory_xact_lock_shared({})", _BOOKING))
        yield


def _closed(connection: Connection) -> date | None:
    day: date | None = one(connection, Sql.of("SELECT max(day) FROM cim.call_close"))[0]
    return day


def _copy(connection: Connection, table: Sql, lines: Iterable[bytes], columns: Sequence[str]) -> int:
    """How many there were."""
    names = Sql.join(", ", [Sql.of("{}", Identifier(name)) for name in columns])
    cursor = connection.cursor()
    with cursor.copy(Sql.of("COPY {} ({}) FROM STDIN (FORMAT binary)", table, names).compile()[0].encode()) as copy:
        copy.write(b"".join((_COPY_BEGIN, *lines, _COPY_END)))
    return cursor.rowcount


def _insert_staged(connection: Connection) -> int:
    """Book what is staged and not there yet; how many that were."""
    days = run(connection, Sql.of("SELECT DISTINCT day FROM call_stage ORDER BY day")).fetchall()
    new = 0
    for (day,) in days:
        new += run(
            connection,
            Sql.of(
                "INSERT INTO cim.{} SELECT * FROM call_stage WHERE day = {} ON CONFLICT DO NOTHING",
                _partition(day),
                day,
            ),
        ).rowcount
    return new


def _partition(day: date) -> Identifier:
    return Identifier(day.strftime(DAY))


def _quarantine(connection: Connection, first: date, last: date) -> int:
    """Set aside what is outside the window; how many were new there."""
    outside = Sql.of("day NOT BETWEEN {} AND {}", first, last)
    count = run(
        connection,
        Sql.of(
            "INSERT INTO cim.call_quarantine (day, call_id, organisation_id, {}) "
            "SELECT day, call_id, organisation_id, {} FROM call_stage AS s WHERE {} AND NOT EXISTS "
            "(SELECT FROM cim.call AS c WHERE c.day = s.day AND c.call_id = s.call_id AND c.organisation_id = s.organisation_id) "
            "AND NOT EXISTS (SELECT FROM cim.call_late AS c WHERE c.day = s.day AND c.call_id = s.call_id) "
            "ON CONFLICT DO NOTHING",
            _REST,
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
    with _booking(connection):
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
                "INSERT INTO call_stage (day, call_id, organisation_id, {}) SELECT {}, call_id, organisation_id, {} "
                "FROM cim.call_quarantine",
                _REST,
                Cast(day, "date"),
                _REST,
            ),
        )
        run(connection, Sql.of("DELETE FROM cim.call_quarantine"))
        return _insert_staged(connection)


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
            if parent == "call":
                _sum_up(connection, name)
            connection.execute(attached.encode())
            guard_table(connection, name)


def _sum_up(connection: Connection, name: str) -> None:
    """Have what comes into a partition of calls by a statement added to the roll-ups by the same one."""
    run(
        connection,
        Sql.of(
            "CREATE TRIGGER summed AFTER INSERT ON cim.{} REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT "
            "EXECUTE FUNCTION cim.call_summed()",
            Identifier(name),
        ),
    )


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
