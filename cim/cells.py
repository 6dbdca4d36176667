"""Cells of tables that a spreadsheet opens: text that looks like a formula is made inert, and restored on import.

The rule (CWE-1236, catalogue B45): a text that begins with `=`, `+`, `-`, `@`, a tab or a carriage return gets one
apostrophe in front; so does one that begins with apostrophes and then one of these, so that the rule can be undone.
What is no text (numbers, dates, truth values) is left as it is.
"""

import re

RISKY = r"^'*[=+@\t\r-]"
"""Pattern of the texts that get an apostrophe, as Python and PostgreSQL read it."""

ESCAPED = r"^'('*[=+@\t\r-])"
"""Pattern of the texts that lose one again."""

_RISKY = re.compile(RISKY)
_NUMBER = re.compile(r"[+-]\d+(?:\.\d*)?(?:[eE][+-]?\d+)?", re.ASCII)


def inert(text: str, *, may_be_number: bool = False) -> str:
    """A cell that a spreadsheet does not take for a formula.

    `may_be_number`: the cell is of a column without a type, so that -118.25 is left as it is.
    """
    if may_be_number and _NUMBER.fullmatch(text):
        return text
    return "'" + text if _RISKY.match(text) else text
