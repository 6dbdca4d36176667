"""Pages of features that have a word: few features are read, however many have it and wherever.

Three steps, each only where the ones before do not fill the page: the next few features are read one by one, whatever they
hold; then the first of those that the index of words names; then all of these. Reading a feature takes 5 µs, naming one
half a microsecond.
"""

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.order import placed
from cim.query.predicate import where
from cim.query.text_search import contains
from cim.sql import Cast, Identifier, Sql

WALKED, WALKED_EACH = 200, 3
"""Features of the first step: so many, and so many more for each feature of the page."""
NAMED = 20_000
"""Features of the second step, read one after the other until the page is full."""
WALKED_FROM = 20_000
"""A smaller collection is always gathered."""

_ALONE = Sql.of("pg_my_temp_schema() >= 0")
"""True; and a function that parallel workers may not call: to start these takes 20 ms, ten times what most words take."""


def ids_by_words(collection: Collection, query: FeatureQuery, scope: Scope, source: Sql, gathered: Sql) -> Sql:
    """Ids of the page and of one feature more; `gathered` gives them out of all that have the words.

    A word that one of twenty features has is found by the walk, one that begins far behind the cursor among the named; only
    where the pairs of characters of a word are often there, and the word is not, is everything read.
    """
    count, after = Cast(query.limit + 1, "bigint"), Sql()
    if query.after is not None:
        after = Sql.of(" WHERE id > {}", query.after)
    return Sql.of(
        "WITH walked AS MATERIALIZED (SELECT id FROM (SELECT * FROM {}{} ORDER BY id LIMIT {}) AS feature WHERE {} ORDER BY id LIMIT {}), "
        "named AS MATERIALIZED (SELECT id{} FROM {} AS feature WHERE {} AND (SELECT count(*) FROM walked) < {} AND {} "
        "ORDER BY COALESCE(id, '') LIMIT {}), "
        "read AS MATERIALIZED (SELECT id FROM named AS feature WHERE {} LIMIT {}) "
        "SELECT id FROM walked WHERE (SELECT count(*) FROM walked) = {} UNION ALL SELECT id FROM read "
        "UNION ALL SELECT id FROM ({}) AS gathered WHERE (SELECT count(*) FROM read) < {} AND (SELECT count(*) FROM named) = {}",
        source,
        after,
        Cast(WALKED + WALKED_EACH * query.limit, "bigint"),
        where(collection, query, scope, is_page=True, by_index=False),
        count,
        _texts(collection),
        source,
        _ALONE,
        count,
        where(collection, query, scope, is_page=True, reads=False),
        Cast(NAMED, "bigint"),
        contains(collection, scope, query.terms),
        count,
        count,
        gathered,
        count,
        Cast(NAMED, "bigint"),
    )


def ids_in_order(collection: Collection, query: FeatureQuery, scope: Scope, source: Sql) -> Sql:
    """Ids of a sorted page and of one feature more: the first of those that the index names are read until the page is full.

    Only where these do not fill it is all read that the index names.
    """
    behind, order = placed(query)
    more = Sql.of(" AND {}", behind) if behind else Sql()
    count, named = Cast(query.limit + 1, "bigint"), Cast(NAMED, "bigint")
    return Sql.of(
        "WITH named AS MATERIALIZED (SELECT id{} FROM {} AS feature WHERE {} AND {}{} ORDER BY {} LIMIT {}), "
        "read AS MATERIALIZED (SELECT id FROM named AS feature WHERE {} LIMIT {}) SELECT id FROM read "
        "UNION ALL SELECT id FROM (SELECT id FROM {} AS feature WHERE {}{} AND (SELECT count(*) FROM read) < {} "
        "AND (SELECT count(*) FROM named) = {} ORDER BY {} LIMIT {}) AS gathered",
        _texts(collection),
        source,
        _ALONE,
        where(collection, query, scope, reads=False),
        more,
        order,
        named,
        contains(collection, scope, query.terms),
        count,
        source,
        where(collection, query, scope),
        more,
        count,
        named,
        order,
        count,
    )


def _texts(collection: Collection) -> Sql:
    """The columns of texts, to be written behind another."""
    return Sql.join("", [Sql.of(", {}", Identifier(name)) for name in collection.searched_columns()])
