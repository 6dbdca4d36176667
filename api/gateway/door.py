"""The gateway of one worker: who is admitted to which service, and calls that are counted before their answers end."""

import re
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import structlog
from starlette.requests import Request

from api.documents import header_of
from api.gateway.proxy import RELAYED_BY, RELAYED_CALL, Proxy
from api.gateway.services import Called, Services
from api.hot import CallSent
from api.middleware import is_head
from cim.catalogue.grant import Grant, Grants, scope_under
from cim.db.audit import record
from cim.db.pool import Database
from cim.errors import CimError, Forbidden, NotFound, Unavailable, UpstreamBlocked
from cim.memo import Known
from cim.metering.call import ANONYMOUS, Admitted, Call
from cim.metering.meter import Meter
from cim.metering.quota import Limits
from cim.model import Scope as Caller
from cim.settings import Settings

_NODE = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
log = structlog.get_logger("gateway")

SCENARIO = b"x-scenario"
"""Header field that names the scenario a call is made for."""
ROUTE = "/services/{service_id}/{path}"
"""What metrics and logs call the way of a call that is sent again."""
SENT = "cim.sent"
"""Member of an ASGI scope: what the endpoint of own data noted of a kept tile that it sent, None where it sent none."""
MAX_KNOWN = 4_096
"""Scopes of calls that a worker remembers."""
TOLD_AGAIN_S = 60.0
"""Seconds in which a worker writes down once that calls of a service are blocked."""

Rights = tuple[Known[Any], ...]

_DENIED = {"unauthorized": 401, "forbidden": 403}


@dataclass(frozen=True, slots=True)
class Terms:
    """How a caller calls a service: what they see, whom the meter has, what they may. `made_of` says that they are good.

    `rights`: what of that was asked of the database, beside the caller.
    """

    made_of: tuple[Called, Caller, Grant | None, Rights]
    scope: Caller
    call: Call
    limits: Limits | None


class Gateway:
    """What calls pass through: services, rights, the meter, upstreams."""

    def __init__(self, settings: Settings, database: Database, meter: Meter) -> None:
        self.services = Services(database, settings)
        self.grants = Grants(database)
        self.proxy = Proxy(settings)
        self.meter = meter
        self._database = database
        self._parent = settings.node_parent
        self._told: dict[str, float] = {}
        self._terms: dict[tuple[str, int, int, str], Terms] = {}

    async def close(self) -> None:
        """Close connections to upstreams."""
        await self.proxy.close()

    async def admit(self, request: Request, called: Called, caller: Caller) -> tuple[Terms, Admitted]:
        """Let a call in, and tell on which terms.

        Raises Unauthorized, Forbidden, NotFound, QuotaExceeded: counted as denied by then, but for NotFound.
        """
        method = "HEAD" if is_head(request) else request.scope["method"]
        try:
            grant = await self.grants.admitted(called, caller, scenario_id=header_of(request, SCENARIO))
            terms = self._terms_of(called, caller, grant, self._rights(called, caller), method)
        except CimError as error:
            status = _DENIED.get(error.code)
            if status is not None:
                await self.meter.deny(_call(called, caller, None, method), status=status)
            raise
        admitted = await self.meter.admit(self._relayed(request, terms.call), terms.limits)
        request.scope["state"]["call_id"] = admitted.call_id
        return terms, admitted

    def _relayed(self, request: Request, call: Call) -> Call:
        """The call under the id and the name of the node that passes it on, where its key is that of this node's city."""
        if not self._parent or call.organisation_id != self._parent:
            return call
        call_id, node = header_of(request, RELAYED_CALL), header_of(request, RELAYED_BY)
        if call_id is None or node is None or not _NODE.fullmatch(node):
            return call
        try:
            return replace(call, call_id=str(uuid.UUID(call_id)), origin=node)
        except ValueError:
            return call

    async def deny(self, request: Request, error: CimError) -> None:
        """Count a call by a key that is not in force; one of no service at all is nobody's."""
        status = _DENIED.get(error.code)
        if status is None:
            return
        method = "HEAD" if is_head(request) else request.scope["method"]
        with suppress(NotFound):
            called = await self.services.get(request.path_params["service_id"])
            await self.meter.deny(_call(called, Caller(), None, method), status=status)

    def _rights(self, called: Called, caller: Caller) -> Rights:
        return tuple(one for one in (self.services.known(called), self.grants.known(called, caller)) if one is not None)

    def _terms_of(self, called: Called, caller: Caller, grant: Grant | None, rights: Rights, method: str) -> Terms:
        key = (called.public, id(caller), id(grant), method)
        terms = self._terms.get(key)
        if terms is None or terms.made_of != (called, caller, grant, rights):
            scope = _scope_of(called, caller, grant)
            call, limits = _call(called, caller, grant, method), None
            if grant is not None and (grant.quota_day is not None or grant.rate_calls is not None):
                limits = Limits(call.grant_id, grant.quota_day, grant.rate_calls, grant.rate_seconds)
            if len(self._terms) >= MAX_KNOWN:
                self._terms.clear()
            terms = self._terms[key] = Terms((called, caller, grant, rights), scope, call, limits)
        return terms

    def remember(self, request: Request, terms: Terms) -> None:
        """Let `api.hot` send a kept tile again, each time counted, while the rights are as they are."""
        sent, (_, caller, _, rights) = request.scope.get(SENT), terms.made_of
        if sent is not None and terms.call.method == "GET" and any(isinstance(one.value, Called) for one in rights):
            call = CallSent(terms.call, terms.limits, rights)
            request.scope["state"]["sent"] = replace(sent, route=ROUTE, caller=caller, call=call)

    async def tell_blocked(self, called: Called, caller: Caller, error: UpstreamBlocked) -> None:
        """Write into the audit that calls of the service are blocked, not for every one of them."""
        now = time.monotonic()
        if self._told.get(called.id, -TOLD_AGAIN_S) + TOLD_AGAIN_S > now:
            return
        self._told[called.id] = now
        try:
            async with self._database.transaction() as transaction:
                await record(
                    transaction,
                    caller,
                    event="call-blocked",
                    subject_kind="service",
                    subject_id=called.id,
                    why=error.detail,
                )
        except Unavailable:
            log.warning("not audited", event_of="call-blocked", service=called.id)
            del self._told[called.id]


def gateway_of(request: Request) -> Gateway:
    """The gateway of this worker."""
    return cast(Gateway, request.scope["app"].gateway)


def _scope_of(called: Called, caller: Caller, grant: Grant | None) -> Caller:
    """What the caller sees in the call. Raises Forbidden for conditions of a grant that cannot be kept.

    A call of own data acts as a reader: what it would write is no part of any service. What an upstream answers is not ours to
    mask: a grant with an area, hidden properties or a precision opens no external service.
    """
    if called.own is not None:
        scope = scope_under(grant, caller, collection_id=called.collection_id)
        return replace(scope, roles=scope.roles - {"editor", "admin"})
    if grant is not None and (grant.area_code or grant.hidden or grant.precision_m is not None):
        raise Forbidden("the grant has conditions (area, properties, precision) that an external service cannot keep")
    return caller


def _call(called: Called, caller: Caller, grant: Grant | None, method: str) -> Call:
    return Call(
        called.id,
        caller.organisation_id or ANONYMOUS,
        caller.key_prefix or "",
        "" if grant is None else str(grant.id),
        "" if grant is None else grant.scenario_id or "",
        method,
    )
