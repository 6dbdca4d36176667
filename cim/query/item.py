"""One feature by its id."""

from cim.crs import CRS84, Crs
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import feature_text
from cim.query.predicate import where
from cim.query.source import rows
from cim.sql import Sql


def item_sql(collection: Collection, feature_id: str, scope: Scope, *, crs: Crs = CRS84) -> Sql:
    """One row `body`, the feature as UTF-8; no row when there is none that the caller may see."""
    query = FeatureQuery()
    return Sql.of(
        "SELECT convert_to({}, 'UTF8') AS body FROM {} AS feature WHERE id = {} AND ({})",
        feature_text(collection, scope, crs=crs, is_whole=True),
        rows(collection, query, scope),
        feature_id,
        where(collection, query, scope),
    )
