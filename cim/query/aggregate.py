"""Statistics over the features that match: how many, how much, by up to three keys, with the total of all groups."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cim.errors import InvalidParameter
from cim.model import Collection, Scope
from cim.query.cell_grid import BOX, cell_name
from cim.query.feature_query import FeatureQuery
from cim.query.grouping import Grouping, bin_of
from cim.query.measures import Measure, columns_of
from cim.query.predicate import where
from cim.query.source import rows
from cim.sql import Cast, Identifier, Sql

MAX_GROUPS = 10_000

Key = tuple[Any, ...]
Values = dict[tuple[str, str], Any]
"""(property, measure) → value."""


@dataclass(frozen=True, slots=True)
class Aggregation:
    """What statistics are wanted, of which features."""

    collection: Collection
    query: FeatureQuery
    scope: Scope
    groupings: Sequence[Grouping]
    measures: Sequence[Measure]

    @property
    def histograms(self) -> list[Measure]:
        """The measures that take a statement of their own."""
        return [one for one in self.measures if one.width is not None]

    @property
    def needs_total(self) -> bool:
        """True where the total cannot be had from the groups."""
        return bool(self.groupings) and not all(one.is_mergeable for one in self.measures)


@dataclass(slots=True)
class Group:
    """One answer: its key, the number of features, and what was measured of them."""

    key: Key
    count: int = 0
    values: Values = field(default_factory=dict)

    def merge(self, other: "Group") -> None:
        """Take in another group: counts, sums, smallest and largest."""
        self.count += other.count
        for name, value in other.values.items():
            mine = self.values.get(name)
            if value is None or mine is None:
                self.values[name] = value if mine is None else mine
            elif name[1] == "min":
                self.values[name] = min(mine, value)
            elif name[1] == "max":
                self.values[name] = max(mine, value)
            elif name[1] in ("number", "sum"):
                self.values[name] = mine + value

    def add_bin(self, property_name: str, lower: float | None, count: int) -> None:
        """Take in one bin of a histogram; features without the value are in none."""
        bins = self.values.setdefault((property_name, "histogram"), {})
        if lower is not None:
            bins[lower] = bins.get(lower, 0) + count


def _key(number: int) -> Identifier:
    return Identifier(f"group-by {number}")


def _matching(plan: Aggregation, columns: Iterable[str], more: Mapping[Identifier, Sql] | None = None) -> Sql:
    """The features that match, as their keys, `more` and what is measured."""
    taken = {_key(number): one.key for number, one in enumerate(plan.groupings) if one.grid is None}
    taken |= {**(more or {}), **{(name := Identifier(column)): Sql.of("{}", name) for column in columns}}
    has_cells = any(one.grid is not None for one in plan.groupings)
    listed = [Sql.of("{} AS {}", sql, name) for name, sql in taken.items()]
    if has_cells:
        listed.append(Sql.of("geom::box3d AS {}", BOX))
    found = Sql.of(
        "SELECT {} FROM {} AS feature WHERE {}",
        Sql.join(", ", listed) if listed else Sql.of("1 AS one"),
        rows(plan.collection, plan.query, plan.scope),
        where(plan.collection, plan.query, plan.scope),
    )
    return _in_cells(plan, found, list(taken)) if has_cells else found


def _in_cells(plan: Aggregation, found: Sql, names: list[Identifier]) -> Sql:
    """The same rows with the numbers of their cells. OFFSET keeps each step one: drawn together they are made again for each use."""
    for number, one in enumerate(plan.groupings):
        if one.grid is None:
            continue
        *steps, cell = one.grid.steps()
        for step in (*steps, Sql.of("{} AS {}", cell, _key(number))):
            carried = Sql.join("", [Sql.of("{}, ", name) for name in (*names, BOX)])
            found = Sql.of("SELECT {}{} FROM ({} OFFSET 0) AS step", carried, step, found)
        names = [*names, _key(number)]
    return Sql.of(
        "SELECT {} FROM ({} OFFSET 0) AS placed", Sql.join(", ", [Sql.of("{}", name) for name in names]), found
    )


def _order(plan: Aggregation) -> Sql:
    parts = [
        Sql.of('{} COLLATE "C" NULLS LAST' if one.is_text else "{} NULLS LAST", _key(number))
        for number, one in enumerate(plan.groupings)
    ]
    return Sql.join(", ", parts)


def aggregate_sql(plan: Aggregation) -> Sql:
    """One row a group: `is_total`, its keys, `count`, then `columns_of` the measures in order; more than MAX_GROUPS are cut.

    A row of the total comes with them where it cannot be had from the groups. Rows without the value have the key NULL.
    """
    columns = columns_of(list(plan.measures))
    measures = Sql.join("", [Sql.of(", {}", sql) for _, _, sql in columns])
    matching = _matching(plan, (name for name, _, _ in columns))
    if not plan.groupings:
        return Sql.of("SELECT true AS is_total, count(*){} FROM ({}) AS matching", measures, matching)
    keys = Sql.join(", ", [Sql.of("{}", _key(number)) for number in range(len(plan.groupings))])
    grouped = Sql.of(
        "SELECT false AS is_total, {}, count(*){} FROM {} GROUP BY {} ORDER BY {} LIMIT {}",
        keys,
        measures,
        Sql.of("matching") if plan.needs_total else Sql.of("({}) AS matching", matching),
        keys,
        _order(plan),
        Cast(MAX_GROUPS + 1, "bigint"),
    )
    if not plan.needs_total:
        return grouped
    nulls = Sql.join(", ", [Sql.of("NULL")] * len(plan.groupings))
    return Sql.of(
        "WITH matching AS MATERIALIZED ({}) SELECT * FROM ({}) AS grouped UNION ALL SELECT true, {}, count(*){} FROM matching",
        matching,
        grouped,
        nulls,
        measures,
    )


def histogram_sql(plan: Aggregation, measure: Measure) -> Sql:
    """One row a group and bin: its keys, the bin's lower edge (NULL for features without the value), how many."""
    assert measure.width is not None
    bin_name = Identifier("lower edge")
    names = [_key(number) for number in range(len(plan.groupings))] + [bin_name]
    keys = Sql.join(", ", [Sql.of("{}", name) for name in names])
    return Sql.of(
        "SELECT {}, count(*) FROM ({}) AS matching GROUP BY {} LIMIT {}",
        keys,
        _matching(plan, (), {bin_name: bin_of(measure.declared, measure.width)}),
        keys,
        Cast(10 * MAX_GROUPS + 1, "bigint"),
    )


def statistics(plan: Aggregation, found: Sequence[Any], binned: Sequence[Sequence[Any]]) -> tuple[list[Group], Group]:
    """The groups and their total, out of the rows of `aggregate_sql` and, for each of `plan.histograms`, of `histogram_sql`.

    Raises InvalidParameter where there are more groups than one answer takes.
    """
    width = len(plan.groupings)
    names = [(name, kind) for name, kind, _ in columns_of(list(plan.measures))]
    groups: dict[Key, Group] = {}
    total: Group | None = None
    for row in found:
        key, count, values = _named(plan, row[1 : 1 + width]), row[1 + width], row[2 + width :]
        group = Group(key, count, dict(zip(names, values, strict=True)))
        if row[0]:
            total = Group((), group.count, group.values)
        else:
            groups[key] = group
    if len(groups) > MAX_GROUPS or any(len(rows) > 10 * MAX_GROUPS for rows in binned):
        raise InvalidParameter(
            "group-by",
            ",".join(one.name for one in plan.groupings),
            f"gives more than {MAX_GROUPS:,} groups; ask of fewer features or coarser",
        )
    if total is None:
        total = Group(())
        total.values = dict.fromkeys(names)
        for group in groups.values():
            total.merge(group)
    for measure, rows_of_bins in zip(plan.histograms, binned, strict=True):
        for *key, lower, count in rows_of_bins:
            total.add_bin(measure.declared.name, lower, count)
            if (named := _named(plan, key)) in groups:
                groups[named].add_bin(measure.declared.name, lower, count)
    return list(groups.values()), total


def _named(plan: Aggregation, key: Sequence[Any]) -> Key:
    """A key as the answer has it: cells by column and row."""
    if all(one.grid is None for one in plan.groupings):
        return tuple(key)
    return tuple(
        value if one.grid is None else cell_name(value) for one, value in zip(plan.groupings, key, strict=True)
    )


def shapes_sql(areas: Collection, scope: Scope, codes: list[str]) -> Sql:
    """One row an area that has geometry and that the caller may see: `code`, `geometry` (GeoJSON text, CRS84)."""
    query = FeatureQuery()
    return Sql.of(
        "SELECT DISTINCT ON (code) code, ST_AsGeoJSON(geom, 6) AS geometry FROM {} AS feature "
        "WHERE code = ANY({}) AND geom IS NOT NULL AND ({}) ORDER BY code, id",
        rows(areas, query, scope),
        Cast(codes, "text[]"),
        where(areas, query, scope),
    )
