"""Members of JSON bodies about people, applications and scenarios: each of its kind, or the error that names it."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from cim.errors import InvalidParameter
from cim.interval import parse_instant
from cim.quoting import quoted

_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
ID_FORM = "letters, digits, '.', '_' and '-', beginning with a letter or digit"
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")


def text_member(name: str, value: Any, longest: int, *, is_needed: bool = False) -> str | None:
    """A text without white space around it; None for none, or for an empty one. Raises InvalidParameter."""
    if value is not None and not isinstance(value, str):
        raise InvalidParameter(name, value, "must be a text")
    text = (value or "").strip()
    if _UNSHOWN.search(text):
        raise InvalidParameter(name, text, "control characters are not allowed", rule="unshown")
    if len(text) > longest:
        raise InvalidParameter(name, text, f"at most {longest:,} characters", rule="too-long", most=longest)
    if is_needed and not text:
        raise InvalidParameter(name, text, f"a text of 1 to {longest:,} characters is needed", rule="needed")
    return text or None


def key_member(name: str, value: Any, longest: int = 80) -> str:
    """An id of letters, digits, '.', '_' and '-'. Raises InvalidParameter."""
    text = text_member(name, value, longest, is_needed=True)
    assert text is not None
    if not _KEY.fullmatch(text):
        raise InvalidParameter(name, text, ID_FORM, rule="id-form")
    return text


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """A text of a closed list. Raises InvalidParameter."""
    known = list(allowed)
    if not isinstance(value, str) or value not in known:
        raise InvalidParameter(name, value, f"one of {', '.join(known)}", rule="one-of", allowed=known)
    return value


def some_of(name: str, value: Any, allowed: Iterable[str]) -> list[str]:
    """Texts of a closed list, each once, in its order. Raises InvalidParameter."""
    known = list(allowed)
    if not isinstance(value, list) or not all(isinstance(one, str) and one in known for one in value):
        raise InvalidParameter(name, value, f"a list of {', '.join(known)}", rule="one-of", allowed=known)
    return [one for one in known if one in value]


def count_member(name: str, value: Any, most: int) -> int | None:
    """A whole number from 1, or None. Raises InvalidParameter."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidParameter(name, value, f"a whole number from 1 to {most:,}", rule="count", most=most)
    return value


def future_member(name: str, value: Any) -> datetime | None:
    """An instant to come, or None. Raises InvalidParameter."""
    if value is None:
        return None
    instant = parse_instant(value) if isinstance(value, str) else None
    if instant is None or instant <= datetime.now(UTC):
        raise InvalidParameter(name, value, "an RFC 3339 instant in the future", rule="future")
    return instant


def email_member(name: str, value: Any) -> str | None:
    """An address of e-mail, or None. Raises InvalidParameter."""
    text = text_member(name, value, 255)
    if text is not None and not _EMAIL.fullmatch(text):
        raise InvalidParameter(name, text, "an address such as desk@planning.example", rule="email")
    return text


def url_member(name: str, value: Any) -> str | None:
    """An http(s) address, or None: it is shown as a link. Raises InvalidParameter."""
    text = text_member(name, value, 2000)
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
    except ValueError:
        is_good = False
    if not is_good or any(c.isspace() for c in text):
        raise InvalidParameter(name, text, f"an http or https address, not {quoted(text[:20])}", rule="web-address")
    return text
