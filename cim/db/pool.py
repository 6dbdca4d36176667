"""The read path's door to PostgreSQL: one asyncpg pool of one worker. No module outside of `cim.db` imports asyncpg.

Session settings are sent once with the connection's start-up packet; nothing is reset on release, so nothing may
be set for a session elsewhere (`SET LOCAL` inside a transaction only). A cancelled task cancels its statement
on the server (catalogue F07).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncpg
import structlog

from cim.db.loans import Loans
from cim.db.login import ways
from cim.errors import CimError, Conflict, OutsideCrs, Unavailable, WriteBusy
from cim.settings import Settings
from cim.sql import Sql

log = structlog.get_logger("database")

CONNECT_TIMEOUT_S = 4.0
KEPT_STATEMENTS = 200
"""Prepared statements that a connection keeps: each shape of a question is one."""
KEPT_BYTES = 6144
"""Longer statements are planned each time: a kept plan takes the server about 125 kB for each kB of text."""
ACQUIRE_TIMEOUT_S = 5.0

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.UndefinedTableError,
    OSError,
    TimeoutError,
)

_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidParameterValueError,
    asyncpg.InsufficientPrivilegeError,
)
"""A login, or a role to take, that the database does not know or does not let us have."""

_CONTENDED = (asyncpg.LockNotAvailableError, asyncpg.TransactionRollbackError, asyncpg.UniqueViolationError)
_FAILURES = (*_LOST, *_CONTENDED, asyncpg.InternalServerError, asyncpg.DataError)

Row = Any
"""A record: values by position and by name."""


class Runs(Protocol):
    """What can run a statement: the database, or one transaction of it."""

    async def fetch_row(self, sql: Sql) -> Row | None:
        """The first row, or None."""
        ...

    async def fetch_rows(self, sql: Sql) -> Sequence[Row]:
        """All rows."""
        ...

    async def execute(self, sql: Sql) -> str:
        """Run a statement without rows; gives the command tag ("UPDATE 1")."""
        ...


def unavailable(error: BaseException) -> Unavailable:
    """What a user is told when the database cannot answer."""
    if isinstance(error, asyncpg.QueryCanceledError):
        return Unavailable("the query took longer than this node allows; ask for a smaller area or fewer features")
    return Unavailable("the database cannot answer now; try again in a few seconds")


def told(error: BaseException) -> CimError | None:
    """What a user is told of a statement that failed; None where the fault is ours."""
    if isinstance(error, asyncpg.InternalServerError):  # PostGIS has no code of its own for it
        if not str(error).startswith("transform:"):
            return None
        return OutsideCrs(
            "coordinates of the question or of the answer have no place in the system asked for; "
            "ask for a smaller area, or in another crs"
        )
    if isinstance(
        error, asyncpg.DataError
    ):  # an InterfaceError, but our own mistake: a value of the wrong type was bound
        return None
    if isinstance(error, asyncpg.UniqueViolationError):
        if error.table_name != "idempotency":  # our own mistake
            return None
        return Conflict("a request with the same Idempotency-Key came in between; send it again")
    if isinstance(error, asyncpg.LockNotAvailableError):
        return WriteBusy("a load is writing these features; nothing was changed, try again when it has ended")
    if isinstance(error, asyncpg.TransactionRollbackError):
        return Unavailable("another change came in between; nothing was changed, try again")
    return unavailable(error)


async def _keep_session(_: object) -> None:
    """Nothing: a reset on release costs a round trip, and no statement leaves anything behind."""


class Transaction:
    """Statements of one transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch_row(self, sql: Sql) -> Row | None:
        """The first row, or None."""
        text, values = sql.compile()
        return await self._connection.fetchrow(text, *values)

    async def fetch_one(self, sql: Sql) -> Row:
        """The row of a statement that always has one."""
        row = await self.fetch_row(sql)
        assert row is not None
        return row

    async def fetch_rows(self, sql: Sql) -> Sequence[Row]:
        """All rows."""
        text, values = sql.compile()
        rows: Sequence[Row] = await self._connection.fetch(text, *values)
        return rows

    async def execute(self, sql: Sql) -> str:
        """Run a statement without rows; gives the command tag."""
        text, values = sql.compile()
        tag: str = await self._connection.execute(text, *values)
        return tag


class Database:
    """The pool of one worker. Every failure to reach the server is `Unavailable`, within seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ways = ways(settings)
        self._is_refused = False
        self._pool: Any = None
        self._loans: Loans | None = None

    def session_settings(self) -> dict[str, str]:
        """Settings of every session of the pool."""
        return {
            "application_name": "opencim-api",
            "plan_cache_mode": "force_generic_plan",
            "statement_timeout": str(int(self._settings.statement_timeout_s * 1000)),
            "idle_in_transaction_session_timeout": "30000",
            "jit": "off",
            "TimeZone": "UTC",
        }

    async def connect_alone(self) -> Any:
        """A connection outside the pool (the registry listens on it). Raises Unavailable."""
        try:
            return await self._connect(
                self._settings.database_url, timeout=CONNECT_TIMEOUT_S, server_settings=self.session_settings()
            )
        except _LOST as error:
            raise unavailable(error) from error

    async def _connect(self, *_address: Any, server_settings: dict[str, str], **more: Any) -> Any:
        """A session by the best of the `ways` that the database lets in."""
        while True:
            tried = self._ways
            way, others = tried[0], tried[1:]
            try:
                return await asyncpg.connect(way.url, server_settings={**server_settings, **way.settings}, **more)
            except _REFUSED as error:
                if not others:
                    self._tell_refused()
                    raise Unavailable("the database does not let this node log in; its log says why") from error
                if self._ways is tried:  # the first of those who try at once tells it
                    self._ways = others
                    log.warning("the API's sessions log in another way", lacks=others[0].lacks)

    def _tell_refused(self) -> None:
        """Say once what is to be mended; the password itself is in no log."""
        if not self._is_refused:
            self._is_refused = True
            told = "is CIM_API_PASSWORD the one that cim db upgrade had?" if self._settings.api_password else None
            log.error("the database refuses the login of the API", question=told or "is DATABASE_URL right?")

    async def open(self) -> None:
        """Make the pool; connections are opened when first needed, so that a node starts before its database."""
        self._pool = await asyncpg.create_pool(
            self._settings.database_url,
            min_size=0,
            max_size=self._settings.pool_size,
            max_inactive_connection_lifetime=0,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=None,
            statement_cache_size=KEPT_STATEMENTS,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=KEPT_BYTES,
            reset=_keep_session,
            connect=self._connect,
            server_settings=self.session_settings(),
        )
        self._loans = Loans(self._pool, self._settings.pool_size, wait_s=ACQUIRE_TIMEOUT_S)

    async def close(self) -> None:
        """Close the pool; statements still running get two seconds."""
        if self._pool is None or self._loans is None:
            return
        try:
            async with asyncio.timeout(2):
                await self._loans.close()
                await self._pool.close()
        except (TimeoutError, *_LOST):
            self._pool.terminate()

    async def fetch_row(self, sql: Sql) -> Row | None:
        """The first row, or None. Raises Unavailable."""
        return await self._run("fetchrow", sql)

    async def fetch_one(self, sql: Sql) -> Row:
        """The row of a statement that always has one. Raises Unavailable."""
        row = await self.fetch_row(sql)
        assert row is not None
        return row

    async def fetch_rows(self, sql: Sql) -> Sequence[Row]:
        """All rows. Raises Unavailable."""
        rows: Sequence[Row] = await self._run("fetch", sql)
        return rows

    async def execute(self, sql: Sql) -> str:
        """Run a statement without rows; gives the command tag. Raises Unavailable."""
        tag: str = await self._run("execute", sql)
        return tag

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction: committed when the block ends, rolled back when it raises. Raises Unavailable."""
        async with self._connection() as connection, connection.transaction():
            yield Transaction(connection)

    async def is_ready(self) -> bool:
        """True when the database answers within two seconds."""
        try:
            async with asyncio.timeout(2):
                return await self.fetch_row(Sql.of("SELECT 1")) is not None
        except (Unavailable, TimeoutError):
            return False

    async def _run(self, method: str, sql: Sql) -> Any:
        """What that method of a connection gives for one statement."""
        text, values = sql.compile()
        loans = self._ready()
        try:
            connection = await loans.take()
            try:
                result = await getattr(connection, method)(text, *values)
            except BaseException:
                loans.drop(connection)
                raise
        except _FAILURES as error:
            known = told(error)
            if known is None:
                raise
            raise known from error
        loans.give(connection)
        return result

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection for several statements."""
        loans = self._ready()
        try:
            connection = await loans.take()
            try:
                yield connection
            except BaseException:
                loans.drop(connection)
                raise
        except _FAILURES as error:
            known = told(error)
            if known is None:
                raise
            raise known from error
        loans.give(connection)

    def _ready(self) -> Loans:
        if self._loans is None:
            raise Unavailable("the node is starting; try again in a few seconds")
        return self._loans
