"""A finished file as an answer: whole, or one range of it (RFC 9110, 14)."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.documents import is_unchanged
from api.middleware import is_head
from cim.errors import NotFound, RangeRefused

PIECE_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)

Ended = Callable[[], Awaitable[None]]


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last, of one range; None for a unit that is not known.

    Raises RangeRefused for several ranges (catalogue B30) and for one outside the file.
    """
    if header[:6].lower() != "bytes=":
        return None
    match = _RANGE.fullmatch(header.strip().lower()) if len(header) <= 50 else None
    if match is None or match.group() == "bytes=-":
        raise RangeRefused("one range such as bytes=0-1023 is taken at a time", size)
    first, last = match.groups()
    begin, end = (int(first), int(last) + 1 if last else size) if first else (max(0, size - int(last)), size)
    if begin >= size or end <= begin:
        raise RangeRefused("the range lies outside", size)
    return begin, min(end, size)


def file_answer(
    request: Request, path: Path, headers: dict[str, str], *, etag: str, ended: Ended | None = None
) -> Response:
    """The file; `ended` is called when the answer is over, however it ended. Raises NotFound, RangeRefused."""
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise NotFound("file", "of this export") from error
    try:
        size = path.stat().st_size
        fields = {**headers, "ETag": etag, "Accept-Ranges": "bytes"}
        if is_unchanged(request, etag):
            file.close()
            return Response(status_code=304, headers=fields)
        stated = request.headers.get("range")
        if request.headers.get("if-range", etag) != etag:
            stated = None
        part = parse_range(stated, size) if stated is not None else None
        status, (begin, end) = (200, (0, size)) if part is None else (206, part)
        if part is not None:
            fields["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
        fields["Content-Length"] = str(end - begin)
        if is_head(request):
            file.close()
            return Response(status_code=status, headers=fields)
    except BaseException:
        file.close()
        raise
    return StreamingResponse(_pieces(file, begin, end, ended), status, headers=fields)


async def _pieces(file: BinaryIO, begin: int, end: int, ended: Ended | None) -> AsyncIterator[bytes]:
    try:
        file.seek(begin)
        left = end - begin
        while left:
            piece = await asyncio.to_thread(file.read, min(PIECE_BYTES, left))
            if not piece:
                raise OSError("the file became shorter while it was sent")
            left -= len(piece)
            yield piece
    finally:
        file.close()
        if ended is not None:
            await ended()
