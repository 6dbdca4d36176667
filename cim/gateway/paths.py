"""Paths in normal form: no way out of the folder they begin in, whatever a server between makes of them."""

import re
import unicodedata
from urllib.parse import quote, unquote_to_bytes

from cim.errors import InvalidParameter

MAX_PATH = 4096

_TRIPLET = re.compile(r"%[0-9A-Fa-f]{2}")
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LITERAL = "!$&'()*+,;=:@~-._%"
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def is_normal_path(path: str) -> bool:
    """True for a path that begins with a slash and of which every part is harmless."""
    if not path.startswith("/") or len(path) > MAX_PATH:
        return False
    parts = path[1:].split("/")
    return all(_is_harmless(part) for part in parts) and all(parts[:-1])


def joined_path(base: str, tail: str) -> str:
    """The path `tail` beneath the folder `base`; `base` itself where the tail is empty.

    `tail` is percent-encoded, as it came. Raises InvalidParameter for one with dot segments, empty parts, encoded slashes or
    dots, double encoding, backslashes or control characters (APISIX CVE-2021-43557): it is never mended.
    """
    if not tail:
        return base
    parts = tail.split("/")
    if len(tail) > MAX_PATH or not all(_is_harmless(part) for part in parts) or not all(parts[:-1]):
        raise InvalidParameter(
            "path", tail, "parts without '.', '..', encoded slashes or dots, double encoding or control characters"
        )
    return f"{base.rstrip('/')}/{'/'.join(map(_normal, parts))}"


def _is_harmless(part: str) -> bool:
    """True for a part that neither climbs nor can be read as several, by any of the readings that servers have."""
    if _BROKEN.search(part):
        return False
    try:
        text = unquote_to_bytes(part).decode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError):
        return False
    if _TRIPLET.search(text) or any(c < " " or 0x7F <= ord(c) < 0xA0 or c in "/\\" for c in text):
        return False
    plain = unicodedata.normalize("NFKC", text)
    if any(c in plain for c in "/\\") or "%2e" in part.lower():
        return False
    return plain.partition(";")[0].strip() not in (".", "..")  # a servlet container drops what follows a semicolon


def _normal(part: str) -> str:
    """A part with triplets in upper case, unreserved characters plain (RFC 3986, 6.2.2), all else that needs it encoded."""

    def mended(match: re.Match[str]) -> str:
        character = chr(int(match[0][1:], 16))
        return character if character in _UNRESERVED else match[0].upper()

    return quote(_TRIPLET.sub(mended, part), safe=_LITERAL)
