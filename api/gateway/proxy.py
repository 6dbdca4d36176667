"""Calls of external services: what is asked of the upstream, and what becomes of its answer."""

import asyncio
import time
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import cast
from urllib.parse import unquote_plus, urljoin, urlsplit

import httpcore2
from starlette.requests import Request
from starlette.responses import Response

from api.documents import Whole, had_already
from api.etags import uncoded
from api.gateway.breaker import Gate
from api.gateway.connect import open_pool
from api.gateway.flight import Flights, Found
from api.gateway.kept import MAX_BODY, Kept, KeptAnswer
from api.gateway.relay import BROKEN, Cut, Desk, Incoming, Relayed, not_whole, unpacked
from api.gateway.services import Called, Upstream
from api.middleware import is_head
from api.params import KEY_NAMES
from cim.errors import KeyInQuery, UpstreamBlocked, UpstreamTimeout, UpstreamUnreachable
from cim.gateway.freshness import Keeping, keeping, wants_anew
from cim.gateway.headers import MAX_HOPS, Fields, first, hops, media_type, passed_back, sent_on
from cim.gateway.policy import Origin, parse_allowed
from cim.gateway.rewrite import Rewriter, form_of
from cim.settings import Settings

MAX_READ = 8 * 1024**2
"""Bytes of a document, packed or not, in which addresses are made ours; a longer one passes as it is."""
MAX_READING = 128 * 1024**2
"""Bytes of such documents that a worker reads at once."""
MAX_AT_ONCE = 64 * 1024
OWN_KEY = "cim_"
"""How keys of this node begin."""

RELAYED_CALL, RELAYED_BY = b"x-opencim-call", b"x-opencim-node"
"""Fields by which a node tells another, whose service it passes on, the id of the call and its own."""

_REDIRECTS = (301, 302, 303, 307, 308)
_DENIED = (401, 407)
_DOWN = (502, 503, 504)


@dataclass(frozen=True, slots=True)
class Question:
    """What an upstream is asked. `key`: what the answer is kept by, None where it is not; `stale`: what was kept and is asked about."""

    called: Called
    upstream: Upstream
    method: str
    target: str
    sent: Fields
    body: bytes = b""
    key: Hashable = None
    stale: KeptAnswer | None = None


class Proxy:
    """The upstreams as one worker reaches them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gates: dict[Origin, Gate] = {}
        self._desk = Desk(MAX_READING)
        self._kept = Kept(settings.upstream_cache_bytes)
        self._flights = Flights(self._desk)
        self._pool: httpcore2.AsyncConnectionPool | None = None
        self._node = urlsplit(settings.public_url)

    async def close(self) -> None:
        """Close what is open."""
        await self._flights.close()
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None

    async def answer(self, request: Request, called: Called, upstream: Upstream, tail: str) -> Response:
        """The upstream's answer to the call: from memory while its own rules let it, else streamed.

        Raises InvalidParameter, KeyInQuery, UpstreamBlocked, UpstreamClosed, UpstreamTimeout, UpstreamUnreachable.
        """
        query = request.scope["query_string"].decode("latin-1")
        _refuse_own_key(query)
        if hops(request.scope["headers"]) >= MAX_HOPS:
            raise UpstreamBlocked("the call has passed through several nodes already: services point at each other")
        target = upstream.endpoint.target(tail, query, secret=upstream.credential.parameter)
        method = "HEAD" if is_head(request) else request.method
        sent = self._fields(request, upstream)
        if method not in ("GET", "HEAD") or b"range" in dict(sent) or upstream.is_node:
            body = await request.body() if method == "POST" else b""
            found = await self._found(Question(called, upstream, method, target, sent, body))
            return cast(Response, found.answer)
        key = (called.public, called.version, upstream.endpoint.origin, target)
        kept, is_anew = self._kept.find(key, dict(sent)), wants_anew(request.scope["headers"])
        if kept is not None and kept.is_fresh and not is_anew:
            return _from_memory(request, kept)
        stale = kept if kept is not None and kept.validators and method == "GET" else None
        if stale is not None:
            sent = [pair for pair in sent if pair[0] not in (b"if-none-match", b"if-modified-since")] + stale.validators
        ask = partial(self._found, Question(called, upstream, method, target, sent, key=key, stale=stale))
        if is_anew:
            answer = (await ask()).answer
        else:
            asked = tuple(pair for pair in sent if pair[0] != b"x-request-id")
            answer = await self._flights.answer((key, method, asked), ask)
        return _from_memory(request, answer) if isinstance(answer, KeptAnswer) else answer

    async def _found(self, question: Question) -> Found:
        """What the upstream answers, and whether others who ask the same may have it: what may be kept, and errors."""
        incoming, stale, upstream = await self._asked(question), question.stale, question.upstream
        status, given = incoming.response.status, list(incoming.response.headers)
        try:
            rules = keeping(given, with_credential=_has_credential(upstream))
            if stale is not None and status == 304:
                await incoming.close()
                if rules is not None:
                    stale = stale.again(rules)
                    self._kept.put(question.key, stale)
                return Found(stale, rules is not None)
            keep = None
            if status == 200 and question.method == "GET" and question.key is not None and rules is not None:
                keep = partial(self._keep, question, rules, given)
            response = await self._passed_on(question, incoming, keep)
            return Found(response, status >= 400 or (status in (200, 304) and rules is not None and _is_short(given)))
        except Cut as cut:
            await incoming.close()
            raise not_whole(cut) from cut
        except BaseException:
            await incoming.close()
            raise

    def _fields(self, request: Request, upstream: Upstream) -> Fields:
        scheme, host = self._node.scheme, self._node.netloc
        own = {
            b"host": upstream.endpoint.origin.authority.encode(),
            b"user-agent": b"OpenCIM",
            b"forwarded": f'for=unknown;host="{host}";proto={scheme}'.encode(),
            b"x-request-id": request.scope["state"]["request_id"].encode(),
        }
        if upstream.is_node:
            own[RELAYED_CALL] = request.scope["state"]["call_id"].encode()
            own[RELAYED_BY] = self._settings.node_id.encode()
        if upstream.credential.field is not None:
            own[upstream.credential.field[0]] = upstream.credential.field[1]
        fields = sent_on(request.scope["headers"], own=own)
        return [(n, uncoded(v.decode("latin-1")).encode("latin-1") if n == b"if-none-match" else v) for n, v in fields]

    async def _asked(self, question: Question) -> Incoming:
        """The head of the upstream's answer, within its time. Raises UpstreamClosed, UpstreamTimeout and its kin."""
        origin, settings = question.upstream.endpoint.origin, self._settings
        gate = self._gates.get(origin)
        if gate is None:
            gate = self._gates[origin] = Gate(settings.upstream_calls)
        times = {
            "connect": settings.upstream_connect_s,
            "read": settings.upstream_first_byte_s,
            "write": settings.upstream_idle_s,
            "pool": settings.upstream_connect_s,
        }
        length = [(b"content-length", b"%d" % len(question.body))] if question.method == "POST" else []
        request = httpcore2.Request(
            question.method,
            httpcore2.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=question.target),
            headers=[*question.sent, *length],
            content=question.body or None,
            extensions={"timeout": times},
        )
        deadline = time.monotonic() + settings.upstream_total_s
        if self._pool is None:
            self._pool = open_pool(parse_allowed(settings.allowed_upstreams))
        with ExitStack() as held:
            held.enter_context(gate.place())
            try:
                async with asyncio.timeout(settings.upstream_connect_s + settings.upstream_first_byte_s):
                    response = await self._pool.handle_async_request(request)
            except (TimeoutError, httpcore2.TimeoutException) as error:
                gate.failed()
                raise UpstreamTimeout("the service behind the gateway did not answer in time") from error
            except BROKEN as error:
                gate.failed()
                raise UpstreamUnreachable("the service behind the gateway could not be reached") from error
            except UpstreamUnreachable:
                gate.failed()
                raise
            times["read"] = settings.upstream_idle_s
            if response.status in _DOWN:
                gate.failed()
            else:
                gate.worked()
            return Incoming(response, gate, held.pop_all(), settings, deadline)

    async def _passed_on(
        self, question: Question, incoming: Incoming, keep: Callable[[Fields, bytes], None] | None
    ) -> Whole | Relayed:
        response, upstream = incoming.response, question.upstream
        status, given = response.status, list(response.headers)
        if status in _DENIED:
            raise UpstreamUnreachable("the service does not accept this node; its owner must set its credential")
        fields = passed_back(given)
        if status in _REDIRECTS:
            fields.append((b"location", _location(given, upstream, question.target)))
        fields += _links(given, upstream.rewriter)
        form = form_of(media_type(given), question.called.kind)
        coding = (first(given, b"content-encoding") or b"identity").lower()
        has_body = question.method != "HEAD" and status not in (204, 304)
        if not has_body or form is None or status == 206 or coding not in (b"identity", b"gzip", b"x-gzip"):
            length = first(given, b"content-length")
            if length is not None and length.isdigit() and (has_body or form is None) and status not in (204, 304):
                fields.append((b"content-length", length))
            fields = _weak(fields) if coding != b"identity" else fields
            return Relayed(incoming, status, fields, keep=partial(keep, fields) if keep else None)
        pieces, is_whole = await self._desk.read(incoming, MAX_READ)
        packed = b"".join(pieces) if is_whole else b""
        plain = packed if coding == b"identity" else unpacked(packed, MAX_READ)
        if not is_whole or plain is None:
            return Relayed(incoming, status, _weak(fields), already=pieces)
        await incoming.close()
        body = await _rewritten(upstream, plain, form)
        fields = [pair for pair in _weak(fields) if pair[0] not in (b"content-encoding", b"accept-ranges")]
        fields.append((b"content-length", b"%d" % len(body)))
        if keep is not None:
            keep(fields, body)
        return Whole(body, status, fields)

    def _keep(self, question: Question, rules: Keeping, given: Fields, fields: Fields, body: bytes) -> None:
        """Keep an answer 200 for later calls."""
        told = dict(question.sent)
        names = {*rules.vary, b"accept-encoding"}
        asked = ((b"etag", b"if-none-match"), (b"last-modified", b"if-modified-since"))
        validators = [(ours, value) for name, ours in asked if (value := first(given, name)) is not None]
        now = time.monotonic()
        kept = [pair for pair in fields if pair[0] != b"content-length"]
        kept.append((b"content-length", b"%d" % len(body)))
        chosen_by = tuple((name, told.get(name)) for name in sorted(names))
        self._kept.put(question.key, KeptAnswer(kept, body, chosen_by, validators, now, now + rules.fresh_s))


async def _rewritten(upstream: Upstream, plain: bytes, form: str) -> bytes:
    """The document with our addresses; a long one is not gone through in the loop, which others wait for."""
    if len(plain) <= MAX_AT_ONCE:
        return upstream.rewritten(plain, form)
    return await asyncio.to_thread(upstream.rewritten, plain, form)


def _is_short(given: Fields) -> bool:
    """False for an answer that says that it is longer than what is kept."""
    length = first(given, b"content-length") or b"0"
    return not length.isdigit() or (len(length) < 12 and int(length) <= MAX_BODY)


def _has_credential(upstream: Upstream) -> bool:
    return upstream.credential.field is not None or upstream.credential.parameter is not None


def _refuse_own_key(query: str) -> None:
    """Raise KeyInQuery for a key of this node in the address: it would be sent to the upstream (catalogue B38)."""
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if unquote_plus(name).lower() in KEY_NAMES and unquote_plus(value).startswith(OWN_KEY):
            raise KeyInQuery(unquote_plus(name))


def _from_memory(request: Request, kept: KeptAnswer) -> Response:
    """A kept answer, or 304 where the caller has it."""
    age = [(b"age", b"%d" % (time.monotonic() - kept.made_at))]
    etag = first(kept.fields, b"etag")
    if etag is not None and had_already(request, etag.decode("latin-1")) is not None:
        return Whole(
            b"", 304, [pair for pair in kept.fields if pair[0] not in (b"content-length", b"content-type")] + age
        )
    return Whole(kept.body, 200, kept.fields + age)


def _location(given: Fields, upstream: Upstream, target: str) -> bytes:
    """Where a redirect leads, as our address. Raises UpstreamBlocked for one that leaves the endpoint: it is not followed.

    Neither the caller nor a credential goes to another place than the one that was registered (catalogue B33).
    """
    value = (first(given, b"location") or b"").decode("latin-1").strip()
    asked = f"{upstream.endpoint.origin}{target}"
    ours = upstream.rewriter.address(urljoin(asked, value)) if value and all("!" <= c <= "~" for c in value) else None
    if ours is None:
        raise UpstreamBlocked("the service sends its callers to another address, where this node does not follow")
    if ours == upstream.rewriter.address(asked):
        raise UpstreamBlocked(
            "the service sends its callers to the same address under another scheme; register that one"
        )
    return ours.encode("latin-1")


def _links(given: Fields, ours: Rewriter) -> Fields:
    """`Link` fields with addresses beneath the endpoint made ours."""
    fields = []
    for name, value in given:
        if name.lower() == b"link" and len(value) < 8192:
            parts = value.decode("latin-1").split("<")
            changed = [parts[0]]
            for part in parts[1:]:
                address, mark, rest = part.partition(">")
                changed.append((ours.address(address) or address) + mark + rest)
            fields.append((b"link", "<".join(changed).encode("latin-1")))
    return fields


def _weak(fields: Fields) -> Fields:
    """The fields with a weak tag: the bytes are no longer those that the upstream tagged."""
    return [(n, b"W/" + v) if n == b"etag" and not v.startswith(b"W/") else (n, v) for n, v in fields]
