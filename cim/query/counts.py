"""How many features match: exact, estimated and called so, or not said."""

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.predicate import where
from cim.query.source import rows
from cim.sql import Cast, Sql

COUNT_MODES = ("exact", "estimate")
COUNTED = 10_000
"""Up to so many an estimate is the exact number."""
SAMPLED = 50_000
"""Features that a sample looks at."""


def number_matched(collection: Collection, query: FeatureQuery, scope: Scope) -> int | None:
    """The exact number where the registry knows it and the caller may, else None: no estimate passes for a count."""
    if query.is_unfiltered and scope.area_code is None:
        return collection.feature_count
    return None


def count_sql(collection: Collection, query: FeatureQuery, scope: Scope, *, at_most: int | None = None) -> Sql:
    """One row `count`: how many match, counted to the end or to `at_most`."""
    source, condition = rows(collection, query, scope), where(collection, query, scope)
    if at_most is None:
        return Sql.of("SELECT count(*) AS count FROM {} AS feature WHERE {}", source, condition)
    return Sql.of(
        "SELECT count(*) AS count FROM (SELECT FROM {} AS feature WHERE {} LIMIT {}) AS counted",
        source,
        condition,
        Cast(at_most, "bigint"),
    )


def sample_share(collection: Collection) -> float:
    """Which part of the table's pages a sample looks at, 0 to 1; all of them where the caller may not know how many there are."""
    return min(1.0, SAMPLED / max(collection.feature_count or 1, 1))


def sample_sql(collection: Collection, query: FeatureQuery, scope: Scope) -> Sql | None:
    """One row `count` of a sample of pages, always the same one; None where the rows are not those of one table."""
    source = rows(collection, query, scope)
    if source != Sql.of("{}.{}", *collection.table):
        return None
    return Sql.of(
        "SELECT count(*) AS count FROM {} AS feature TABLESAMPLE SYSTEM ({}) REPEATABLE (0) WHERE {}",
        source,
        Cast(100 * sample_share(collection), "real"),
        where(collection, query, scope),
    )


def rounded(number: float) -> int:
    """An estimate with no more digits than it has meaning: three."""
    whole = round(number)
    digits = len(str(whole)) - 3
    return whole if digits <= 0 else round(whole, -digits)
