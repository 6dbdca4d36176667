"""What every request passes through: id, log line, metrics, CORS, security headers, HEAD, OPTIONS, body size.

Plain ASGI, one object each: the framework's own middleware classes cost more than the handlers they wrap.
"""

import asyncio
import random
import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.context import Context
from api.logs import Answered, request_log
from api.problems import internal_error, problem_response, status_response
from cim.errors import TooLarge

DISCONNECTED = "the client has gone"
"""Message of the cancellation that `api.server` sends to a handler whose client has gone."""

_HOST = re.compile(rb"(?:[A-Za-z0-9_.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_FREE, _VERSION_4 = ~(0xF << 76 | 0x3 << 62), 0x4 << 76 | 0x2 << 62
"""The bits of a random UUID that are free, and what the others are (RFC 9562, 5.4)."""
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_EXPOSED = (
    b"Link, ETag, Location, Retry-After, RateLimit, RateLimit-Policy, Content-Crs, Content-Disposition, Content-Range, "
    b"X-Request-Id, X-Call-Id, X-CIM-Truncated"
)
_ASKED = (
    "Accept, Accept-Language, Authorization, Content-Crs, Content-Type, Idempotency-Key, If-Match, If-None-Match, "
    "Last-Event-ID, Prefer, Range, X-API-Key, X-CSRF-Token, X-Request-Id, X-Scenario"
)
_COUNTED = frozenset((*_METHODS, "HEAD", "OPTIONS"))
_UPLOADS = ("/admin/loads", "/desk/loads")
_STATIC = "/static/"
_KEY_HEADERS = (b"authorization", b"x-api-key")
_ASKERS = (b"Authorization", b"X-API-Key", b"Cookie")
_TAKEN = (
    ("POST", b"accept-post", b"application/geo+json, application/json"),
    ("PATCH", b"accept-patch", b"application/merge-patch+json"),
)
"""What collections take, as OPTIONS says it (OGC 20-002, /req/create-replace-delete/options-accept-post)."""
_RIGHTS = "/exports/"
"""Addresses that are rights themselves: the log has their route only."""

_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)

_SECURED = frozenset(name for name, _ in _SECURITY)
_GUARDED = b"Cookie, Authorization, X-API-Key, Accept-Encoding"
"""How `vary` of most answers ends: then `guard_caches` has nothing to add for a caller without a key."""


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's `X-Request-Id` where it is a UUID, else a new one."""
    for name, value in headers:
        if name == b"x-request-id":
            try:
                return str(uuid.UUID(value.decode("ascii")))
            except ValueError:
                break
    return new_request_id()


def new_request_id() -> str:
    """A random UUID: a name, no secret (uuid4 would ask the kernel each time)."""
    bits = f"{random.getrandbits(128) & _FREE | _VERSION_4:032x}"
    return f"{bits[:8]}-{bits[8:12]}-{bits[12:16]}-{bits[16:20]}-{bits[20:]}"


def has_good_host(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True for exactly one well-formed `Host` (RFC 9110 7.2; catalogue B31: it is never used for links)."""
    hosts = [value for name, value in headers if name == b"host"]
    return len(hosts) == 1 and _HOST.fullmatch(hosts[0]) is not None


def carries_key(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True for a request that says who asks."""
    return any(name in _KEY_HEADERS or (name == b"cookie" and b"cim_session=" in value) for name, value in headers)


def guard_caches(headers: list[tuple[bytes, bytes]], *, has_key: bool) -> None:
    """What is answered depends on the key: no cache gives one caller's answer to another, and none keeps it for one with a key."""
    stated = b",".join([value for name, value in headers if name == b"vary"]).lower()
    missing = [name for name in _ASKERS if name.lower() not in stated]
    if missing:
        headers.append((b"vary", b", ".join(missing)))
    if has_key and not any(name == b"cache-control" and b"no-store" in value for name, value in headers):
        headers[:] = [pair for pair in headers if pair[0] != b"cache-control"]
        headers.append((b"cache-control", b"private, no-store"))


def is_head(request: Request) -> bool:
    """True where only the head of an answer is wanted: what is dear to make may be left out."""
    return bool(request.scope.get("state", {}).get("is_head"))


def route_of(scope: Scope, templates: Mapping[Any, str]) -> str:
    """The path template of the route that answered, for metrics and logs; `templates` has the plain endpoints'."""
    known = templates.get(scope.get("endpoint"))
    return known or str(getattr(scope.get("route"), "path", None) or "unmatched")


class Border:
    """The outermost layer: whatever happens inside, the caller gets an answer with an id, and one line is logged."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self.app = app
        self._metrics = context.metrics
        self._templates = context.templates
        self._log = request_log(context.settings)
        self._ended: list[Answered] = []
        origins = [origin.strip().encode() for origin in context.settings.cors_origins.split(",") if origin.strip()]
        self._any_origin = b"*" in origins
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        scope = dict(scope)  # the server keeps its own: it must go on seeing HEAD
        request_id = request_id_of(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id
        method = scope["method"]
        status, size = 0, 0
        origin_headers = self._cors(scope)
        has_key, is_static = carries_key(scope["headers"]), scope["path"].startswith(_STATIC)

        async def send_marked(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
                own = dict(headers)
                if b"content-encoding" in own and b"etag" in own:
                    headers = _with_coding(headers)
                headers.append((b"x-request-id", request_id.encode()))
                headers += origin_headers
                headers += _SECURITY if own.keys().isdisjoint(_SECURED) else [p for p in _SECURITY if p[0] not in own]
                if not is_static and (has_key or not own.get(b"vary", b"").endswith(_GUARDED)):
                    guard_caches(headers, has_key=has_key)
                message = {**message, "headers": headers}
            else:
                size += len(message.get("body", b""))
            await send(message)

        self._metrics.begin()
        try:
            await self._answer(scope, receive, send_marked)
        except asyncio.CancelledError as error:
            if DISCONNECTED not in error.args:
                raise
            status = 499
        except Exception as error:
            if status:
                raise
            await internal_error(Request(scope), error)(scope, receive, send_marked)
        finally:
            route = route_of(scope, self._templates)
            path = route if scope["path"].startswith(_RIGHTS) else scope["path"][:300]
            ms = (time.perf_counter() - started) * 1000
            self._note(Answered(request_id, method, path, route, status, size, ms))

    def _note(self, answered: Answered) -> None:
        """Note an answer, with all that end in this turn of the loop: their lines are one write."""
        if not self._ended:
            asyncio.get_running_loop().call_soon(self._note_all)
        self._ended.append(answered)

    def _note_all(self) -> None:
        ended, self._ended = self._ended, []
        self.told(ended)

    def told(self, answered: Sequence[Answered]) -> None:
        """Note answers: in the metrics, and as lines of the log. Those of `api.hot` come here too."""
        for one in answered:
            self._metrics.end(one.method if one.method in _COUNTED else "OTHER", one.route, one.status, one.ms / 1000)
        self._log(answered)

    def began(self) -> None:
        """Note a request that is answered past this layer."""
        self._metrics.begin()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not has_good_host(scope["headers"]):
            await status_response(Request(scope), 400, "the Host header is missing or malformed")(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            await _options(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
            scope["state"]["is_head"] = True
        await self.app(scope, receive, send)

    def _cors(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        exposed = (b"access-control-expose-headers", _EXPOSED)
        if self._any_origin:
            return [(b"access-control-allow-origin", b"*"), exposed]
        for name, value in scope["headers"]:
            if name == b"origin" and value in self._origins:
                return [(b"access-control-allow-origin", value), exposed, (b"vary", b"Origin")]
        return [(b"vary", b"Origin")]


def _with_coding(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Strong tags name the coding: the same representation in other bytes has another tag (RFC 9110, 8.8.3.3)."""
    coding = next(value for name, value in headers if name == b"content-encoding")
    return [
        (name, value[:-1] + b"-" + coding + b'"') if name == b"etag" and value.startswith(b'"') else (name, value)
        for name, value in headers
    ]


def allowed_methods(scope: Scope) -> list[str]:
    """Methods that the address answers, without asking it."""
    allowed = []
    for method in _METHODS:
        asked = {**scope, "method": method, "path_params": {}}
        if any(route.matches(asked)[0] is Match.FULL for route in scope["app"].router.routes):
            allowed.append(method)
    return allowed


async def _options(scope: Scope, receive: Receive, send: Send) -> None:
    allowed = allowed_methods(scope)
    if not allowed:
        await status_response(Request(scope), 404, "there is nothing at this address")(scope, receive, send)
        return
    offered = ", ".join(
        [*(["GET", "HEAD"] if "GET" in allowed else []), *(m for m in allowed if m != "GET"), "OPTIONS"]
    )
    headers = [
        (b"allow", offered.encode()),
        (b"access-control-allow-methods", offered.encode()),
        (b"access-control-allow-headers", _ASKED.encode()),
        (b"access-control-max-age", b"600"),
    ]
    if scope["path"].startswith("/collections/"):
        headers += [(name, value) for method, name, value in _TAKEN if method in allowed]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


class BodyLimit:
    """Counts the bytes of bodies: more than allowed is 413, whatever Content-Length says (catalogue B28)."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self.app = app
        self._settings = context.settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, its body counted."""
        if scope["type"] != "http" or scope["method"] in ("GET", "DELETE"):
            await self.app(scope, receive, send)
            return
        is_upload = scope["path"] in _UPLOADS
        limit = self._settings.max_upload_bytes if is_upload else self._settings.max_body_bytes
        too_large = TooLarge(f"the body has more than {limit:,} bytes, which is the most taken here")
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or len(value) > 18 or int(value) > limit):
                await problem_response(Request(scope), too_large)(scope, receive, send)
                return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    raise too_large
            return message

        await self.app(scope, receive_counted, send)
