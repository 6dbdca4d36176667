"""What a request asks of the catalogue: the conditions of OGC API Records and our own, its order, its facets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request

from api.conditions import (
    BBOX,
    DATETIME,
    FILTER,
    IDS,
    Asking,
    Condition,
    Fields,
    asking,
    queryable_properties,
    read_conditions,
)
from api.params import ALWAYS, parse_limit, parse_value, query_parameters
from cim.catalogue.search import search_terms
from cim.catalogue.service import SHARE_CLASSES
from cim.collections.records import RECORDS
from cim.errors import InvalidParameter
from cim.model import EVERYTHING, Kind, Scope
from cim.query.areas import parse_area_code
from cim.query.cursor import decode_cursor
from cim.query.feature_query import DEFAULT_LIMIT, FeatureQuery, Relation
from cim.query.order import parse_position, parse_sort
from cim.query.records import (
    BY_ID,
    BY_RELEVANCE,
    FACETS,
    MAX_RECORDS,
    all_of,
    any_of,
    has_external_id,
    has_health,
    has_theme,
    in_area_called,
)
from cim.query.services import own_services
from cim.query.text_search import parse_terms
from cim.sql import Cast, Identifier, Sql

MAX_WORDS = 30
MAX_EXTERNAL_IDS = 100
MAX_BUCKETS = 1_000
HEALTH = ("up", "degraded", "down")
DEFAULT_BUCKETS = 20
_PLACE_NAME = re.compile(r"[^\x00-\x7f]{2,40}|[A-Za-z' -]{2,60}")


def _relation(condition: Sql) -> Fields:
    return {"relations": (Relation(condition),)}


def _words(asked: Asking) -> Fields:
    """`q`: one of the terms (/req/record-core-query-parameters/q-response)."""
    return _relation(any_of(parse_terms(asked.texts("q"))))


def _all_words(asked: Asking) -> Fields:
    """`words`: every word, in any order and text; of a run of Chinese characters every pair of neighbours."""
    return _relation(all_of(_parsed_words(asked.text("words"))))


def _parsed_words(text: str) -> tuple[str, ...]:
    terms = search_terms(text)
    if not 1 <= len(terms) <= MAX_WORDS:
        raise InvalidParameter("words", text, f"1 to {MAX_WORDS} words, a Chinese one counting by its characters")
    return terms


def _types(asked: Asking) -> Fields:
    wanted = asked.texts("type")
    return _relation(Sql.of("type = ANY({})", Cast(wanted, "text[]")))


def _external_ids(asked: Asking) -> Fields:
    wanted = asked.texts("externalIds")
    if len(wanted) > MAX_EXTERNAL_IDS:
        raise InvalidParameter("externalIds", len(wanted), f"at most {MAX_EXTERNAL_IDS} ids")
    return _relation(Sql.join(" OR ", [has_external_id(one) for one in wanted]))


def _theme(asked: Asking) -> Fields:
    return _relation(has_theme(asked.text("theme")))


def _share_class(asked: Asking) -> Fields:
    wanted = asked.text("share-class")
    if wanted not in SHARE_CLASSES:
        raise InvalidParameter("share-class", wanted, f"one of {', '.join(SHARE_CLASSES)}")
    return _relation(Sql.of('"shareClass" = {}', wanted))


def _area(asked: Asking) -> Fields:
    """`area`: a division code, or the name of a place."""
    wanted = asked.text("area")
    if _PLACE_NAME.fullmatch(wanted):
        return _relation(in_area_called(wanted))
    return {"area": parse_area_code(wanted)}


def _mine(asked: Asking) -> Fields:
    """`mine=true`: those that the caller sees in every state."""
    if asked.text("mine") != "true":
        raise InvalidParameter("mine", asked.text("mine"), "true, or leave it out")
    assert asked.others is not None
    return _relation(own_services(asked.others, Identifier("feature")))


def _health(asked: Asking) -> Fields:
    wanted = asked.text("health")
    if wanted not in HEALTH:
        raise InvalidParameter("health", wanted, f"one of {', '.join(HEALTH)}")
    return _relation(has_health(wanted))


CONDITIONS = (
    BBOX,
    DATETIME,
    Condition("q", _words),
    Condition("words", _all_words),
    Condition("type", _types),
    IDS,
    Condition("externalIds", _external_ids),
    Condition("theme", _theme),
    Condition("share-class", _share_class),
    Condition("area", _area),
    Condition("mine", _mine),
    Condition("health", _health),
    FILTER,
)
"""Conditions on records; every other property of a record is a parameter of its name."""

_FROM_ELSEWHERE = {FILTER.name, *FILTER.also, "health"}
"""Conditions that may read features, areas or probes of health."""

OF_THE_STANDARD = ("bbox", "datetime", "limit", "q", "type", "ids", "externalIds", "profile")
"""Parameters that count as absent when they are empty (/req/record-core-query-parameters/empty-value)."""

_CONDITION_NAMES = tuple(name for one in CONDITIONS for name in (one.name, *one.also))
EQUALS = {
    p.name: p
    for p in queryable_properties(RECORDS, EVERYTHING)
    if p.kind is not Kind.JSON and p.name not in (*_CONDITION_NAMES, *ALWAYS)
}
"""Properties that a parameter of their name is compared with."""

EXPORT_NAMES = (*_CONDITION_NAMES, *EQUALS)
"""Parameters that say which records."""

NAMES = (*EXPORT_NAMES, "sortby", "limit", "cursor", "count", "facets", "profile")
"""Parameters of a page of records."""


@dataclass(frozen=True, slots=True)
class Facet:
    """A facet that was asked for: how many of its values, and in which order."""

    name: str
    buckets: int = DEFAULT_BUCKETS
    order: str = "count_desc"


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """What is asked of the catalogue. `terms`: what relevance is of; `binding`: what a cursor is good for.

    `is_of_catalogue`: nothing but services and organisations decides what matches.
    """

    query: FeatureQuery
    terms: tuple[str, ...]
    facets: tuple[Facet, ...]
    count: str | None
    binding: bytes
    profiles: tuple[str, ...]
    is_of_catalogue: bool


def record_parameters(request: Request, more: tuple[str, ...] = ()) -> dict[str, str]:
    """The query string of a page of records. Raises UnknownParameter, InvalidParameter."""
    values = query_parameters(request, (*NAMES, *more))
    return {name: value for name, value in values.items() if value or name not in OF_THE_STANDARD}


def record_query(request: Request, values: Mapping[str, str], scope: Scope, cursor_key: bytes) -> RecordQuery:
    """What the parameters ask. Raises InvalidParameter and its kin."""
    asked = replace(asking(request, RECORDS, EVERYTHING, values), others=scope)
    _check_codes(values)
    terms = _terms(asked)
    query = FeatureQuery(
        **read_conditions(asked, CONDITIONS),
        equals=tuple(
            (EQUALS[name], parse_value(EQUALS[name], values[name])) for name in sorted(values) if name in EQUALS
        ),
        sort=_sort(asked, terms),
        limit=min(parse_limit(values["limit"]), MAX_RECORDS) if "limit" in values else DEFAULT_LIMIT,
    )
    binding = b"catalogue\n" + query.fingerprint()
    if "cursor" in values:
        last = decode_cursor(cursor_key, binding, values["cursor"])
        query = replace(query, after_values=parse_position(query.sort, last))
    if "count" in values and values["count"] != "exact":
        raise InvalidParameter("count", values["count"], "must be exact")
    return RecordQuery(
        query,
        terms if query.sort == BY_RELEVANCE else (),
        _facets(values.get("facets"), scope),
        values.get("count"),
        binding,
        _profiles(values.get("profile")),
        not (_FROM_ELSEWHERE & set(values) or _PLACE_NAME.fullmatch(values.get("area", ""))),
    )


def _check_codes(values: Mapping[str, str]) -> None:
    """A property of a closed list is asked for by one of its codes."""
    for name, declared in EQUALS.items():
        if declared.codes is not None and name in values and values[name] not in declared.codes:
            raise InvalidParameter(name, values[name], f"one of {', '.join(declared.codes)}")


def _terms(asked: Asking) -> tuple[str, ...]:
    looked_for: tuple[str, ...] = parse_terms(asked.texts("q")) if asked.has("q") else ()
    return (*looked_for, *_parsed_words(asked.text("words"))) if asked.has("words") else looked_for


def _sort(asked: Asking, terms: tuple[str, ...]) -> Any:
    """`sortby`; without it by relevance where words are looked for, else by id."""
    if not asked.has("sortby"):
        return BY_RELEVANCE if terms else BY_ID
    keys = [f"+{key[1:]}" if key[:1] == " " else key for key in asked.texts("sortby")]
    return parse_sort(RECORDS, EVERYTHING, keys)


def facet_names(scope: Scope) -> tuple[str, ...]:
    """The facets that the caller may ask for: states are for those who see more than one."""
    return tuple(name for name in FACETS if name != "state" or scope.roles - {"reader"})


def _facets(text: str | None, scope: Scope) -> tuple[Facet, ...]:
    """`facets=theme:20:value_asc,kind` (OGC API Records Part 2, draft: /req/advanced/query_facets_definition); `all` for every one."""
    if text is None:
        return ()
    known = facet_names(scope)
    if text == "all":
        return tuple(Facet(name) for name in known)
    found: list[Facet] = []
    for one in text.split(","):
        name, _, rest = one.partition(":")
        number, _, order = rest.partition(":")
        if name not in known:
            raise InvalidParameter("facets", one, f"one of {', '.join(known)}, or all")
        if number and not (number.isascii() and number.isdigit() and 1 <= int(number) <= MAX_BUCKETS):
            raise InvalidParameter("facets", one, f"behind the name how many values, 1 to {MAX_BUCKETS:,}")
        if order not in ("", "asc", "desc", "count_asc", "count_desc", "value_asc", "value_desc"):
            raise InvalidParameter("facets", one, "the order is count_desc, count_asc, value_asc or value_desc")
        if any(known_one.name == name for known_one in found):
            raise InvalidParameter("facets", one, "a facet can be named once")
        order = {"": "count_desc", "asc": "count_asc", "desc": "count_desc"}.get(order, order)
        found.append(Facet(name, int(number) if number else DEFAULT_BUCKETS, order))
    return tuple(found)


_PROFILE_BASE = "http://www.opengis.net/def/profile/OGC/0/"
_PROFILE = re.compile(r"https?://[^\s<>\"]{1,300}|\[ogc-profile:[A-Za-z0-9_-]{1,60}\]|[A-Za-z0-9_-]{1,60}", re.ASCII)
RECORD_PROFILE, CATALOG_PROFILE = f"{_PROFILE_BASE}ogc-record", f"{_PROFILE_BASE}ogc-catalog"


def _profiles(text: str | None) -> tuple[str, ...]:
    """`profile`: URIs, safe CURIEs or ids of OGC's register (/req/query-param-profile/definition); one not offered is passed over."""
    if text is None:
        return ()
    for one in text.split(","):
        if not _PROFILE.fullmatch(one):
            raise InvalidParameter("profile", one, "a URI of a profile, such as " + RECORD_PROFILE)
    return tuple(text.split(","))
