"""`MeteredSend`: an answer that is counted before its last byte leaves.

A client knows that an answer is whole by the last byte of the announced length, by the last chunk, or, where there is no
body, by the head. What ends it is held until the call is written down; so whoever has a whole answer has been counted.
"""

from collections.abc import Callable

from starlette.types import Message, Send

from api.limits import call_fields
from cim.metering.call import ABORTED, ANSWERED, Admitted
from cim.metering.meter import Meter

_NO_BODY = (204, 304)


class MeteredSend:
    """`send` of one admitted call. `outcome` may be set until the answer ends; `rows` is asked then."""

    def __init__(
        self,
        send: Send,
        meter: Meter,
        admitted: Admitted,
        *,
        is_head: bool = False,
        rows: Callable[[], int] = lambda: 0,
    ) -> None:
        self.outcome = ANSWERED
        self._send, self._meter, self._admitted, self._is_head, self._rows = send, meter, admitted, is_head, rows
        self._start: Message | None = None
        self._status = 0
        self._length: int | None = None
        self._sent = 0

    async def __call__(self, message: Message) -> None:
        """Pass one message on. Raises MeterFull, before anything was sent that a client could take for the whole."""
        if message["type"] == "http.response.start":
            self._begin(message)
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body = message.get("body", b"")
        total = self._sent + len(body)
        is_last = not message.get("more_body", False) or (self._length is not None and total >= self._length)
        if is_last or self._has_no_body():
            await self._record(self.outcome, total)
        if self._start is not None:
            start, self._start = self._start, None
            await self._send(start)
        await self._send(message)
        self._sent = total

    async def __aenter__(self) -> "MeteredSend":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """An answer that did not end is counted too, as what `outcome` says where it says more than answered."""
        await self.abort(ABORTED if self.outcome == ANSWERED else self.outcome)

    async def abort(self, outcome: str = ABORTED, *, status: int | None = None) -> None:
        """Count a call whose answer did not end: the client has gone, or the upstream failed. Nothing where it is counted."""
        if not self._admitted.is_recorded:
            self._status = status or self._status or 499
            await self._record(outcome, self._sent)

    def _begin(self, message: Message) -> None:
        self._status = message["status"]
        headers = list(message.get("headers", ()))
        for name, value in headers:
            if name.lower() == b"content-length" and value.isdigit():
                self._length = int(value)
        headers += call_fields(self._admitted)
        self._start = {**message, "headers": headers}

    def _has_no_body(self) -> bool:
        return self._is_head or self._status in _NO_BODY or self._length == 0

    async def _record(self, outcome: str, sent_bytes: int) -> None:
        size = 0 if self._has_no_body() else sent_bytes
        await self._meter.record(
            self._admitted, status=self._status, sent_bytes=size, rows=self._rows(), outcome=outcome
        )
