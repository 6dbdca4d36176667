"""A data service's metadata: what is taken, and what the shelf asks for."""

from collections.abc import Mapping
from typing import Any

from cim.errors import InvalidParameter, UnknownParameter
from cim.gateway.policy import NONE, Allowed, checked_endpoint
from cim.interval import parse_date
from cim.people.members import ID_FORM

KINDS = {
    "features": "要素服务",
    "tiles": "瓦片服务",
    "stac": "影像目录",
    "statistics": "统计服务",
    "wms": "WMS",
    "wfs": "WFS",
    "wmts": "WMTS",
    "ogcapi": "OGC API",
    "arcgis": "ArcGIS REST",
    "xyz": "XYZ",
    "3dtiles": "3D Tiles",
    "s3m": "S3M",
    "i3s": "I3S",
    "rest": "REST API",
    "file": "文件下载",
    "video": "视频通道",
}
"""Kind → Chinese title."""


OPENAPI = "openapi"
"""Kind of an endpoint whose document describes the service's others (OpenAPI)."""

SHARE_CLASSES = ("unconditional", "conditional", "not_shared")
"""无条件共享, 有条件共享, 不予共享."""

UPDATE_CYCLES = ("continual", "daily", "weekly", "monthly", "quarterly", "yearly", "irregular", "once")

FOR_THE_SHELF = (
    "organisation_id",
    "title_zh",
    "title_en",
    "description_zh",
    "description_en",
    "themes",
    "endpoints",
    "licence",
    "contact",
)
"""What must be said before a service is published."""

_TEXTS = {
    "id": 80,
    "kind": 20,
    "organisation_id": 80,
    "title_zh": 200,
    "title_en": 200,
    "description_zh": 4000,
    "description_en": 4000,
    "collection_id": 80,
    "share_class": 20,
    "area_code": 12,
    "licence": 200,
    "contact": 300,
    "update_cycle": 20,
    "time_from": 10,
    "time_to": 10,
    "quality": 2000,
}
_TITLES = ("title_zh", "title_en", "description_zh", "description_en")
MEMBERS = (*_TEXTS, "themes", "endpoints", "cim_level", "bbox")
"""Every member a registration may have."""

_CLOSED = {"kind": tuple(KINDS), "share_class": SHARE_CLASSES, "update_cycle": UPDATE_CYCLES}


def checked(
    document: Mapping[str, Any], *, is_partial: bool = False, allowed_upstreams: Allowed = NONE
) -> dict[str, Any]:
    """The members of a registration or an edit, each of its kind; `allowed_upstreams` as the URL policy has them.

    Raises UnknownParameter for a member that is none, InvalidParameter for a value that is not allowed, UpstreamRefused for
    an endpoint whose address may not be called, and InvalidParameter (unless `is_partial`) for a registration without id, kind and a title.
    """
    for name in document:
        if name not in MEMBERS:
            raise UnknownParameter(name, MEMBERS)
    values = {name: _value(name, value, allowed_upstreams) for name, value in document.items()}
    if not is_partial:
        for name in ("id", "kind"):
            if not values.get(name):
                raise InvalidParameter(name, "", "is needed to register a service", rule="needed")
        if not values.get("title_zh") and not values.get("title_en"):
            raise InvalidParameter("title_zh", "", "a title in Chinese or English is needed", rule="title")
    if values.get("time_from") and values.get("time_to") and values["time_from"] > values["time_to"]:
        raise InvalidParameter(
            "time_to", values["time_to"], f"not before time_from, {values['time_from']}", rule="period"
        )
    return values


def _value(name: str, value: Any, allowed_upstreams: Allowed) -> Any:
    if value is None:
        return None
    match name:
        case "themes":
            return _themes(value)
        case "endpoints":
            return _endpoints(value, allowed_upstreams)
        case "cim_level":
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 7:
                raise InvalidParameter(name, value, "a whole number from 1 to 7 (CJJ/T 315-2022)", rule="count", most=7)
            return value
        case "bbox":
            return _bbox(value)
    return _text(name, value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or "\x00" in value:
        raise InvalidParameter(name, value, "must be a text")
    text = value.strip()
    if len(text) > _TEXTS[name]:
        raise InvalidParameter(name, text, f"at most {_TEXTS[name]} characters", rule="too-long", most=_TEXTS[name])
    if name in ("id", "organisation_id", "collection_id") and not _is_key(text):
        raise InvalidParameter(name, text, ID_FORM, rule="id-form")
    if name in _CLOSED and text not in _CLOSED[name]:
        raise InvalidParameter(name, text, f"one of {', '.join(_CLOSED[name])}", rule="one-of", allowed=_CLOSED[name])
    if name in ("time_from", "time_to") and parse_date(text) is None:
        raise InvalidParameter(name, text, "a date, YYYY-MM-DD", rule="date")
    if name == "area_code" and not (text.isdigit() and text.isascii()):
        raise InvalidParameter(name, text, "a division code of digits, such as 440305", rule="area-code")
    return text


def _is_key(text: str) -> bool:
    return bool(text) and text.isascii() and text[0].isalnum() and all(c.isalnum() or c in "._-" for c in text)


def _themes(value: Any) -> list[str]:
    if (
        not isinstance(value, list)
        or len(value) > 20
        or not all(isinstance(v, str) and v.strip() and len(v) <= 60 and "\x00" not in v for v in value)
    ):
        raise InvalidParameter("themes", value, "a list of at most 20 words", rule="themes")
    return list(dict.fromkeys(v.strip() for v in value))


def _endpoints(value: Any, allowed_upstreams: Allowed) -> list[dict[str, str]]:
    allowed = 'a list of at most 20 of {"url", "kind"}; a url is a path of this node or http(s)'
    if not isinstance(value, list) or len(value) > 20:
        raise InvalidParameter("endpoints", value, allowed, rule="endpoints")
    endpoints = []
    for one in value:
        if not isinstance(one, dict) or not set(one) <= {"url", "kind", "title"} or not isinstance(one.get("url"), str):
            raise InvalidParameter("endpoints", one, allowed, rule="endpoints")
        if not all(isinstance(t, str) and len(t) <= 2000 and "\x00" not in t for t in one.values()):
            raise InvalidParameter("endpoints", one["url"], allowed)
        checked_endpoint(one["url"], allowed=allowed_upstreams, parameter="endpoints")
        endpoints.append(dict(one))
    return endpoints


def _bbox(value: Any) -> list[float]:
    allowed = "4 numbers: min lon, min lat, max lon, max lat in degrees"
    if not isinstance(value, list) or len(value) != 4:
        raise InvalidParameter("bbox", value, allowed, rule="bbox")
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in value):
        raise InvalidParameter("bbox", value, allowed, rule="bbox")
    low_lon, low_lat, high_lon, high_lat = (float(v) for v in value)
    if not (-180 <= low_lon <= high_lon <= 180 and -90 <= low_lat <= high_lat <= 90):
        raise InvalidParameter("bbox", value, allowed, rule="bbox")
    return [low_lon, low_lat, high_lon, high_lat]


def kind_of(endpoint: Mapping[str, Any], service_kind: str) -> str:
    """The kind of an endpoint: its own where that is one, else the service's."""
    kind = endpoint.get("kind")
    return str(kind) if kind in KINDS or kind == OPENAPI else service_kind


def missing_for_the_shelf(service: Mapping[str, Any]) -> list[str]:
    """Members that must still be filled before the service can be published."""
    return [name for name in FOR_THE_SHELF if not service.get(name)]


def document_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a version: every member that is said, in a fixed order, with the defaults of those that are not.

    Two registrations that say the same have equal documents.
    """
    said = {name: values.get(name) for name in MEMBERS}
    said |= {name: said[name] or "" for name in _TITLES}
    said |= {name: said[name] or [] for name in ("themes", "endpoints")}
    said["share_class"] = said["share_class"] or "conditional"
    return {name: value for name, value in said.items() if value is not None}
