"""What a write needs around it: the body with its kind, preconditions, the system of its coordinates, and answers kept."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.etags import uncoded
from api.params import parse_json
from cim.crs import CRS84, Crs
from cim.db.idempotency import Key, keep_sql, kept_sql
from cim.db.pool import Runs, Transaction
from cim.errors import (
    CimError,
    Conflict,
    InvalidBody,
    InvalidParameter,
    KeyReused,
    PreconditionFailed,
    PreconditionRequired,
    TooLarge,
    UnsupportedMedia,
)
from cim.model import Scope
from cim.sql import Sql

MERGE_PATCH = "application/merge-patch+json"
MAX_KEY = 200

FEATURES = ("application/geo+json", "application/json")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a write gives back, as it can be kept.

    `after`: statements that follow in a transaction, that of the write where it has one, else another: until then what
    they mend is not wrong, only too wide.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    after: tuple[Sql, ...] = ()

    def response(self) -> Response:
        """For the caller."""
        return Response(self.body, self.status, headers={"Cache-Control": "no-store", **self.headers})

    def to_json(self) -> str:
        """For `cim.idempotency`."""
        return orjson.dumps({"status": self.status, "body": self.body.decode(), "headers": self.headers}).decode()


async def read_body(request: Request, kinds: tuple[str, ...]) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a JSON object of one of these media types, and the object.

    Raises InvalidBody without a Content-Type (/req/create-replace-delete/post-content-type), UnsupportedMedia, TooLarge.
    """
    stated = request.headers.get("content-type")
    if stated is None:
        raise InvalidBody(f"Content-Type is missing; send {' or '.join(kinds)}", parameter="Content-Type")
    if stated.partition(";")[0].strip().lower() not in kinds:
        raise UnsupportedMedia(f"the body must be sent as Content-Type: {' or '.join(kinds)}")
    limit = context_of(request).settings.max_body_bytes
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > limit:
            raise TooLarge(f"the body has more than {limit:,} bytes, which is the most taken here")
    document = parse_json(bytes(received))
    if not isinstance(document, dict):
        raise InvalidBody("the body must be a JSON object")
    return bytes(received), document


def content_crs(request: Request) -> Crs:
    """The system of the body's coordinates (OGC 20-002, /req/features/content-crs-header): CRS84 unless stated."""
    stated = request.headers.get("content-crs")
    if stated is None:
        return CRS84
    return context_of(request).crs_list.parse(
        stated.strip().removeprefix("<").removesuffix(">"), parameter="Content-Crs"
    )


def check_precondition(request: Request, version: str | None) -> None:
    """Whether a change may go on, `version` being that of the stored feature, None where there is none.

    Raises PreconditionFailed (RFC 9110, 13.1.1 and 13.1.2), PreconditionRequired for a feature without `If-Match`.
    """
    match, none_match = request.headers.get("if-match"), request.headers.get("if-none-match")
    if none_match is not None:
        if none_match.strip() != "*":
            raise InvalidParameter("If-None-Match", none_match, "a write takes '*' only: the feature must be new")
        if version is not None:
            raise PreconditionFailed("there is such a feature already; nothing was changed")
    if version is None:
        if match is not None:
            raise PreconditionFailed("there is no such feature; nothing was changed")
        return
    if match is None:
        raise PreconditionRequired("send If-Match with the ETag that was read, so that no edit of another is lost")
    if match.strip() != "*" and version not in _versions(match):
        raise PreconditionFailed("the feature has changed since it was read; nothing was changed, read it again")


def _versions(header: str) -> list[str]:
    """The versions that strong tags of `If-Match` name: any representation that was read stands for what is stored."""
    tags = [uncoded(tag.strip()) for tag in header.split(",")]
    return [tag.strip('"').partition(".")[0] for tag in tags if tag.startswith('"')]


Write = Callable[[Runs, Key | None], Awaitable[Answer]]
"""Changes what is stored by one statement, which keeps under the key what `Again` needs."""
Again = Callable[[Any], Answer]
"""The answer once more, of what the statement kept: `status`, `version` and `feature` (its text; None for one that is gone)."""


async def once(
    request: Request, scope: Scope, body: bytes, prepare: Callable[[], Awaitable[Write]], again: Again
) -> Response:
    """Do what `prepare` gives; with an `Idempotency-Key`, only the first time the request comes.

    The one statement is the transaction, key and all, and no round trip of its own begins or ends it: it does nothing where
    the key was used before. Later requests with the key get the answer of the first, also where they no longer meet their
    precondition. Raises KeyReused for a key that came with another request.
    """
    key = _key(request, scope, body)
    try:
        answer = await (await prepare())(context_of(request).database, key)
    except CimError:  # perhaps because it is done already
        kept = None if key is None else await _kept(request, key)
        if kept is None:
            raise
        return (_whole(kept) if "body" in kept else again(kept)).response()
    if answer.after:
        async with context_of(request).database.transaction() as transaction:
            await _follow(transaction, answer)
    return answer.response()


async def once_or_undone(
    request: Request, scope: Scope, body: bytes, prepare: Callable[[], Awaitable[Write]]
) -> Response:
    """The same for what may be refused after it is written: a transaction, in which the whole answer is kept."""
    database, key = context_of(request).database, _key(request, scope, body)
    kept = None if key is None else await _kept(request, key)
    if kept is not None:
        return _whole(kept).response()
    try:
        write = await prepare()
        async with database.transaction() as transaction:
            answer = await write(transaction, None)
            await _follow(transaction, answer)
            if key is not None:
                keep = keep_sql(key.caller, key.key, key.digest, answer.to_json())
                if await transaction.fetch_row(keep) is None:
                    raise _TwinWasFirst("a request with the same Idempotency-Key came in between; send it again")
    except (PreconditionFailed, Conflict):  # perhaps because a twin has done it meanwhile
        kept = None if key is None else await _kept(request, key)
        if kept is None:
            raise
        answer = _whole(kept)
    return answer.response()


def _key(request: Request, scope: Scope, body: bytes) -> Key | None:
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        raise InvalidParameter("Idempotency-Key", key, f"must be 1 to {MAX_KEY} printable ASCII characters")
    return Key(scope.caller, key, _digest(request, body))


async def _follow(transaction: Transaction, answer: Answer) -> None:
    for statement in answer.after:
        await transaction.execute(statement)


class _TwinWasFirst(Conflict):
    """A request with the same key committed while this one ran: this one is undone."""


def _whole(kept: Any) -> Answer:
    """The answer that `Answer.to_json` wrote."""
    return Answer(kept["status"], kept["body"].encode(), kept["headers"])


async def _kept(request: Request, key: Key) -> Any:
    """What was kept under the key, None where it is new."""
    row = await context_of(request).database.fetch_row(kept_sql(key.caller, key.key))
    if row is None:
        return None
    if row["digest"] != key.digest:
        raise KeyReused("the Idempotency-Key came with another request within the last 24 hours; take a new key")
    return orjson.loads(row["answer"])


def _digest(request: Request, body: bytes) -> bytes:
    """What makes a request the same: method, address, the headers that say how it is meant, and the body."""
    digest = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    for name in ("content-type", "content-crs", "if-match", "if-none-match"):
        digest.update(f"{name}: {request.headers.get(name, '')}\n".encode())
    digest.update(body)
    return digest.digest()
