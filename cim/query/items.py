"""A page of features: assembled in the database, in the order of ids, cut where it would grow too large."""

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import feature_text, shown_columns
from cim.query.predicate import is_gathered, where
from cim.query.source import rows
from cim.sql import Cast, Sql

PAGE_BYTES = 4 * 1024 * 1024
"""A page ends after the feature that brings its stored geometries to this size, whatever its limit (catalogue B23)."""


def page_sql(collection: Collection, query: FeatureQuery, scope: Scope) -> Sql:
    """One row: `body` (features joined by commas, UTF-8; NULL for none), `returned`, `last_id`, `has_more`.

    One row more than the limit is looked at, to know whether there is a next page.
    """
    return Sql.of(
        "SELECT convert_to(string_agg(body, ','), 'UTF8') AS body, count(body) AS returned, "
        "max(id) FILTER (WHERE body IS NOT NULL) AS last_id, count(*) > count(body) AS has_more "
        "FROM (SELECT id, CASE WHEN number <= {} AND (number = 1 OR size <= {}) THEN {} END AS body "
        "FROM (SELECT *, row_number() OVER () AS number, "
        "COALESCE(sum(pg_column_size(geom)) OVER (ROWS UNBOUNDED PRECEDING), 0) AS size "
        "FROM (SELECT id, geom, {} FROM {} AS feature WHERE {} ORDER BY {} LIMIT {}) AS page) AS sized) AS made",
        Cast(query.limit, "bigint"),
        Cast(PAGE_BYTES, "bigint"),
        feature_text(collection, scope, crs=query.crs),
        shown_columns(collection, scope),
        rows(collection, query, scope),
        where(collection, query, scope, is_page=True),
        # an expression that is no index keeps the planner from walking by id
        Sql.of("COALESCE(id, '')" if is_gathered(query, scope) else "id"),
        Cast(query.limit + 1, "bigint"),
    )
