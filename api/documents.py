"""Answers of bytes: ETag, conditional requests, links, media types."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

JSON = "application/json"
GEOJSON = "application/geo+json"
SCHEMA_JSON = "application/schema+json"
HTML = "text/html"
MVT = "application/vnd.mapbox-vector-tile"
OPENAPI_30 = "application/vnd.oai.openapi+json;version=3.0"
OPENAPI_31 = "application/vnd.oai.openapi+json;version=3.1"


@dataclass(frozen=True, slots=True)
class Link:
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
        document: dict[str, Any] = {"href": self.href, "rel": self.rel}
        for name in ("type", "title", "method", "body"):
            value = getattr(self, name)
            if value is not None:
                document[name] = value
        if self.templated:
            document["templated"] = True
        return document

    def to_header(self) -> str:
        """As RFC 8288 writes it (the title is left out: it need not be Latin-1)."""
        kind = f'; type="{self.type}"' if self.type else ""
        return f'<{self.href}>; rel="{self.rel}"{kind}'


def link_header(links: Sequence[Link]) -> str:
    """The `Link` header: only links that a program follows, and none that is a POST."""
    kept = ("self", "next", "prev", "alternate", "collection", "service-desc", "describedby")
    return ", ".join(one.to_header() for one in links if one.rel in kept and one.method is None)


def url_of(base: str, *path: str, **parameters: object) -> str:
    """An address of this node: `path` parts are escaped, parameters that are None are left out."""
    address = "/".join((base, *(quote(part, safe="") for part in path)))
    kept = [(name, str(value)) for name, value in parameters.items() if value is not None]
    return f"{address}?{urlencode(kept)}" if kept else address


def etag_of(body: bytes) -> str:
    """A weak tag: the same body has the same tag whatever its content coding."""
    return f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def versioned_etag(version: str, body: bytes) -> str:
    """A strong tag of a feature's representation; what stands before the dot names the version that is stored."""
    return f'"{version}.{hashlib.blake2b(body, digest_size=9).hexdigest()}"'


_CODED = re.compile(r"-(?:gzip|br|zstd)(?=\"$)")


def uncoded(tag: str) -> str:
    """A tag without the name of the content coding that `api.middleware.Border` puts into strong ones."""
    return _CODED.sub("", tag)


def had_already(request: Request, etag: str) -> str | None:
    """The tag of `If-None-Match` that means `etag` (weak comparison, RFC 9110 13.1.2), whatever its coding; else None."""
    wanted = request.headers.get("if-none-match")
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
    body: bytes,
    media_type: str,
    *,
    headers: Mapping[str, str] | None = None,
    links: Sequence[Link] = (),
    vary: str = "Accept",
    status: int = 200,
    etag: str | None = None,
) -> Response:
    """`body` with its ETag, or 304 without a body when the caller has it already."""
    etag = etag or etag_of(body)
    fields = {"ETag": etag, "Vary": vary, "Cache-Control": "no-cache", **(headers or {})}
    if links:
        fields["Link"] = link_header(links)
    known = had_already(request, etag) if status == 200 else None
    if known is not None:
        return Response(status_code=304, headers={**fields, "ETag": known})
    fields["Content-Type"] = f"{media_type}; charset=utf-8" if media_type == HTML else media_type
    return Response(body, status, headers=fields)


def json_answer(
    request: Request, document: Mapping[str, Any], media_type: str = JSON, *, vary: str = "Accept"
) -> Response:
    """`document` as JSON, as `answer`."""
    return answer(request, orjson.dumps(document), media_type, vary=vary)
