"""A feature of a request's body, checked: what is to be stored of it.

Only what the collection declares is taken (catalogue B41): members that the server keeps are refused, unless they say
what is stored already, so that a feature that was read may be sent back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from cim.crs import CRS84, Crs
from cim.edit.values import json_of, text_of, value_of
from cim.errors import InvalidBody, InvalidParameter, UnknownParameter
from cim.interval import parse_instant
from cim.model import Collection
from cim.query.features import ATTRIBUTES, FIXED
from cim.query.filter.spatial import place_in
from cim.query.geometry import check_geometry

MAX_KEY = 180
"""Characters of the part of an id that a client may choose."""
READ_ONLY = tuple(p.name for p in FIXED)
_FOREIGN = ("links", "bbox", "timeStamp")
"""Members that a feature of ours carries beside GeoJSON's, and that say nothing about it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """`values` by property, as columns take them; those not given are absent. `geometry`: GeoJSON text in CRS84.

    `has_geometry` tells a geometry that was given as null from none given.
    """

    values: Mapping[str, object]
    geometry: str | None
    has_geometry: bool = True
    key: str | None = None


def draft_of(
    collection: Collection, feature: Any, *, crs: Crs = CRS84, shown: Mapping[str, object] | None = None
) -> Draft:
    """A whole feature (RFC 7946). `shown`: properties of the stored version, where there is one.

    Raises InvalidBody, InvalidParameter, UnknownParameter, UnknownProperty, each naming the member.
    """
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise InvalidBody("type: the body must be a GeoJSON Feature", parameter="type")
    _check_names(feature, ("type", "id", "geometry", "properties", *_FOREIGN))
    if "geometry" not in feature:
        raise InvalidBody("geometry: the member is missing; null says that there is none", parameter="geometry")
    properties = feature.get("properties")
    if not isinstance(properties, dict | None):
        raise InvalidBody("properties: must be an object or null", parameter="properties")
    geometry = _geometry(collection, feature["geometry"], crs)
    return Draft(_values(collection, properties or {}, shown), geometry, key=_key(feature.get("id")))


def patch_of(
    collection: Collection,
    patch: Mapping[str, Any],
    *,
    stored: Mapping[str, Any],
    shown: Mapping[str, object],
    crs: Crs = CRS84,
) -> Draft:
    """A JSON merge patch (RFC 7396): of the feature, `{"properties": {…}, "geometry": …}`, or of its properties alone.

    `stored`: documents among the stored values, which a patch goes into. Raises as `draft_of`.
    """
    own = {p.name for p in collection.properties if p.name not in ("type", "id", "geometry", "properties")}
    _check_names(patch, ("type", "geometry", "properties", *own, ATTRIBUTES.name, *READ_ONLY))
    if patch.get("type", "Feature") != "Feature":
        raise InvalidBody("type: it is 'Feature', and stays so", parameter="type")
    inner = patch.get("properties", {})
    if not isinstance(inner, dict):
        raise InvalidBody("properties: must be an object", parameter="properties")
    given = {**{name: patch[name] for name in patch if name in own or name in (*READ_ONLY, ATTRIBUTES.name)}, **inner}
    merged = {name: merge(stored[name], value) if name in stored else value for name, value in given.items()}
    has_geometry = "geometry" in patch
    geometry = _geometry(collection, patch["geometry"], crs) if has_geometry else None
    return Draft(_values(collection, merged, shown), geometry, has_geometry)


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396, 2: the document `target` with `patch` applied."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def _check_names(members: Iterable[str], known: Iterable[str]) -> None:
    allowed = tuple(known)
    for name in members:
        if name == "id" and name not in allowed:
            raise InvalidParameter("id", "…", "an id cannot be changed")
        if name not in allowed:
            raise UnknownParameter(name, allowed)


def _values(
    collection: Collection, properties: Mapping[str, Any], shown: Mapping[str, object] | None
) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, value in properties.items():
        member = f"properties.{name}"[:200]
        if collection.has(name):
            values[name] = value_of(collection.property(name), value, member)
        elif name in READ_ONLY:
            if shown is None or not _is_same(value, shown.get(name)):
                raise InvalidParameter(member, value, "is kept by the server and cannot be written")
        elif name == ATTRIBUTES.name:
            if not isinstance(value, dict | None):
                raise InvalidParameter(member, value, "must be an object or null")
            values[name] = json_of(value, member)
        else:
            collection.property(name, parameter=member)
    return values


def _is_same(value: Any, stored: object) -> bool:
    if isinstance(stored, datetime):
        return isinstance(value, str) and parse_instant(value) == stored
    return bool(value == stored)


def _geometry(collection: Collection, geometry: Any, crs: Crs) -> str | None:
    if geometry is None:
        if collection.needs_geometry:
            raise InvalidBody(f"geometry: a feature of {collection.id} needs one", parameter="geometry")
        return None
    text = check_geometry(geometry, None if crs.is_stored else place_in(crs))
    wanted, given = collection.geometry_type, orjson.loads(text)["type"]
    if wanted not in ("Geometry", given) and wanted != f"Multi{given}":
        raise InvalidBody(f"geometry: {collection.id} holds {wanted}, this is a {given}", parameter="geometry")
    return text


def _key(given: Any) -> str | None:
    """The part of an id behind `api.`, where the client gives one."""
    if given is None:
        return None
    text = text_of(given, "id") if isinstance(given, str) else str(given) if isinstance(given, int) else ""
    return check_key(text.removeprefix("api."))


def check_key(key: str) -> str:
    """`key` if an id may end with it. Raises InvalidParameter."""
    if not key or len(key) > MAX_KEY or not key.isprintable() or key != key.strip():
        raise InvalidParameter("id", key, f"must be a text of 1 to {MAX_KEY} printable characters")
    return key
