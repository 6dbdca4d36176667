"""The statements of an export that is written to a file: all rows that match, in no order unless one is asked for."""

from dataclasses import replace

from cim.model import Collection, Scope
from cim.query.counts import count_sql
from cim.query.feature_query import FeatureQuery
from cim.query.items import page_rows
from cim.query.output.files import row_columns
from cim.query.output.form import Output
from cim.query.predicate import where
from cim.query.shown import as_shown
from cim.query.source import rows
from cim.sql import Sql

_EVERY = 2**62


def export_sql(collection: Collection, query: FeatureQuery, scope: Scope, output: Output) -> Sql:
    """One row a feature: its text (UTF-8), or the columns that the file needs. Of `nearest` as many as `limit` says."""
    if output.text is None:
        shown = row_columns(*as_shown(collection, scope, query), output)
    else:
        shown = Sql.of("convert_to({}, 'UTF8')", output.text.line(*as_shown(collection, scope, query)))
    needs = () if output.text is None else output.text.needs
    return Sql.of("SELECT {} FROM {}", shown, _rows(collection, query, scope, needs))


def export_count_sql(collection: Collection, query: FeatureQuery, scope: Scope) -> Sql:
    """One row `count`: how many rows `export_sql` gives."""
    if query.nearest is None:
        return count_sql(collection, query, scope)
    return Sql.of("SELECT count(*) AS count FROM {}", _rows(collection, query, scope))


def geometry_types_sql(collection: Collection, query: FeatureQuery, scope: Scope) -> Sql:
    """The types of geometry among the rows of `export_sql`, one a row, as PostGIS names them (POLYGON); NULL for none."""
    plain = replace(query, sort=(), has_areas=False)
    return Sql.of("SELECT DISTINCT GeometryType(geom) FROM {}", _rows(collection, plain, scope))


def _rows(collection: Collection, query: FeatureQuery, scope: Scope, needs: tuple[str, ...] = ()) -> Sql:
    """What stands behind FROM. The order of a sorted sub-select is that of the statement: nothing above it joins or groups."""
    if query.sort or query.nearest is not None or query.has_areas:
        every = replace(query, limit=_EVERY if query.nearest is None else query.limit - 1)  # there comes one row more
        return Sql.of("{} AS feature", page_rows(collection, every, scope, needs))
    return Sql.of("{} AS feature WHERE {}", rows(collection, query, scope), where(collection, query, scope))
