"""Features that a question refers to: one by collection and id, some by a filter, or a place written out.

They are asked for under the same rights as their own collection is: what is hidden there cannot be found from here.
"""

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery, Reference
from cim.query.predicate import geometry_of, where
from cim.query.source import rows
from cim.sql import Cast, Sql

MAX_REFERRED = 1_000
"""Features that a reference may stand for."""
COUNTED = 10_000
"""Up to so many are counted to say how many there are."""


def place_written(parameter: str, shown: str, text: str) -> Reference:
    """A place: checked GeoJSON text in CRS84 (`cim.query.geometry`)."""
    return Reference(parameter, shown, geometry_of(text), areas=text if "Polygon" in text else None)


def one_feature(parameter: str, collection: Collection, scope: Scope, feature_id: str) -> Reference:
    """The feature of that id, if the caller may see it."""
    members = _members(collection, scope, FeatureQuery(ids=(feature_id,)), 1)
    return Reference(
        parameter,
        f"{collection.id}/{feature_id}",
        Sql.of("(SELECT place FROM ({}) AS referred)", members),
        counted=_counted(members),
        is_one=True,
    )


def some_features(parameter: str, shown: str, collection: Collection, scope: Scope, query: FeatureQuery) -> Reference:
    """The features of a collection that meet `query`, as many as may be referred to."""
    members = _members(collection, scope, query, MAX_REFERRED)
    return Reference(
        parameter,
        shown,
        Sql.of("(SELECT ST_Union(place) FROM ({}) AS referred)", members),
        several=Sql.of("SELECT place FROM ({}) AS referred WHERE place IS NOT NULL", members),
        counted=_counted(_members(collection, scope, query, COUNTED + 1)),
        areas=query.filter_areas,
    )


def _members(collection: Collection, scope: Scope, query: FeatureQuery, at_most: int) -> Sql:
    return Sql.of(
        "SELECT geom AS place FROM {} AS feature WHERE {} LIMIT {}",
        rows(collection, query, scope),
        where(collection, query, scope),
        Cast(at_most, "bigint"),
    )


def _counted(members: Sql) -> Sql:
    return Sql.of("SELECT count(*) AS found, count(place) AS placed FROM ({}) AS referred", members)
