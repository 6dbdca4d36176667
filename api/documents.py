"""Answers of bytes: ETag, conditional requests, links, media types."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.etags import etag_of, uncoded

JSON = "application/json"
GEOJSON = "application/geo+json"
SCHEMA_JSON = "application/schema+json"
HTML = "text/html"
MVT = "application/vnd.mapbox-vector-tile"
OPENAPI_30 = "application/vnd.oai.openapi+json;version=3.0"
OPENAPI_31 = "application/vnd.oai.openapi+json;version=3.1"


class Link(NamedTuple):
    """A link of a document; also written in the `Link` header when it is `self`, `next` or `prev`."""

    href: str
    rel: str
    type: str | None = None
    title: str | None = None
    method: str | None = None
    body: Any = None
    templated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As the JSON documents of OGC API carry it."""
        href, rel, kind, title, method, body, templated = self
        document: dict[str, Any] = {"href": href, "rel": rel}
        if kind is not None:
            document["type"] = kind
        if title is not None:
            document["title"] = title
        if method is not None:
            document["method"] = method
        if body is not None:
            document["body"] = body
        if templated:
            document["templated"] = True
        return document

    def to_header(self) -> str:
        """As RFC 8288 writes it (the title is left out: it need not be Latin-1)."""
        kind = f'; type="{self.type}"' if self.type else ""
        return f'<{self.href}>; rel="{self.rel}"{kind}'


def link_header(links: Sequence[Link]) -> str:
    """The `Link` header: only links that a program follows, and none that is a POST."""
    return ", ".join([one.to_header() for one in links if one.rel in _FOLLOWED and one.method is None])


_FOLLOWED = frozenset({"self", "next", "prev", "alternate", "collection", "service-desc", "describedby"})


_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*", re.ASCII)
_LIST = re.compile(r"[A-Za-z0-9._~,-]*", re.ASCII)


def quoted_part(text: str) -> str:
    """A part of a path, percent-encoded (RFC 3986, 2.3)."""
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")


def quoted_value(text: str) -> str:
    """A value of a query string, as forms write it."""
    return text.replace(",", "%2C") if _LIST.fullmatch(text) else quote_plus(text)


def query_text(name: str, value: str) -> str:
    """`name=value` of a query string."""
    return f"{quoted_value(name)}={quoted_value(value)}"


def url_of(base: str, *path: str, **parameters: object) -> str:
    """An address of this node: `path` parts are escaped, parameters that are None are left out."""
    address = "/".join((base, *map(quoted_part, path)))
    kept = [query_text(name, str(value)) for name, value in parameters.items() if value is not None]
    return f"{address}?{'&'.join(kept)}" if kept else address


JOINED_BYTES = 64 * 1024
"""Up to this size parts of a body are sent as one."""


def header_of(request: Request, name: bytes) -> str | None:
    """The first field of that name (in lower case): a look at the raw list, which is short."""
    for key, value in request.scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def had_already(request: Request, etag: str) -> str | None:
    """The tag of `If-None-Match` that means `etag` (weak comparison, RFC 9110 13.1.2), whatever its coding; else None."""
    wanted = header_of(request, b"if-none-match")
    if wanted is None:
        return None
    if wanted.strip() == "*":
        return etag
    plain = etag.removeprefix("W/")
    tags = [part.strip() for part in wanted.split(",")]
    found = next((tag for tag in tags if uncoded(tag.removeprefix("W/")) == plain), None)
    return etag if found is not None and etag.startswith("W/") else found


def is_unchanged(request: Request, etag: str) -> bool:
    """True when `If-None-Match` names `etag`."""
    return had_already(request, etag) is not None


def answer(
    request: Request,
    body: bytes | tuple[bytes, ...],
    media_type: str,
    *,
    headers: Mapping[str, str] | None = None,
    links: Sequence[Link] = (),
    vary: str = "Accept",
    status: int = 200,
    etag: str | None = None,
) -> Response:
    """`body`, whole or in parts, with its ETag, or 304 without a body when the caller has it already.

    `etag`: that of a body which holds what changes with every answer, such as the time, or of a version that is stored.
    """
    parts = (body,) if isinstance(body, bytes) else body
    etag = etag_of(*parts) if etag is None else etag
    known = had_already(request, etag) if status == 200 else None
    fields = [(b"etag", (known or etag).encode("latin-1")), *_fixed_fields(vary, tuple((headers or {}).items()))]
    if links:
        fields.append((b"link", link_header(links).encode("latin-1")))
    if known is not None:
        return Whole(b"", 304, fields)
    fields.append((b"content-type", _content_type(media_type)))
    size = sum(map(len, parts))
    fields.append((b"content-length", b"%d" % size))
    return Whole(b"".join(parts), status, fields) if size <= JOINED_BYTES else Whole(b"", status, fields, parts)


class Whole(Response):
    """A response whose header fields are ready as they are sent; their `vary` names Accept-Encoding.

    `parts` come before `body`: a long one is not copied behind what stands before it.
    """

    def __init__(
        self, body: bytes, status: int, fields: list[tuple[bytes, bytes]], parts: tuple[bytes, ...] = ()
    ) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.parts = parts
        self.raw_headers = fields

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send head and body."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for part in self.parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": self.body})

    def again(self) -> "Whole":
        """The same for another caller: fields are added to as a response is sent."""
        return Whole(bytes(self.body), self.status_code, list(self.raw_headers), self.parts)

    def joined(self) -> "Whole":
        """The same with its body in one piece, as content codings take it best."""
        return Whole(b"".join((*self.parts, self.body)), self.status_code, self.raw_headers)


@lru_cache(maxsize=1024)
def _fixed_fields(vary: str, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[bytes, bytes], ...]:
    """Fields that many answers have."""
    named = {
        "vary": f"{vary}, Accept-Encoding",
        "cache-control": "no-cache",
        **{name.lower(): value for name, value in headers},
    }
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items())


@lru_cache(maxsize=64)
def _content_type(media_type: str) -> bytes:
    return (f"{media_type}; charset=utf-8" if media_type == HTML else media_type).encode("latin-1")


def json_answer(
    request: Request, document: Mapping[str, Any], media_type: str = JSON, *, vary: str = "Accept"
) -> Response:
    """`document` as JSON, as `answer`."""
    return answer(request, orjson.dumps(document), media_type, vary=vary)


def private_json(document: Any, status: int = 200, **headers: str) -> Response:
    """JSON that no cache keeps."""
    fields = {"Cache-Control": "no-store", **headers}
    return Response(orjson.dumps(document), status, headers=fields, media_type=JSON)
