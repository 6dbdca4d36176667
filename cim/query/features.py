"""The text of a feature, put together in the database: one GeoJSON object a row.

Every string inside is made by `to_json`.
"""

from collections.abc import Sequence
from functools import lru_cache

from cim.crs import CRS84, DEGREE_DECIMALS, Crs
from cim.errors import UnknownProperty
from cim.model import Collection, Kind, Property, Scope
from cim.query.masking import sees_whole
from cim.query.predicate import STORED_SRID, visible_properties
from cim.sql import Cast, Identifier, Sql

FIXED = (
    Property("area_code", Kind.TEXT, "所属区划代码", "Code of the smallest area it lies in"),
    Property("valid_from", Kind.INSTANT, "有效起始时间", "Valid from"),
    Property("valid_to", Kind.INSTANT, "有效截止时间", "Valid until (not included)"),
)
"""Columns of every feature table that are shown as properties, after the declared ones."""


ATTRIBUTES = Property("attributes", Kind.JSON, "其他属性", "Fields of the source that no property took")
"""Shown of a single feature, to those who may see every property: what is kept there may hold anything."""

_SHOWN = Identifier("#shown")
"""A name that no property has: a column of that name would come before the row."""


def shown_properties(
    collection: Collection, scope: Scope, *, shown: tuple[str, ...] | None = None
) -> tuple[Property, ...]:
    """What `properties` of a feature holds, in order: those that `shown` names, None for all."""
    every = (*visible_properties(collection, scope), *FIXED)
    return every if shown is None else tuple(p for p in every if p.name in shown)


def shown_columns(collection: Collection, scope: Scope, *, shown: tuple[str, ...] | None = None) -> Sql:
    """The columns that `feature_text` needs, but `id` and `geom`; NULL where there are none."""
    return _columns(tuple(p.name for p in shown_properties(collection, scope, shown=shown)))


def parse_shown(
    collection: Collection, scope: Scope, names: Sequence[str], *, is_whole: bool = False
) -> tuple[str, ...]:
    """`names` if a feature may show them all; `is_whole`: of a single feature, which has `attributes`.

    Raises UnknownProperty.
    """
    known = [p.name for p in shown_properties(collection, scope)]
    if is_whole and sees_whole(collection, scope):
        known.append(ATTRIBUTES.name)
    for name in names:
        if name not in known:
            raise UnknownProperty(collection.id, name, known, parameter="properties")
    return tuple(names)


def feature_text(
    collection: Collection,
    scope: Scope,
    *,
    crs: Crs = CRS84,
    shown: tuple[str, ...] | None = None,
    has_geometry: bool = True,
    is_whole: bool = False,
) -> Sql:
    """Expression over `id`, `geom` and `shown_columns`: the feature as GeoJSON text (RFC 7946), coordinates in `crs`.

    `is_whole` adds `attributes`. `has_geometry` False writes `null` for it. One `to_json` of a row writes names and
    values faster than a chain of `||` over them.
    """
    names = tuple(p.name for p in shown_properties(collection, scope, shown=shown))
    if is_whole and sees_whole(collection, scope) and (shown is None or ATTRIBUTES.name in shown):
        names = (*names, ATTRIBUTES.name)
    return _text(names, crs, has_geometry)


def geometry_in(crs: Crs) -> Sql:
    """Expression over `geom`: the geometry in `crs`, its axes in the order of the authority."""
    geometry = Sql.of("geom") if crs.srid == STORED_SRID else Sql.of("ST_Transform(geom, {})", Cast(crs.srid, "int"))
    return Sql.of("ST_FlipCoordinates({})", geometry) if crs.is_swapped else geometry


def geometry_text(crs: Crs = CRS84) -> Sql:
    """Expression over `geom`: the geometry as GeoJSON text in `crs`, `null` where there is none."""
    if crs.is_stored:
        return Sql.of("COALESCE(ST_AsGeoJSON(geom, {}), 'null')", Cast(DEGREE_DECIMALS, "int"))
    # without its options ST_AsGeoJSON would write a "crs" member, which GeoJSON no longer has
    return Sql.of("COALESCE(ST_AsGeoJSON({}, {}, 0), 'null')", geometry_in(crs), Cast(crs.decimals, "int"))


@lru_cache(maxsize=1024)
def _columns(names: tuple[str, ...]) -> Sql:
    return Sql.join(", ", [Sql.of("{}", Identifier(name)) for name in names]) if names else Sql.of("NULL")


@lru_cache(maxsize=1024)
def _text(names: tuple[str, ...], crs: Crs, has_geometry: bool) -> Sql:
    return Sql.of(
        """concat('{"type":"Feature","id":', to_json(id), ',"geometry":', {}, ',"properties":', {}, '}')""",
        geometry_text(crs) if has_geometry else Sql.of("'null'"),
        properties_text(names),
    )


def properties_text(names: tuple[str, ...]) -> Sql:
    """Expression over columns of those names: an object of their values as JSON text."""
    properties = Sql.of("""(SELECT to_json({}) FROM (SELECT {}) AS {})""", _SHOWN, _columns(names), _SHOWN)
    return properties if names else Sql.of("'{ }'")
