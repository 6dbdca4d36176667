"""Which of a node's workers does what only one may do: the session that holds a lock of the database."""

from typing import Any

import asyncpg

from cim.db.pool import Database
from cim.errors import Unavailable

LOCK = 4403_0003


class Leadership:
    """A lock of one worker. It is lost with its session: whoever leads asks `is_held` before each piece of work."""

    def __init__(self, database: Database, number: int = LOCK) -> None:
        self._database, self._number = database, number
        self._connection: Any = None

    async def is_held(self) -> bool:
        """True while this worker leads; it tries to where nobody does."""
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = None
                connection = await self._database.connect_alone()
                if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._number):
                    await connection.close()
                    return False
                self._connection = connection
            await self._connection.fetchval("SELECT 1", timeout=5)
        except (Unavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            await self.release()
            return False
        return True

    async def release(self) -> None:
        """Let another worker lead."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
