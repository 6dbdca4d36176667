"""The text of a feature, put together in the database: one GeoJSON object a row.

Every string inside is made by `to_json`; the pieces between values (member names) are bound like any value.
"""

from collections.abc import Sequence

import orjson

from cim.model import Collection, Kind, Property, Scope
from cim.query.predicate import visible_properties
from cim.sql import Cast, Identifier, Sql

DECIMALS = 7
"""Digits of a coordinate in degrees: about a centimetre."""

FIXED = (
    Property("area_code", Kind.TEXT, "所属区划代码", "Code of the smallest area it lies in"),
    Property("valid_from", Kind.INSTANT, "有效起始时间", "Valid from"),
    Property("valid_to", Kind.INSTANT, "有效截止时间", "Valid until (not included)"),
)
"""Columns of every feature table that are shown as properties, after the declared ones."""


def shown_properties(collection: Collection, scope: Scope) -> tuple[Property, ...]:
    """What `properties` of a feature holds, in order."""
    return (*visible_properties(collection, scope), *FIXED)


def shown_columns(collection: Collection, scope: Scope) -> Sql:
    """The columns that `feature_text` needs, but `id` and `geom`."""
    return Sql.join(", ", [Sql.of("{}", p.column) for p in shown_properties(collection, scope)])


def feature_text(collection: Collection, scope: Scope) -> Sql:
    """Expression over `id`, `geom` and `shown_columns`: the feature as GeoJSON text (RFC 7946)."""
    pieces = [
        _piece('{"type":"Feature","id":'),
        Sql.of("to_json(id)::text"),
        _piece(',"geometry":'),
        Sql.of("COALESCE(ST_AsGeoJSON(geom, {}), 'null')", Cast(DECIMALS, "int")),
        _piece(',"properties":{'),
        *_members(shown_properties(collection, scope)),
        _piece("}}"),
    ]
    return Sql.join(" || ", pieces)


def _members(properties: Sequence[Property]) -> list[Sql]:
    pieces = []
    for number, declared in enumerate(properties):
        comma = "," if number else ""
        pieces.append(_piece(comma + orjson.dumps(declared.name).decode() + ":"))
        pieces.append(Sql.of("COALESCE({}, 'null')", value_text(declared.kind, declared.column)))
    return pieces


def value_text(kind: Kind, column: Identifier) -> Sql:
    """Expression: a column's value as JSON text, NULL for NULL. NaN, which JSON lacks, becomes a string by `to_json`."""
    if kind in (Kind.INTEGER, Kind.BOOLEAN, Kind.JSON):
        return Sql.of("{}::text", column)
    return Sql.of("to_json({})::text", column)


def _piece(text: str) -> Sql:
    return Sql.of("{}", Cast(text, "text"))
