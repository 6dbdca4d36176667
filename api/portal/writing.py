"""How pages write numbers, sizes, instants and names: filters of the templates, alike in both languages."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
from jinja2.runtime import Context

NOTHING = "–"
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


def number(value: float | None) -> str:
    """1234567 as 1,234,567; a dash for None."""
    return NOTHING if value is None else f"{value:,}"


def size(value: int | None) -> str:
    """Bytes with three digits that count: 1,234,567 as 1.23 MB (a MB is 1,000,000 bytes)."""
    if value is None:
        return NOTHING
    step, rest = 0, float(value)
    while rest >= 999.5 and step < len(_SIZES) - 1:
        step, rest = step + 1, rest / 1000
    return f"{rest:.3g} {_SIZES[step]}"


@jinja2.pass_context
def moment(context: Context, value: str | None) -> str:
    """An instant (RFC 3339) as day and minute of the platform's time zone; a dash for None."""
    at = _instant(context, value)
    return NOTHING if at is None else f"{at:%Y-%m-%d %H:%M}"


@jinja2.pass_context
def day(context: Context, value: str | None) -> str:
    """The day of the platform's time zone in which an instant lies; a date as it is."""
    at = _instant(context, value)
    return NOTHING if at is None else f"{at:%Y-%m-%d}"


@jinja2.pass_context
def last_day(context: Context, value: str | None) -> str:
    """The last day of the platform before an instant: of what ends at a midnight, the day through which it is good."""
    at = _instant(context, value)
    return NOTHING if at is None else f"{at - timedelta(seconds=1):%Y-%m-%d}"


def _instant(context: Context, value: str | None) -> datetime | date | None:
    if not value:
        return None
    if len(value) == 10:
        return date.fromisoformat(value)
    return datetime.fromisoformat(value).astimezone(ZoneInfo(context.get("zone", "UTC")))


@jinja2.pass_context
def named(context: Context, row: Mapping[str, Any], stem: str = "title") -> str:
    """`<stem>_zh` or `<stem>_en` of a row in the page's language, the other one where there is none; empty without both."""
    first, second = ("en", "zh") if context["lang"] == "en" else ("zh", "en")
    return str(row.get(f"{stem}_{first}") or row.get(f"{stem}_{second}") or "")


def who(caller: str | None) -> str:
    """Who did something, as records name them: people by their login."""
    return NOTHING if not caller else caller.removeprefix("person ")


def codes(values: Iterable[str], t: Mapping[str, str], group: str) -> list[tuple[str, str]]:
    """Code words with their messages `<group>.<code>`, for a choice."""
    return [(value, t.get(f"{group}.{value}", value)) for value in values]


def number_heads(values: Iterable[str], t: Mapping[str, str], group: str) -> list[tuple[str, str]]:
    """Heads of a table's columns of numbers: the messages of code words with the class of numbers."""
    return [(t[f"{group}.{value}"], "is-number") for value in values]


FILTERS: Mapping[str, Callable[..., Any]] = {
    "number": number,
    "size": size,
    "moment": moment,
    "day": day,
    "last_day": last_day,
    "named": named,
    "who": who,
    "codes": codes,
    "number_heads": number_heads,
}
"""In a macro of another file `moment`, `day`, `last_day` and `named` need `import … with context`."""
