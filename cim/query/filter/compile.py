"""The CQL2-JSON tree → bound SQL over the rows of a collection, types checked on the way.

The text of the SQL depends on the shape of the filter only. NULL behaves as in SQL, which is what OGC 21-065r2 (6.2)
asks for: a filter that is NULL for a feature does not select it.
"""

from collections.abc import Mapping, Sequence

from cim.crs import Crs
from cim.errors import UnknownProperty
from cim.model import Collection, Scope
from cim.query.filter.arithmetic import arithmetic
from cim.query.filter.arrays import array, array_of, is_written_out, literal_array
from cim.query.filter.compare import between, comparison, membership
from cim.query.filter.folding import accenti, casei, like, pattern_of
from cim.query.filter.functions import Context, Resolve, find_function
from cim.query.filter.limits import Node, is_geometry
from cim.query.filter.names import ARITHMETIC, ARRAY, COMPARISON, LOGICAL, PREDICATES, SPATIAL, TEMPORAL, TEXTUAL
from cim.query.filter.spatial import checked_geometry, geometry_literal, spatial
from cim.query.filter.temporal import interval_of, temporal
from cim.query.filter.values import TYPE_OF_KIND, Expression, Type, bound, fail, instant_of, literal_of
from cim.query.predicate import visible_properties
from cim.sql import Identifier, Sql

FIXED = {
    "id": (Type.TEXT, "id"),
    "geometry": (Type.GEOMETRY, "geom"),
    "geom": (Type.GEOMETRY, "geom"),
    "area_code": (Type.TEXT, "area_code"),
    "valid_from": (Type.TIMESTAMP, "valid_from"),
    "valid_to": (Type.TIMESTAMP, "valid_to"),
}
"""What every collection can be asked by beside its properties: name → type and column."""

_CONDITIONS = (*LOGICAL, *COMPARISON, *PREDICATES, *SPATIAL, *TEMPORAL, *ARRAY)


def compile_filter(
    node: Node,
    collection: Collection,
    scope: Scope,
    crs: Crs,
    *,
    resolve: Resolve | None = None,
    names: Mapping[str, str] | None = None,
) -> Sql:
    """The condition that a tree of `parse_text` or `parse_json` puts to the rows of `collection`.

    Coordinates of `node` are in `crs`, its axes in the authority's order. Properties hidden from `scope` do not exist.
    `resolve` finds the collections that functions name; where `names` (name → column) are given, no other name is known.
    Raises UnknownProperty, UnknownFunction, InvalidParameter (types that do not fit, geometry that is none), FilterTooComplex.
    """
    return _condition(node, Context(collection, scope, crs, resolve, names))


def _condition(node: Node, context: Context) -> Sql:
    """A part that must be true, false or NULL."""
    if node is True or node is False:
        return Sql.of("TRUE" if node else "FALSE")
    if isinstance(node, dict) and node.get("op") in _CONDITIONS:
        return _predicate(node["op"], node["args"], context)
    value = _value(node, context)
    if value.type is not Type.BOOLEAN:
        fail(value, f"{value.described()} is no condition; compare it with something")
    return bound(value)


def _predicate(operator: str, operands: list[Node], context: Context) -> Sql:
    if operator in ("and", "or"):
        joined = Sql.join(" AND " if operator == "and" else " OR ", [_condition(one, context) for one in operands])
        return Sql.of("({})", joined)
    match operator:
        case "not":
            return Sql.of("(NOT ({}))", _condition(operands[0], context))
        case "isNull":
            return _is_null(_value(operands[0], context))
        case "like":
            return Sql.of("({})", like(_value(operands[0], context), _pattern(operands[1], context)))
        case "in":
            return Sql.of("({})", membership(_value(operands[0], context), _values(operands[1], context)))
    values = _values(operands, context)
    if operator == "between":
        return Sql.of("({})", between(*values))
    left, right = values
    if operator in COMPARISON:
        return Sql.of("({})", comparison(operator, left, right))
    if operator in SPATIAL:
        return Sql.of("({})", spatial(operator, left, right))
    return temporal(operator, left, right) if operator in TEMPORAL else array(operator, left, right)


def _is_null(value: Expression) -> Sql:
    if value.ends is not None:
        ends = [Sql.of("{} IS NULL", bound(end)) for end in value.ends if end is not None]
        return Sql.of("({})", Sql.join(" OR ", ends)) if ends else Sql.of("FALSE")
    return Sql.of("({} IS NULL)", bound(value))


def _pattern(node: Node, context: Context) -> Expression:
    """What stands behind LIKE: a text, or CASEI and ACCENTI of one."""
    if isinstance(node, str):
        literal_of(node)
        return pattern_of(node)
    if isinstance(node, dict) and node.get("op") in TEXTUAL:
        inner = _pattern(node["args"][0], context)
        return casei(inner) if node["op"] == "casei" else accenti(inner)
    return fail("LIKE", "a pattern is a text in single quotes, or CASEI or ACCENTI of one")


def _values(nodes: Sequence[Node], context: Context) -> list[Expression]:
    return [_value(node, context) for node in nodes]


def _value(node: Node, context: Context) -> Expression:
    """A part that has a value."""
    if isinstance(node, list):
        return _array(node, context)
    if not isinstance(node, dict):
        return literal_of(node)
    if is_geometry(node):
        return geometry_literal(node, context.crs)
    if "op" in node:
        return _operation(node["op"], node["args"], context)
    if "property" in node:
        return _property(node["property"], context)
    if "interval" in node:
        return interval_of([_end(end, context) for end in node["interval"]])
    if "date" in node:
        return instant_of(node["date"], Type.DATE)
    return instant_of(node["timestamp"], Type.TIMESTAMP)


def _operation(operator: str, operands: list[Node], context: Context) -> Expression:
    if operator in _CONDITIONS:
        return Expression(Type.BOOLEAN, f"the condition {operator}", _predicate(operator, operands, context))
    values = _values(operands, context)
    if operator in ARITHMETIC:
        return arithmetic(operator, *values)
    if operator in TEXTUAL:
        return casei(values[0]) if operator == "casei" else accenti(values[0])
    return find_function(operator)(context, values)


def _array(node: list[Node], context: Context) -> Expression:
    if is_written_out(node):
        return literal_array(node, lambda found: checked_geometry(found, context.crs))
    return array_of(_values(node, context))


def _end(node: Node, context: Context) -> Expression | None:
    """An end of an interval, None for `..`."""
    return None if node == ".." else _value(node, context)


def _property(name: str, context: Context) -> Expression:
    stored = name if context.names is None else context.names.get(name)
    if stored in FIXED:
        kind, column = FIXED[stored]
        return Expression(kind, name, Sql.of("{}", Identifier(column)))
    known = visible_properties(context.collection, context.scope)
    for declared in known:
        if declared.name == stored:
            return Expression(TYPE_OF_KIND[declared.kind], name, Sql.of("{}", declared.column))
    columns = [*FIXED, *(declared.name for declared in known)]
    names = columns if context.names is None else [one for one, column in context.names.items() if column in columns]
    raise UnknownProperty(context.collection.id, name, names, parameter="filter")
