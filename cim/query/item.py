"""One feature by its id."""

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import feature_text
from cim.query.predicate import where
from cim.sql import Sql


def item_sql(collection: Collection, feature_id: str, scope: Scope) -> Sql:
    """One row `body`, the feature as UTF-8; no row when there is none that the caller may see."""
    return Sql.of(
        "SELECT convert_to({}, 'UTF8') AS body FROM {}.{} WHERE id = {} AND ({})",
        feature_text(collection, scope, is_whole=True),
        *collection.table,
        feature_id,
        where(collection, FeatureQuery(), scope),
    )
