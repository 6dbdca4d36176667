"""What a request asks of a collection, as a FeatureQuery: one table of conditions for query strings and JSON bodies.

A condition reads its parameters from `Asking`, where a query string holds texts and a body any JSON, and gives
fields of FeatureQuery. Items, search, tiles, statistics and exports all take what stands in `CONDITIONS`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from api.context import context_of
from api.filters import TEXT, check_language, filter_fields, read_filter, too_nested
from api.params import (
    ALWAYS,
    check_members,
    check_text,
    json_bytes,
    json_object_of,
    parse_json_value,
    parse_value,
)
from api.references import parse_reference
from cim.bbox import Bbox, bbox_of, parse_bbox, parse_number
from cim.crs import CRS84, Crs, CrsList
from cim.db.registry import Registry
from cim.errors import InvalidParameter, TooNested, UnknownParameter
from cim.interval import parse_interval
from cim.model import Collection, Kind, Property, Scope
from cim.query.areas import parse_area_code
from cim.query.feature_query import FeatureQuery, Reference, Relation
from cim.query.features import shown_properties
from cim.query.geometry import check_geometry
from cim.query.order import ID
from cim.query.predicate import visible_properties
from cim.query.relations import MAX_DISTANCE_M, intersecting, lying_within, near, seeing
from cim.query.text_search import parse_terms
from cim.sql import Sql

_SUMMED = ("relations", "references")
"""Fields that several conditions add to."""

Fields = dict[str, Any]
"""Fields of FeatureQuery and their values."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Parameters by name, texts of a query string or (`is_body`) members of a JSON object; what they are read against.

    A member that is null counts as absent. `others`: what the caller may see of other collections, where that is not `scope`.
    `names`: what a filter calls the columns, where these are not the collection's own names.
    """

    values: Mapping[str, Any]
    collection: Collection
    scope: Scope
    registry: Registry
    crs_list: CrsList
    is_body: bool = False
    others: Scope | None = None
    names: Mapping[str, str] | None = None

    def has(self, name: str) -> bool:
        """True where the parameter was given."""
        return self.values.get(name) is not None

    def text(self, name: str) -> str:
        """A parameter that is a text in either form. Raises InvalidParameter."""
        value = self.values[name]
        if not isinstance(value, str):
            raise InvalidParameter(name, value, "must be a string")
        return check_text(name, value) if self.is_body else value

    def texts(self, name: str) -> list[str]:
        """A parameter that lists texts: separated by commas in a query string, a list in a body. Raises InvalidParameter."""
        value = self.values[name]
        if self.is_body and not isinstance(value, str):
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise InvalidParameter(name, value, "must be a list of strings")
            listed = [check_text(name, one) for one in value]
        else:
            listed = self.text(name).split(",")
        if not listed or not all(one.strip() for one in listed):
            raise InvalidParameter(name, value, "must be one or more texts, none of them empty")
        return listed

    def crs(self, name: str) -> Crs:
        """The system a parameter names, CRS84 where it is absent. Raises InvalidParameter."""
        return self.crs_list.parse(self.text(name), parameter=name) if self.has(name) else CRS84


@dataclass(frozen=True, slots=True)
class Condition:
    """`name` is the parameter whose presence makes it asked; `also` are those that only qualify it."""

    name: str
    read: Callable[[Asking], Fields]
    also: tuple[str, ...] = ()
    in_query: bool = True


def _bbox(asking: Asking) -> Fields:
    crs = asking.crs("bbox-crs")
    value = asking.values["bbox"]
    return {"bbox": _body_bbox(value, crs) if asking.is_body else parse_bbox(value, crs=crs)}


def _body_bbox(value: Any, crs: Crs) -> Bbox:
    if not isinstance(value, list) or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in value):
        raise InvalidParameter("bbox", value, "must be a list of 4 or 6 numbers")
    return bbox_of(value, crs=crs)


def _geometry(asking: Asking) -> Fields:
    return {"geometry": check_geometry(asking.values["geometry"])}


def _datetime(asking: Asking) -> Fields:
    return {"interval": parse_interval(asking.text("datetime").replace(" ", "+"))}


def _words(asking: Asking) -> Fields:
    return {"terms": parse_terms(asking.texts("q"))}


def _area(asking: Asking) -> Fields:
    return {"area": parse_area_code(asking.text("area"))}


def _ids(asking: Asking) -> Fields:
    ids = asking.texts("ids")
    if len(ids) > MAX_IDS:
        raise InvalidParameter("ids", len(ids), f"at most {MAX_IDS:,} ids")
    return {"ids": tuple(dict.fromkeys(ids))}


def _known_at(asking: Asking) -> Fields:
    """`known-at`: an instant, or a date for its end (UTC)."""
    text = asking.text("known-at").replace(" ", "+")
    if "/" in text:
        raise InvalidParameter("known-at", text, "must be one RFC 3339 instant or date, not an interval")
    return {"known_at": parse_interval(text, parameter="known-at").end}


def _properties(asking: Asking) -> Fields:
    """`properties` of a body: name → value that it must equal, null for none; as a list it says what is shown."""
    value = asking.values["properties"]
    if isinstance(value, list):
        return {}
    if not isinstance(value, dict):
        raise InvalidParameter(
            "properties", value, "must be an object of property names and values, or a list of names"
        )
    known = {p.name: p for p in visible_properties(asking.collection, asking.scope)}
    for name in value:
        if name not in known:
            asking.collection.property(check_text("properties", name), parameter="properties")
            raise UnknownParameter(name, known)
    return {"equals": tuple((known[name], parse_json_value(known[name], value[name])) for name in sorted(value))}


def _filter(asking: Asking) -> Fields:
    language = asking.text("filter-lang") if asking.has("filter-lang") else None
    if language is None and not asking.is_body:
        language = TEXT
    node = read_filter(asking.values["filter"], language, is_body=asking.is_body)
    referred: list[Reference] = []

    def resolve(collection: str, text: str, is_filter: bool) -> Sql:
        value = {"collection": collection, "filter" if is_filter else "id": text}
        referred.append(parse_reference(asking.registry, asking.others or asking.scope, "filter", value))
        return referred[-1].geometry

    fields = filter_fields(node, asking.collection, asking.scope, asking.crs("filter-crs"), resolve, asking.names)
    return {**fields, "references": tuple(referred)}


def _related(name: str, relate: Callable[..., Relation]) -> Callable[[Asking], Fields]:
    """A condition that relates features to others."""

    def read(asking: Asking) -> Fields:
        reference = parse_reference(asking.registry, asking.scope, name, asking.values[name])
        relation = relate(asking.collection, asking.scope, reference, joins=not asking.has("known-at"))
        return {"relations": (relation,), "references": (reference,)}

    return read


def _near(asking: Asking) -> Fields:
    """`near` with `distance` in metres; in a body also as member `distance_m` of the object."""
    value, distance = asking.values["near"], asking.values.get("distance")
    if isinstance(value, dict) and "distance_m" in value:
        value = dict(value)
        distance = value.pop("distance_m") if distance is None else distance
    reference = parse_reference(asking.registry, asking.scope, "near", value)
    metres = _metres(distance, is_body=asking.is_body)
    relation = near(asking.collection, asking.scope, reference, metres, joins=not asking.has("known-at"))
    return {"relations": (relation,), "references": (reference,)}


def _metres(value: Any, *, is_body: bool) -> float:
    number = value if is_body else parse_number(value or "")
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= MAX_DISTANCE_M:
        raise InvalidParameter("distance", value, f"must be a number of metres from 0 to {MAX_DISTANCE_M:,.0f}")
    return float(number)


BBOX = Condition("bbox", _bbox, also=("bbox-crs",))
IDS = Condition("ids", _ids)
DATETIME = Condition("datetime", _datetime)
AREA = Condition("area", _area)
KNOWN_AT = Condition("known-at", _known_at)
FILTER = Condition("filter", _filter, also=("filter-lang", "filter-crs"))

CONDITIONS = (
    BBOX,
    IDS,
    Condition("geometry", _geometry, in_query=False),
    DATETIME,
    Condition("q", _words),
    AREA,
    KNOWN_AT,
    Condition("properties", _properties, in_query=False),
    FILTER,
    Condition("intersects", _related("intersects", intersecting)),
    Condition("within", _related("within", lying_within)),
    Condition("near", _near, also=("distance",)),
    Condition("sees", _related("sees", seeing)),
)

SHARED = (BBOX, DATETIME, AREA, KNOWN_AT)
"""Conditions that mean the same of every collection."""

SHOWING = ("crs", "properties", "skipGeometry")
"""Parameters that say how features are shown, of a page and of a single one."""

ORDER = ("sortby", "nearest")
"""Parameters that say in which order features come."""

EXPORTING = ("areas", *ORDER, *SHOWING)
"""Parameters of an export, beside the conditions."""

PAGING = ("limit", "cursor", "count", *EXPORTING)
"""Parameters of a page of features, beside the conditions."""


def _names(conditions: Iterable[Condition]) -> tuple[str, ...]:
    return tuple(name for one in conditions for name in (one.name, *one.also))


QUERY_NAMES = _names(one for one in CONDITIONS if one.in_query)
BODY_NAMES = _names(CONDITIONS)

MAX_IDS = 1_000


def queryable_properties(collection: Collection, scope: Scope) -> tuple[Property, ...]:
    """What a filter may name beside the geometry (OGC 19-079r2, 6)."""
    return (ID, *shown_properties(collection, scope))


_TAKEN = frozenset({*QUERY_NAMES, *PAGING, *ALWAYS, "group-by", "measures", "bom"})
_MAX_READ = 256


@dataclass(frozen=True, slots=True)
class _Named:
    """Properties of a collection, as declared now, that parameters of a caller may name."""

    collection: Collection
    scope: Scope
    properties: Mapping[str, Property]
    page_names: frozenset[str]


_named: dict[int, _Named] = {}
"""By identity of the collection: equality would compare every property."""


def _named_of(collection: Collection, scope: Scope) -> _Named:
    known = _named.get(id(collection))
    if known is not None and known.collection is collection and known.scope == scope:
        return known
    queryable = queryable_properties(collection, scope)
    properties = {p.name: p for p in queryable if p.kind is not Kind.JSON and p.name not in _TAKEN}
    if len(_named) >= _MAX_READ:
        _named.clear()
    names = frozenset((*QUERY_NAMES, *PAGING, "bom", *properties))
    known = _named[id(collection)] = _Named(collection, scope, properties, names)
    return known


def filter_properties(collection: Collection, scope: Scope) -> Mapping[str, Property]:
    """Properties that a query parameter may name, by name: not documents, nor those called like a parameter of our own."""
    return _named_of(collection, scope).properties


def filter_names(collection: Collection, scope: Scope) -> list[str]:
    """Names of the properties that a query parameter may name."""
    return list(filter_properties(collection, scope))


def page_names(collection: Collection, scope: Scope) -> frozenset[str]:
    """Parameters of a page of features."""
    return _named_of(collection, scope).page_names


def asking(request: Request, collection: Collection, scope: Scope, values: Mapping[str, Any]) -> Asking:
    """What parsed query parameters ask."""
    context = context_of(request)
    return Asking(values, collection, scope, context.registry, context.crs_list)


async def asking_body(request: Request, collection: Collection, scope: Scope, known: Iterable[str]) -> Asking:
    """What a JSON body asks; `known` are its members beside the conditions. Raises InvalidBody, UnknownParameter."""
    received = await json_bytes(request)
    try:
        body = json_object_of(received)
    except TooNested as error:
        raise too_nested() if b'"filter"' in received else error from error
    check_members(body, (*BODY_NAMES, *known))
    context = context_of(request)
    return Asking(body, collection, scope, context.registry, context.crs_list, is_body=True)


def conditions_from(asked: Asking) -> FeatureQuery:
    """The conditions, without page size and position. Raises InvalidParameter and its kin."""
    return FeatureQuery(**condition_fields(asked))


def condition_fields(asked: Asking) -> Fields:
    """The fields of `conditions_from`."""
    fields = read_conditions(asked, CONDITIONS)
    if asked.values and not asked.is_body:
        fields["equals"] = _equals(asked)
    return fields


def read_conditions(asked: Asking, conditions: Iterable[Condition]) -> Fields:
    """What those of `conditions` give that are asked. Raises InvalidParameter and its kin."""
    fields: Fields = {}
    values, is_body = asked.values, asked.is_body
    if not values:
        return fields
    for condition in conditions:
        if values.get(condition.name) is None:
            if condition.also:
                _refuse_alone(asked, condition)
        elif condition.in_query or is_body:
            for name, value in condition.read(asked).items():
                fields[name] = (*fields.get(name, ()), *value) if name in _SUMMED else value
    return fields


def _refuse_alone(asked: Asking, condition: Condition) -> None:
    """A qualifier without what it qualifies is checked all the same, so that a wrong one never passes."""
    for name in condition.also:
        if not asked.has(name):
            continue
        if name.endswith("-crs"):
            asked.crs(name)
        elif name == "distance":
            raise InvalidParameter(name, asked.values[name], "is how near, but near does not say to what")
        else:
            check_language(asked.text(name))


def _equals(asked: Asking) -> tuple[tuple[Property, object], ...]:
    known = filter_properties(asked.collection, asked.scope)
    names = sorted([name for name in asked.values if name in known])
    return tuple([(known[name], parse_value(known[name], asked.values[name])) for name in names])
