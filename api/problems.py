"""Errors as RFC 9457 documents: the one table from error codes to HTTP status, and the one way to write them."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from api.limits import limit_fields
from cim.errors import CimError, QuotaExceeded, RangeRefused, TooMany, UpstreamClosed

log = structlog.get_logger("api")

MEDIA_TYPE = "application/problem+json"
MAX_BYTES = 8192
MAX_DETAIL = 2000
RETRY_AFTER_S = 2

STATUS = {
    "invalid-parameter": 400,
    "unknown-parameter": 400,
    "unknown-property": 400,
    "unknown-function": 400,
    "filter-too-complex": 400,
    "invalid-body": 400,
    "incomplete": 400,
    "nesting": 400,
    "outside-crs": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not-found": 404,
    "not-acceptable": 406,
    "conflict": 409,
    "load-busy": 409,
    "cancelled": 409,
    "write-busy": 409,
    "idempotency-key-reused": 409,
    "precondition-failed": 412,
    "precondition-required": 428,
    "too-many-attempts": 429,
    "too-many-exports": 429,
    "too-large": 413,
    "decompressed-size": 413,
    "unsupported-media-type": 415,
    "range-refused": 416,
    "driver-not-allowed": 415,
    "source-refused": 400,
    "load-failed": 500,
    "not-writable": 400,
    "export-failed": 500,
    "upstream-refused": 422,
    "upstream-blocked": 502,
    "upstream-unreachable": 502,
    "upstream-timeout": 504,
    "service-unavailable": 503,
    "setup": 503,
    "unavailable": 503,
    "meter-full": 503,
    "quota-exceeded": 429,
    "insufficient-storage": 507,
}

_TITLES = {
    400: ("bad-request", "Bad request"),
    401: ("unauthorized", "A valid key is needed"),
    403: ("forbidden", "Not allowed"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "Method not allowed"),
    406: ("not-acceptable", "No acceptable representation"),
    408: ("request-timeout", "The request took too long to arrive"),
    413: ("too-large", "Too large"),
    415: ("unsupported-media-type", "Unsupported media type"),
    431: ("head-too-large", "Request header fields too large"),
    500: ("internal", "Internal server error"),
    503: ("unavailable", "Temporarily unavailable"),
}


_UNPRINTABLE = re.compile(r"[\ud800-\udfff\x00-\x08\x0b-\x1f\x7f]")


def printable(text: str) -> str:
    """`text` without what UTF-8 or a terminal cannot take (lone surrogates, controls), written as `\\uXXXX`."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def problem_body(
    status: int,
    code: str,
    title: str,
    detail: str,
    instance: str,
    *,
    parameter: str | None = None,
    facts: Mapping[str, object] | None = None,
    base: str = "",
) -> bytes:
    """The document, at most `MAX_BYTES` whatever it quotes."""
    document: dict[str, object] = {
        "type": f"{base}/problems/{code}",
        "title": title,
        "status": status,
        "detail": printable(detail[:MAX_DETAIL]),
        "instance": instance,
    }
    if parameter is not None:
        document["parameter"] = printable(parameter[:200])
    document |= facts or {}
    body = orjson.dumps(document)
    if len(body) > MAX_BYTES:
        document["detail"] = printable(detail[:500])
        body = orjson.dumps(document)
    return body


def instance_of(scope: Any) -> str:
    """The urn of a request: the id its log line carries."""
    request_id = scope.get("state", {}).get("request_id", "00000000-0000-0000-0000-000000000000")
    return f"urn:uuid:{request_id}"


def _respond(
    request: Request,
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    parameter: str | None = None,
    facts: Mapping[str, object] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    base = request.app.state.settings.public_url
    instance = instance_of(request.scope)
    body = problem_body(status, code, title, detail, instance, parameter=parameter, facts=facts, base=base)
    response = Response(body, status, media_type=MEDIA_TYPE, headers=headers)
    response.headers["Cache-Control"] = "no-store"
    if status == 503:
        response.headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status in (413, 415):  # the rest of the body is not read
        response.headers["Connection"] = "close"
    return response


def problem_response(request: Request, error: CimError) -> Response:
    """The answer that `error` becomes."""
    status = STATUS.get(error.code, 500)
    headers = {"Content-Range": f"bytes */{error.size}"} if isinstance(error, RangeRefused) else None
    if isinstance(error, QuotaExceeded):
        headers = {**limit_fields(error.standing), "Retry-After": str(error.retry_after_s)}
    if isinstance(error, TooMany) or (isinstance(error, UpstreamClosed) and error.retry_after_s is not None):
        headers = {"Retry-After": str(error.retry_after_s)}
    return _respond(
        request,
        status,
        error.code,
        error.title,
        error.detail,
        parameter=error.parameter,
        facts=error.facts,
        headers=headers,
    )


def status_response(
    request: Request, status: int, detail: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """A problem that has no class of its own: a path that is not there, a method not offered, a fault of ours."""
    code, title = _TITLES.get(status, (f"http-{status}", f"HTTP {status}"))
    return _respond(request, status, code, title, detail or title, headers=headers)


def internal_error(request: Request, error: Exception) -> Response:
    """A fault of ours: the log has everything under the same id, the caller gets the id."""
    log.error("fault", request_id=request.scope.get("state", {}).get("request_id"), exc_info=error)
    return status_response(request, 500, "the server failed; its log has the reason under this instance's id")


async def _on_cim_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, CimError)
    if STATUS.get(error.code, 500) >= 500:
        cause = error.__cause__
        log.warning(
            "unanswered", code=error.code, cause=None if cause is None else f"{type(cause).__name__}: {cause}"[:300]
        )
    return problem_response(request, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail, headers = error.detail if isinstance(error.detail, str) else None, dict(error.headers or {})
    if error.status_code == 404:
        detail = "there is nothing at this address"
    if error.status_code == 405:
        headers["Allow"] = _allowed(request)
        detail = f"{request.method[:20]} is not offered here; allowed: {headers['Allow']}"
    status = 400 if error.status_code == 422 else error.status_code
    return status_response(request, status, detail, headers)


def _allowed(request: Request) -> str:
    """The methods of every route at the address (Starlette names those of the first one only)."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    met = [route.methods or () for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for methods in met for method in methods}))


async def _on_validation_error(request: Request, error: Exception) -> Response:
    """FastAPI's own validation (A8: its handler dies of NaN and lone surrogates, since it repeats the input)."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0] if error.errors() else {}
    place = [str(part) for part in first.get("loc", ())]
    message = str(first.get("msg", "the request is not valid"))
    in_body = place[:1] == ["body"]
    name = ".".join(place[1:]) or None
    code, title = (
        ("invalid-body", "Invalid request body") if in_body else ("invalid-parameter", "Invalid parameter value")
    )
    return _respond(request, 400, code, title, f"{name or 'body'}: {message}", parameter=name)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document; what no handler knows is caught by `api.middleware.Border`."""
    handlers: list[tuple[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]] = [
        (CimError, _on_cim_error),
        (HTTPException, _on_http_exception),
        (RequestValidationError, _on_validation_error),
    ]
    for kind, handler in handlers:
        app.add_exception_handler(kind, handler)
