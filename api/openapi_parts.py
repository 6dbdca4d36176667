"""Parameters and schemas that the descriptions of many operations share."""

from collections.abc import Iterable
from typing import Any

from api.conditions import MAX_IDS, filter_properties
from api.filters import LANGUAGES
from api.schemas import property_schema
from cim.model import Collection, Scope
from cim.query.counts import COUNT_MODES
from cim.query.feature_query import DEFAULT_LIMIT, MAX_LIMIT
from cim.query.filter import STATED
from cim.query.geometry import MAX_NESTING, MAX_VERTICES
from cim.query.nearest import MAX_NEAREST
from cim.query.order import MAX_KEYS
from cim.query.relations import MAX_DISTANCE_M, SIGHT
from cim.query.text_search import MAX_TERMS


def ref(kind: str, name: str) -> dict[str, str]:
    """A reference to a shared part."""
    return {"$ref": f"#/components/{kind}/{name}"}


def parameter(name: str, description: str, schema: dict[str, Any], *, place: str = "query") -> dict[str, Any]:
    """A parameter of one operation."""
    return {"name": name, "in": place, "description": description, "required": place == "path", "schema": schema}


def id_in_path(name: str, of: str) -> dict[str, Any]:
    """The part of an operation's path that says which one."""
    return parameter(name, f"Id of the {of}", {"type": "string"}, place="path")


def text_queries(names: Iterable[str]) -> list[dict[str, Any]]:
    """Parameters of a list that are texts, but for `limit`."""
    whole = {"type": "integer", "minimum": 1}
    return [parameter(name, name, whole if name == "limit" else {"type": "string"}) for name in names]


def property_parameters(collection: Collection, scope: Scope) -> list[dict[str, Any]]:
    """One parameter for each property that features can be asked for by."""
    parameters = []
    for declared in filter_properties(collection, scope).values():
        schema = property_schema(declared, "en")
        titles = f"{declared.title_zh} {schema.pop('title')}"
        kept: dict[str, Any] = {key: schema[key] for key in schema if key in ("type", "format", "enum")}
        parameters.append(parameter(declared.name, f"{titles}: equal to this value", kept))
    return parameters


def _list(name: str, description: str, items: dict[str, Any] | None = None) -> dict[str, Any]:
    """A parameter that lists texts, separated by commas."""
    schema = {"type": "array", "minItems": 1, "items": items or {"type": "string"}}
    return {**parameter(name, description, schema), "style": "form", "explode": False}


def _reference(name: str, description: str) -> dict[str, Any]:
    """A parameter that refers to other features."""
    how = "areas/<id>, areas?<CQL2 text> (at most 1,000 features), <lon>,<lat>, or a WKT geometry in CRS84"
    return parameter(name, f"{description} another feature, one of several, or a place: {how}", {"type": "string"})


_REFERENCE = {
    "description": "text as in a query string, or an object",
    "type": ["string", "object"],
    "properties": {
        "collection": {"type": "string"},
        "id": {"type": "string"},
        "filter": {"description": "CQL2-JSON as an object, or CQL2 text"},
        "geometry": {"type": "object"},
    },
}

_POSITION_BOX = {
    "type": "array",
    "items": {"type": "number"},
    "minItems": 4,
    "maxItems": 6,
}

_HOW_CRS = "its URI, or EPSG:4547; CRS84 where it is not given"

_PARAMETERS = {
    "bbox": {
        "name": "bbox",
        "in": "query",
        "required": False,
        "style": "form",
        "explode": False,
        "description": "min lon,min lat[,min height],max lon,max lat[,max height] in CRS84, or in bbox-crs with its axis "
        "order; min lon > max lon crosses the antimeridian. Features without geometry match every box.",
        "schema": _POSITION_BOX,
    },
    "datetime": {
        "name": "datetime",
        "in": "query",
        "required": False,
        "style": "form",
        "explode": False,
        "description": "An RFC 3339 instant, a date, or an interval start/end with .. for open; features valid then.",
        "schema": {"type": "string"},
    },
    "area": parameter(
        "area", "Division code (行政区划代码): features in that area", {"type": "string", "pattern": r"^\d{2,12}$"}
    ),
    "known-at": parameter(
        "known-at",
        "An RFC 3339 instant, or a date for its end: features as they were recorded then",
        {"type": "string"},
    ),
    "limit": {
        "name": "limit",
        "in": "query",
        "required": False,
        "style": "form",
        "explode": False,
        "description": f"Features of a page; more than {MAX_LIMIT} gives {MAX_LIMIT}. A page of very large features ends early.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    },
    "cursor": parameter("cursor", "Where the page begins; taken from a next link", {"type": "string"}),
    "crs": parameter(
        "crs", f"CRS of the answer, one of those that the collection lists; {_HOW_CRS}", {"type": "string"}
    ),
    "count": parameter(
        "count",
        "Ask how many match: numberMatched within a deadline, or numberMatchedEstimate",
        {"type": "string", "enum": list(COUNT_MODES)},
    ),
    "bbox-crs": parameter("bbox-crs", f"CRS of bbox; {_HOW_CRS}", {"type": "string"}),
    "filter": parameter(
        "filter",
        f"CQL2 (OGC 21-065r2) over what /queryables lists and the functions of /functions; {STATED}",
        {"type": "string"},
    ),
    "filter-lang": parameter(
        "filter-lang", "How the filter is written", {"type": "string", "enum": list(LANGUAGES), "default": LANGUAGES[0]}
    ),
    "filter-crs": parameter("filter-crs", f"CRS of the geometries in the filter; {_HOW_CRS}", {"type": "string"}),
    "ids": _list("ids", f"Features with these ids, at most {MAX_IDS}"),
    "q": _list(
        "q",
        f"Features with one of these terms (at most {MAX_TERMS}) in a text such as their name or address; words of a term "
        "stand together and in order; capitals and width of characters do not matter",
    ),
    "intersects": _reference("intersects", "Features that have a point in common with"),
    "within": _reference("within", "Features of which no part lies outside"),
    "near": _reference("near", "Features at most `distance` from"),
    "distance": parameter(
        "distance",
        "Metres on the spheroid, for near",
        {"type": "number", "minimum": 0, "maximum": MAX_DISTANCE_M},
    ),
    "sees": _reference("sees", f"Cameras and the like ({', '.join(SIGHT)}) that have in sight"),
    "nearest": _reference(
        "nearest",
        f"One page of the features nearest to (at most {MAX_NEAREST:,}, with `distance_m`): nearest first, from",
    ),
    "sortby": _list(
        "sortby",
        f"Order: up to {MAX_KEYS} of the collection's sortables, `-` before one for descending; without a value last",
        {"type": "string", "pattern": r"^[+-]?[^+\-\s].*$"},
    ),
    "properties": _list("properties", "Properties that a feature shows; all without it"),
    "areas": parameter(
        "areas", "true shows the names of the areas that a feature lies in, by level, as `area`", {"type": "boolean"}
    ),
    "skipGeometry": parameter("skipGeometry", "true leaves geometries out (null)", {"type": "boolean"}),
    "f": parameter("f", "Representation; wins over Accept", {"type": "string"}),
    "lang": parameter("lang", "Language of titles", {"type": "string", "enum": ["zh-CN", "en"]}),
}

_GEOMETRY = {
    "type": "object",
    "description": f"GeoJSON geometry in CRS84, at most {MAX_VERTICES} vertices, nested at most {MAX_NESTING} deep",
    "required": ["type"],
    "properties": {"type": {"type": "string"}, "coordinates": {"type": "array", "items": {}}},
}

_CONDITIONS = {
    "bbox": _POSITION_BOX,
    "bbox-crs": {"type": "string"},
    "geometry": _GEOMETRY,
    "datetime": {"type": "string"},
    "area": {"type": "string"},
    "known-at": {"type": "string"},
    "filter": {"description": "CQL2-JSON as an object, or CQL2 text"},
    "filter-lang": {"type": "string", "enum": list(LANGUAGES)},
    "filter-crs": {"type": "string"},
    **dict.fromkeys(("intersects", "within", "near", "sees"), _REFERENCE),
    "distance": {"type": "number", "description": "metres, for near, which also takes it as its member distance_m"},
    "ids": {"type": "array", "items": {"type": "string"}, "maxItems": MAX_IDS},
    "q": {"type": ["array", "string"], "items": {"type": "string"}},
    "properties": {
        "type": ["object", "array"],
        "description": "property name → value that it must equal, null for none; a list: what features show",
    },
}

_LINK = {
    "type": "object",
    "required": ["href", "rel"],
    "properties": {
        "href": {"type": "string"},
        "rel": {"type": "string"},
        "type": {"type": "string"},
        "title": {"type": "string"},
        "method": {"type": "string"},
        "body": {"type": "object"},
    },
}

_LINKS = {"type": "array", "items": {"$ref": "#/components/schemas/link"}}

_MEASURE = {"type": "object", "additionalProperties": True, "properties": {"count": {"type": "integer"}}}

_ORDER: dict[str, Any] = {
    "sortby": {
        "type": "array",
        "items": {
            "type": ["string", "object"],
            "description": 'text as in a query string, or {"field": "height_m", "direction": "desc"}',
        },
    },
    "nearest": _REFERENCE,
    "areas": {"type": "boolean"},
}
_SCHEMAS = {
    "link": _LINK,
    "landing": {
        "type": "object",
        "required": ["links"],
        "properties": {"title": {"type": "string"}, "description": {"type": "string"}, "links": _LINKS},
    },
    "conformance": {
        "type": "object",
        "required": ["conformsTo"],
        "properties": {"conformsTo": {"type": "array", "items": {"type": "string"}}},
    },
    "problem": {
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
            "parameter": {"type": "string"},
            "rule": {
                "type": "string",
                "description": "a word for what was not kept, so that it can be said in any language",
            },
        },
    },
    "feature": {
        "type": "object",
        "required": ["type", "id", "properties"],
        "properties": {
            "type": {"type": "string", "enum": ["Feature"]},
            "id": {"type": "string"},
            "geometry": {"description": "a GeoJSON geometry, or null"},
            "properties": {"type": "object"},
            "links": _LINKS,
        },
    },
    "featureCollection": {
        "type": "object",
        "required": ["type", "features"],
        "properties": {
            "type": {"type": "string", "enum": ["FeatureCollection"]},
            "timeStamp": {"type": "string", "format": "date-time"},
            "numberMatched": {"type": "integer", "minimum": 0, "description": "exact, or absent"},
            "numberMatchedEstimate": {"type": "integer", "minimum": 0, "description": "three digits of it"},
            "numberReturned": {"type": "integer", "minimum": 0},
            "links": _LINKS,
            "features": {"type": "array", "items": {"$ref": "#/components/schemas/feature"}},
        },
    },
    "searchBody": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **_CONDITIONS,
            "crs": {"type": "string"},
            "count": {"type": "string", "enum": list(COUNT_MODES)},
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            "cursor": {"type": "string"},
            **_ORDER,
            "skipGeometry": {"type": "boolean"},
        },
    },
    "exportBody": {
        "type": "object",
        "additionalProperties": False,
        "properties": {**_CONDITIONS, "crs": {"type": "string"}, **_ORDER, "skipGeometry": {"type": "boolean"}},
    },
    "aggregateBody": {
        "type": "object",
        "additionalProperties": False,
        "properties": {**_CONDITIONS, "group-by": {"type": "string"}, "measures": {"type": "string"}},
    },
    "aggregate": {
        "type": "object",
        "required": ["collection", "groups", "total"],
        "properties": {
            "collection": {"type": "string"},
            "groupBy": {"type": ["string", "null"]},
            "groups": {"type": "array", "items": _MEASURE},
            "total": _MEASURE,
        },
    },
}

COMPONENTS: dict[str, dict[str, Any]] = {"parameters": _PARAMETERS, "schemas": _SCHEMAS}
