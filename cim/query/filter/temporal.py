"""Instants and intervals: the T_ functions (OGC 21-065r2, 7.6; relations as OWL-Time defines them).

Intervals include both ends. Where a date meets an instant, both are compared as dates in UTC.
"""

from collections.abc import Sequence

from cim.query.filter.compare import compared
from cim.query.filter.values import INSTANTS, Expression, Type, as_type, fail
from cim.sql import Sql

_START, _END = 0, 1

_Relation = tuple[tuple[int, str, int], ...]
"""Ends of the first against ends of the second; all must hold."""

_OF_ANY: dict[str, _Relation] = {
    "t_after": ((_START, ">", _END),),
    "t_before": ((_END, "<", _START),),
    "t_equals": ((_START, "=", _START), (_END, "=", _END)),
    "t_intersects": ((_START, "<=", _END), (_END, ">=", _START)),
}
_OF_INTERVALS: dict[str, _Relation] = {
    "t_contains": ((_START, "<", _START), (_END, ">", _END)),
    "t_during": ((_START, ">", _START), (_END, "<", _END)),
    "t_finishedBy": ((_START, "<", _START), (_END, "=", _END)),
    "t_finishes": ((_START, ">", _START), (_END, "=", _END)),
    "t_meets": ((_END, "=", _START),),
    "t_metBy": ((_START, "=", _END),),
    "t_overlappedBy": ((_START, ">", _START), (_START, "<", _END), (_END, ">", _END)),
    "t_overlaps": ((_START, "<", _START), (_END, ">", _START), (_END, "<", _END)),
    "t_startedBy": ((_START, "=", _START), (_END, ">", _END)),
    "t_starts": ((_START, "=", _START), (_END, "<", _END)),
}

_OPEN = {
    (_START, Type.DATE): Sql.of("'-infinity'::date"),
    (_END, Type.DATE): Sql.of("'infinity'::date"),
    (_START, Type.TIMESTAMP): Sql.of("'-infinity'::timestamptz"),
    (_END, Type.TIMESTAMP): Sql.of("'infinity'::timestamptz"),
}


def interval_of(ends: Sequence[Expression | None]) -> Expression:
    """`INTERVAL(…, …)`, an end None for open. Raises InvalidParameter: no instants, an end before its start."""
    made = [None if end is None else _instant(end, "INTERVAL") for end in ends]
    start, end = made
    shown = f"INTERVAL({', '.join('..' if one is None else one.shown for one in made)})"
    if start is not None and end is not None and start.is_literal and end.is_literal:
        first, last = _alike([start, end])
        if first.literal > last.literal:  # type: ignore[operator]
            fail(shown, "the interval ends before it starts")
    is_constant = all(one is None or one.is_constant for one in made)
    return Expression(Type.INTERVAL, shown, is_constant=is_constant, ends=(start, end))


def temporal(operator: str, left: Expression, right: Expression) -> Sql:
    """A T_ function. Raises InvalidParameter for what is no instant or interval."""
    first, second = (_ends_of(operand, operator) for operand in (left, right))
    if operator == "t_disjoint":
        parts = [_related(_OF_ANY[name], first, second) for name in ("t_before", "t_after")]
        return Sql.of("({} OR {})", *parts)
    return Sql.of("({})", _related(_OF_ANY.get(operator) or _OF_INTERVALS[operator], first, second))


def _ends_of(operand: Expression, operator: str) -> list[Expression | None]:
    if operand.ends is not None:
        return list(operand.ends)
    instant = _instant(operand, operator.upper())
    if operator in _OF_INTERVALS:
        fail(
            operand,
            f"{operator.upper()} compares intervals, not {instant.described()}; T_INTERSECTS takes instants too",
        )
    return [instant, instant]


def _instant(value: Expression, name: str) -> Expression:
    made = as_type(value, Type.TIMESTAMP)
    if made.type not in INSTANTS:
        fail(value, f"{name} takes dates, timestamps and intervals of them, not {value.described()}")
    return made


def _alike(values: Sequence[Expression]) -> list[Expression]:
    """The instants as dates where one of them is a date."""
    has_date = any(value.type is Type.DATE for value in values)
    return [as_type(value, Type.DATE) for value in values] if has_date else list(values)


def _related(relation: _Relation, first: Sequence[Expression | None], second: Sequence[Expression | None]) -> Sql:
    given = [value for value in (*first, *second) if value is not None]
    alike = iter(_alike(given))
    made = [None if value is None else next(alike) for value in (*first, *second)]
    kind = Type.DATE if any(value is not None and value.type is Type.DATE for value in made) else Type.TIMESTAMP
    conditions = []
    for left, operator, right in relation:
        sides = [(made[left], left), (made[2 + right], right)]
        conditions.append(compared(operator, *(_OPEN[end, kind] if value is None else value for value, end in sides)))
    return Sql.join(" AND ", conditions)
