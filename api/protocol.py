"""An HTTP/1.1 connection with deadlines: a head that does not end, a body that trickles, a client that has gone.

A subclass of uvicorn's httptools protocol; it adds timers, changes nothing of what is parsed, and writes plain answers
in one piece.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from api.hot import HotAnswers
from api.middleware import DISCONNECTED
from api.problems import MEDIA_TYPE, problem_body

MAX_HEAD_BYTES = 64 * 1024
MIN_BODY_BYTES_S = 1024
"""A body must bring this many bytes a second, averaged over the deadline."""

LINGER_S = 1.0
"""Time a refused client has to take its answer."""

JOINED_BYTES = 64 * 1024
"""Up to this size a body is copied behind its head; a longer one is written by itself."""

_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


async def _answer(
    app: ASGIApp,
    cycle: RequestResponseCycle,
    asked: bytes,
    scope: Scope,
    receive: Receive,
    _: Callable[[Message], Awaitable[None]],
) -> None:
    await app(scope, receive, _Sender(cycle, asked))


class _Sender:
    """`send` of one request: a body of known length goes out with its head, which is checked as a whole.

    uvicorn looks at each header field by two regular expressions and writes head and body apart; everything but the plain
    case is left to it. A head without a length is sent at once, for its body may be long in coming.
    `asked`: the bytes of the request, where they came alone; what the tiles' endpoint sent is remembered under them.
    """

    __slots__ = ("_asked", "_cycle", "_head")

    def __init__(self, cycle: RequestResponseCycle, asked: bytes) -> None:
        self._cycle = cycle
        self._asked = asked
        self._head: bytes | None = None

    async def __call__(self, message: Any) -> None:
        """Send one ASGI message."""
        cycle = self._cycle
        if not cycle.response_started and message["type"] == "http.response.start":
            self._head = _plain_head(cycle, message)
            if self._head is not None:
                cycle.response_started, cycle.waiting_for_100_continue = True, False
                if self._asked and message["status"] == 200:
                    self._learn(message["headers"])
                return
        elif self._head is not None and not cycle.response_complete:
            head, self._head = self._head, None
            if await self._is_sent(head, message):
                return
        await cycle.send(message)

    def _learn(self, headers: Any) -> None:
        scope: Any = self._cycle.scope
        sent = scope["state"].get("sent")
        if sent is not None and scope["method"] == "GET":
            scope["app"].hot.learn(self._asked, sent, scope, headers)

    async def _is_sent(self, head: bytes, message: Any) -> bool:
        """Write the head, and with it the body where it comes whole."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return True
        body: bytes = message.get("body", b"")
        is_whole = not message.get("more_body", False) and len(body) == cycle.expected_content_length
        if not is_whole or cycle.scope["method"] == "HEAD":
            cycle.transport.write(head)
            return False
        if len(body) <= JOINED_BYTES:
            cycle.transport.write(head + body)
        else:
            cycle.transport.write(head)
            cycle.transport.write(body)
        cycle.expected_content_length = 0
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True


def _plain_head(cycle: RequestResponseCycle, message: Any) -> bytes | None:
    """The head of an answer that has a length and leaves the connection open; None for any other."""
    if not cycle.keep_alive or cycle.disconnected:
        return None
    lines = [STATUS_LINE[message["status"]]]
    length = None
    for name, value in (*cycle.default_headers, *message.get("headers", ())):
        if name == b"content-length":
            length = int(value)
        elif name in (b"connection", b"transfer-encoding"):
            return None
        lines.append(b"%b: %b\r\n" % (name, value))
    head = b"".join(lines)
    if length is None or head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
        return None
    cycle.chunked_encoding, cycle.expected_content_length = False, length
    return head + b"\r\n"


class DeadlineProtocol(HttpToolsProtocol):
    """One connection. `config.header_timeout_s` bounds a head, and each step of a body."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._timeout_s: float = getattr(self.config, "header_timeout_s", 10.0)
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._in_body = False
        self._head_bytes = 0
        self._body_bytes = 0
        self._was_paused = False
        self._is_refused = False
        self._running: dict[RequestResponseCycle, asyncio.Task[None]] = {}
        self._hot: HotAnswers | None = getattr(self.app, "hot", None)
        self._asked = b""
        """Bytes that came in one piece while nothing else was to be answered."""
        self._waits = False
        """A hot answer is being checked."""
        self._held = b""
        self._stops = False
        self._hot_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client that connects must send a head in time."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """A handler whose client has gone is cancelled, and with it its statement (catalogue F07)."""
        self._disarm()
        super().connection_lost(exc)
        for cycle, task in list(self._running.items()):
            if not cycle.response_complete:
                cycle.disconnected = True
                task.cancel(DISCONNECTED)
        self._running.clear()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client: the head's are counted, the body's pace is kept."""
        if self._is_refused:
            return
        if self._waits:
            self._held += data
            self.flow.pause_reading()
            return
        is_alone = not self._in_head and self._is_idle()
        if is_alone and self._hot is not None and not self.flow.write_paused:
            known = self._hot.find(data)
            if known is not None:
                self._disarm()
                self._waits = True
                self._hot.check(known, partial(self._send_hot, data))
                return
        self._asked = data if is_alone else b""
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        if self._in_body:
            self._body_bytes += len(data)
        elif self._is_idle() or self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_refused or self.transport.is_closing():
            self._disarm()
            return
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, "head-too-large", "Request header fields too large", f"at most {MAX_HEAD_BYTES:,} bytes")
        elif self._timer is not None:
            return
        elif self._in_head or self._in_body or (self.timeout_keep_alive_task is None and self._is_idle()):
            self._arm()  # something is to come; or bytes that begin no request, such as empty lines

    def _send_hot(self, data: bytes, answer: tuple[bytes, bytes] | None) -> None:
        """Send an answer that was checked; without one the request is read as any other."""
        self._waits = False
        if self.transport.is_closing():
            return
        if answer is None:
            self._asked = data
            self._parse(data)
            if self._stops:
                super().shutdown()
        else:
            head, body = answer
            dates = b"".join([b"%b: %b\r\n" % pair for pair in self.server_state.default_headers])
            self._write(b"".join((STATUS_LINE[200], dates, head)), body)
            self.server_state.total_requests += 1
            self._hot_at = self.loop.time()
            if self._stops:
                self.transport.close()
                return
            if self.timeout_keep_alive_task is None:
                self._keep(self.timeout_keep_alive)
        if self._held:
            held, self._held = self._held, b""
            self.data_received(held)
        if not self._waits and not self._in_body:
            self.flow.resume_reading()

    def _write(self, head: bytes, body: bytes) -> None:
        if len(body) <= JOINED_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    def _keep(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for a while: the end, unless a hot answer was sent since, for those set no timer."""
        left = self._hot_at + self.timeout_keep_alive - self.loop.time()
        if self._waits or left > 0:
            self._keep(max(left, 1.0))
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """The server stops: a hot answer is still sent."""
        if self._waits:
            self._stops = True
        else:
            super().shutdown()

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """The head is whole; the body, if any, begins."""
        self._disarm()
        self._in_head, self._in_body = False, True
        self._head_bytes = self._body_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._disarm()
        self._in_body = False
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """As uvicorn does, keeping the task, so that it can be cancelled."""
        asked, self._asked = self._asked, b""
        task = self.loop.create_task(cycle.run_asgi(partial(_answer, app, cycle, asked)))
        self.tasks.add(task)
        self._running[cycle] = task

        def forget(_: object) -> None:
            self.tasks.discard(task)
            self._running.pop(cycle, None)

        task.add_done_callback(forget)

    def _is_idle(self) -> bool:
        return not self._in_body and (self.cycle is None or self.cycle.response_complete)

    def _arm(self) -> None:
        self._disarm()
        self._was_paused = False
        self._timer = self.loop.call_later(self._timeout_s, self._expire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._in_body:
            is_ours = self.flow.read_paused
            if is_ours or self._body_bytes >= MIN_BODY_BYTES_S * self._timeout_s:
                self._body_bytes = 0
                self._arm()
                return
        self._refuse(
            408,
            "request-timeout",
            "The request took too long to arrive",
            f"a head must arrive within {self._timeout_s:g} s, a body at {MIN_BODY_BYTES_S} bytes a second or more",
        )

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP request."""
        self._refuse(400, "bad-request", "Bad request", "this is no HTTP/1.1 request")

    def _refuse(self, status: int, code: str, title: str, detail: str) -> None:
        self._disarm()
        if self._is_refused:
            return
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            body = problem_body(status, code, title, detail, "urn:uuid:00000000-0000-0000-0000-000000000000")
            head = (
                f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: {MEDIA_TYPE}\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\naccess-control-allow-origin: *\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            self._linger()
            return
        self.transport.close()

    def _linger(self) -> None:
        """Close for writing now and altogether soon: what a client still sends would else reset the answer away."""
        self._is_refused = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)
