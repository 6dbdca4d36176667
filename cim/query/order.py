"""In which order features come, and what stands behind the last one: `sortby` with keyset paging.

NULLs come last in both directions. Texts compare by code point (those without an index: by their first
`TEXT_LENGTH` characters). Ties are broken by id, in the direction of the last key.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from cim.errors import InvalidParameter, UnknownProperty
from cim.model import Collection, Kind, Property, Scope
from cim.query.feature_query import FeatureQuery, SortKey
from cim.query.features import FIXED
from cim.query.predicate import is_broad, is_gathered, visible_properties
from cim.sql import Cast, Identifier, Sql

MAX_KEYS = 4
TEXT_LENGTH = 60
"""Characters of a text that decide its place, so that a cursor stays short; a text with an index decides by all of it."""

ID = Property("id", Kind.TEXT, "标识", "Id", is_indexed=True)

POSITION = Identifier("#position")
"""Column of `ordered_rows`: the sort values of a row and its id, as JSON text."""


def sortables(collection: Collection, scope: Scope) -> tuple[Property, ...]:
    """What features can be sorted by: the id and every property the caller may see but documents."""
    return tuple(p for p in (ID, *visible_properties(collection, scope), *FIXED) if p.kind is not Kind.JSON)


def parse_sort(collection: Collection, scope: Scope, keys: Iterable[str]) -> tuple[SortKey, ...]:
    """The keys that `+name` (or `name`) and `-name` stand for; what stands behind the id decides nothing and is left out.

    Raises InvalidParameter (none, too many, one twice) and UnknownProperty.
    """
    known = {p.name: p for p in sortables(collection, scope)}
    parsed: list[SortKey] = []
    for text in keys:
        name = text[1:] if text[:1] in ("+", "-") else text
        if name not in known:
            raise UnknownProperty(collection.id, name, known, parameter="sortby")
        if any(key.property.name == name for key in parsed):
            raise InvalidParameter("sortby", name, "a property can be named once")
        parsed.append(SortKey(known[name], is_descending=text[:1] == "-"))
    if not 1 <= len(parsed) <= MAX_KEYS:
        allowed = f"must name 1 to {MAX_KEYS} properties, such as -height_m,name"
        raise InvalidParameter("sortby", len(parsed), allowed)
    for place, key in enumerate(parsed, start=1):
        if key.property is ID:
            return tuple(parsed[:place])
    return tuple(parsed)


def parse_position(sort: Sequence[SortKey], text: str) -> tuple[Any, ...]:
    """The values in a text of `POSITION`, as they are bound; the id is the last."""
    values = orjson.loads(text)
    kinds = [*(key.property.kind for key in sort if key.property is not ID), Kind.TEXT]
    return tuple(_value(kind, value) for kind, value in zip(kinds, values, strict=True))


def _value(kind: Kind, value: Any) -> Any:
    match kind:
        case _ if value is None:
            return None
        case Kind.NUMBER:
            return float(value)
        case Kind.DATE:
            return date.fromisoformat(value)
        case Kind.INSTANT:
            return datetime.fromisoformat(value)
        case _:
            return value


@dataclass(frozen=True, slots=True)
class _Key:
    """A key as SQL: what is compared, its type, its direction, and its value in the last row of the page before."""

    column: Sql
    type: str
    is_descending: bool
    last: Any = None
    is_never_null: bool = False

    @property
    def direction(self) -> Sql:
        return Sql.of("DESC" if self.is_descending else "ASC")

    def behind(self) -> Sql:
        """Rows whose value comes after that of the last row and is not NULL."""
        return Sql.of("{} < {}" if self.is_descending else "{} > {}", self.column, Cast(self.last, self.type))

    def from_on(self) -> Sql:
        """The same with the rows of equal value: what an index takes as the begin of its range."""
        return Sql.of("{} <= {}" if self.is_descending else "{} >= {}", self.column, Cast(self.last, self.type))


def _keys(query: FeatureQuery) -> list[_Key]:
    """The keys of a sort, then the id."""
    last: Sequence[Any] = query.after_values or [None] * (len(query.sort) + 1)
    named = [key for key in query.sort if key.property is not ID]
    keys = []
    for key, value in zip(named, last, strict=False):
        column = Sql.of("{}", key.property.column)
        if key.property.kind is Kind.TEXT and not key.property.is_indexed:
            column = Sql.of('left({}, {}) COLLATE "C"', column, Cast(TEXT_LENGTH, "int"))
        keys.append(_Key(column, key.property.kind.sql_type, key.is_descending, value, key.is_never_null))
    return [*keys, _Key(Sql.of("id"), "text", query.sort[-1].is_descending, last[-1] if query.after_values else None)]


def _after(keys: Sequence[_Key]) -> Sql:
    """Rows behind the last one; the last key, the id, is never NULL."""
    first, *rest = keys
    if not rest:
        return first.behind()
    if first.last is None:
        return Sql.of("({} IS NULL AND {})", first.column, _after(rest))
    equal = Sql.of("({} = {} AND {})", first.column, Cast(first.last, first.type), _after(rest))
    return Sql.of("({} OR {} IS NULL OR {})", first.behind(), first.column, equal)


def _order(keys: Sequence[_Key]) -> Sql:
    """By values with NULLs last, in words that no index has: rows are gathered first, then sorted."""
    parts = [
        Sql.of("{} {}", key.column, key.direction)
        if key.is_never_null
        else Sql.of("({} IS NULL), {} {}", key.column, key.column, key.direction)
        for key in keys[:-1]
    ]
    return Sql.join(", ", [*parts, Sql.of("{} {}", keys[-1].column, keys[-1].direction)])


def placed(query: FeatureQuery) -> tuple[Sql, Sql]:
    """The condition that a row comes behind the last one (empty on the first page), and the order in words that no index has."""
    keys = _keys(query)
    return (_after(keys) if query.after_values else Sql()), _order(keys)


def is_narrow(collection: Collection, query: FeatureQuery, scope: Scope) -> bool:
    """True when a condition leaves few rows, so that gathering and sorting them beats walking an index in order."""
    return (
        is_gathered(query, scope)
        or query.ids is not None
        or query.geometry is not None
        or (query.bbox is not None and not is_broad(collection, query))
    )


def _value_name(place: int) -> Identifier:
    return Identifier(f"#{place}")


def _position(values: Sequence[Sql]) -> Sql:
    """Where a page stands; of gathered rows it is made behind their limit: for each of 100,000 rows it would take half the time."""
    return Sql.of("json_build_array({})::text AS {}", Sql.join(", ", values), POSITION)


def ordered_rows(
    collection: Collection, query: FeatureQuery, scope: Scope, columns: Sql, source: Sql, condition: Sql
) -> Sql:
    """Sub-select of `id, geom, <columns>, POSITION` of a sorted query: one row more than the limit, in order.

    Where the first key has an index and no condition is narrow the index is walked: rows with a value, then those
    without. `condition` is what features must meet, without the position.
    """
    keys = _keys(query)
    values = [Sql.of("{} AS {}", key.column, _value_name(place)) for place, key in enumerate(keys)]
    position = _position([key.column for key in keys])
    taken = Sql.of("SELECT id, geom, {}, {} FROM {} AS feature WHERE {}", columns, position, source, condition)
    count = Cast(query.limit + 1, "bigint")
    is_later = bool(query.after_values)
    if query.sort[0].property is ID:
        more = Sql.of(" AND {}", keys[0].behind()) if is_later else Sql()
        return Sql.of("({}{} ORDER BY id {} LIMIT {})", taken, more, keys[0].direction, count)
    if not query.sort[0].property.is_indexed or is_narrow(collection, query, scope):
        gathered = Sql.of(
            "SELECT id, geom, {}, {} FROM {} AS feature WHERE {}", columns, Sql.join(", ", values), source, condition
        )
        more = Sql.of(" AND {}", _after(keys)) if is_later else Sql()
        named = _position([Sql.of("{}", _value_name(place)) for place in range(len(keys))])
        return Sql.of(
            "(SELECT *, {} FROM ({}{} ORDER BY {} LIMIT {}) AS gathered)", named, gathered, more, _order(keys), count
        )
    first, *rest = keys
    with_value = Sql.of(
        "({} AND {} ORDER BY {} {}, {} LIMIT {})",
        taken,
        _walked(first, rest) if is_later else Sql.of("{} IS NOT NULL", first.column),
        first.column,
        first.direction,
        _order(rest),
        count,
    )
    behind = Sql.of(" AND {}", _after(rest)) if is_later and first.last is None else Sql()
    without = Sql.of("({} AND {} IS NULL{} ORDER BY {} LIMIT {})", taken, first.column, behind, _order(rest), count)
    if is_later and first.last is None:
        return without
    return Sql.of("(SELECT * FROM ({} UNION ALL {}) AS parts LIMIT {})", with_value, without, count)


def _walked(first: _Key, rest: Sequence[_Key]) -> Sql:
    """Rows with a value behind the last one, as a range of the index on (value, id)."""
    if len(rest) == 1 and rest[0].is_descending == first.is_descending:
        sign = "<" if first.is_descending else ">"
        values = Cast(first.last, first.type), Cast(rest[0].last, "text")
        return Sql.of("({}, id) " + sign + " ({}, {})", first.column, *values)
    return Sql.of("{} AND ({} OR {})", first.from_on(), first.behind(), _after(rest))
