"""A page of features as a request asks for it: its size, order and position, and how features are shown."""

from dataclasses import replace
from typing import Any

from api.conditions import Asking, Fields, condition_fields
from api.params import check_text, parse_limit
from api.references import parse_reference
from cim.errors import InvalidParameter
from cim.model import Collection
from cim.query.area_names import can_name
from cim.query.counts import COUNT_MODES
from cim.query.cursor import decode_cursor
from cim.query.feature_query import MAX_LIMIT, FeatureQuery, SortKey
from cim.query.features import parse_shown
from cim.query.nearest import MAX_NEAREST
from cim.query.order import parse_position, parse_sort


def shown_query(asked: Asking, *, is_whole: bool = True) -> FeatureQuery:
    """How features are shown, without conditions. `is_whole`: a single feature, which may show `attributes`."""
    return FeatureQuery(**_shown_fields(asked, is_whole=is_whole))


def _shown_fields(asked: Asking, *, is_whole: bool) -> Fields:
    if not asked.values:
        return {}
    shown = None
    if asked.has("properties") and not isinstance(asked.values["properties"], dict):
        shown = parse_shown(asked.collection, asked.scope, asked.texts("properties"), is_whole=is_whole)
    has_areas = _flag(asked, "areas")
    if has_areas and not can_name(asked.scope):
        raise InvalidParameter("areas", "true", "the names of areas are not open to you")
    is_shown = not _flag(asked, "skipGeometry")
    return {"crs": asked.crs("crs"), "shown": shown, "has_geometry": is_shown, "has_areas": has_areas}


def page_query(asked: Asking) -> FeatureQuery:
    """The conditions with order, page size, position, and how the features are shown."""
    fields = condition_fields(asked) | _shown_fields(asked, is_whole=False)
    if "limit" in asked.values:  # a null is no limit
        limit = asked.values["limit"]
        fields["limit"] = _body_limit(limit) if asked.is_body else parse_limit(limit)
    if asked.has("nearest"):
        return _nearest(asked, FeatureQuery(**fields))
    query = FeatureQuery(**fields, sort=_sort(asked))
    if not asked.has("cursor"):
        return query
    last = decode_cursor(asked.registry.cursor_key, binding_of(asked.collection, query), asked.text("cursor"))
    return replace(query, after_values=parse_position(query.sort, last)) if query.sort else replace(query, after=last)


def export_query(asked: Asking) -> FeatureQuery:
    """The conditions, how features are shown, and their order where one is asked for; of the nearest as many as there may be."""
    fields = condition_fields(asked) | _shown_fields(asked, is_whole=False)
    if asked.has("nearest"):
        return _nearest(asked, FeatureQuery(**fields, limit=MAX_NEAREST))
    return FeatureQuery(**fields, sort=_sort(asked))


def _nearest(asked: Asking, query: FeatureQuery) -> FeatureQuery:
    """Order by the distance to what `nearest` refers to: one page of it."""
    for name in ("sortby", "cursor"):
        if asked.has(name):
            allowed = f"nearest has an order of its own and one page only, of up to {MAX_NEAREST:,} features (limit)"
            raise InvalidParameter(name, asked.values[name], allowed)
    reference = parse_reference(asked.registry, asked.scope, "nearest", asked.values["nearest"])
    return replace(
        query, nearest=reference, references=(*query.references, reference), limit=min(query.limit, MAX_NEAREST)
    )


def _flag(asked: Asking, name: str) -> bool:
    value = asked.values.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    if asked.is_body or value not in ("true", "false"):
        raise InvalidParameter(name, value, "must be true or false")
    return bool(value == "true")


def _sort(asked: Asking) -> tuple[SortKey, ...]:
    """`sortby`: `-height_m,name`, or in a body also [{"field": "height_m", "direction": "desc"}] (a `+` may come as a space)."""
    if not asked.has("sortby"):
        return ()
    value = asked.values["sortby"]
    if asked.is_body and isinstance(value, list) and all(isinstance(one, dict) for one in value):
        keys = [_sort_text(one) for one in value]
    else:
        keys = [f"+{key[1:]}" if key[:1] == " " else key for key in asked.texts("sortby")]
    return parse_sort(asked.collection, asked.scope, keys)


def _sort_text(key: dict[str, Any]) -> str:
    name, direction = key.get("field"), key.get("direction", "asc")
    if set(key) - {"field", "direction"} or not isinstance(name, str) or direction not in ("asc", "desc"):
        raise InvalidParameter("sortby", key, 'must be {"field": <property>, "direction": "asc" or "desc"}')
    return f"{'-' if direction == 'desc' else '+'}{check_text('sortby', name)}"


def count_mode(asked: Asking) -> str | None:
    """`count`: exact, estimate, or None where nobody asks how many match. Raises InvalidParameter."""
    if not asked.has("count"):
        return None
    mode = asked.text("count")
    if mode not in COUNT_MODES:
        raise InvalidParameter("count", mode, f"must be {' or '.join(COUNT_MODES)}")
    return mode


def _body_limit(limit: Any) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int):
        allowed = f"must be a whole number from 1; more than {MAX_LIMIT:,} gives {MAX_LIMIT:,}"
        raise InvalidParameter("limit", limit, allowed)
    return parse_limit(str(limit))


def binding_of(collection: Collection, query: FeatureQuery) -> bytes:
    """What a cursor is good for."""
    return collection.id.encode() + b"\n" + query.fingerprint()
