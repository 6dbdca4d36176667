"""Runs what `cim.catalogue.review` says is done to services: over the pool of a worker, or over a connection for writing."""

from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row

from cim.catalogue.review import Steps
from cim.db.pool import Database
from cim.query.audit import Entry, append_sql
from cim.sql import Sql

Result = TypeVar("Result")


async def done(database: Database, steps: Steps[Result]) -> Result:
    """What the steps end with, in one transaction that is rolled back where they raise."""
    async with database.transaction() as transaction:
        row: Any = None
        while True:
            try:
                sql = steps.send(row)
            except StopIteration as end:
                result: Result = end.value
                return result
            row = await transaction.fetch_row(append_sql([sql]) if isinstance(sql, Entry) else sql)


def done_here(connection: psycopg.Connection[Any], steps: Steps[Result], entries: list[Entry] | None = None) -> Result:
    """The same over psycopg, in a transaction (or a savepoint) that the caller has begun.

    `entries`: takes what is to be audited, for the caller to append at once at the end of many.
    """
    row: Any = None
    while True:
        try:
            sql = steps.send(row)
        except StopIteration as end:
            result: Result = end.value
            return result
        if not isinstance(sql, Entry):
            row = first_row(connection, sql)
        elif entries is None:
            row = first_row(connection, append_sql([sql]))
        else:
            entries.append(sql)
            row = None


def first_row(connection: psycopg.Connection[Any], sql: Sql) -> dict[str, Any] | None:
    """The first row of a statement by the names of its columns, or None."""
    text, values = sql.compile_psycopg()
    cursor = connection.cursor(row_factory=dict_row).execute(text.encode(), values)
    return cursor.fetchone() if cursor.description else None


def all_rows(connection: psycopg.Connection[Any], sql: Sql) -> list[dict[str, Any]]:
    """Every row of a statement by the names of its columns."""
    text, values = sql.compile_psycopg()
    return connection.cursor(row_factory=dict_row).execute(text.encode(), values).fetchall()
