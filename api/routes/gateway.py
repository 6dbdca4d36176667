"""`/services/{id}/…`: every published service is called here."""

import asyncio

import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.context import scope_of
from api.documents import json_answer
from api.gateway.door import Gateway, gateway_of
from api.gateway.metered import Metered, counted, outcome_of
from api.gateway.own import own_answer
from api.gateway.services import Called
from api.problems import problem_response
from cim.errors import CimError, InvalidParameter, UpstreamBlocked
from cim.gateway.template import tilejson
from cim.metering.call import ABORTED, ANSWERED
from cim.model import Scope

router = APIRouter()

log = structlog.get_logger("gateway")

PREFIX = "/services/"


async def call(request: Request) -> Response:
    """A call of a service: admitted, answered out of this process or by its upstream, and counted."""
    gateway = gateway_of(request)
    try:
        caller = await scope_of(request)
    except CimError as error:
        await gateway.deny(request, error)
        raise
    service = await gateway.services.get(request.path_params["service_id"])
    called, tail, wrong = service, None, None
    try:
        called, tail = service.at(tail_of(request, service.id))
    except CimError as error:  # of a call that is let in and counted like any other
        wrong = error
    terms, admitted = await gateway.admit(request, called, caller)
    try:
        if wrong is not None:
            raise wrong
        response = await _answer(request, gateway, called, terms.scope, tail)
    except CimError as error:
        if isinstance(error, UpstreamBlocked):
            await gateway.tell_blocked(called, caller, error)
        response = problem_response(request, error)
        if response.status_code >= 500:
            log.warning("unanswered", service=called.id, code=error.code)
        return Metered(response, gateway.meter, admitted, outcome=outcome_of(error))
    except asyncio.CancelledError:
        await gateway.meter.record(admitted, status=499, sent_bytes=0, outcome=ABORTED)
        raise
    except Exception:
        await gateway.meter.record(admitted, status=500, sent_bytes=0, outcome=ANSWERED)
        raise
    response = await counted(request, response, gateway.meter, admitted)
    gateway.remember(request, terms)
    return response


async def _answer(request: Request, gateway: Gateway, called: Called, scope: Scope, tail: str | None) -> Response:
    if called.trouble is not None:
        raise type(called.trouble)(called.trouble.detail)
    if called.template is not None and not tail and not request.scope["query_string"]:
        return json_answer(request, tilejson(called.id, called.public + called.template))
    if called.own is not None:
        return await own_answer(request, called, called.own, scope, tail or "")
    assert called.upstream is not None
    endpoint = called.upstream.endpoint
    if endpoint.entry is not None and tail is None:
        query = request.scope["query_string"].decode("latin-1")
        return RedirectResponse(f"{called.public}/{endpoint.entry}" + (f"?{query}" if query else ""), 307)
    return await gateway.proxy.answer(request, called, called.upstream, tail or "")


def tail_of(request: Request, service_id: str) -> str | None:
    """What follows the service in the address, percent-encoded as it came; None where not even a slash follows.

    Raises InvalidParameter for an id that is not written as it is: two readings of one address are none.
    """
    path = request.scope["raw_path"].decode("latin-1")
    rest = path.removeprefix(PREFIX + service_id)
    if rest == path or (rest and not rest.startswith("/")):
        raise InvalidParameter("service_id", service_id, "written plainly, without percent-encoding")
    return rest[1:] if rest else None


router.add_route("/services/{service_id}", call, methods=["GET", "POST"])
router.add_route("/services/{service_id}/{path:path}", call, methods=["GET", "POST"])
