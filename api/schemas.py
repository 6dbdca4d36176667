"""JSON Schema (2020-12) of a collection's features and of what they can be asked for by."""

from collections.abc import Mapping
from typing import Any

from api.conditions import queryable_properties
from cim.model import Collection, Kind, Property, Scope
from cim.query.features import ATTRIBUTES, FIXED, shown_properties
from cim.query.masking import sees_whole
from cim.query.order import ID, sortables

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES: dict[Kind, dict[str, Any]] = {
    Kind.TEXT: {"type": "string"},
    Kind.INTEGER: {"type": "integer"},
    Kind.NUMBER: {"type": "number"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.DATE: {"type": "string", "format": "date"},
    Kind.INSTANT: {"type": "string", "format": "date-time"},
    Kind.JSON: {"type": ["object", "array", "string", "number", "boolean"]},
}

_ROLES = {"id": "id", "valid_from": "primary-interval-start", "valid_to": "primary-interval-end"}
"""Roles of the columns that every collection has (OGC 23-058r2, /req/core-roles-features)."""


def property_schema(declared: Property, lang: str) -> dict[str, Any]:
    """One property: title, type, unit, range, and its codes with their titles."""
    is_english = lang == "en"
    schema: dict[str, Any] = {
        "title": declared.title_en if is_english else declared.title_zh,
        **_TYPES[declared.kind],
    }
    if declared.codes is not None:
        schema["enum"] = list(declared.codes)
        schema["oneOf"] = [
            {"const": code, "title": titles[1 if is_english else 0]} for code, titles in declared.codes.items()
        ]
    if declared.unit is not None:
        schema["x-ogc-unit"] = declared.unit
    if declared.minimum is not None:
        schema["minimum"] = declared.minimum
    if declared.maximum is not None:
        schema["maximum"] = declared.maximum
    if declared.name in _ROLES:
        schema["x-ogc-role"] = _ROLES[declared.name]
    return schema


def _geometry_schema(collection: Collection) -> dict[str, Any]:
    kind = collection.geometry_type.lower()
    return {"x-ogc-role": "primary-geometry", "format": f"geometry-{'any' if kind == 'geometry' else kind}"}


def _document(collection: Collection, lang: str, address: str) -> dict[str, Any]:
    is_english = lang == "en"
    return {
        "$schema": DIALECT,
        "$id": address,
        "type": "object",
        "title": collection.title_en if is_english else collection.title_zh,
        "description": collection.description_en if is_english else collection.description_zh,
    }


def schema_document(collection: Collection, scope: Scope, lang: str, address: str) -> dict[str, Any]:
    """Schema of the members of `properties`, the id and the geometry among them by their roles
    (OGC 23-058r2, /req/returnables-and-receivables)."""
    properties: dict[str, Any] = {ID.name: {**property_schema(ID, lang), "readOnly": True}}
    properties["geometry"] = _geometry_schema(collection)
    for declared in shown_properties(collection, scope):
        kept = {"readOnly": True} if declared in FIXED else {}
        properties[declared.name] = {**property_schema(declared, lang), **kept}
    if sees_whole(collection, scope):
        properties[ATTRIBUTES.name] = property_schema(ATTRIBUTES, lang)
    return {**_document(collection, lang, address), "properties": properties, "additionalProperties": False}


def feature_schema_document(collection: Collection, scope: Scope, lang: str, address: str) -> dict[str, Any]:
    """Schema of a feature as GeoJSON. GDAL takes the types of its fields from this shape, and no other."""
    properties = {p.name: property_schema(p, lang) for p in shown_properties(collection, scope)}
    members = {
        "type": {"type": "string", "enum": ["Feature"]},
        "id": {"type": "string"},
        "geometry": _geometry_schema(collection),
        "properties": {"type": "object", "properties": properties},
    }
    return {**_document(collection, lang, address), "properties": members, "required": ["type", "id", "properties"]}


def queryables_document(collection: Collection, scope: Scope, lang: str, address: str) -> dict[str, Any]:
    """What a filter may name, and no other: a query parameter too where it is a text, a number or a boolean.

    OGC 19-079r2, 6.2. A document is listed as the array that array functions take it for.
    """
    properties: dict[str, Any] = {"geometry": _geometry_schema(collection)}
    for declared in queryable_properties(collection, scope):
        schema = property_schema(declared, lang)
        properties[declared.name] = {**schema, "type": "array"} if declared.kind is Kind.JSON else schema
    return {**_document(collection, lang, address), "properties": properties, "additionalProperties": False}


def stac_queryables_document(
    imagery: Collection, scope: Scope, column_of: Mapping[str, str], lang: str, address: str
) -> dict[str, Any]:
    """What a filter of the STAC API may name, and no other, by the names that items have."""
    known = {p.name: p for p in queryable_properties(imagery, scope)}
    properties: dict[str, Any] = {}
    for name, column in column_of.items():
        if column == "geometry":
            properties[name] = _geometry_schema(imagery)
        elif column in known:
            properties[name] = property_schema(known[column], lang)
    return {**_document(imagery, lang, address), "properties": properties, "additionalProperties": False}


def sortables_document(collection: Collection, scope: Scope, lang: str, address: str) -> dict[str, Any]:
    """Properties that `sortby` may name; no other is taken (OGC 23-058r2, /req/sortables)."""
    properties = {declared.name: property_schema(declared, lang) for declared in sortables(collection, scope)}
    return {**_document(collection, lang, address), "properties": properties, "additionalProperties": False}
