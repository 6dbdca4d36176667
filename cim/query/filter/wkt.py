"""Geometry literals of CQL2 text: well-known text as GeoJSON, coordinates as they stand (OGC 21-065r2, annex B)."""

from collections.abc import Callable
from typing import Any

from cim.query.filter.names import GEOMETRIES
from cim.query.filter.tokens import Kind, Tokens, number_of

_DIMENSIONS = ("Z", "M", "ZM")


def starts_geometry(tokens: Tokens) -> bool:
    """True when the next tokens begin a geometry, and not a property that is called like one."""
    if tokens.peek().kind is not Kind.NAME or tokens.peek().keyword not in GEOMETRIES:
        return False
    return tokens.peek(1).keyword in ("(", "EMPTY", *_DIMENSIONS)


def read_geometry(tokens: Tokens) -> dict[str, Any]:
    """The geometry that begins at the next token. Raises InvalidParameter."""
    kind = GEOMETRIES.get(tokens.peek().keyword)
    if kind is None:
        tokens.fail(f"expected a geometry: {', '.join(GEOMETRIES)}")
    tokens.take()
    if tokens.peek().keyword in _DIMENSIONS and not tokens.takes("Z"):
        tokens.fail("geometries have two coordinates, or three with Z")
    if tokens.peek().keyword == "EMPTY":
        tokens.fail("an empty geometry is nowhere and cannot be compared")
    if kind == "GeometryCollection":
        return {"type": kind, "geometries": _listed(tokens, _member)}
    return {"type": kind, "coordinates": _COORDINATES[kind](tokens)}


def read_box(tokens: Tokens) -> dict[str, list[float]]:
    """The numbers of `BBOX(…)`, four or six, behind the word. Raises InvalidParameter."""
    begin = tokens.peek()
    numbers = _listed(tokens, _number)
    if len(numbers) not in (4, 6):
        tokens.fail("BBOX takes four numbers, or six with heights", begin)
    return {"bbox": numbers}


def _member(tokens: Tokens) -> dict[str, Any]:
    if tokens.peek().keyword == "GEOMETRYCOLLECTION":
        tokens.fail("a collection of geometries cannot hold another one")
    return read_geometry(tokens)


def _listed(tokens: Tokens, read: Callable[[Tokens], Any]) -> list[Any]:
    """What `read` finds between parentheses, once and after each comma."""
    tokens.expect("(")
    found = [read(tokens)]
    while tokens.takes(","):
        found.append(read(tokens))
    tokens.expect(")")
    return found


def _number(tokens: Tokens) -> int | float:
    sign = -1 if tokens.takes("-") else 1
    if sign == 1:
        tokens.takes("+")
    if tokens.peek().kind is not Kind.NUMBER:
        tokens.fail("expected a number")
    token = tokens.take()
    value = number_of(token.text)
    if value is None:
        tokens.fail("the number is too large", token)
    return sign * value


def _position(tokens: Tokens) -> list[float]:
    numbers = [_number(tokens), _number(tokens)]
    if tokens.peek().keyword not in (",", ")"):
        numbers.append(_number(tokens))
    return numbers


def _one(tokens: Tokens) -> list[float]:
    """A position in parentheses of its own."""
    tokens.expect("(")
    position = _position(tokens)
    tokens.expect(")")
    return position


def _point_of_many(tokens: Tokens) -> list[float]:
    """A member of MULTIPOINT, which real clients also write without parentheses."""
    return _one(tokens) if tokens.peek().keyword == "(" else _position(tokens)


def _line(tokens: Tokens) -> list[Any]:
    return _listed(tokens, _position)


def _lines(tokens: Tokens) -> list[Any]:
    return _listed(tokens, _line)


_COORDINATES: dict[str, Callable[[Tokens], list[Any]]] = {
    "Point": _one,
    "LineString": _line,
    "Polygon": _lines,
    "MultiPoint": lambda tokens: _listed(tokens, _point_of_many),
    "MultiLineString": _lines,
    "MultiPolygon": lambda tokens: _listed(tokens, _lines),
}
