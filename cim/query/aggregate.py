"""Statistics over the features that match: how many, how much, by code or by area."""

from dataclasses import dataclass

from cim.collections.areas import CODE_LENGTHS
from cim.errors import InvalidParameter
from cim.model import Collection, Kind, Property, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.predicate import visible_properties, where
from cim.query.source import rows
from cim.sql import Cast, Identifier, Sql

MAX_GROUPS = 10_000

_DIRECTIONS = frozenset({"deg"})


@dataclass(frozen=True, slots=True)
class Grouping:
    """What the groups are named by: a property with codes, or an area level."""

    name: str
    area_digits: int | None = None


def groupable(collection: Collection, scope: Scope) -> tuple[str, ...]:
    """Names that `group-by` takes for a collection."""
    coded = [p.name for p in visible_properties(collection, scope) if p.codes is not None]
    return (*coded, *(level for level in CODE_LENGTHS if level not in coded))


def parse_grouping(collection: Collection, scope: Scope, name: str, *, parameter: str = "group-by") -> Grouping:
    """The grouping called `name`. Raises InvalidParameter."""
    allowed = groupable(collection, scope)
    if name not in allowed:
        raise InvalidParameter(parameter, name, f"must be one of {', '.join(allowed)}")
    is_property = any(p.name == name for p in visible_properties(collection, scope))
    return Grouping(name, None if is_property else CODE_LENGTHS[name])


def measured(collection: Collection, scope: Scope) -> tuple[Property, ...]:
    """Numbers with a unit: what can be summed and averaged. Directions cannot."""
    return tuple(
        p
        for p in visible_properties(collection, scope)
        if p.kind is Kind.NUMBER and p.unit is not None and p.unit not in _DIRECTIONS
    )


def aggregate_sql(collection: Collection, query: FeatureQuery, scope: Scope, grouping: Grouping | None) -> Sql:
    """One row a group: `key`, `count`, then for each of `measured`, in order, number, sum, smallest, largest.

    Rows without the value have the key NULL. The groups of an area level are codes of that level's length.
    """
    key = Sql.of("NULL::text")
    if grouping is not None and grouping.area_digits is None:
        key = Sql.of("{}", Identifier(grouping.name))
    elif grouping is not None:
        digits = Cast(grouping.area_digits, "int")
        key = Sql.of("CASE WHEN length(area_code) >= {} THEN left(area_code, {}) END", digits, digits)
    measures = [Sql.of("count({}), sum({}), min({}), max({})", *(p.column,) * 4) for p in measured(collection, scope)]
    return Sql.of(
        "SELECT key, {} FROM (SELECT {} AS key{} FROM {} AS feature WHERE {}) AS matching "
        'GROUP BY key ORDER BY key COLLATE "C" NULLS LAST LIMIT {}',
        Sql.join(", ", [Sql.of("count(*)"), *measures]),
        key,
        Sql.join("", [Sql.of(", {}", p.column) for p in measured(collection, scope)]),
        rows(collection, query, scope),
        where(collection, query, scope),
        Cast(MAX_GROUPS, "bigint"),
    )


@dataclass(slots=True)
class Measure:
    """Sum, smallest and largest of the values of one property; all None where there is none."""

    number: int = 0
    sum: float | None = None
    smallest: float | None = None
    largest: float | None = None

    def add(self, number: int, total: float | None, smallest: float | None, largest: float | None) -> None:
        """Take in the values of one group."""
        if number == 0 or total is None or smallest is None or largest is None:
            return
        self.number += number
        self.sum = total + (self.sum or 0.0)
        self.smallest = smallest if self.smallest is None else min(self.smallest, smallest)
        self.largest = largest if self.largest is None else max(self.largest, largest)

    def to_dict(self) -> dict[str, float | None]:
        """As the answer has it."""
        average = None if self.sum is None else self.sum / self.number
        return {"sum": self.sum, "avg": average, "min": self.smallest, "max": self.largest}
