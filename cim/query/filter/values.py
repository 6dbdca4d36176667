"""What parts of a filter become: SQL that has a type, and literals that take the type of what they meet."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NoReturn

from cim.errors import InvalidParameter
from cim.interval import parse_date, parse_instant
from cim.model import Kind
from cim.sql import Cast, Identifier, Sql

_INT64 = 2**63


class Type(StrEnum):
    """Types of CQL2 (OGC 21-065r2, 6.3 and 7); JSON is a property that may hold an array."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    INTERVAL = "interval"
    GEOMETRY = "geometry"
    ARRAY = "array"
    JSON = "document"


NUMERIC = (Type.INTEGER, Type.NUMBER)
INSTANTS = (Type.DATE, Type.TIMESTAMP)
SCALAR = (Type.TEXT, *NUMERIC, Type.BOOLEAN, *INSTANTS)

TYPE_OF_KIND = {
    Kind.TEXT: Type.TEXT,
    Kind.INTEGER: Type.INTEGER,
    Kind.NUMBER: Type.NUMBER,
    Kind.BOOLEAN: Type.BOOLEAN,
    Kind.DATE: Type.DATE,
    Kind.INSTANT: Type.TIMESTAMP,
    Kind.JSON: Type.JSON,
}

_NO_SQL = Sql()

Literal = str | int | float | bool | date | datetime


@dataclass(frozen=True, slots=True)
class Expression:
    """A value of every row, or one for all: then `is_constant`.

    `shown` is what messages call it. A literal has no SQL before `bound` gives it a type. `ends` are the two
    instants of an INTERVAL, None for open. `boxes` are geometries whose boxes cover a constant GEOMETRY. `within`
    makes of a limit a condition that an index serves, and that holds wherever the value is at most the limit.
    """

    type: Type
    shown: str
    sql: Sql = _NO_SQL
    literal: Literal | None = None
    is_constant: bool = False
    ends: tuple["Expression | None", "Expression | None"] | None = None
    boxes: tuple[Sql, ...] = ()
    within: Callable[[Sql], Sql] | None = None

    @property
    def is_literal(self) -> bool:
        """True for a scalar that the filter writes out."""
        return self.literal is not None

    def described(self) -> str:
        """How a message names it: `height_m (number)`."""
        return f"{self.shown} ({self.type})"


def fail(what: Expression | str, reason: str) -> NoReturn:
    """Raise InvalidParameter about a part of the filter."""
    raise InvalidParameter("filter", what.shown if isinstance(what, Expression) else what, reason)


def literal_of(value: str | int | float | bool) -> Expression:
    """A scalar as the tree holds it. Raises InvalidParameter for a text that no database can hold."""
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value):
            fail(value, "a text holds neither NUL nor half a character")
        return Expression(Type.TEXT, f"'{value}'", literal=value, is_constant=True)
    if isinstance(value, bool):
        return Expression(Type.BOOLEAN, str(value).lower(), literal=value, is_constant=True)
    kind = Type.INTEGER if isinstance(value, int) else Type.NUMBER
    return Expression(kind, str(value), literal=value, is_constant=True)


def instant_of(text: str, kind: Type) -> Expression:
    """`DATE('…')` or `TIMESTAMP('…')`. Raises InvalidParameter."""
    value: Literal | None = parse_date(text) if kind is Type.DATE else parse_instant(text)
    if value is None:
        wanted = "YYYY-MM-DD" if kind is Type.DATE else "an RFC 3339 instant, such as 2024-05-01T00:00:00Z"
        fail(text, f"a {kind} is {wanted}")
    return Expression(kind, f"{kind.upper()}('{text}')", literal=value, is_constant=True)


def bound(value: Expression) -> Sql:
    """The SQL of an expression; a literal is bound as what it is."""
    literal = value.literal
    if literal is None:
        return value.sql
    match value.type:
        case Type.TEXT:
            return Sql.of("{}", Cast(literal, "text"))
        case Type.BOOLEAN:
            return Sql.of("{}", Cast(literal, "boolean"))
        case Type.DATE:
            return Sql.of("{}", Cast(literal, "date"))
        case Type.TIMESTAMP:
            return Sql.of("{}", Cast(literal, "timestamptz"))
        case Type.INTEGER if isinstance(literal, int):
            return _integer(literal)
    return Sql.of("{}", Cast(float(literal) if isinstance(literal, int | float) else literal, "double precision"))


def is_int64(value: float) -> bool:
    """True for what a bigint can hold."""
    return -_INT64 <= value < _INT64


def _integer(value: int) -> Sql:
    """A whole number as bigint, so that an index serves; as numeric when it is larger than one."""
    if is_int64(value):
        return Sql.of("{}", Cast(value, "bigint"))
    return Sql.of("{}", Cast(Decimal(value), "numeric"))


def as_type(value: Expression, wanted: Type) -> Expression:
    """`value` as it stands beside something of the type `wanted`: what can be one without loss becomes it.

    A whole number is a number, a number without fraction a whole one; a text that is a date or an instant is one
    (OGC 21-065r2, 6.3.3, lets a server cast); an instant is the date it lies on in UTC.
    """
    literal = value.literal
    if wanted is Type.INTEGER and isinstance(literal, float) and literal.is_integer() and abs(literal) < 2**53:
        return replace(value, type=Type.INTEGER, literal=int(literal))
    if wanted is Type.NUMBER and value.type is Type.INTEGER:
        return replace(value, type=Type.NUMBER, sql=Sql.of("({})::double precision", value.sql))
    if wanted in INSTANTS and value.type is Type.TEXT and isinstance(literal, str):
        return _dated(value, literal, wanted)
    if wanted is Type.DATE and value.type is Type.TIMESTAMP:
        return to_date(value)
    return value


def _dated(value: Expression, text: str, wanted: Type) -> Expression:
    """The instant that a text is, a date where that is asked for or all it says; else the text itself."""
    if parse_date(text) is not None:
        return instant_of(text, Type.DATE)
    if parse_instant(text) is None:
        return value
    instant = instant_of(text, Type.TIMESTAMP)
    return to_date(instant) if wanted is Type.DATE else instant


def to_date(value: Expression) -> Expression:
    """The day in UTC on which an instant lies."""
    if isinstance(value.literal, datetime):
        return replace(value, type=Type.DATE, literal=value.literal.date())
    return replace(value, type=Type.DATE, sql=Sql.of("({} AT TIME ZONE 'UTC')::date", value.sql))


def per_row(template: Sql, **operands: Sql) -> Sql:
    """`template` over the names of `operands`, which it may use several times: each is evaluated once.

    OFFSET 0 keeps the planner from writing the operands into the template, nest after nest.
    """
    columns = Sql.join(", ", [Sql.of("{} AS {}", one, Identifier(name)) for name, one in operands.items()])
    return Sql.of("(SELECT {} FROM (SELECT {} OFFSET 0) AS operands)", template, columns)


def once(sql: Sql) -> Sql:
    """An expression of parameters alone, evaluated once a statement and not once a row."""
    return Sql.of("(SELECT {})", sql)
