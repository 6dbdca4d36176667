"""One feature by its id."""

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import feature_text
from cim.query.predicate import where
from cim.query.shapes import Shapes
from cim.query.shown import area_column, as_shown
from cim.query.source import rows
from cim.sql import Sql

_AS_IT_IS = FeatureQuery()
_SHAPES = Shapes()

VERSION = Sql.of("to_hex((extract(epoch FROM recorded_at) * 1000000)::bigint)")
"""Expression: names a version of a feature, whatever it is shown as."""


def item_sql(collection: Collection, feature_id: str, scope: Scope, query: FeatureQuery = _AS_IT_IS) -> Sql:
    """One row: `body`, the feature as UTF-8 as `query` wants it, and the `version` of what is stored.

    No row when there is none that the caller may see.
    """

    def composed(text: str) -> Sql:
        return _composed(collection, text, scope, query)

    return _SHAPES.item(collection, feature_id, query, scope, composed)


def _composed(collection: Collection, feature_id: str, scope: Scope, query: FeatureQuery) -> Sql:
    shown_as, _, shown = as_shown(collection, scope, query)
    source = rows(collection, query, scope)
    if query.has_areas:
        source = Sql.of("(SELECT *{} FROM {} AS feature)", area_column(collection, scope, query), source)
    return Sql.of(
        "SELECT convert_to({}, 'UTF8') AS body, {} AS version FROM {} AS feature WHERE id = {} AND ({})",
        feature_text(shown_as, scope, crs=query.crs, shown=shown.shown, has_geometry=query.has_geometry, is_whole=True),
        VERSION,
        source,
        feature_id,
        where(collection, query, scope),
    )
