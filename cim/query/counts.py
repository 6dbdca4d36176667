"""How many features match: exact, or not said."""

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery


def number_matched(collection: Collection, query: FeatureQuery, scope: Scope) -> int | None:
    """The exact number where the registry knows it, else None: no estimate passes for a count."""
    if query.is_unfiltered and scope.area_code is None:
        return collection.feature_count
    return None
