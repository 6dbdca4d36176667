"""The gateway of one worker: who is admitted to which service, and calls that are counted before their answers end."""

import time
from dataclasses import replace
from typing import cast

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.documents import header_of
from api.gateway.proxy import Proxy
from api.gateway.relay import Relayed
from api.gateway.services import Called, Services
from api.metering import MeteredSend
from api.middleware import is_head
from cim.catalogue.grant import Grant, Grants, scope_under
from cim.db.audit import record
from cim.db.pool import Database
from cim.errors import CimError, Forbidden, UpstreamBlocked, UpstreamTimeout, UpstreamUnreachable
from cim.metering.call import ANONYMOUS, ANSWERED, REFUSED, UPSTREAM_ERROR, UPSTREAM_TIMEOUT, Admitted, Call
from cim.metering.meter import Meter
from cim.metering.quota import Limits
from cim.model import Scope as Caller
from cim.settings import Settings

log = structlog.get_logger("gateway")

SCENARIO = b"x-scenario"
"""Header field that names the scenario a call is made for."""
MAX_KNOWN = 4_096
"""Scopes of calls that a worker remembers."""
TOLD_AGAIN_S = 60.0
"""Seconds in which a worker writes down once that calls of a service are blocked."""

_OUTCOMES = (
    (Forbidden, REFUSED),
    (UpstreamTimeout, UPSTREAM_TIMEOUT),
    (UpstreamUnreachable, UPSTREAM_ERROR),
    (UpstreamBlocked, UPSTREAM_ERROR),
)


class Gateway:
    """What calls pass through: services, rights, the meter, upstreams."""

    def __init__(self, settings: Settings, database: Database, meter: Meter) -> None:
        self.services = Services(database, settings)
        self.grants = Grants(database)
        self.proxy = Proxy(settings)
        self.meter = meter
        self._database = database
        self._told: dict[str, float] = {}
        self._scopes: dict[tuple[int, int, str | None], tuple[Caller, Grant | None, Caller]] = {}

    async def close(self) -> None:
        """Close connections to upstreams."""
        await self.proxy.close()

    async def admit(self, request: Request, called: Called, caller: Caller) -> tuple[Grant | None, Admitted]:
        """Let a call in. Raises Unauthorized, Forbidden, NotFound, QuotaExceeded: counted as denied by then, but for NotFound."""
        try:
            grant = await self.grants.admitted(called, caller, scenario_id=header_of(request, SCENARIO))
        except CimError as error:
            status = {"unauthorized": 401, "forbidden": 403}.get(error.code)
            if status is not None:
                await self.meter.deny(_call(request, called, caller, None), status=status)
            raise
        call = _call(request, called, caller, grant)
        if grant is None:
            return None, await self.meter.admit(call)
        limits = Limits(call.grant_id, grant.quota_day, grant.rate_calls, grant.rate_seconds)
        return grant, await self.meter.admit(call, limits)

    def scope(self, called: Called, caller: Caller, grant: Grant | None) -> Caller:
        """What the caller sees in the call. Raises Forbidden for conditions of a grant that cannot be kept.

        What a call of own data writes is no part of any service: it acts as a reader. What an upstream answers is not ours to
        mask: a grant with an area, hidden properties or a precision opens no external service.
        """
        if called.own is None:
            if grant is not None and (grant.area_code or grant.hidden or grant.precision_m is not None):
                raise Forbidden(
                    "the grant has conditions (area, properties, precision) that an external service cannot keep"
                )
            return caller
        key = (id(caller), id(grant), called.collection_id)
        known = self._scopes.get(key)
        if known is not None and known[0] is caller and known[1] is grant:
            return known[2]
        scope = scope_under(grant, caller, collection_id=called.collection_id)
        scope = replace(scope, roles=scope.roles - {"editor", "admin"})
        if len(self._scopes) >= MAX_KNOWN:
            self._scopes.clear()
        self._scopes[key] = (caller, grant, scope)
        return scope

    async def tell_blocked(self, called: Called, caller: Caller, error: UpstreamBlocked) -> None:
        """Write into the audit that calls of the service are blocked, not for every one of them."""
        now = time.monotonic()
        if self._told.get(called.id, -TOLD_AGAIN_S) + TOLD_AGAIN_S > now:
            return
        self._told[called.id] = now
        async with self._database.transaction() as transaction:
            await record(
                transaction,
                caller,
                event="call-blocked",
                subject_kind="service",
                subject_id=called.id,
                why=error.detail,
            )


def gateway_of(request: Request) -> Gateway:
    """The gateway of this worker."""
    return cast(Gateway, request.scope["app"].gateway)


def _call(request: Request, called: Called, caller: Caller, grant: Grant | None) -> Call:
    return Call(
        called.id,
        caller.organisation_id or ANONYMOUS,
        caller.key_prefix or "",
        "" if grant is None else str(grant.id),
        "" if grant is None else grant.scenario_id or "",
        "HEAD" if is_head(request) else request.method,
    )


def outcome_of(error: CimError) -> str:
    """How the meter has a call that ended in `error`."""
    return next((outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)), ANSWERED)


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
    if not isinstance(body, bytes):
        return 0
    at = body.find(_NUMBER, 0, 1024)
    if at < 0:
        at = body.rfind(_NUMBER, max(0, len(body) - 2048))
    digits = body[at + len(_NUMBER) : at + len(_NUMBER) + 20].lstrip() if at >= 0 else b""
    length = next((n for n, byte in enumerate(digits) if not 48 <= byte <= 57), len(digits))
    return int(digits[:length] or b"0")
