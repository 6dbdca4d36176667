"""One feature by its id."""

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import feature_text
from cim.query.predicate import where
from cim.query.source import rows
from cim.sql import Sql

_AS_IT_IS = FeatureQuery()


def item_sql(collection: Collection, feature_id: str, scope: Scope, query: FeatureQuery = _AS_IT_IS) -> Sql:
    """One row `body`, the feature as UTF-8 as `query` wants it; no row when there is none that the caller may see."""
    return Sql.of(
        "SELECT convert_to({}, 'UTF8') AS body FROM {} AS feature WHERE id = {} AND ({})",
        feature_text(
            collection, scope, crs=query.crs, shown=query.shown, has_geometry=query.has_geometry, is_whole=True
        ),
        rows(collection, query, scope),
        feature_id,
        where(collection, query, scope),
    )
