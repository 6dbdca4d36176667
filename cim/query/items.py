"""A page of features: assembled in the database, in order, cut where it would grow too large."""

from dataclasses import dataclass

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import shown_columns
from cim.query.kept import VERSION, kept_beside, kept_body, reads_kept
from cim.query.masking import sees_whole
from cim.query.nearest import nearest_rows
from cim.query.order import POSITION, ordered_rows
from cim.query.output.form import Output
from cim.query.output.geojson import GEOJSON
from cim.query.predicate import is_gathered, where
from cim.query.shapes import BoxShape, Shapes, is_open, is_plain
from cim.query.shown import area_column, as_shown
from cim.query.source import rows
from cim.query.word_pages import WALKED_FROM, ids_by_words, ids_in_order
from cim.sql import Cast, Sql

PAGE_BYTES = 4 * 1024 * 1024
"""A page ends after the feature that brings its stored geometries to this size, whatever its limit (catalogue B23)."""

LIGHT_LIMIT = 50
LIGHT_FEATURES = 500
"""Of a page that shares a statement: its limit, and how many features are to be expected in its box."""

_SHAPES = Shapes()


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
    The nearest features show their `distance_m`.
    One row more than the limit is looked at, to know whether there is a next page. Sizes are added up row by row only
    on a page whose sum is over the budget. The LIMIT keeps `made` a step of its own: drawn into the aggregates above
    it, the text of every feature would be made once for each of them.
    """

    def composed(asked: FeatureQuery) -> Sql:
        return _composed(collection, asked, scope, output, page_bytes)

    return _SHAPES.page(collection, query, scope, (output.f, page_bytes), composed)


@dataclass(frozen=True, slots=True)
class _Written:
    """How the gathered rows of a page become its text: the `size` stored of each, its `body`, and all of them `joined`.

    `beside`: what the body is taken from, joined to the rows.
    """

    rows: Sql
    size: Sql
    body: Sql
    joined: Sql
    beside: Sql


def box_shape(collection: Collection, query: FeatureQuery, scope: Scope, output: Output) -> BoxShape | None:
    """What gives `page_sql` of this and of other boxes by one statement; None for pages that are worth one of their own."""
    bounds, count = collection.extent.bounds_crs84, collection.feature_count
    if query.bbox is None or query.after is not None or query.limit > LIGHT_LIMIT or not is_plain(query):
        return None
    if bounds is None or count is None or not is_open(collection, scope):
        return None
    if query.bbox.share_of(bounds) * count > LIGHT_FEATURES:
        return None

    def composed(asked: FeatureQuery) -> Sql:
        return _composed(collection, asked, scope, output, PAGE_BYTES)

    return _SHAPES.boxes(collection, query, scope, (output.f, PAGE_BYTES), composed)


def _written(collection: Collection, query: FeatureQuery, scope: Scope, output: Output) -> _Written:
    assert output.text is not None
    if output is GEOJSON and reads_kept(collection, query, scope):
        rows, joined = _in_order(collection, query, scope, VERSION), Sql.of("string_agg(body, ','::bytea)")
        return _Written(rows, Sql.of("size"), kept_body(collection), joined, kept_beside(collection))
    body = output.text.line(*as_shown(collection, scope, query))
    joined = Sql.of("convert_to(string_agg(body, {}), 'UTF8')", Cast(output.text.separator, "text"))
    rows = page_rows(collection, query, scope, output.text.needs)
    return _Written(rows, Sql.of("pg_column_size(geom)"), body, joined, Sql())


def _composed(collection: Collection, query: FeatureQuery, scope: Scope, output: Output, page_bytes: int) -> Sql:
    written = _written(collection, query, scope, output)
    return Sql.of(
        "WITH page AS MATERIALIZED {}, "
        "total AS MATERIALIZED (SELECT count(*) AS number, COALESCE(sum({}), 0) AS size FROM page) "
        "SELECT {} AS body, count(*) AS returned, "
        "{} AS last, (SELECT number FROM total) > count(*) AS has_more "
        "FROM (SELECT {} AS last, {} AS body FROM page {} LIMIT (SELECT CASE WHEN size <= {} THEN {} ELSE {} END FROM total)) AS made",
        written.rows,
        written.size,
        written.joined,
        Sql.of("(array_agg(last))[count(*)]" if query.sort else "max(last)"),
        Sql.of("{}", POSITION) if query.sort else Sql.of("id"),
        written.body,
        written.beside,
        Cast(page_bytes, "bigint"),
        Cast(query.limit, "bigint"),
        _within_budget(query.limit, page_bytes, written.size),
    )


def _within_budget(limit: int, page_bytes: int, size: Sql) -> Sql:
    """Sub-select of how many of the first rows of `page` are within the budget; the first one is always sent."""
    return Sql.of(
        "(SELECT LEAST(GREATEST(count(*), 1), {}) FROM "
        "(SELECT sum({}) OVER (ROWS UNBOUNDED PRECEDING) AS size FROM page) AS sized WHERE size <= {})",
        Cast(limit, "bigint"),
        size,
        Cast(page_bytes, "bigint"),
    )


def page_rows(collection: Collection, query: FeatureQuery, scope: Scope, needs: tuple[str, ...] = ()) -> Sql:
    """Sub-select of the rows that a page is made of, in order, and one more; `needs` are columns beside those shown."""
    shown = query.shown if query.shown is None else (*query.shown, *needs)
    columns, source = shown_columns(collection, scope, shown=shown), rows(collection, query, scope)
    columns = Sql.of("{}{}", columns, area_column(collection, scope, query)) if query.has_areas else columns
    if query.nearest is not None:
        return nearest_rows(collection, query, scope, columns, source, where(collection, query, scope))
    if query.sort:
        condition = where(collection, query, scope)
        if _is_large(collection, query, scope):
            condition = Sql.of("id = ANY(ARRAY({}))", ids_in_order(collection, query, scope, source))
        return ordered_rows(collection, query, scope, columns, source, condition)
    return _in_order(collection, query, scope, Sql.of("id, geom, {}", columns))


def _in_order(collection: Collection, query: FeatureQuery, scope: Scope, columns: Sql) -> Sql:
    """Sub-select of the rows in the order of their ids, and one more."""
    count, condition = Cast(query.limit + 1, "bigint"), where(collection, query, scope, is_page=True)
    source = rows(collection, query, scope)
    if not is_gathered(query, scope):
        return Sql.of("(SELECT {} FROM {} AS feature WHERE {} ORDER BY id LIMIT {})", columns, source, condition, count)
    # an expression that is no index keeps the planner from walking by id; ids alone are sorted in a third of the time
    first = Sql.of("SELECT id FROM {} AS feature WHERE {} ORDER BY COALESCE(id, '') LIMIT {}", source, condition, count)
    if query.known_at is not None or not sees_whole(collection, scope):
        return Sql.of(
            "(SELECT {} FROM {} AS feature WHERE {} ORDER BY COALESCE(id, '') LIMIT {})",
            columns,
            source,
            condition,
            count,
        )
    if _is_large(collection, query, scope):
        first = ids_by_words(collection, query, scope, source, first)
    return Sql.of("(SELECT {} FROM {} AS feature WHERE id = ANY(ARRAY({})) ORDER BY id)", columns, source, first)


def _is_large(collection: Collection, query: FeatureQuery, scope: Scope) -> bool:
    """True where words are asked for in so many features that reading all that the index names may take long."""
    is_stored = query.known_at is None and sees_whole(collection, scope)
    return bool(query.terms) and is_stored and (collection.feature_count or 0) >= WALKED_FROM
