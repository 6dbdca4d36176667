"""Features asked for by their ids at the same time: one statement answers all who wait."""

import asyncio
from typing import Any

from cim.db.pool import Database, Row
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.item import AS_IT_IS, item_sql

MOST = 64
"""Features of one statement."""


class _Lane:
    """Those who wait for features of one collection under one scope, by id."""

    __slots__ = ("collection", "scope", "task", "waiting")

    def __init__(self, collection: Collection, scope: Scope) -> None:
        self.collection, self.scope = collection, scope
        self.waiting: list[tuple[str, asyncio.Future[Row | None]]] = []
        self.task: asyncio.Task[None] | None = None


class Together:
    """What one worker asks by id. While a statement runs, the next one gathers; it begins after all questions it answers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lanes: dict[tuple[int, Scope], _Lane] = {}

    async def item(self, collection: Collection, feature_id: str, scope: Scope, query: FeatureQuery) -> Row | None:
        """The row of `item_sql`, None where there is none. Raises Unavailable."""
        if query is not AS_IT_IS:
            return await self._database.fetch_row(item_sql(collection, [feature_id], scope, query))
        key = (id(collection), scope)  # of one that the lane keeps alive
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(collection, scope)
            lane.task = asyncio.create_task(self._answer(key, lane), name="features by id")
        told: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        lane.waiting.append((feature_id, told))
        return await told

    async def _answer(self, key: tuple[int, Scope], lane: _Lane) -> None:
        """Ask until nobody waits."""
        asked: list[tuple[str, asyncio.Future[Row | None]]] = []
        try:
            while lane.waiting:
                asked, lane.waiting = lane.waiting[:MOST], lane.waiting[MOST:]
                ids = [feature_id for feature_id, told in asked if not told.done()]
                rows = await self._database.fetch_rows(item_sql(lane.collection, ids, lane.scope))
                found: dict[str, Any] = {row["id"]: row for row in rows}
                for feature_id, told in asked:
                    if not told.done():
                        told.set_result(found.get(feature_id))
        except BaseException as error:
            for _, told in (*asked, *lane.waiting):
                if not told.done():
                    told.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
            if not isinstance(error, Exception):
                raise
        finally:
            del self._lanes[key]
