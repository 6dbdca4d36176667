"""Arrays as sets: literals, and properties that hold a JSON array (OGC 21-065r2, 7.7).

Both sides are `jsonb`; a property that holds something else than an array gives NULL.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from cim.query.filter.limits import Node, is_geometry
from cim.query.filter.values import Expression, Type, bound, fail, instant_of, literal_of
from cim.sql import Cast, Sql

_TYPE_NAMES = {"date": Type.DATE, "timestamp": Type.TIMESTAMP}


def is_written_out(node: Node) -> bool:
    """True for an element without property or operation inside it."""
    if isinstance(node, list):
        return all(is_written_out(member) for member in node)
    if isinstance(node, dict) and "interval" in node:
        return all(is_written_out(end) for end in node["interval"])
    return not isinstance(node, dict) or not ("op" in node or "property" in node)


def literal_array(node: list[Node], geometry: Callable[[Node], str]) -> Expression:
    """An array of literals, bound as one value; `geometry` checks one and gives its GeoJSON text."""
    text = json.dumps(_plain(node, geometry))
    return Expression(Type.ARRAY, "the array", Sql.of("{}", Cast(text, "jsonb")), is_constant=True)


def _plain(node: Node, geometry: Callable[[Node], str]) -> Any:
    """An element as JSON holds it: dates and instants as texts, intervals as pairs of them."""
    if isinstance(node, list):
        return [_plain(member, geometry) for member in node]
    if is_geometry(node):
        return json.loads(geometry(node))
    if isinstance(node, dict):
        if "interval" in node:
            return _plain(node["interval"], geometry)
        name = next(name for name in _TYPE_NAMES if name in node)
        instant_of(node[name], _TYPE_NAMES[name])
        return node[name]
    return literal_of(node).literal


def array_of(members: Sequence[Expression]) -> Expression:
    """An array some of whose elements differ from row to row."""
    for member in members:
        if member.type in (Type.GEOMETRY, Type.INTERVAL):
            fail(member, f"{member.described()} cannot stand in an array beside properties")
    built = Sql.of("jsonb_build_array({})", Sql.join(", ", [bound(member) for member in members]))
    return Expression(Type.ARRAY, "the array", built)


def array(operator: str, left: Expression, right: Expression) -> Sql:
    """An A_ function; NULL where a property holds no array. Raises InvalidParameter for what cannot hold one."""
    for operand in (left, right):
        if operand.type not in (Type.ARRAY, Type.JSON):
            fail(operand, f"{operator.upper()} compares arrays, not {operand.described()}")
    holds = _holds(operator, left.sql, right.sql)
    properties = [operand for operand in (left, right) if operand.type is Type.JSON]
    if not properties:
        return Sql.of("({})", holds)
    are_arrays = Sql.join(" AND ", [Sql.of("jsonb_typeof({}) = 'array'", one.sql) for one in properties])
    return Sql.of("CASE WHEN {} THEN {} END", are_arrays, holds)


def _holds(operator: str, first: Sql, second: Sql) -> Sql:
    match operator:
        case "a_contains":
            return Sql.of("{} @> {}", first, second)
        case "a_containedBy":
            return Sql.of("{} <@ {}", first, second)
        case "a_equals":
            return Sql.of("{} @> {} AND {} <@ {}", first, second, first, second)
    return Sql.of(
        "EXISTS (SELECT 1 FROM jsonb_array_elements({}) AS cim_elements(cim_element) "
        "WHERE {} @> jsonb_build_array(cim_element))",
        first,
        second,
    )
