"""Tiles sent again before anything is parsed: a request that is, to the byte, one that a kept tile answered just now.

What such an answer depends on is the request, what is known of the caller, the declaration of the collection and the tile;
so the same bytes have the same answer as long as the collection's stamp, read anew each time, is the tile's, and as long as
all that the answer's rights rest on is known to be as it was (`cim.memo`). One of the requests asks for it anew, the
ordinary way, shortly before it ends, and it is good again from then on. Requests that hold any field not named here always
take the ordinary way: no session or condition is ever passed by.

Requests that wait for the same stamps are answered together: their calls of services are counted by one write of the spool,
before any of them is sent.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import ref

from starlette.requests import Request
from starlette.types import Scope as Asked

from api.callers import Callers
from api.logs import Answered
from api.middleware import Border, new_request_id
from api.tile_cache import KeptTile, TileCache
from cim.db.registry import Registry
from cim.db.stamps import Stamps
from cim.memo import Known
from cim.metering.call import Call
from cim.metering.meter import Meter, Repeat
from cim.metering.quota import Limits
from cim.model import Collection, Scope

MAX_HEAD = 4_096
"""A longer head is parsed."""
MAX_KNOWN = 4_096
"""Requests that a worker remembers."""

_END = b"\r\n\r\n"
_FIELDS = frozenset(
    b"host user-agent accept accept-encoding accept-language origin referer dnt priority cache-control pragma "
    b"sec-fetch-dest sec-fetch-mode sec-fetch-site sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform "
    b"authorization x-api-key x-scenario".split()
)
"""Fields of a request that ask for no part or condition of an answer, and say who asks by a key only."""
_KEEP_ALIVE = b"connection: keep-alive"
_OWN_LINES = (b"x-request-id", b"x-call-id", b"ratelimit")
"""Fields that each answer has its own of."""

Then = Callable[[tuple[bytes, bytes] | None], None]
"""Called with the head, but for status line and date, and the body of an answer; with None for a request to be asked anew."""


@dataclass(frozen=True, slots=True)
class CallSent:
    """The call of a service that a tile was sent for: whose, held to which limits, and what else its rights rest on."""

    call: Call
    limits: Limits | None
    rights: tuple[Known[Any], ...]


@dataclass(frozen=True, slots=True)
class TileSent:
    """What the tiles' endpoint notes of an answer: the kept tile it sent, and in which coding.

    `source` is the registry's collection that the address was read against, `route` the template of the path, `caller` whom
    it was sent to.
    """

    source: Collection
    key: str
    tile: KeptTile
    coding: str
    route: str
    caller: Scope
    call: CallSent | None = None


@dataclass(frozen=True, slots=True)
class HotAnswer:
    """An answer that is known, good while `rights` are: `head` lacks what each answer has its own of. It keeps no tile alive."""

    source: Collection
    key: str
    tile: "ref[KeptTile]"
    coding: str
    path: str
    route: str
    head: bytes
    rights: tuple[Known[Any], ...]
    repeat: Repeat | None


class _Waiting(NamedTuple):
    answer: HotAnswer
    then: Then
    started: float


class HotAnswers:
    """Those of one worker. `border` notes them as it does all answers."""

    def __init__(
        self, tiles: TileCache, stamps: Stamps, registry: Registry, border: Border, callers: Callers, meter: Meter
    ) -> None:
        self._tiles, self._stamps, self._registry, self._border = tiles, stamps, registry, border
        self._callers, self._meter = callers, meter
        self._known: dict[bytes, HotAnswer] = {}

    def find(self, data: bytes) -> HotAnswer | None:
        """The answer of a request whose bytes these are, if it was answered before."""
        if len(data) > MAX_HEAD or data[-4:] != _END:
            return None
        return self._known.get(data)

    def check(self, answer: HotAnswer, then: Then) -> None:
        """Call `then` by a statement that begins now."""
        self._stamps.tell(answer.source.id, self._checked, _Waiting(answer, then, time.perf_counter()))

    def _checked(self, waiting: list[_Waiting], stamps: Mapping[str, str]) -> None:
        now, later = time.monotonic(), asyncio.get_running_loop().call_soon
        good: list[tuple[_Waiting, KeptTile]] = []
        for one in waiting:
            tile = self._tile(one.answer, stamps, now)
            if tile is None:
                later(one.then, None)
            else:
                good.append((one, tile))
        passed = self._meter.again([(one.answer.repeat, one.started) for one, _ in good])
        answered: list[Answered] = []
        for (one, tile), call in zip(good, passed, strict=True):
            later(one.then, None if call is None else self._written(one, tile, *call, answered))
        if answered:
            self._border.told(answered)

    def _tile(self, answer: HotAnswer, stamps: Mapping[str, str], now: float) -> KeptTile | None:
        tile = answer.tile()
        if (
            tile is None
            or tile.stamp != stamps.get(answer.source.id)
            or self._registry.find(answer.source.id) is not answer.source
            or not self._tiles.is_kept(answer.key, tile)
        ):
            return None
        for known in answer.rights:
            if known.until <= now or known.wants_asking(now):
                return None
        return tile

    def _written(
        self, one: _Waiting, tile: KeptTile, call_id: str, left: str, answered: list[Answered]
    ) -> tuple[bytes, bytes]:
        """The end of the answer's head, and its body; to be noted as any answer is, a call under its id in the ledger."""
        answer, body = one.answer, tile.bodies[one.answer.coding]
        request_id = call_id or new_request_id()
        own = f"x-request-id: {request_id}\r\n"
        if left:
            own = f"{own}x-call-id: {call_id}\r\nratelimit: {left}\r\n"
        elif call_id:
            own = f"{own}x-call-id: {call_id}\r\n"
        ms = (time.perf_counter() - one.started) * 1000
        self._border.began()
        answered.append(Answered(request_id, "GET", answer.path, answer.route, 200, len(body), ms))
        return b"%b%b\r\n" % (answer.head, own.encode()), body

    def learn(self, data: bytes, sent: TileSent, asked: Asked, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Remember what was answered with status 200 to a request of these bytes. `headers`: its fields, without the date."""
        if not is_plain(data, below=b"/collections/" if sent.call is None else b"/services/"):
            return
        caller = self._callers.known(Request(asked), sent.caller)
        if caller is None:
            return
        rights: tuple[Known[Any], ...] = (caller,)
        repeat, body = None, sent.tile.bodies[sent.coding]
        if sent.call is not None:
            rights += sent.call.rights
            repeat = Repeat.of(sent.call.call, sent.call.limits, sent_bytes=len(body))
        lines = [b"%b: %b\r\n" % (name, value) for name, value in headers if name not in _OWN_LINES]
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[data] = HotAnswer(
            source=sent.source,
            key=sent.key,
            tile=ref(sent.tile),
            coding=sent.coding,
            path=asked["path"][:300],
            route=sent.route,
            head=b"".join(lines),
            rights=rights,
            repeat=repeat,
        )


def is_plain(data: bytes, *, below: bytes) -> bool:
    """True for the bytes of one whole GET of HTTP/1.1 that asks for no more than an address below another in some form."""
    if len(data) > MAX_HEAD or data[-4:] != _END or data.count(_END) > 1:
        return False
    first, *fields = data[:-4].split(b"\r\n")
    if not (first.startswith(b"GET " + below) and first.endswith(b" HTTP/1.1")):
        return False
    return all(field.partition(b":")[0].lower() in _FIELDS or field.lower() == _KEEP_ALIVE for field in fields)
