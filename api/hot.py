"""Tiles sent again before anything is parsed: a request that is, to the byte, one that a kept tile answered just now.

What such an answer depends on is the request, the declaration of its collection and the tile; so the same bytes have the
same answer as long as the collection's stamp, read anew each time, is the tile's. Requests that say who asks, or that
hold any field not named here, take the ordinary way: no key, session or condition is ever passed by. A tile that was called
as a service is counted each time before it is sent.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from weakref import ref

from api.middleware import Border, Told, new_request_id
from api.tile_cache import KeptTile, TileCache
from cim.db.registry import Registry
from cim.db.stamps import Stamps
from cim.model import Collection

MAX_HEAD = 4_096
"""A longer head is parsed."""
MAX_KNOWN = 4_096
"""Requests that a worker remembers."""

_END = b"\r\n\r\n"
_FIELDS = frozenset(
    b"host user-agent accept accept-encoding accept-language origin referer dnt priority cache-control pragma "
    b"sec-fetch-dest sec-fetch-mode sec-fetch-site sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform".split()
)
"""Fields of a request that say nothing of who asks, and ask for no part or condition of an answer."""
_KEEP_ALIVE = b"connection: keep-alive"


Count = Callable[[int, float], bool]


@dataclass(frozen=True, slots=True)
class TileSent:
    """What the tiles' endpoint notes of an answer: the kept tile it sent, and in which coding.

    `source` is the registry's collection that the address was read against, `route` the template of the path. `count`, of calls
    of services, counts one more that brings so many bytes since an instant; it gives False where the call must be asked anew.
    """

    source: Collection
    key: str
    tile: KeptTile
    coding: str
    route: str
    count: Count | None = None


@dataclass(frozen=True, slots=True)
class HotAnswer:
    """An answer that is known: `head` lacks the status line, the date and the request's id. It keeps no tile alive."""

    source: Collection
    key: str
    tile: "ref[KeptTile]"
    coding: str
    path: str
    route: str
    head: bytes
    count: Count | None


class HotAnswers:
    """Those of one worker. `border` notes them as it does all answers."""

    def __init__(self, tiles: TileCache, stamps: Stamps, registry: Registry, border: Border) -> None:
        self._tiles, self._stamps, self._registry, self._border = tiles, stamps, registry, border
        self._known: dict[bytes, HotAnswer] = {}

    def find(self, data: bytes) -> HotAnswer | None:
        """The answer of a request whose bytes these are, if it was answered before."""
        if len(data) > MAX_HEAD or data[-4:] != _END:
            return None
        return self._known.get(data)

    def check(self, answer: HotAnswer, then: Callable[[KeptTile | None], None]) -> None:
        """Call `then` with the tile, by a statement that begins now, or with None where the request must be asked anew."""
        self._stamps.tell(answer.source.id, partial(self._checked, answer, then, time.perf_counter()))

    def _checked(
        self, answer: HotAnswer, then: Callable[[KeptTile | None], None], started: float, stamp: str | None
    ) -> None:
        tile = answer.tile()
        is_good = (
            tile is not None
            and tile.stamp == stamp
            and self._registry.find(answer.source.id) is answer.source
            and self._tiles.is_kept(answer.key, tile)
            and (answer.count is None or answer.count(len(tile.bodies[answer.coding]), started))
        )
        then(tile if is_good else None)

    def written(self, answer: HotAnswer, tile: KeptTile, started: float) -> tuple[bytes, bytes]:
        """The end of the answer's head, and its body; it is noted as any answer is."""
        request_id, body = new_request_id(), tile.bodies[answer.coding]
        self._border.began()
        seconds = time.perf_counter() - started
        self._border.told(Told(request_id, "GET", answer.path, answer.route, 200, len(body), seconds))
        return b"%bx-request-id: %b\r\n\r\n" % (answer.head, request_id.encode()), body

    def learn(self, data: bytes, sent: TileSent, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Remember what was answered with status 200 to a request of these bytes. `headers`: its fields, without the date."""
        if not is_plain(data, below=b"/collections/" if sent.count is None else b"/services/"):
            return
        lines = [b"%b: %b\r\n" % (name, value) for name, value in headers if name != b"x-request-id"]
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[data] = HotAnswer(
            sent.source, sent.key, ref(sent.tile), sent.coding, path[:300], sent.route, b"".join(lines), sent.count
        )


def is_plain(data: bytes, *, below: bytes) -> bool:
    """True for the bytes of one whole GET of HTTP/1.1 that asks for no more than an address below another in some form."""
    if len(data) > MAX_HEAD or data[-4:] != _END or data.count(_END) > 1:
        return False
    first, *fields = data[:-4].split(b"\r\n")
    if not (first.startswith(b"GET " + below) and first.endswith(b" HTTP/1.1")):
        return False
    return all(field.partition(b":")[0].lower() in _FIELDS or field.lower() == _KEEP_ALIVE for field in fields)
