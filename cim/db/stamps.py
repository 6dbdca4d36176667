"""Stamps of collections as they are now: one statement answers all who ask at the same time."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from cim.db.pool import Database
from cim.query.stamps import stamps

Told = Callable[[list[Any], Mapping[str, str]], None]


class _Batch:
    """Those who wait for the next statement."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.told: dict[Told, list[Any]] = {}
        self.done: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()


class Stamps:
    """What one worker asks of `cim.collection_stats` (`cim.query.stamps`).

    An answer comes from a statement that began after the question: a change that was committed before it, by whatever
    worker or loader, is in it. However many ask at once, there is one statement at a time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next: _Batch | None = None
        self._task: asyncio.Task[None] | None = None

    async def of(self, collection_id: str) -> str | None:
        """The stamp of a collection, None for one that is gone. Raises Unavailable."""
        batch = self._batch_of(collection_id)
        return (await asyncio.shield(batch.done)).get(collection_id)

    def tell(self, collection_id: str, told: Told, asker: Any) -> None:
        """The same without a task of one's own, nor one for each: `told` is called once with all who asked, and what stamps there are."""
        self._batch_of(collection_id).told.setdefault(told, []).append(asker)

    def _batch_of(self, collection_id: str) -> _Batch:
        """The batch of those who ask now."""
        if self._next is None:
            self._next = _Batch()
        self._next.ids.add(collection_id)
        if self._task is None:
            self._task = asyncio.create_task(self._answer(), name="stamps")
        return self._next

    async def _answer(self) -> None:
        try:
            while self._next is not None:
                batch, self._next = self._next, None
                await self._ask(batch)
        finally:
            self._task = None

    async def _ask(self, batch: _Batch) -> None:
        found: dict[str, str] = {}
        try:
            rows = await self._database.fetch_rows(stamps(batch.ids))
            found = {row["collection_id"]: row["stamp"] for row in rows}
        except BaseException as error:
            batch.done.set_exception(error)
            batch.done.exception()  # all who waited may be gone
            if not isinstance(error, Exception):
                raise
        else:
            batch.done.set_result(found)
        finally:
            loop = asyncio.get_running_loop()
            for told, askers in batch.told.items():
                loop.call_soon(told, askers, found)
