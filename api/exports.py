"""Features on their way out: which format is asked for, what a download is called, and the stream of a text export.

A stream is read in chunks by keyset: a connection of the pool is held for the time of one chunk's statement (setting
`CIM_STATEMENT_TIMEOUT_S` at most) and by no slow reader (catalogue F09). What cannot be finished is cut without the
last chunk of its transfer coding, so that no client takes it for whole.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from starlette.requests import Request

from api.negotiate import Representation
from cim.db.pool import Database
from cim.errors import InvalidParameter
from cim.interval import now_text
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.items import page_sql
from cim.query.output import OUTPUTS, Frame, Output
from cim.query.shown import as_shown

CHUNK_ROWS = 500
CHUNK_BYTES = 256 * 1024
"""Stored geometry of a chunk; one feature may be larger."""
PIECE_BYTES = 64 * 1024

OFFERS = tuple(Representation(o.f, o.media_type, o.also, o.also_f) for o in OUTPUTS)
OFFER_OF = {offer.f: offer for offer in OFFERS}
OUTPUT_OF = {output.f: output for output in OUTPUTS}
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Export:
    """Everything that matches `query`, in one format."""

    collection: Collection
    query: FeatureQuery
    scope: Scope
    output: Output
    has_bom: bool = False

    def head(self) -> bytes:
        """What stands before the features of a text."""
        assert self.output.text is not None
        members = {"timeStamp": now_text()}
        return self.output.text.head(Frame(*as_shown(self.collection, self.scope, self.query), members, self.has_bom))


def bom_of(values: Mapping[str, str], output: Output) -> bool:
    """The parameter `bom`: a CSV for spreadsheets that take text without one for GBK. Raises InvalidParameter."""
    if "bom" not in values:
        return False
    if values["bom"] not in _BOOLEANS:
        raise InvalidParameter("bom", values["bom"], "must be true or false")
    if output.f != "csv":
        raise InvalidParameter("bom", values["bom"], "only f=csv has a byte order mark")
    return _BOOLEANS[values["bom"]]


def prefers_async(request: Request) -> bool:
    """True for `Prefer: respond-async` (RFC 7240, 4.1)."""
    stated = ",".join(request.headers.getlist("prefer"))[:1000].lower()
    return "respond-async" in (word.strip() for word in re.split("[,;]", stated))


def disposition(file_name: str, fallback: str, suffix: str) -> str:
    """`Content-Disposition` of a download whose name need not be ASCII (RFC 6266, 4.3)."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", fallback)
    return f"attachment; filename=\"{plain}.{suffix}\"; filename*=UTF-8''{quote(f'{file_name}.{suffix}', safe='')}"


async def chunk_of(database: Database, export: Export, after: str | None) -> Any:
    """The row of `page_sql` for the chunk behind an id."""
    query = replace(export.query, limit=CHUNK_ROWS, after=after)
    sql = page_sql(export.collection, query, export.scope, export.output, page_bytes=CHUNK_BYTES)
    return await database.fetch_one(sql)


async def text_stream(database: Database, export: Export, first: Any) -> AsyncIterator[bytes]:
    """The whole text in pieces; `first` is its first chunk, read before the answer began.

    The next chunk is asked for when half of one is sent: a quick reader does not wait for it, a slow one has at most
    two in memory.
    """
    text = export.output.text
    assert text is not None
    separator = text.separator.encode()
    yield export.head()
    row: Any = first
    ahead: asyncio.Task[Any] | None = None
    try:
        while row is not None:
            body: bytes = row["body"] or b""
            more, last = row["has_more"], row["last"]
            row = None
            for start in range(0, len(body), PIECE_BYTES):
                if more and ahead is None and 2 * start >= len(body):
                    ahead = asyncio.create_task(chunk_of(database, export, last))
                yield body[start : start + PIECE_BYTES]
            del body
            if more:
                row = await (ahead or chunk_of(database, export, last))
                ahead = None
                if row["body"]:
                    yield separator
        yield text.tail
    finally:
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
