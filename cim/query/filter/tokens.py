"""CQL2 text cut into tokens (OGC 21-065r2, annex B). Positions are characters, counted from 0."""

import math
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import NoReturn

from cim.errors import InvalidParameter
from cim.query.filter.limits import MAX_BYTES, too_complex

MAX_DIGITS = 40
"""Digits of a whole number."""

_START = (
    ":_A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1ffe\u200c-\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_PART = _START + "\\.0-9\u0300-\u036f\u203f-\u2040"
_SPACE = "\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

_TOKEN = re.compile(
    rf"(?P<space>[{_SPACE}]+)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<string>'(?:[^'\\]|''|\\.)*+')"
    r'|(?P<quoted>"(?:[^"]|"")++")'
    rf"|(?P<name>[{_START}][{_PART}]*)"
    r"|(?P<sign><>|<=|>=|[-+*/%^(),<>=])",
    re.DOTALL,
)
_ESCAPE = re.compile(r"''|\\(.)", re.DOTALL)
_CONTROLS = {"a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}


class Kind(Enum):
    """What a token is; SIGN is an operator, a parenthesis or a comma."""

    NUMBER = auto()
    STRING = auto()
    QUOTED = auto()
    NAME = auto()
    SIGN = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is what it says: a string without quotes and escapes, a sign or name as written."""

    kind: Kind
    text: str
    position: int

    @property
    def keyword(self) -> str:
        """The name or sign in capitals, "" for anything that can be no keyword."""
        return self.text.upper() if self.kind in (Kind.NAME, Kind.SIGN) else ""


class Tokens:
    """The tokens of a text, read one after the other."""

    def __init__(self, text: str) -> None:
        """Raises InvalidParameter for what is no token, FilterTooComplex for more than `MAX_BYTES`."""
        if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            raise too_complex(f"it has more than {MAX_BYTES:,} bytes")
        self._source = text
        self._tokens = self._read()
        self._next = 0

    def _read(self) -> list[Token]:
        found = []
        position = 0
        while position < len(self._source):
            match = _TOKEN.match(self._source, position)
            if match is None:
                self._refuse_character(position)
            if match.lastgroup != "space":
                found.append(_token(match, position))
            position = match.end()
        found.append(Token(Kind.END, "", len(self._source)))
        return found

    def _refuse_character(self, position: int) -> NoReturn:
        if self._source[position] in "'\"":
            self.fail_at(position, "the quote is not closed")
        self.fail_at(position, f"{self._source[position]!r} is not part of CQL2")

    def peek(self, ahead: int = 0) -> Token:
        """The next token, which stays."""
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def take(self) -> Token:
        """The next token."""
        token = self.peek()
        self._next += 1
        return token

    def takes(self, keyword: str) -> bool:
        """True when the next token was `keyword`; then it is taken."""
        if self.peek().keyword != keyword:
            return False
        self._next += 1
        return True

    def expect(self, keyword: str) -> None:
        """Take `keyword`. Raises InvalidParameter when something else stands there."""
        if not self.takes(keyword):
            self.fail(f"expected {keyword}")

    def fail(self, reason: str, token: Token | None = None) -> NoReturn:
        """Raise InvalidParameter that says where: at `token`, the next one by default."""
        at = token or self.peek()
        self.fail_at(at.position, reason)

    def fail_at(self, position: int, reason: str) -> NoReturn:
        """Raise InvalidParameter for the character at `position`."""
        rest = self._source[position : position + 20]
        where = f"before {rest!r}" if rest else "where the text ends"
        raise InvalidParameter("filter", self._source, f"at character {position + 1}, {where}: {reason}")


def _token(match: re.Match[str], position: int) -> Token:
    kind = Kind[(match.lastgroup or "").upper()]
    text = match[0]
    if kind is Kind.STRING:
        text = _ESCAPE.sub(_unescaped, text[1:-1])
    elif kind is Kind.QUOTED:
        text = text[1:-1].replace('""', '"')
    return Token(kind, text, position)


def _unescaped(match: re.Match[str]) -> str:
    """What an escape in a literal stands for (/req/cql2-text/escaping); any other backslash stays, as LIKE needs it."""
    escaped = match[1]
    if escaped is None or escaped == "'":
        return "'"
    if escaped == "\\":
        return "\\"
    return _CONTROLS.get(escaped, match[0])


def number_of(text: str) -> int | float | None:
    """The number that a NUMBER token writes: whole ones exactly; None when it is too long or too large."""
    if text.isdigit():
        return int(text) if len(text) <= MAX_DIGITS else None
    value = float(text)
    return value if math.isfinite(value) else None
