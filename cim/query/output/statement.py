"""The statements of an export that is written to a file: all rows that match, in no order, and their types."""

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.output.files import row_columns
from cim.query.output.form import Output
from cim.query.predicate import where
from cim.query.source import rows
from cim.sql import Sql


def export_sql(collection: Collection, query: FeatureQuery, scope: Scope, output: Output) -> Sql:
    """One row a feature: its text (UTF-8), or the columns that the file needs."""
    if output.text is None:
        shown = row_columns(collection, scope, output, query)
    else:
        shown = Sql.of("convert_to({}, 'UTF8')", output.text.line(collection, scope, query))
    return Sql.of(
        "SELECT {} FROM {} AS feature WHERE {}",
        shown,
        rows(collection, query, scope),
        where(collection, query, scope),
    )


def geometry_types_sql(collection: Collection, query: FeatureQuery, scope: Scope) -> Sql:
    """The types of geometry among the rows of `export_sql`, one a row, as PostGIS names them (POLYGON); NULL for none."""
    return Sql.of(
        "SELECT DISTINCT GeometryType(geom) FROM {} AS feature WHERE {}",
        rows(collection, query, scope),
        where(collection, query, scope),
    )
