"""An HTTP/1.1 connection with deadlines: a head that does not end, a body that trickles, a client that has gone.

A subclass of uvicorn's httptools protocol; it adds timers and changes nothing of what is parsed.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.middleware import DISCONNECTED
from api.problems import MEDIA_TYPE, problem_body

MAX_HEAD_BYTES = 64 * 1024
MIN_BODY_BYTES_S = 1024
"""A body must bring this many bytes a second, averaged over the deadline."""

LINGER_S = 1.0
"""Time a refused client has to take its answer."""

_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


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
        elif self._timer is None and self.timeout_keep_alive_task is None and self._is_idle():
            self._arm()  # bytes that begin no request, such as empty lines

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        super().on_message_begin()
        self._in_head = True
        if self._timer is None:
            self._arm()

    def on_headers_complete(self) -> None:
        """The head is whole; the body, if any, begins."""
        self._disarm()
        self._in_head, self._in_body = False, True
        self._head_bytes = self._body_bytes = 0
        super().on_headers_complete()
        self._arm()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._disarm()
        self._in_body = False
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """As uvicorn does, keeping the task, so that it can be cancelled."""
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(lambda _: self._running.pop(cycle, None))
        self.tasks.add(task)
        self._running[cycle] = task

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
