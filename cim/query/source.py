"""Where the rows of a question come from: what stands behind FROM in every statement of the read path."""

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.sql import Sql


def rows(collection: Collection, query: FeatureQuery, scope: Scope) -> Sql:
    """The table of the collection, or a sub-select with the same columns where the caller sees less or asks of another time."""
    del query, scope
    return Sql.of("{}.{}", *collection.table)
