"""A page of features: assembled in the database, in the order of ids, cut where it would grow too large."""

from dataclasses import replace

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import feature_text, shown_columns
from cim.query.predicate import where
from cim.sql import Cast, Sql

PAGE_BYTES = 8 * 1024 * 1024
"""A page ends after the feature that brings its stored geometries to this size, whatever its limit (catalogue B23)."""


def page_sql(collection: Collection, query: FeatureQuery, scope: Scope) -> Sql:
    """One row: `body` (features joined by commas, UTF-8; NULL for none), `returned`, `last_id`, `has_more`.

    One row more than the limit is looked at, to know whether there is a next page.
    """
    columns = shown_columns(collection, scope)
    return Sql.of(
        "WITH page AS MATERIALIZED (SELECT id, geom, {} FROM {}.{} WHERE {} ORDER BY id LIMIT {}), "
        "sized AS (SELECT *, row_number() OVER w AS number, sum(pg_column_size(geom)) OVER w AS size FROM page "
        "WINDOW w AS (ORDER BY id ROWS UNBOUNDED PRECEDING)), "
        "kept AS (SELECT id, {} AS body FROM sized WHERE number <= {} AND (number = 1 OR COALESCE(size, 0) <= {})) "
        "SELECT convert_to(string_agg(body, ','), 'UTF8') AS body, count(*) AS returned, max(id) AS last_id, "
        "(SELECT count(*) FROM page) > count(*) AS has_more FROM kept",
        columns,
        *collection.table,
        where(collection, query, scope, is_page=True),
        Cast(query.limit + 1, "bigint"),
        feature_text(collection, scope),
        Cast(query.limit, "bigint"),
        Cast(PAGE_BYTES, "bigint"),
    )


def next_query(query: FeatureQuery, last_id: str) -> FeatureQuery:
    """The query of the page that begins behind `last_id`."""
    return replace(query, after=last_id)
