"""A worker's connections: few, lent in turns, replaced when they are lost, free again whatever became of a request."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import psycopg
import pytest

from cim.db.pool import Database
from cim.errors import Unavailable
from cim.settings import Settings
from cim.sql import Sql

ONE = Sql.of("SELECT 1 AS one")


def sleep(seconds: float) -> Sql:
    return Sql.of("SELECT pg_sleep({})", seconds)


def with_pool(url: str, run: Callable[[Database], Awaitable[None]], size: int = 2) -> None:
    async def opened() -> None:
        database = Database(Settings(DATABASE_URL=url, pool_size=size, statement_timeout_s=1.0))
        await database.open()
        try:
            await run(database)
        finally:
            await database.close()

    asyncio.run(opened())


def test_more_requests_than_connections_are_all_answered(module_database_url):
    async def run(database: Database) -> None:
        pids = await asyncio.gather(
            *[database.fetch_row(Sql.of("SELECT pg_backend_pid() FROM pg_sleep({})", 0.01)) for _ in range(30)]
        )
        assert len({row[0] for row in pids}) == 2

    with_pool(module_database_url, run)


def test_cancelled_requests_leave_their_connections_to_others(module_database_url):
    async def run(database: Database) -> None:
        for _ in range(3):
            tasks = [asyncio.create_task(database.fetch_row(sleep(30))) for _ in range(6)]  # four of them wait
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        started = time.monotonic()
        for row in await asyncio.gather(*[database.fetch_row(ONE) for _ in range(10)]):
            assert row["one"] == 1
        assert time.monotonic() - started < 2

    with_pool(module_database_url, run)


def test_a_statement_that_failed_costs_no_connection(module_database_url):
    async def run(database: Database) -> None:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await database.fetch_row(sleep(5))  # longer than statement_timeout
        assert (await database.fetch_row(ONE))["one"] == 1

    with_pool(module_database_url, run, size=1)


def test_a_connection_that_was_killed_is_replaced(module_database_url):
    async def run(database: Database) -> None:
        pid = (await database.fetch_row(Sql.of("SELECT pg_backend_pid() AS pid")))["pid"]
        with psycopg.connect(module_database_url) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
        await asyncio.sleep(0.05)
        row = await database.fetch_row(Sql.of("SELECT pg_backend_pid() AS pid"))
        assert row["pid"] != pid

    with_pool(module_database_url, run, size=1)


def test_a_transaction_that_fails_is_rolled_back_and_its_connection_free(module_database_url):
    async def run(database: Database) -> None:
        async def fail() -> None:
            async with database.transaction() as transaction:
                await transaction.execute(Sql.of("INSERT INTO cim.secret (name, value) VALUES ('left behind', '')"))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert await database.fetch_row(Sql.of("SELECT FROM cim.secret WHERE name = 'left behind'")) is None

    with_pool(module_database_url, run, size=1)


def test_a_pool_closes_soon_though_a_statement_runs(module_database_url):
    started = 0.0

    async def run(database: Database) -> None:
        nonlocal started
        task = asyncio.create_task(database.fetch_row(sleep(0.9)))
        await asyncio.sleep(0.05)
        started = time.monotonic()
        await database.close()
        assert time.monotonic() - started < 1.5
        await asyncio.wait([task])
        assert task.exception() is None

    with_pool(module_database_url, run)
