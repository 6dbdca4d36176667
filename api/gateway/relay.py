"""An upstream's answer on its way to the caller: read within budgets of time and size, passed on as it comes."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Protocol

import httpcore2
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.gateway.breaker import Gate
from api.gateway.kept import MAX_BODY
from cim.errors import CimError, UpstreamClosed, UpstreamTimeout, UpstreamUnreachable
from cim.gateway.headers import Fields
from cim.metering.call import UPSTREAM_ERROR, UPSTREAM_TIMEOUT
from cim.settings import Settings

log = structlog.get_logger("gateway")

MIN_BYTES_S = 1024
"""An upstream brings this many bytes a second, on average over `upstream_idle_s` of waiting for it."""

BROKEN = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException)


class Cut(Exception):
    """A transfer that ends before its time; `outcome` as the meter has it."""

    def __init__(self, outcome: str, why: str) -> None:
        super().__init__(why)
        self.outcome = outcome
        self.why = why


def not_whole(cut: Cut) -> CimError:
    """What a caller is told of whom nothing was sent yet."""
    kind = UpstreamTimeout if cut.outcome == UPSTREAM_TIMEOUT else UpstreamUnreachable
    return kind(f"the service's answer did not come whole: {cut.why}")


class Source(Protocol):
    """Where the bytes of an answer come from."""

    async def piece(self) -> bytes | None:
        """The next bytes; None at the end. Raises Cut."""
        ...

    async def close(self) -> None:
        """No more is wanted."""
        ...


@dataclass(slots=True)
class Incoming:
    """An answer whose head has come. It holds a place at its upstream until `close`."""

    response: httpcore2.Response
    gate: Gate
    held: ExitStack
    settings: Settings
    deadline: float
    _stream: AsyncIterator[bytes] | None = None
    _bytes: int = 0
    _waited_s: float = 0.0
    _window_bytes: int = 0

    async def piece(self) -> bytes | None:
        """The next bytes; None at the end. Raises Cut."""
        if self._stream is None:
            self._stream = self.response.aiter_stream()
        began = time.monotonic()
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + max(self.deadline - began, 0)):
                data = await anext(self._stream, None)
        except TimeoutError:
            raise self._cut(UPSTREAM_TIMEOUT, "the call took too long") from None
        except httpcore2.TimeoutException:
            raise self._cut(UPSTREAM_TIMEOUT, "the upstream fell silent") from None
        except BROKEN as error:
            raise self._cut(UPSTREAM_ERROR, type(error).__name__) from None
        if data is None:
            return None
        self._bytes += len(data)
        if self._bytes > self.settings.upstream_max_bytes:
            raise self._cut(UPSTREAM_ERROR, "larger than is passed on", is_failure=False)
        self._waited_s += time.monotonic() - began
        self._window_bytes += len(data)
        if self._waited_s >= self.settings.upstream_idle_s:
            if self._window_bytes < MIN_BYTES_S * self._waited_s:
                raise self._cut(UPSTREAM_TIMEOUT, "the upstream trickles")
            self._waited_s, self._window_bytes = 0.0, 0
        return data

    def _cut(self, outcome: str, why: str, *, is_failure: bool = True) -> Cut:
        if is_failure:
            self.gate.failed()
        return Cut(outcome, why)

    async def close(self) -> None:
        """Give the connection and the place back."""
        self.held.close()
        with suppress(*BROKEN):
            await self.response.aclose()


class Relayed(Response):
    """An answer passed on as it comes. `outcome` is told by the meter when it has ended; None where it went well."""

    def __init__(
        self,
        incoming: Source,
        status: int,
        fields: Fields,
        *,
        already: Sequence[bytes] = (),
        keep: Callable[[bytes], None] | None = None,
    ) -> None:
        """`already`: bytes that were read to look at them. `keep` gets the whole body, where it is not too long."""
        self.status_code = status
        self.raw_headers = fields
        self.background = None
        self.outcome: str | None = None
        self.incoming = incoming
        self.keep = keep
        self._already = already

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Where the upstream breaks off, so does the answer: its end is never made up (catalogue B35)."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            collected, size = [], 0
            async for data in self.pieces():
                size += len(data)
                if self.keep is not None and size <= MAX_BODY:
                    collected.append(data)
                await send({"type": "http.response.body", "body": data, "more_body": True})
            if self.keep is not None and size <= MAX_BODY:
                self.keep(b"".join(collected))
            await send({"type": "http.response.body", "body": b""})
        except Cut as cut:
            self.outcome = cut.outcome
            log.warning("cut off", outcome=cut.outcome, why=cut.why)
        finally:
            await self.incoming.close()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Cut."""
        for data in self._already:
            yield data
        while (more := await self.incoming.piece()) is not None:
            yield more


class Desk:
    """Where answers lie while they are read: so many bytes at once in a worker."""

    def __init__(self, room: int) -> None:
        self._room = room

    def take(self, count: int) -> bool:
        """Take room for so many bytes, until `give`; False where there is none."""
        if self._room < count:
            return False
        self._room -= count
        return True

    def give(self, count: int) -> None:
        """Give room back."""
        self._room += count

    async def read(self, incoming: Incoming, limit: int) -> tuple[list[bytes], bool]:
        """The body up to about `limit` bytes, and whether that is all of it. Raises Cut, and UpstreamClosed without room."""
        pieces: list[bytes] = []
        size = 0
        try:
            while (data := await incoming.piece()) is not None:
                if not self.take(len(data)):
                    raise UpstreamClosed("this node is reading as many documents as it may at once", retry_after_s=2)
                size += len(data)
                pieces.append(data)
                if size > limit:
                    return pieces, False
        finally:
            self.give(size)
        return pieces, True


def unpacked(body: bytes, limit: int) -> bytes | None:
    """What a gzip body holds; None for more than `limit` bytes (catalogue B34), or for no gzip body."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error:
        return None
    return plain if unpacker.eof and len(plain) <= limit and not unpacker.unused_data else None
