"""Tiles that were made, kept in the memory of a worker and sent again as long as their collection has not changed.

A kept tile is sent only after the collection's stamp was read anew, so an edit is seen by the next request, whichever
worker made it. Bodies are kept in the content codings they were asked for, so that none is compressed twice.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence

from api.compression import coding_of, encoded
from api.etags import etag_of
from cim.db.stamps import Stamps

OVERHEAD_BYTES = 1_000
"""What a kept tile takes beside its bodies."""
MIN_COMPRESSED = 1_000
"""A smaller body is sent as it is."""


class KeptTile:
    """A tile as it was at a stamp of its collection. `truncated`: the most features it may hold, where some were left out.

    `key` is that of its tag (`etag_of`).
    """

    __slots__ = ("__weakref__", "bodies", "etag", "size", "stamp", "truncated")

    def __init__(self, body: bytes, stamp: str, truncated: int | None, key: bytes | None = None) -> None:
        self.stamp = stamp
        self.truncated = truncated
        self.etag = etag_of(body, key=key)
        self.bodies = {"identity": body}
        self.size = OVERHEAD_BYTES + len(body)

    def coded(self, coding: str) -> tuple[str, bytes]:
        """The coding that is worth it, and the body in it."""
        plain = self.bodies["identity"]
        if coding == "identity" or len(plain) < MIN_COMPRESSED:
            return "identity", plain
        found = self.bodies.get(coding)
        if found is None:
            found = self.bodies[coding] = encoded(plain, coding)
            self.size += len(found)
        return coding, found


Make = Callable[[], Awaitable[KeptTile]]


class _Flight:
    """A tile that is being made, and how many wait for it."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[KeptTile]) -> None:
        self.task = task
        self.waiting = 0


class TileCache:
    """The tiles one worker keeps, least lately used out first; equal requests at once are made once."""

    def __init__(self, stamps: Stamps, max_bytes: int) -> None:
        self._stamps = stamps
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, KeptTile] = OrderedDict()
        self._flights: dict[Hashable, _Flight] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def is_kept(self, key: Hashable, tile: KeptTile) -> bool:
        """True where the tile is still kept under `key`; then it was used now."""
        if self._kept.get(key) is not tile:
            return False
        self._kept.move_to_end(key)
        return True

    async def tile(self, key: Hashable, collection_id: str, make: Make) -> KeptTile:
        """The tile under `key`, kept or made now; never older than the question. Raises what `make` raises, Unavailable."""
        while True:
            kept = self._kept.get(key)
            if kept is not None and kept.stamp == await self._stamps.of(collection_id):
                if key in self._kept:
                    self._kept.move_to_end(key)
                return kept
            flight = self._flights.get(key)
            if flight is None:
                flight = self._flights[key] = _Flight(asyncio.create_task(self._made(key, make), name="tile"))
                return await self._join(key, flight)
            made = await self._join(key, flight)
            # it was begun before the question, so what comes of it is checked as a kept tile is
            if made.stamp == await self._stamps.of(collection_id):
                return made

    async def _join(self, key: Hashable, flight: _Flight) -> KeptTile:
        """What comes of a flight; the last one who waits no longer ends it, and its statement."""
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                if self._flights.get(key) is flight:
                    del self._flights[key]
                flight.task.cancel()

    async def _made(self, key: Hashable, make: Make) -> KeptTile:
        made = await make()
        self._keep(key, made)
        return made

    def _keep(self, key: Hashable, made: KeptTile) -> None:
        former = self._kept.pop(key, None)
        if former is not None:
            self.bytes -= former.size
        if made.size <= self._max_bytes // 4:
            self._kept[key] = made
            self.bytes += made.size
            self._make_room()

    def _make_room(self) -> None:
        while self.bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self.bytes -= oldest.size

    def joined(self, layers: Sequence[KeptTile]) -> tuple[Hashable, KeptTile]:
        """Tiles one behind the other as one, and what it is kept under: their tags, so that it is never out of date."""
        key = ("joined", *(layer.etag for layer in layers))
        kept = self._kept.get(key)
        if kept is None:
            kept = KeptTile(b"".join(layer.bodies["identity"] for layer in layers), "", None)
            self._keep(key, kept)
        else:
            self._kept.move_to_end(key)
        return key, kept

    def coded(self, key: Hashable, tile: KeptTile, accept_encoding: str) -> tuple[str, bytes]:
        """The body in a coding the caller accepts, kept in it from now on."""
        before = tile.size
        coded = tile.coded(coding_of(accept_encoding))
        if tile.size != before and self._kept.get(key) is tile:
            self.bytes += tile.size - before
            self._make_room()
        return coded
