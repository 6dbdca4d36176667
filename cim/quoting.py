"""Names and values that came from outside, as they are told back."""

import difflib
from collections.abc import Iterable


def quoted(value: object) -> str:
    """`value` between quotes, printable, at most 200 characters (catalogue rule C0.1)."""
    text = str(value)
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:201])
    return f"'{text[:200]}…'" if len(text) > 200 else f"'{text}'"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None where nothing is close."""
    close = difflib.get_close_matches(name[:100], list(known), n=1, cutoff=0.6)
    return close[0] if close else None
