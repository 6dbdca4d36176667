"""Times asked for: an RFC 3339 instant, a date (the whole day, UTC), or an interval of them, open or closed."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from time import time as time_now

from cim.errors import InvalidParameter

_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ALLOWED = (
    "must be an RFC 3339 instant (2024-05-01T00:00:00Z), a date, or an interval start/end, with .. or nothing for open"
)


@dataclass(frozen=True, slots=True)
class Interval:
    """From `begin` to `end`, both ends included, None for open. A date's end is its last microsecond."""

    begin: datetime | None
    end: datetime | None


def parse_interval(text: str, *, parameter: str = "datetime") -> Interval:
    """The time that a query parameter names (OGC 17-069r4, 7.15.4).

    Raises InvalidParameter: no time zone, an impossible date, an end before its begin, open at both ends without a slash.
    """
    if text.count("/") == 0:
        return Interval(*_ends_of(text, text, parameter))
    if text.count("/") != 1:
        raise InvalidParameter(parameter, text, _ALLOWED)
    first, last = text.split("/")
    begin = None if first in ("", "..") else _ends_of(first, text, parameter)[0]
    end = None if last in ("", "..") else _ends_of(last, text, parameter)[1]
    if begin is not None and end is not None and begin > end:
        raise InvalidParameter(parameter, text, "the interval ends before it begins")
    return Interval(begin, end)


def parse_instant(text: str) -> datetime | None:
    """The instant of an RFC 3339 text, in UTC, or None. Leap second 60 is taken as the second before."""
    if not _INSTANT.fullmatch(text):
        return None
    plain = text.upper()
    if plain[17:19] == "60":
        plain = plain[:17] + "59" + plain[19:]
    fraction = re.search(r"\.(\d+)", plain)
    if fraction and len(fraction[1]) > 6:
        plain = plain.replace(fraction[0], "." + fraction[1][:6])
    try:
        return datetime.fromisoformat(plain).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_date(text: str) -> date | None:
    """The date `YYYY-MM-DD`, or None."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _ends_of(text: str, whole: str, parameter: str) -> tuple[datetime, datetime]:
    day = parse_date(text)
    if day is not None:
        start = datetime.combine(day, time(), UTC)
        return start, start + timedelta(microseconds=86_400_000_000 - 1)
    instant = parse_instant(text)
    if instant is None:
        raise InvalidParameter(parameter, whole, _ALLOWED)
    return instant, instant


@lru_cache(maxsize=2)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_text() -> str:
    """The present instant as RFC 3339, UTC, to the second."""
    return _second_text(int(time_now()))


def instant_text(instant: datetime | None) -> str | None:
    """An instant as RFC 3339 in UTC, None for None."""
    return None if instant is None else instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
