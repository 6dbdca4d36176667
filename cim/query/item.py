"""Features by their ids."""

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import feature_text
from cim.query.predicate import where
from cim.query.shapes import Shapes
from cim.query.shown import area_column, as_shown
from cim.query.source import rows
from cim.sql import Cast, Sql

AS_IT_IS = FeatureQuery()
"""A feature as it is now, whole, in CRS84."""

_SHAPES = Shapes()

VERSION = Sql.of("to_hex((extract(epoch FROM recorded_at) * 1000000)::bigint)")
"""Expression: names a version of a feature, whatever it is shown as."""


def item_sql(collection: Collection, ids: list[str], scope: Scope, query: FeatureQuery = AS_IT_IS) -> Sql:
    """A row of each feature: its `id`, `body` (UTF-8) as `query` wants it, and the `version` of what is stored.

    No row of one that there is not, or that the caller may not see.
    """

    def composed(ids: list[str]) -> Sql:
        return _composed(collection, ids, scope, query)

    return _SHAPES.item(collection, ids, query, scope, composed)


def _composed(collection: Collection, ids: list[str], scope: Scope, query: FeatureQuery) -> Sql:
    shown_as, _, shown = as_shown(collection, scope, query)
    source = rows(collection, query, scope)
    if query.has_areas:
        source = Sql.of("(SELECT *{} FROM {} AS feature)", area_column(collection, scope, query), source)
    return Sql.of(
        "SELECT id, convert_to({}, 'UTF8') AS body, {} AS version FROM {} AS feature WHERE id = ANY({}) AND ({})",
        feature_text(shown_as, scope, crs=query.crs, shown=shown.shown, has_geometry=query.has_geometry, is_whole=True),
        VERSION,
        source,
        Cast(ids, "text[]"),
        where(collection, query, scope),
    )
