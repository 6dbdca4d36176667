"""CASEI and ACCENTI: texts without what does not matter, and the patterns of LIKE."""

from dataclasses import replace

from cim.query.filter.values import Expression, Type, bound, fail, once
from cim.sql import Cast, Sql

_WILDCARDS = "%_\\"


def casei(value: Expression) -> Expression:
    """The text in lower case, folded in full: ß is ss, ς is σ (OGC 21-065r2, /req/case-insensitive-comparison)."""
    folded = Sql.of(
        'lower(upper({} COLLATE "und-x-icu") COLLATE "und-x-icu") COLLATE "C"',
        _text_of(value, "CASEI"),
    )
    return _folded(value, "CASEI", folded)


def accenti(value: Expression) -> Expression:
    """The text without accents (OGC 21-065r2, /req/accent-insensitive-comparison).

    Canonical decomposition takes off marks; letters with a stroke, which have none, are listed. Dakuten and handakuten
    stay (/rec/accent-insensitive-comparison/japanese-non-spacing-marks).
    """
    bare = Sql.of(
        "translate(normalize(regexp_replace(normalize({}, NFD), '[\\u0300-\\u036f]', '', 'g'), NFC), "
        "'øØłŁđĐħĦŧŦ', 'oOlLdDhHtT') COLLATE \"C\"",
        _text_of(value, "ACCENTI"),
    )
    return _folded(value, "ACCENTI", bare)


def _text_of(value: Expression, name: str) -> Sql:
    if value.type is not Type.TEXT:
        fail(value, f"{name} takes a text, not {value.described()}")
    return bound(value)


def _folded(value: Expression, name: str, sql: Sql) -> Expression:
    grouped = once(sql) if value.is_constant else Sql.of("({})", sql)
    return replace(value, shown=f"{name}({value.shown})", sql=grouped, literal=None)


def pattern_of(text: str) -> Expression:
    """The pattern of LIKE: `%` any characters, `_` one, `\\` before either for itself.

    A backslash before any other character is left out, so that none stands at the end once accents are gone.
    Raises InvalidParameter when one stands there from the start.
    """
    kept: list[str] = []
    characters = iter(text)
    for character in characters:
        if character != "\\":
            kept.append(character)
            continue
        escaped = next(characters, None)
        if escaped is None:
            fail(text, "a pattern does not end with the escape character \\")
        kept.append("\\" + escaped if escaped in _WILDCARDS else escaped)
    return Expression(Type.TEXT, f"'{text}'", sql=Sql.of("{}", Cast("".join(kept), "text")), is_constant=True)


def like(value: Expression, pattern: Expression) -> Sql:
    """LIKE (OGC 21-065r2, /req/advanced-comparison-operators/like-predicate)."""
    if value.type is not Type.TEXT:
        fail(value, f"LIKE takes a text, not {value.described()}")
    return Sql.of("{} LIKE {}", bound(value), bound(pattern))
