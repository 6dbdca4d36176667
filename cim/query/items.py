"""A page of features: assembled in the database, in order, cut where it would grow too large."""

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import shown_columns
from cim.query.order import POSITION, ordered_rows
from cim.query.output.form import Output
from cim.query.output.geojson import GEOJSON
from cim.query.predicate import is_gathered, where
from cim.query.source import rows
from cim.sql import Cast, Identifier, Sql

PAGE_BYTES = 4 * 1024 * 1024
"""A page ends after the feature that brings its stored geometries to this size, whatever its limit (catalogue B23)."""

_NUMBER, _SIZE, _BODY = Identifier("#number"), Identifier("#size"), Identifier("#body")
"""Names beside those of a collection's properties, which may be called `number` or `body`."""


def page_sql(
    collection: Collection,
    query: FeatureQuery,
    scope: Scope,
    output: Output = GEOJSON,
    *,
    page_bytes: int = PAGE_BYTES,
) -> Sql:
    """One row: `body` (features in the text of `output`, UTF-8; NULL for none), `returned`, `last`, `has_more`.

    `last` is what a cursor of the next page holds: the id, or the position of a sorted query (`cim.query.order`).
    One row more than the limit is looked at, to know whether there is a next page.
    """
    assert output.text is not None
    is_sorted = bool(query.sort)
    last = Sql.of("(array_agg({} ORDER BY {} DESC) FILTER (WHERE {} IS NOT NULL))[1]", POSITION, _NUMBER, _BODY)
    return Sql.of(
        "SELECT convert_to(string_agg({}, {}), 'UTF8') AS body, count({}) AS returned, "
        "{} AS last, count(*) > count({}) AS has_more "
        "FROM (SELECT {}, CASE WHEN {} <= {} AND ({} = 1 OR {} <= {}) THEN {} END AS {} "
        "FROM (SELECT *, row_number() OVER () AS {}, "
        "COALESCE(sum(pg_column_size(geom)) OVER (ROWS UNBOUNDED PRECEDING), 0) AS {} "
        "FROM {} AS page) AS sized) AS made",
        _BODY,
        Cast(output.text.separator, "text"),
        _BODY,
        last if is_sorted else Sql.of("max(id) FILTER (WHERE {} IS NOT NULL)", _BODY),
        _BODY,
        Sql.of("{}, {}", POSITION, _NUMBER) if is_sorted else Sql.of("id"),
        _NUMBER,
        Cast(query.limit, "bigint"),
        _NUMBER,
        _SIZE,
        Cast(page_bytes, "bigint"),
        output.text.line(collection, scope, query),
        _BODY,
        _NUMBER,
        _SIZE,
        _rows_of_page(collection, query, scope, output.text.needs),
    )


def _rows_of_page(collection: Collection, query: FeatureQuery, scope: Scope, needs: tuple[str, ...]) -> Sql:
    """Sub-select of the rows that a page is made of, in order, and one more; `needs` are columns beside those shown."""
    shown = query.shown if query.shown is None else (*query.shown, *needs)
    columns, source = shown_columns(collection, scope, shown=shown), rows(collection, query, scope)
    if query.sort:
        return ordered_rows(collection, query, scope, columns, source, where(collection, query, scope))
    return Sql.of(
        "(SELECT id, geom, {} FROM {} AS feature WHERE {} ORDER BY {} LIMIT {})",
        columns,
        source,
        where(collection, query, scope, is_page=True),
        # an expression that is no index keeps the planner from walking by id
        Sql.of("COALESCE(id, '')" if is_gathered(query, scope) else "id"),
        Cast(query.limit + 1, "bigint"),
    )
