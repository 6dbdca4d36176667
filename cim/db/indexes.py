"""Secondary indexes of a collection's table: taken off before a first load, put back after it."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from cim.model import Collection
from cim.sql import Identifier, Sql

_LOCK = "hashtextextended('indexes of ' || %s, 4403)"


def drop_indexes_if_empty(connection: psycopg.Connection[Any], collection: Collection) -> None:
    """Take the secondary indexes off a table without rows: building them after the first load is five times cheaper.

    `ensure_indexes` puts them back at the end of the load, whether it went well or not, and at every upgrade
    (for the load that was killed).
    """
    table = Sql.of("{}.{}", *collection.table)
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})", [collection.table_name])
        text, _ = Sql.of("SELECT EXISTS (SELECT FROM {})", table).compile_psycopg()
        row = connection.execute(text.encode()).fetchone()
        if row is None or row[0]:
            return
        names = connection.execute(
            "SELECT i.relname FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS t ON t.oid = x.indrelid "
            "JOIN pg_namespace AS n ON n.oid = t.relnamespace "
            "WHERE n.nspname = %s AND t.relname = %s AND NOT x.indisprimary",
            [collection.table_schema, collection.table_name],
        ).fetchall()
        for (name,) in names:
            text, _ = Sql.of(
                "DROP INDEX {}.{}", Identifier(collection.table_schema), Identifier(name)
            ).compile_psycopg()
            connection.execute(text.encode())


def ensure_indexes(connection: psycopg.Connection[Any], collection: Collection) -> None:
    """Make the declared indexes that are missing, two at a time; changes nothing where all are there.

    Inside a transaction of `connection` they are made one after another on it. Otherwise loads that end together,
    and an upgrade meanwhile, wait for each other here.
    """
    if connection.info.transaction_status != TransactionStatus.IDLE:
        _ensure(connection, collection)
        return
    connection.execute(f"SELECT pg_advisory_lock({_LOCK})", [collection.table_name])
    try:
        _ensure(connection, collection)
    finally:
        if not connection.closed:
            connection.execute(f"SELECT pg_advisory_unlock({_LOCK})", [collection.table_name])


def prepare() -> None:
    """Import what `ensure_indexes` needs (half a second), at a time when there is nothing else to do."""
    import_module("cim.db.tables")


def _ensure(connection: psycopg.Connection[Any], collection: Collection) -> None:
    from cim.db.tables import index_statements

    there = {
        row[0]
        for row in connection.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname = %s AND tablename = ANY(%s)",
            [collection.table_schema, [collection.table_name, collection.history_table[1].name]],
        )
    }
    missing = [statement for name, statement in index_statements(collection).items() if name not in there]
    if len(missing) < 2 or connection.info.transaction_status != TransactionStatus.IDLE:
        _make(connection, deque(missing))
        return
    address = make_conninfo(connection.info.dsn, password=connection.info.password or None)
    slow_last = deque(sorted(missing, key=_slowness))  # each of the two takes the slowest that is left
    with psycopg.connect(address, autocommit=True) as second, ThreadPoolExecutor(1) as beside:
        other = beside.submit(_make, second, slow_last)
        _make(connection, slow_last)
        other.result()


def _slowness(statement: str) -> int:
    return 2 if "USING gin" in statement else 1 if "USING gist" in statement else 0


def _make(connection: psycopg.Connection[Any], statements: deque[str]) -> None:
    if statements:
        connection.execute("SET maintenance_work_mem = '512MB'")
    while statements:
        with suppress(IndexError, psycopg.errors.UniqueViolation, psycopg.errors.DuplicateTable):
            # the other took the last one, or another load makes it now
            connection.execute(statements.pop().encode())
