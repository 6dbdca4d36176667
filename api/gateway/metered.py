"""Answers that are counted before they end."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.documents import Whole
from api.gateway.relay import Relayed
from api.limits import call_fields
from api.metering import MeteredSend
from api.middleware import is_head
from cim.errors import CimError, Forbidden, UpstreamBlocked, UpstreamTimeout, UpstreamUnreachable
from cim.metering.call import ANSWERED, REFUSED, UPSTREAM_ERROR, UPSTREAM_TIMEOUT, Admitted
from cim.metering.meter import Meter

SMALL = 64 * 1024
"""A body up to this size leaves in one piece with its head: it is counted before either."""

_OUTCOMES = (
    (Forbidden, REFUSED),
    (UpstreamTimeout, UPSTREAM_TIMEOUT),
    (UpstreamUnreachable, UPSTREAM_ERROR),
    (UpstreamBlocked, UPSTREAM_ERROR),
)


def outcome_of(error: CimError) -> str:
    """How the meter has a call that ended in `error`."""
    return next((outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)), ANSWERED)


async def counted(request: Request, response: Response, meter: Meter, admitted: Admitted) -> Response:
    """The response as it is sent: counted already where it leaves in one piece, else before its last byte. Raises MeterFull."""
    if type(response) is not Whole or response.parts or len(response.body) > SMALL:
        return Metered(response, meter, admitted)
    size = 0 if is_head(request) else len(response.body)
    await meter.record(admitted, status=response.status_code, sent_bytes=size, rows=_rows_of(response))
    response.raw_headers += call_fields(admitted)
    return response


class Metered(Response):
    """An answer that is counted before its last byte leaves, or when it is cut off."""

    def __init__(self, response: Response, meter: Meter, admitted: Admitted, *, outcome: str = ANSWERED) -> None:
        self.status_code = response.status_code
        self.background = None
        self.inner, self._meter, self._admitted, self._outcome = response, meter, admitted, outcome

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        is_head_only = bool(scope.get("state", {}).get("is_head"))
        rows = _rows_of(self.inner)
        async with MeteredSend(send, self._meter, self._admitted, is_head=is_head_only, rows=lambda: rows) as metered:
            metered.outcome = self._outcome
            await self.inner(scope, receive, metered)
            if isinstance(self.inner, Relayed) and self.inner.outcome is not None:
                metered.outcome = self.inner.outcome


_NUMBER = b'"numberReturned":'


def _rows_of(response: Response) -> int:
    """Features in the answer, as its own `numberReturned` says; 0 where it says nothing."""
    body = getattr(response, "body", None)
    if not isinstance(body, bytes) or not any(n == b"content-type" and b"json" in v for n, v in response.raw_headers):
        return 0
    at = body.find(_NUMBER, 0, 1024)
    if at < 0:
        at = body.rfind(_NUMBER, max(0, len(body) - 2048))
    if at < 0:
        return 0
    digits = body[at + len(_NUMBER) : at + len(_NUMBER) + 20].lstrip()
    length = next((n for n, byte in enumerate(digits) if not 48 <= byte <= 57), len(digits))
    return int(digits[:length] or b"0")
