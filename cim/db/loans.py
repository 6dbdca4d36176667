"""Connections on loan: taken from asyncpg's pool once and lent out many times.

The pool's own lending (a timeout, a shielded task, a proxy for each statement) costs as much as a small query. What
fails or is cancelled goes back to the pool, which cancels the statement on the server and mends or drops the connection.
"""

import asyncio
from collections import deque
from typing import Any

import asyncpg


class Loans:
    """At most `size` connections of `pool`; the one that came back last is lent first."""

    def __init__(self, pool: Any, size: int, *, wait_s: float) -> None:
        self._pool, self._size, self._wait_s = pool, size, wait_s
        self._idle: list[Any] = []
        self._held = 0
        self._is_closing = False
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._returning: set[asyncio.Task[None]] = set()

    async def take(self) -> Any:
        """A connection, once there is one. Raises TimeoutError after `wait_s`, and what connecting raises."""
        while True:
            while self._idle:
                connection = self._idle.pop()
                if _is_usable(connection):
                    return connection
                self.drop(connection)
            if self._held < self._size:
                return await self._connect()
            connection = await self._wait()
            if connection is not None and _is_usable(connection):
                return connection
            if connection is not None:
                self.drop(connection)

    def give(self, connection: Any) -> None:
        """Take back a connection whose statement came to its end."""
        if self._is_closing:
            self.drop(connection)
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._idle.append(connection)

    def drop(self, connection: Any) -> None:
        """Give a connection whose statement failed, or that is closed, back to the pool, without waiting for it."""
        task = asyncio.get_running_loop().create_task(self._return(connection))
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    async def close(self) -> None:
        """Give everything back to the pool: now what is idle, later what is at work."""
        self._is_closing = True
        while self._idle:
            self.drop(self._idle.pop())
        if self._returning:
            await asyncio.wait(self._returning)

    async def _connect(self) -> Any:
        self._held += 1
        try:
            return await self._pool.acquire(timeout=self._wait_s)
        except BaseException:
            self._free_one()
            raise

    async def _wait(self) -> Any | None:
        """A connection that came back; None when there is room for another one."""
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._wait_s):
                return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                lent = waiter.result()
                self._free_waiter() if lent is None else self.give(lent)
            waiter.cancel()
            raise

    async def _return(self, connection: Any) -> None:
        try:
            await self._pool.release(connection)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            pass  # the pool has ended it
        finally:
            self._free_one()

    def _free_one(self) -> None:
        self._held -= 1
        self._free_waiter()

    def _free_waiter(self) -> None:
        """Tell one who waits that there is room."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


def _is_usable(connection: Any) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it was closed while it lay here, and the pool has it back already
        return False
