"""Keeping texts of features beside them (`cim.query.kept`): what one worker of a node does for all, after every change."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import structlog

from cim.db.pool import Database
from cim.db.registry import Entry, Registry
from cim.errors import CimError
from cim.query.kept import (
    CHUNK,
    MIN_FEATURES,
    drop_chunk,
    drop_deleted,
    first_change,
    forget,
    form_of,
    forms,
    keep_chunk,
    note_kept,
)

log = structlog.get_logger("kept_texts")
T = TypeVar("T")

LOOK_EVERY_S = 30.0
SETTLE_S = 2.0
"""Changes that follow each other this closely are taken together."""


class KeptTexts:
    """Follows the registry: texts of large collections are kept, those of others and of former declarations dropped.

    `leads` says whether it is this worker that does it. Between two statements it waits as long as the last one took,
    so that half of a session is the most it costs.
    """

    def __init__(self, database: Database, registry: Registry, leads: Callable[[], bool], *, is_wanted: bool) -> None:
        self._database, self._registry, self._leads = database, registry, leads
        self._is_wanted = is_wanted
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._follow(), name="kept texts")

    async def close(self) -> None:
        """Stop; what is missing then is kept after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(SETTLE_S)
            if not self._leads() or not self._registry.is_loaded:
                continue
            generation = self._registry.generation
            try:
                await self._round()
            except CimError as error:
                log.warning("texts are kept later", code=error.code, detail=error.detail)
            if self._registry.generation == generation:
                await self._registry.wait(LOOK_EVERY_S)

    async def _round(self) -> None:
        wanted = {}
        if self._is_wanted:
            entries = [self._registry.entry(collection.id) for collection in self._registry]
            large = [one for one in entries if (one.collection.feature_count or 0) >= MIN_FEATURES]
            wanted = {form_of(one.collection): one for one in large}
        known = {row["form"]: row["version"] for row in await self._database.fetch_rows(forms())}
        if gone := [form for form in known if form not in wanted]:
            while (await _paced(self._database.fetch_one(drop_chunk(gone))))["number"]:
                pass
            await self._database.execute(forget(gone))
        for form, entry in wanted.items():
            if known.get(form) == entry.version:
                continue
            try:
                await self._keep(entry, known.get(form))
            except asyncpg.PostgresError as error:  # a feature whose text cannot be made: its page says so to who asks
                log.warning("texts cannot be kept", collection=entry.collection.id, error=str(error)[:200])

    async def _keep(self, entry: Entry, version: int | None) -> None:
        """Keep the texts of all rows that were written since `version`."""
        collection = entry.collection
        began = time.monotonic()
        since = (await self._database.fetch_one(first_change(collection, version)))["recorded_at"]
        if since is not None:
            await self._database.execute(drop_deleted(collection, since))
        after, number = (since, ""), 0
        while True:
            row = await _paced(self._database.fetch_row(keep_chunk(collection, after)))
            number += 0 if row is None else row["number"]
            if row is None or row["number"] < CHUNK:
                break
            after = row["recorded_at"], row["id"]
        await self._database.execute(note_kept(collection, entry.version))
        log.info("texts kept", collection=collection.id, features=number, seconds=round(time.monotonic() - began, 1))


async def _paced(work: Awaitable[T]) -> T:
    """What `work` gives, after a pause as long as it took."""
    began = time.monotonic()
    done = await work
    await asyncio.sleep(time.monotonic() - began)
    return done
