"""The feed of a collection's changes: by polling, or as server-sent events that wake with the registry.

No connection of the database is held between two reads. The stream looks again at who calls before each of them, so
a key that is revoked ends it.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.context import collection_of, context_of, database_of, registry_of, settings_of
from api.documents import JSON, Link, json_answer, url_of
from api.negotiate import Representation, choose
from api.params import query_parameters
from api.routes.changes import VARY, limit_of
from cim.errors import CimError, Unavailable
from cim.interval import instant_text
from cim.model import Collection, Scope
from cim.query.changes import feed_sql, last_version_sql
from cim.query.cursor import decode_cursor, encode_cursor

router = APIRouter()

EVENTS = "text/event-stream"
OFFERS = (Representation("json", JSON), Representation("events", EVENTS))
HEARTBEAT_S = 15.0
WAKE_S = 1.0
"""How long a stream sleeps at most before it looks whether the server is to stop."""
MAX_STREAMS = 500
"""Streams of one worker."""
NOW = "now"


@dataclass(frozen=True, slots=True)
class Position:
    """Behind the feature `after` of the change `version`; with None before that change."""

    version: int = 0
    after: str | None = None

    def text(self) -> str:
        """For a token."""
        return f"{self.version}\n{self.after or ''}"

    @staticmethod
    def of(text: str) -> "Position":
        """Of `text()`."""
        version, _, after = text.partition("\n")
        return Position(int(version), after or None)


def _binding(collection: Collection) -> bytes:
    return b"feed\n" + collection.id.encode()


def _token(request: Request, collection: Collection, position: Position) -> str:
    return encode_cursor(registry_of(request).cursor_key, _binding(collection), position.text())


async def _begin(request: Request, collection: Collection, values: dict[str, str]) -> Position:
    """Where the reader was: `Last-Event-ID` of a stream that broke, else `since`, else the first change."""
    name, token = "Last-Event-ID", request.headers.get("last-event-id")
    if not token:
        name, token = "since", values.get("since")
    if token is None:
        return Position()
    if token == NOW:
        row = await database_of(request).fetch_one(last_version_sql(collection.id))
        return Position(row["version"] + 1)
    return Position.of(decode_cursor(registry_of(request).cursor_key, _binding(collection), token, parameter=name))


async def _read(
    request: Request, collection: Collection, scope: Scope, position: Position, limit: int
) -> tuple[list[Any], Position, bool]:
    """Rows behind the position, the position behind them, and whether there may be more."""
    rows = list(
        await database_of(request).fetch_rows(feed_sql(collection, scope, position.version, position.after, limit + 1))
    )
    has_more, rows = len(rows) > limit, rows[:limit]
    return rows, _behind(rows[-1]) if rows else position, has_more


def _behind(row: Any) -> Position:
    return Position(row["version"] + 1) if row["id"] is None else Position(row["version"], row["id"])


def _entry(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "change": row["change"],
        "version": row["version"],
        "recordedAt": instant_text(row["recorded_at"]),
        "load": row["load_run_id"],
        "feature": None if row["body"] is None else orjson.loads(row["body"]),
    }


async def feed(request: Request) -> Response:
    """Changes in the order in which they were committed, from a token on; each is given once."""
    collection, scope = await collection_of(request)
    values = query_parameters(request, ("since", "limit"))
    kind, limit = choose(request, OFFERS, f=values.get("f")), limit_of(values)
    position = await _begin(request, collection, values)
    if kind.f == "events":
        return _stream(request, position, limit)
    rows, position, has_more = await _read(request, collection, scope, position, limit)
    token = _token(request, collection, position)
    base = settings_of(request).public_url
    path = ("collections", collection.id, "changes", "feed")
    links = [
        Link(url_of(base, *path, **values), "self", JSON),
        Link(url_of(base, *path, **{**values, "since": token}), "next", JSON, "What comes after"),
    ]
    document = {
        "collection": collection.id,
        "changes": [_entry(row) for row in rows if row["id"] is not None],
        "next": token,
        "hasMore": has_more,
        "links": [link.to_dict() for link in links],
    }
    return json_answer(request, document, vary=VARY)


def _stream(request: Request, position: Position, limit: int) -> Response:
    context = context_of(request)
    if context.streams >= MAX_STREAMS:
        raise Unavailable(f"this worker sends {MAX_STREAMS} streams already; poll, or try again later")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": VARY}
    return StreamingResponse(_events(request, position, limit), media_type=EVENTS, headers=headers)


async def _events(request: Request, position: Position, limit: int) -> AsyncIterator[bytes]:
    """Every change as an event whose id is the token behind it; a comment where nothing happens for a while."""
    context, registry = context_of(request), registry_of(request)
    context.streams += 1
    try:
        seen, spoke = -1, time.monotonic()
        yield b"retry: 2000\n\n"
        while not context.is_draining:
            collection, scope = await collection_of(request)
            version = registry.entry(collection.id).version
            if version != seen:
                rows, position, has_more = await _read(request, collection, scope, position, limit)
                for row in rows:
                    spoke = time.monotonic()
                    yield _event(row, _token(request, collection, _behind(row)))
                seen = seen if has_more else version
                if has_more:
                    continue
            if time.monotonic() - spoke >= HEARTBEAT_S:
                spoke = time.monotonic()
                yield b": still here\n\n"
            await registry.wait(WAKE_S)
    except CimError as error:  # the answer has begun: what is left to say goes into it
        yield f"event: error\ndata: {orjson.dumps({'code': error.code, 'detail': error.detail}).decode()}\n\n".encode()
    finally:
        context.streams -= 1


def _event(row: Any, token: str) -> bytes:
    if row["id"] is None:
        return f"id: {token}\n\n".encode()
    data = orjson.dumps(_entry(row)).decode()
    return f"id: {token}\nevent: {row['change']}\ndata: {data}\n\n".encode()


router.add_route("/collections/{collection_id}/changes/feed", feed, methods=["GET"])
