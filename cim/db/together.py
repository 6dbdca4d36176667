"""Small questions asked at the same time: one statement answers all who wait.

A statement costs the worker and the database about as much as finding a feature does.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any

from cim.db.pool import Database, Row
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.item import AS_IT_IS, item_sql
from cim.query.items import box_shape, page_sql
from cim.query.output.form import Output
from cim.sql import Sql

MOST = 32
"""Questions of one statement."""
SLOW_S = 0.005
"""Who waits behind a statement that takes longer is asked for beside it."""

Asked = list[tuple[Any, asyncio.Future[Row | None]]]
Compose = Callable[[list[Any]], Sql]


class _Lane:
    """Those who wait for answers by statements of one text; `late` of those `running` are slow."""

    __slots__ = ("compose", "is_numbered", "late", "running", "waiting")

    def __init__(self, compose: Compose, *, is_numbered: bool) -> None:
        self.compose, self.is_numbered = compose, is_numbered
        self.waiting: Asked = []
        self.running = self.late = 0


class Together:
    """What one worker asks. While a statement runs, the next one gathers; each begins after all questions it answers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lanes: dict[Hashable, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def item(self, collection: Collection, feature_id: str, scope: Scope, query: FeatureQuery) -> Row | None:
        """The row of `item_sql`, None where there is none. Raises Unavailable."""
        if query is not AS_IT_IS:
            return await self._database.fetch_row(item_sql(collection, [feature_id], scope, query))
        lane = self._lanes.get((id(collection), scope))
        if lane is None:
            lane = _Lane(
                lambda ids: item_sql(collection, ids, scope), is_numbered=False
            )  # it keeps the collection alive
        return await self._ask((id(collection), scope), lane, feature_id)

    async def page(self, collection: Collection, query: FeatureQuery, scope: Scope, output: Output) -> Row:
        """The row of `page_sql`. Raises Unavailable."""
        shape = box_shape(collection, query, scope, output)
        if shape is None:
            return await self._database.fetch_one(page_sql(collection, query, scope, output))
        lane = self._lanes.get(shape)
        if lane is None:
            lane = _Lane(shape.sql, is_numbered=True)
        return await self._ask(shape, lane, query.bbox)

    async def _ask(self, key: Hashable, lane: _Lane, question: Any) -> Row | None:
        told: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        lane.waiting.append((question, told))
        if lane.running == lane.late:
            self._lanes[key] = lane
            self._start(key, lane)
        return await told

    def _start(self, key: Hashable, lane: _Lane) -> None:
        lane.running += 1
        task = asyncio.create_task(self._answer(key, lane), name="together")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, key: Hashable, lane: _Lane) -> None:
        """Ask until nobody waits."""
        try:
            while lane.waiting:
                asked, lane.waiting = lane.waiting[:MOST], lane.waiting[MOST:]
                await self._answer_all(key, lane, asked)
        finally:
            lane.running -= 1
            if not lane.running:
                del self._lanes[key]

    async def _answer_all(self, key: Hashable, lane: _Lane, asked: Asked) -> None:
        is_late = False

        def overtake() -> None:
            nonlocal is_late
            is_late = True
            lane.late += 1
            if lane.waiting:
                self._start(key, lane)

        questions = [question for question, _ in asked]
        timer = asyncio.get_running_loop().call_later(SLOW_S, overtake)
        try:
            rows = await self._database.fetch_rows(lane.compose(questions))
        except BaseException as error:
            for _, told in asked:
                if not told.done():
                    told.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
            if not isinstance(error, Exception):
                raise
            return
        finally:
            timer.cancel()
            lane.late -= is_late
        found = {row[0]: row for row in rows}
        for number, (question, told) in enumerate(asked, 1):
            if not told.done():
                told.set_result(found.get(number if lane.is_numbered else question))
