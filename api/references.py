"""Other features as a parameter names them: `areas/<id>`, `areas?name='福田区'`, `114.06,22.54`, a WKT; or a JSON object."""

import re
from typing import Any

from api.filters import filter_fields, read_filter
from api.params import check_text
from cim.bbox import parse_number
from cim.crs import CRS84
from cim.db.registry import Registry
from cim.errors import InvalidBody, InvalidParameter, TooLarge, TooNested
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery, Reference
from cim.query.filter import parse_geometry
from cim.query.geometry import check_geometry
from cim.query.masking import as_seen
from cim.query.reference import one_feature, place_written, some_features

_NAMED = re.compile(r"([a-z][a-z0-9_-]{0,50})([/?])(.+)", re.DOTALL)

ALLOWED = (
    "must be <collection>/<id>, <collection>?<CQL2 filter>, <lon>,<lat> or a WKT geometry in CRS84; "
    'in a body also {"collection", "id"}, {"collection", "filter"} or {"geometry"}'
)


def visible_collection(registry: Registry, scope: Scope, parameter: str, name: str) -> Collection:
    """The collection of that id as the caller sees it. Raises InvalidParameter, for one they may not see too."""
    known = {one.id: one for one in registry if scope.sees(one.id)}
    if name not in known:
        raise InvalidParameter(parameter, name, f"there is no such collection; known: {', '.join(sorted(known))}"[:500])
    return as_seen(known[name], scope)


def parse_reference(registry: Registry, scope: Scope, parameter: str, value: Any) -> Reference:
    """What a parameter refers to. Raises InvalidParameter and what a filter raises."""
    if isinstance(value, dict):
        return _of_object(registry, scope, parameter, value)
    if not isinstance(value, str) or not value.strip():
        raise InvalidParameter(parameter, value, ALLOWED)
    check_text(parameter, value)
    match = _NAMED.fullmatch(value)
    if match is None:
        return _of_place(parameter, value)
    other = visible_collection(registry, scope, parameter, match[1])
    if match[2] == "/":
        return one_feature(parameter, other, scope, match[3])
    return _of_filter(parameter, other, scope, match[3])


def _of_object(registry: Registry, scope: Scope, parameter: str, value: dict[str, Any]) -> Reference:
    if set(value) == {"geometry"}:
        return _written(parameter, "geometry", value["geometry"])
    name = value.get("collection")
    if not isinstance(name, str):
        raise InvalidParameter(parameter, value, ALLOWED)
    other = visible_collection(registry, scope, parameter, name)
    if set(value) == {"collection", "id"} and isinstance(value["id"], str):
        return one_feature(parameter, other, scope, check_text(parameter, value["id"]))
    if set(value) == {"collection", "filter"} and value["filter"] is not None:
        return _of_filter(parameter, other, scope, value["filter"])
    raise InvalidParameter(parameter, value, ALLOWED)


def _of_filter(parameter: str, other: Collection, scope: Scope, value: Any) -> Reference:
    node = read_filter(value, None, is_body=True)
    query = FeatureQuery(**filter_fields(node, other, scope, CRS84))
    return some_features(parameter, f"{other.id}?{value}", other, scope, query)


def _of_place(parameter: str, text: str) -> Reference:
    numbers = [parse_number(part) for part in text.split(",")]
    if len(numbers) == 2 and None not in numbers:
        return _written(parameter, text, {"type": "Point", "coordinates": numbers})
    try:
        document = parse_geometry(text)
    except InvalidParameter as error:
        raise InvalidParameter(parameter, text, ALLOWED) from error
    return _written(parameter, text, document)


def _written(parameter: str, shown: str, document: Any) -> Reference:
    try:
        return place_written(parameter, shown, check_geometry(document))
    except (InvalidBody, TooLarge, TooNested) as error:
        raise InvalidParameter(parameter, shown, error.detail.removeprefix("geometry: ")) from error
