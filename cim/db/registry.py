"""The collections this node knows, kept in step with `cim.collection` and `cim.collection_stats`.

A worker listens on the channel `cim_registry`: a new collection is served within a second of its registration.
When the connection is lost the last known state stays in use, and is read again on reconnection.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson

from cim.collections import BUILTIN
from cim.db.pool import Database
from cim.errors import NotFound, Unavailable
from cim.model import Collection, Extent
from cim.model.declaration import collection_from, declaration_of
from cim.query.kept import form_of
from cim.sql import Sql

CHANNEL = "cim_registry"
RELOAD_AFTER_S = 60.0
_SETTLE_S = 0.1

_READ = Sql.of(
    "SELECT c.id, c.declaration::text AS declaration, COALESCE(s.feature_count, 0) AS feature_count, "
    "ST_XMin(s.bounds) AS min_lon, ST_YMin(s.bounds) AS min_lat, ST_XMax(s.bounds) AS max_lon, "
    "ST_YMax(s.bounds) AS max_lat, s.valid_from, s.valid_to, COALESCE(s.version, 0) AS version, "
    "ARRAY(SELECT form FROM cim.kept_form AS k WHERE k.collection_id = c.id) AS kept_forms "
    "FROM cim.collection AS c LEFT JOIN cim.collection_stats AS s ON s.collection_id = c.id ORDER BY c.id"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A collection with its statistics; `version` grows with every change of its rows."""

    collection: Collection
    version: int


def entry_of(row: Any) -> Entry:
    """The registry's entry of a row of `_READ`."""
    bounds = None
    if row["min_lon"] is not None:
        bounds = (row["min_lon"], row["min_lat"], row["max_lon"], row["max_lat"])
    extent = Extent(bounds, row["valid_from"], row["valid_to"])
    declaration = orjson.loads(row["declaration"])
    found = collection_from(declaration, row["feature_count"], extent)
    for builtin in BUILTIN:
        if builtin.id == row["id"] and orjson.loads(orjson.dumps(declaration_of(builtin))) == declaration:
            found = builtin.with_stats(row["feature_count"], extent)  # jsonb forgets the codes' order
    if row["kept_forms"] and (form := form_of(found)) in row["kept_forms"]:
        found = replace(found, kept_form=form)
    return Entry(found, row["version"])


class Registry:
    """What one worker knows. `get` and iteration never wait."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries: dict[str, Entry] | None = None
        self._changed = asyncio.Event()
        self._read_anew = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.generation = 0
        self._cursor_key: bytes | None = None

    async def open(self) -> None:
        """Read the registry (when the database answers) and keep it in step from now on."""
        with suppress(Unavailable):
            await self.reload()
        self._task = asyncio.create_task(self._follow(), name="registry")

    async def close(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def reload(self) -> None:
        """Read all entries now. Raises Unavailable."""
        if self._cursor_key is None:
            secret = await self._database.fetch_row(Sql.of("SELECT value FROM cim.secret WHERE name = 'cursor'"))
            self._cursor_key = None if secret is None else secret["value"]
        rows = await self._database.fetch_rows(_READ)
        self._entries = {row["id"]: entry_of(row) for row in rows}
        self.generation += 1
        waiting, self._read_anew = self._read_anew, asyncio.Event()
        waiting.set()

    async def wait(self, seconds: float) -> None:
        """Return when the registry has been read again, or after that time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._read_anew.wait(), seconds)

    @property
    def is_loaded(self) -> bool:
        """True once the registry has been read."""
        return self._entries is not None

    @property
    def cursor_key(self) -> bytes:
        """What signs paging cursors; the same for all workers on one database. Raises Unavailable."""
        if self._cursor_key is None:
            raise Unavailable("the database cannot answer now; try again in a few seconds")
        return self._cursor_key

    def get(self, collection_id: str) -> Collection:
        """The collection of that id. Raises NotFound, or Unavailable before the registry was ever read."""
        return self.entry(collection_id).collection

    def entry(self, collection_id: str) -> Entry:
        """The collection with its version. Raises as `get` does."""
        if self._entries is None:
            raise Unavailable("the database cannot answer now; try again in a few seconds")
        found = self._entries.get(collection_id)
        if found is None:
            raise NotFound("collection", collection_id, self._entries)
        return found

    def find(self, collection_id: str) -> Collection | None:
        """The collection of that id, or None."""
        found = (self._entries or {}).get(collection_id)
        return None if found is None else found.collection

    def __iter__(self) -> Iterator[Collection]:
        if self._entries is None:
            raise Unavailable("the database cannot answer now; try again in a few seconds")
        return iter([entry.collection for entry in self._entries.values()])

    async def _follow(self) -> None:
        while True:
            try:
                connection = await self._database.connect_alone()
            except Unavailable:
                await asyncio.sleep(0.5)
                continue
            try:
                await self._listen(connection)
            except (Unavailable, OSError):
                await asyncio.sleep(0.2)
            finally:
                connection.terminate()

    async def _listen(self, connection: Any) -> None:
        """Reload after every notification, and now and then without one, until the connection is lost."""
        connection.add_termination_listener(lambda _: self._changed.set())
        await connection.add_listener(CHANNEL, lambda *_: self._changed.set())
        while not connection.is_closed():
            self._changed.clear()
            await self.reload()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), RELOAD_AFTER_S)
            await asyncio.sleep(_SETTLE_S)
