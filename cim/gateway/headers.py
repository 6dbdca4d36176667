"""Header fields of calls: what is sent on, what comes back. Lists of what passes, so that what is new stays outside.

Never sent on: hop-by-hop fields, Host, Cookie, Authorization and our own keys. Never passed back: Set-Cookie, hop-by-hop fields,
Server, the upstream's policies (CSP, CORS, HSTS) and its challenges.
"""

from collections.abc import Iterable, Mapping

Fields = list[tuple[bytes, bytes]]

HOPS = b"opencim"
MAX_HOPS = 3

_SENT_ON = frozenset(
    (
        b"accept",
        b"accept-crs",
        b"accept-language",
        b"content-crs",
        b"content-type",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"prefer",
        b"range",
    )
)
_PASSED_BACK = frozenset(
    (
        b"accept-ranges",
        b"cache-control",
        b"content-crs",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-range",
        b"content-type",
        b"etag",
        b"expires",
        b"last-modified",
        b"ogc-numbermatched",
        b"preference-applied",
        b"retry-after",
        b"vary",
        b"warning",
    )
)
SANDBOX = b"sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""What a strange document may do in our origin: be shown. No script, no form, no request."""

_CODINGS = (b"gzip", b"x-gzip")


def hops(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """How many nodes of this kind a call has passed through already, as `Via` tells."""
    return sum(value.lower().count(HOPS) for name, value in headers if name == b"via")


def sent_on(headers: Iterable[tuple[bytes, bytes]], *, own: Mapping[bytes, bytes]) -> Fields:
    """The fields an upstream gets: those of the caller that are about what is asked, and `own`, which win.

    Content codings are gzip or none: an answer passes as it is, and may have to be read.
    """
    given = list(headers)
    fields = [(name, value) for name, value in given if name in _SENT_ON and name not in own and _is_clean(value)]
    via = [HOPS] * (hops(given) + 1)
    fields.append((b"via", b", ".join(b"1.1 " + hop for hop in via)))
    codings = b",".join(value for name, value in given if name == b"accept-encoding").lower()
    accepts = any(part.partition(b";")[0].strip() in (*_CODINGS, b"*") for part in codings.split(b","))
    fields.append((b"accept-encoding", b"gzip" if accepts and b"range" not in dict(given) else b"identity"))
    fields.extend(own.items())
    return fields


def _is_clean(value: bytes) -> bool:
    return len(value) <= 4096 and all(32 <= byte < 127 or byte == 9 or byte > 127 for byte in value)


def passed_back(headers: Iterable[tuple[bytes, bytes]]) -> Fields:
    """The fields a caller gets of an upstream's, names in lower case, with our policy for documents of strangers."""
    fields = [(name.lower(), value) for name, value in headers]
    kept = [(name, value) for name, value in fields if name in _PASSED_BACK and _is_clean(value)]
    return [*kept, (b"vary", b"Accept-Encoding"), (b"content-security-policy", SANDBOX)]


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first field of that name, given in lower case."""
    return next((value for key, value in headers if key.lower() == name), None)


def media_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The media type without its parameters, in lower case; empty where none is stated."""
    value = first(headers, b"content-type") or b""
    return value.partition(b";")[0].strip().lower().decode("latin-1")
