"""Conditions of a grant in a form's fields: read from what was typed, written into what is shown."""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from api.portal.forms import Form

WHOLE = ("quota_day", "rate_calls", "rate_seconds")
FIELDS = (*WHOLE, "expires_at", "area_code", "hidden", "precision_m")
_NUMBER = re.compile(r"\d{1,18}(\.\d{1,9})?", re.ASCII)


def typed_conditions(form: Form, zone: str) -> dict[str, Any]:
    """What the fields say, as the API takes it; an empty field lifts its condition (None). What is no number goes as it is.

    `expires_at` is the last day on which the grant is good, a day of the platform.
    """
    values: dict[str, Any] = {name: _number(form.text(name)) for name in (*WHOLE, "precision_m")}
    return {
        **values,
        "expires_at": instant_after(form.text("expires_at"), zone),
        "area_code": form.text("area_code") or None,
        "hidden": [name for name in re.split(r"[\s,，、;；]+", form.text("hidden")) if name],
    }


def _number(text: str) -> int | float | str | None:
    if not _NUMBER.fullmatch(text):
        return text or None
    return float(text) if "." in text else int(text)


def instant_after(day: str, zone: str) -> str | None:
    """The end of a day of the platform (RFC 3339), for a day typed; None for none. What is no day goes as it is."""
    try:
        last = date.fromisoformat(day)
    except ValueError:
        return day or None
    return datetime.combine(last + timedelta(days=1), time(), ZoneInfo(zone)).isoformat()


def shown_conditions(row: Mapping[str, Any], zone: str) -> dict[str, Any]:
    """Conditions, of a grant or as wanted, as the fields hold them: texts."""
    ends = row.get("expires_at")
    last = None if ends is None else (datetime.fromisoformat(ends) - timedelta(seconds=1)).astimezone(ZoneInfo(zone))
    return {
        **{name: _text(row.get(name)) for name in FIELDS},
        "hidden": ", ".join(row.get("hidden") or ()),
        "expires_at": "" if last is None else f"{last:%Y-%m-%d}",
    }


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
