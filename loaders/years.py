"""The year that a text says: plainly, roughly, or on one side only."""

import re
from dataclasses import dataclass

_PLAIN = re.compile(r"(\d{4})年?|(\d{4})(?:[-/.年]\d{1,2}(?!\d).*|(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])?)")
_ONE_SIDED = re.compile(r"\b(?:before|after|until|till|since|by|pre|post)\b|[<>≤≥]|前|后|後", re.I)
_FIRST_YEAR = re.compile(r"[^\d]{0,12}(\d{4})(?!\d)")
_AGE = re.compile(
    r"(?:~|c\.?\s*|(?:early|mid|late)\s+)?C\d{1,2}|[\d一二三四五六七八九十]+\s*(?:年代|世纪|世紀).*|\d{1,2}(?:st|nd|rd|th) century.*",
    re.I,
)


@dataclass(frozen=True, slots=True)
class SaidYear:
    """`year` is None where the text gives a bound or an age only. `is_rough`: the text says less than the year does."""

    year: int | None
    is_rough: bool


def read_year(text: str) -> SaidYear | None:
    """What a text says about a year, None where it says nothing.

    A date is its year. `~1890`, `1890s`, `1980年代` and `1905..1908` are their first year, roughly. `before 1939`,
    `1990年以前`, `C19` and `80年代` name no year that could be stored.
    """
    text = text.strip()
    plain = _PLAIN.fullmatch(text)
    if plain:
        return SaidYear(int(plain.group(1) or plain.group(2)), False)
    first = _FIRST_YEAR.match(text)
    if first:
        return SaidYear(None if _ONE_SIDED.search(text) else int(first.group(1)), True)
    return SaidYear(None, True) if _AGE.fullmatch(text) else None
