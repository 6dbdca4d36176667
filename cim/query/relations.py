"""How features lie to other features: within, meeting, near, seeing them. The others come from `cim.query.reference`.

One other is a scalar of the statement, so that its box is looked up in the spatial index once. Several are taken first,
each is looked up, and what was found is asked for by id: rows of the asked collection are never compared with all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cim.errors import InvalidParameter
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery, Reference, Relation
from cim.query.masking import hides, is_masked
from cim.query.source import rows
from cim.sql import Cast, Sql

MAX_DISTANCE_M = 100_000.0
SIGHT = ("direction_deg", "field_of_view_deg", "range_m")
"""Properties of what sees: clockwise from north, the whole angle, metres."""
MAX_RANGE_M = 20_000.0
"""Nothing is seen farther than this."""


@dataclass(frozen=True, slots=True)
class _Other:
    """Of one other feature, as SQL: its geometry, the box around it that is reached, and it on the spheroid."""

    place: Sql
    reach: Sql
    ground: Sql


_Test = Callable[[_Other], Sql]

_FITS = "ST_XMax({g}) - ST_XMin({g}) < 180 AND ST_YMax({g}) - ST_YMin({g}) < 180"
"""An edge of 180 degrees is not one edge on the spheroid, and an error there: such geometries are near to nothing."""


def fits(name: str) -> Sql:
    """The condition that a geometry, called `name`, can be measured on the spheroid."""
    return Sql.of(_FITS.replace("{g}", name))


def measured(places: Sql, metres: Sql | Cast) -> Sql:
    """Statement of `place`, `reach` (its box, so many metres larger or more) and `ground` of a statement of `place`.

    A degree of latitude has more than 109,000 m; near a pole and across the antimeridian every longitude is reached.
    """
    return Sql.of(
        "SELECT place, ST_Expand(place, CASE WHEN north + d > 85 OR ST_XMin(place) - d / cos(radians(north + d)) < -180 "
        "OR ST_XMax(place) + d / cos(radians(north + d)) > 180 THEN 360 ELSE d / cos(radians(north + d)) END, d) AS reach, "
        "CASE WHEN {} THEN place::geography END AS ground "
        "FROM (SELECT place, GREATEST(abs(ST_YMin(place)), abs(ST_YMax(place))) AS north, {} / 109000 AS d "
        "FROM ({}) AS given) AS measured",
        fits("place"),
        metres,
        places,
    )


def _related(
    collection: Collection, scope: Scope, reference: Reference, test: _Test, *, metres: float = 0.0, joins: bool = True
) -> Relation:
    """The relation that `test` puts to a row (`id`, `geom`, …) and an other one."""
    reached = Cast(metres, "float8")
    if reference.several is not None and joins and not is_masked(collection, scope):
        found = Sql.of(
            "id = ANY(ARRAY(WITH others AS MATERIALIZED ({}) SELECT id FROM others, {} AS asked WHERE {}))",
            measured(reference.several, reached),
            rows(collection, FeatureQuery(), scope),
            test(_Other(Sql.of("others.place"), Sql.of("others.reach"), Sql.of("others.ground"))),
        )
        return Relation(found)
    other = measured(Sql.of("SELECT {} AS place", reference.geometry), reached)
    reach = Sql.of("(SELECT reach FROM ({}) AS other)", other)
    ground = Sql.of("(SELECT ground FROM ({}) AS other)", other)
    return Relation(test(_Other(reference.geometry, reach, ground)), reach)


def intersecting(collection: Collection, scope: Scope, reference: Reference, *, joins: bool = True) -> Relation:
    """Features that have a point in common with one of the others. `joins` False: rows of another time are asked for."""

    def test(other: _Other) -> Sql:
        return Sql.of("geom && {} AND ST_Intersects(geom, {})", other.reach, other.place)

    return _related(collection, scope, reference, test, joins=joins)


def lying_within(collection: Collection, scope: Scope, reference: Reference, *, joins: bool = True) -> Relation:
    """Features of which no part lies outside one of the others; what touches its edge from inside lies within."""

    def test(other: _Other) -> Sql:
        return Sql.of("geom && {} AND ST_CoveredBy(geom, {})", other.reach, other.place)

    return _related(collection, scope, reference, test, joins=joins)


def near(collection: Collection, scope: Scope, reference: Reference, metres: float, *, joins: bool = True) -> Relation:
    """Features at most so many metres from one of the others, on the spheroid, 0 where they meet."""

    def test(other: _Other) -> Sql:
        return Sql.of(
            "geom && {} AND CASE WHEN {} THEN ST_DWithin(geom::geography, {}, {}) END",
            other.reach,
            fits("geom"),
            other.ground,
            Cast(metres, "float8"),
        )

    return _related(collection, scope, reference, test, metres=metres, joins=joins)


def seeing(
    collection: Collection, scope: Scope, reference: Reference, *, parameter: str = "sees", joins: bool = True
) -> Relation:
    """Points that have a place in sight: within `range_m` of it, and it within half of `field_of_view_deg` of `direction_deg`.

    Of a place that is no point, one on it counts. Walls hide nothing. A camera without a range sees nothing, one without
    a direction only if it sees all around. Raises InvalidParameter for a collection that has no sight.
    """
    has_sight = all(collection.has(name) and not hides(collection, scope, name) for name in SIGHT)
    if collection.geometry_type != "Point" or not has_sight:
        allowed = f"features of {collection.id} see nothing: they are not points with {', '.join(SIGHT)}"
        raise InvalidParameter(parameter, reference.shown, allowed)

    def test(other: _Other) -> Sql:
        return Sql.of(
            "geom && {} AND (SELECT metres <= range_m AND (metres = 0 OR field_of_view_deg >= 360 "
            "OR LEAST(turn, 360 - turn) <= field_of_view_deg / 2) FROM (SELECT metres, "
            "abs(degrees(ST_Azimuth(geom::geography, target)) - (direction_deg - 360 * floor(direction_deg / 360))) AS turn "
            "FROM (SELECT target, ST_Distance(geom::geography, target) AS metres "
            "FROM (SELECT ST_PointOnSurface({})::geography AS target) AS aimed) AS away) AS seen)",
            other.reach,
            other.place,
        )

    return _related(collection, scope, reference, test, metres=MAX_RANGE_M, joins=joins)
