"""Comparisons of scalars: `=` and its like, BETWEEN, IN (OGC 21-065r2, 6.6 and 7.2)."""

from collections.abc import Sequence
from decimal import Decimal

from cim.query.filter.values import (
    INSTANTS,
    NUMERIC,
    SCALAR,
    Expression,
    Type,
    as_type,
    bound,
    fail,
    is_int64,
)
from cim.sql import Cast, Sql

_INSTEAD = {
    Type.GEOMETRY: "S_EQUALS and its like compare geometries",
    Type.INTERVAL: "T_EQUALS and its like compare intervals",
    Type.ARRAY: "A_EQUALS and its like compare arrays",
    Type.JSON: "A_EQUALS and its like compare arrays",
}

_OPERATORS = {
    "=": Sql.of("="),
    "<>": Sql.of("<>"),
    "<": Sql.of("<"),
    ">": Sql.of(">"),
    "<=": Sql.of("<="),
    ">=": Sql.of(">="),
}

_TURNED = {">": "<", ">=": "<=", "=": "="}
"""The operator that says the same with its sides exchanged, where one side is at most the other."""

_SQL_TYPES = {
    Type.TEXT: "text[]",
    Type.BOOLEAN: "boolean[]",
    Type.DATE: "date[]",
    Type.TIMESTAMP: "timestamptz[]",
}


def comparison(operator: str, left: Expression, right: Expression) -> Sql:
    """Two scalars compared; NULL where one is. Raises InvalidParameter when they cannot be."""
    first, second = comparable(left, right)
    exact = compared(operator, first, second)
    near = _near(operator, first, second) or _near(_TURNED.get(operator, ""), second, first)
    return Sql.of("{} AND {}", near, exact) if near else exact


def _near(operator: str, value: Expression, limit: Expression) -> Sql:
    """What follows from `value` being at most a constant `limit`; the empty statement where nothing does."""
    if operator not in ("<", "<=", "=") or value.within is None or not limit.is_constant:
        return Sql()
    return value.within(bound(limit))


def compared(operator: str, left: Expression | Sql, right: Expression | Sql) -> Sql:
    """Two values of types that are known to fit."""
    first, second = (side if isinstance(side, Sql) else bound(side) for side in (left, right))
    return Sql.of("{} {} {}", first, _OPERATORS[operator], second)


def between(value: Expression, low: Expression, high: Expression) -> Sql:
    """Both ends included; NULL where one of the three is."""
    return Sql.of("{} BETWEEN {} AND {}", *(bound(one) for one in comparable(value, low, high)))


def membership(value: Expression, items: Sequence[Expression]) -> Sql:
    """True where `value` equals an item. Literals travel as one array, so that the text does not depend on how many."""
    first, *others = comparable(value, *items)
    if all(item.is_literal for item in others):
        return Sql.of("{} = ANY({})", bound(first), _array(first.type, others))
    return Sql.of("{} IN ({})", bound(first), Sql.join(", ", [bound(item) for item in others]))


def _array(kind: Type, items: Sequence[Expression]) -> Cast:
    values = [item.literal for item in items]
    if kind in _SQL_TYPES:
        return Cast(values, _SQL_TYPES[kind])
    numbers = [value for value in values if isinstance(value, int | float)]
    if kind is Type.INTEGER and all(isinstance(value, int) for value in numbers):
        if all(is_int64(value) for value in numbers):
            return Cast(numbers, "bigint[]")
        return Cast([Decimal(value) for value in numbers], "numeric[]")
    return Cast([float(value) for value in numbers], "double precision[]")


def comparable(*values: Expression) -> list[Expression]:
    """The same values of types that can be compared with one another. Raises InvalidParameter."""
    for value in values:
        if value.type not in SCALAR:
            fail(value, f"{value.described()} cannot be compared: {_INSTEAD[value.type]}")
    anchor = _anchor(values)
    made = [as_type(value, anchor.type) for value in values]
    types = {value.type for value in made}
    if types == {*INSTANTS}:
        made = [as_type(value, Type.DATE) for value in made]
    elif len(types) > 1 and not types <= {*NUMERIC}:
        other = next(value for value in made if value.type not in _beside(anchor.type))
        hint = "; write DATE('2024-05-01') or TIMESTAMP('2024-05-01T00:00:00Z')" if anchor.type in INSTANTS else ""
        fail(other, f"{anchor.described()} cannot be compared with {other.described()}{hint}")
    return made


def _anchor(values: Sequence[Expression]) -> Expression:
    """The value whose type the others take: one that varies, else one that is more than a text."""
    varying = [value for value in values if not value.is_literal]
    typed = [value for value in values if value.type is not Type.TEXT]
    return (varying or typed or list(values))[0]


def _beside(kind: Type) -> tuple[Type, ...]:
    if kind in NUMERIC:
        return NUMERIC
    return INSTANTS if kind in INSTANTS else (kind,)
