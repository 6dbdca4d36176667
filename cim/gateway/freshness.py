"""What a shared cache may keep of an upstream's answers, and for how long (RFC 9111): explicit freshness only, never a guess."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from cim.gateway.headers import Fields, first

MAX_FRESH_S = 7 * 24 * 3600.0

_DIRECTIVE = re.compile(rb'\s*([A-Za-z-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,"]*)))?\s*(?:,|\Z)')


@dataclass(frozen=True, slots=True)
class Keeping:
    """How an answer is kept: seconds that it is fresh (0: asked again each time) and the caller's fields that chose it."""

    fresh_s: float
    vary: tuple[bytes, ...]


def directives(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The members of `Cache-Control`, names in lower case (RFC 9111, 5.2)."""
    text = b",".join(value for name, value in headers if name.lower() == b"cache-control")
    return {match[1].lower(): match[2] or match[3] or b"" for match in _DIRECTIVE.finditer(text)}


def keeping(headers: Fields, *, with_credential: bool) -> Keeping | None:
    """How the answer 200 to a GET may be kept for all callers; None where it may not.

    Not `private` or `no-store`, not without an explicit time or a validator, not with a cookie, not with `Vary: *`. What was
    asked with a credential needs `public` or `s-maxage` (RFC 9111, 3.5).
    """
    told = directives(headers)
    if b"no-store" in told or b"private" in told or first(headers, b"set-cookie") is not None:
        return None
    if with_credential and not (b"public" in told or b"s-maxage" in told):
        return None
    vary = tuple(
        sorted({name.strip().lower() for key, value in headers if key.lower() == b"vary" for name in value.split(b",")})
    )
    if b"*" in vary:
        return None
    fresh_s = 0.0 if b"no-cache" in told else max(_lifetime_s(headers, told) - _age_s(headers), 0.0)
    is_checked = first(headers, b"etag") is not None or first(headers, b"last-modified") is not None
    if not fresh_s and not (is_checked and told):
        return None
    return Keeping(min(fresh_s, MAX_FRESH_S), tuple(name for name in vary if name))


def _lifetime_s(headers: Fields, told: Mapping[bytes, bytes]) -> float:
    for name in (b"s-maxage", b"max-age"):
        if name in told:
            return float(told[name]) if told[name].isdigit() and len(told[name]) < 12 else 0.0
    expires, date = _instant(first(headers, b"expires")), _instant(first(headers, b"date"))
    return (expires - date).total_seconds() if expires and date else 0.0


def _age_s(headers: Fields) -> float:
    age = first(headers, b"age") or b"0"
    return float(age) if age.isdigit() and len(age) < 12 else 0.0


def _instant(value: bytes | None) -> datetime | None:
    try:
        found = parsedate_to_datetime((value or b"").decode("ascii"))
    except (ValueError, UnicodeDecodeError, IndexError):
        return None
    return found if found.tzinfo is not None else None


def wants_anew(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True for a caller who takes no kept answer without the upstream being asked (RFC 9111, 5.2.1)."""
    told = directives(headers)
    return b"no-cache" in told or b"no-store" in told or told.get(b"max-age") == b"0"
