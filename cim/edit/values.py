"""One value of a written feature: the kind, the codes and the range that its property declares."""

import math
import re
from typing import Any

import orjson

from cim.errors import InvalidParameter
from cim.interval import parse_date, parse_instant
from cim.model import Kind, Property
from cim.quoting import nearest

MAX_TEXT = 10_000

_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_INT64 = 2**63


def value_of(declared: Property, value: Any, member: str) -> object:
    """`value` as the column takes it, None for null. Raises InvalidParameter naming `member`."""
    if value is None:
        return None
    known = _of_kind(declared, value, member)
    if declared.codes is not None and known not in declared.codes:
        hint = nearest(str(known), declared.codes)
        did = f"did you mean '{hint}'? " if hint else ""
        raise InvalidParameter(member, value, f"{did}one of {', '.join(declared.codes)}")
    if isinstance(known, int | float) and not isinstance(known, bool):
        _check_range(declared, known, member)
    return known


def _check_range(declared: Property, number: float, member: str) -> None:
    low, high = declared.minimum, declared.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        bounds = [f"at least {low:g}" if low is not None else "", f"at most {high:g}" if high is not None else ""]
        unit = f" ({declared.unit})" if declared.unit else ""
        raise InvalidParameter(member, number, f"must be {' and '.join(b for b in bounds if b)}{unit}")


def _of_kind(declared: Property, value: Any, member: str) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match declared.kind:
        case Kind.TEXT if isinstance(value, str):
            return text_of(value, member)
        case Kind.INTEGER if is_number and float(value).is_integer() and -_INT64 <= int(value) < _INT64:
            return int(value)
        case Kind.NUMBER if is_number and math.isfinite(value):
            return float(value)
        case Kind.BOOLEAN if isinstance(value, bool):
            return value
        case Kind.DATE if isinstance(value, str) and (day := parse_date(value)) is not None:
            return day
        case Kind.INSTANT if isinstance(value, str) and (instant := parse_instant(value)) is not None:
            return instant
        case Kind.JSON:
            return json_of(value, member)
    raise InvalidParameter(member, value, f"must be {_EXPECTED[declared.kind]}, or null")


_EXPECTED = {
    Kind.TEXT: "a text",
    Kind.INTEGER: "a whole number of 64 bits",
    Kind.NUMBER: "a finite number",
    Kind.BOOLEAN: "true or false",
    Kind.DATE: "a date, YYYY-MM-DD",
    Kind.INSTANT: "an RFC 3339 instant, such as 2024-05-01T00:00:00Z",
    Kind.JSON: "JSON",
}


def text_of(value: str, member: str) -> str:
    """A text that can be stored and shown. Raises InvalidParameter."""
    if _UNSTORABLE.search(value):
        raise InvalidParameter(member, value, "control characters are not allowed")
    if len(value) > MAX_TEXT:
        raise InvalidParameter(member, value, f"at most {MAX_TEXT:,} characters")
    return value


def json_of(value: Any, member: str) -> Any:
    """A document that `jsonb` can store: without NUL. Raises InvalidParameter."""
    if b"\\u0000" in orjson.dumps(value):
        raise InvalidParameter(member, "…", "NUL characters are not allowed")
    return value
