"""Arithmetic that has a result or NULL for every row, never an error (OGC 21-065r2, 7.9).

`+`, `-`, `*`, `%` and `div` of whole numbers give whole numbers, exact below 10^38. Everything else gives numbers in
double precision; factors, dividends and divisors count from 10^-150 to 10^150. What lies beyond, a division by zero
and a power that is no real number are NULL.
"""

from cim.query.filter.values import NUMERIC, Expression, Type, bound, fail, per_row
from cim.sql import Sql

_EXACT = {
    "+": "({})::numeric + ({})::numeric",
    "-": "({})::numeric - ({})::numeric",
    "*": "({})::numeric * ({})::numeric",
    "%": "mod(({})::numeric, NULLIF(({})::numeric, 0))",
    "div": "div(({})::numeric, NULLIF(({})::numeric, 0))",
}
_WITHIN_38_DIGITS = "CASE WHEN abs(r) < 1e38 THEN r END"

_FLOATING = {
    "+": "CASE WHEN abs(x) < 8e307 AND abs(y) < 8e307 THEN x + y END",
    "-": "CASE WHEN abs(x) < 8e307 AND abs(y) < 8e307 THEN x - y END",
    "*": "CASE WHEN x IS NULL OR y IS NULL THEN NULL WHEN x = 0 OR y = 0 THEN 0 "
    "WHEN abs(x) BETWEEN 1e-150 AND 1e150 AND abs(y) BETWEEN 1e-150 AND 1e150 THEN x * y END",
    "/": "CASE WHEN abs(y) BETWEEN 1e-150 AND 1e150 AND x = 0 THEN 0 "
    "WHEN abs(x) BETWEEN 1e-150 AND 1e150 AND abs(y) BETWEEN 1e-150 AND 1e150 THEN x / y END",
    "div": "CASE WHEN abs(y) BETWEEN 1e-150 AND 1e150 AND x = 0 THEN 0 "
    "WHEN abs(x) BETWEEN 1e-150 AND 1e150 AND abs(y) BETWEEN 1e-150 AND 1e150 THEN trunc(x / y) END",
    "%": "CASE WHEN abs(x) <= 1e150 AND abs(y) BETWEEN 1e-150 AND 1e150 "
    "THEN mod(x::numeric, y::numeric)::double precision END",
    "^": "CASE WHEN x IS NULL OR y IS NULL OR abs(y) > 1e6 THEN NULL "
    "WHEN x = 0 THEN CASE WHEN y > 0 THEN 0 WHEN y = 0 THEN 1 END "
    "WHEN x < 0 AND y <> trunc(y) THEN NULL "
    "WHEN abs(y * ln(abs(x))) > 690 THEN NULL ELSE power(x, y) END",
}


def arithmetic(operator: str, left: Expression, right: Expression) -> Expression:
    """The result of two numbers; NULL where one is. Raises InvalidParameter for what is no number."""
    for operand in (left, right):
        if operand.type not in NUMERIC:
            fail(operand, f"{operand.described()} is no number to calculate with")
    is_exact = operator in _EXACT and left.type is right.type is Type.INTEGER
    if is_exact:
        sql = per_row(Sql.of(_WITHIN_38_DIGITS), r=Sql.of(_EXACT[operator], bound(left), bound(right)))
    else:
        x, y = (Sql.of("({})::double precision", bound(operand)) for operand in (left, right))
        sql = per_row(Sql.of(_FLOATING[operator]), x=x, y=y)
    return Expression(
        Type.INTEGER if is_exact else Type.NUMBER,
        f"({left.shown} {operator} {right.shown})",
        sql,
        is_constant=left.is_constant and right.is_constant,
    )
