"""The features nearest to a place, on the spheroid, nearest first. One page of them: there is no cursor."""

from cim.model import Collection, Kind, Property, Scope
from cim.query.feature_query import FeatureQuery, Reference
from cim.query.order import is_narrow
from cim.query.relations import fits, measured
from cim.sql import Cast, Identifier, Sql

MAX_NEAREST = 1_000

SHOWN_DISTANCE = Property("distance_m", Kind.NUMBER, "距离", "Distance", unit="m")
"""What the nearest show beside their own properties: metres from the place to the centimetre, 0 where they meet it."""

_DISTANCE = Identifier("#distance")


def nearest_rows(
    collection: Collection, query: FeatureQuery, scope: Scope, columns: Sql, source: Sql, condition: Sql
) -> Sql:
    """Sub-select of `id, geom, <columns>` and the distance, nearest first, one row more than the limit.

    The spatial index gives as many by distance in degrees; none of the nearest in metres is farther away than the
    farthest of these, so all within that distance are measured. Where a condition leaves few rows all are measured.
    """
    assert query.nearest is not None
    place, count = query.nearest.geometry, Cast(query.limit + 1, "bigint")
    metres = Sql.of(
        "CASE WHEN {} THEN ST_Distance(geom::geography, (SELECT ground FROM ({}) AS other)) END",
        fits("geom"),
        measured(Sql.of("SELECT {} AS place", place), Cast(0.0, "float8")),
    )
    taken = Sql.of(
        "SELECT id, geom, {}, {} AS {} FROM {} AS feature WHERE {}", columns, metres, _DISTANCE, source, condition
    )
    if not is_narrow(collection, query, scope):
        taken = Sql.of("{} AND geom && {}", taken, _reach(query.nearest, metres, source, condition, count))
    shown = Sql()
    if not collection.has(SHOWN_DISTANCE.name):
        shown = Sql.of(", round({}::numeric, 2)::float8 AS {}", _DISTANCE, SHOWN_DISTANCE.column)
    return Sql.of(
        "(SELECT *{} FROM ({}) AS measured WHERE {} IS NOT NULL ORDER BY {}, id LIMIT {})",
        shown,
        taken,
        _DISTANCE,
        _DISTANCE,
        count,
    )


def _reach(reference: Reference, metres: Sql, source: Sql, condition: Sql, count: Cast) -> Sql:
    """The box in which the nearest lie, evaluated once a statement; NULL where no feature has a place."""
    close = Sql.of(
        "SELECT {} AS metres FROM {} AS feature WHERE {} AND geom IS NOT NULL ORDER BY geom <-> {} LIMIT {}",
        metres,
        source,
        condition,
        reference.geometry,
        count,
    )
    farthest = Sql.of("(SELECT max(metres) FROM ({}) AS close)", close)
    return Sql.of(
        "(SELECT reach FROM ({}) AS other)", measured(Sql.of("SELECT {} AS place", reference.geometry), farthest)
    )
