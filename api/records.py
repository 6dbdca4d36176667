"""Records of data services in the words of OGC API Records (20-004r1): one record, its links, as a page of text."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

import orjson

from api.documents import GEOJSON, HTML, JSON, Link, url_of
from api.negotiate import Representation
from cim.catalogue.licence import OTHER, licence_url, spdx_of
from cim.catalogue.service import KINDS, OPENAPI, kind_of
from cim.catalogue.shown import (
    endpoints_of,
    external_id_of,
    in_language,
    is_dataset,
    is_own,
    provenance_of,
    themes_of,
)
from cim.gateway.endpoint import endpoint_path, relayed_path
from cim.interval import instant_text

CORE = "http://www.opengis.net/spec/ogcapi-records-1/1.0/req/record-core"
JSON_LD = "application/ld+json"
ISO_XML = "application/xml"

RECORD_OFFERS = (
    Representation("json", GEOJSON, also=(JSON,)),
    Representation("html", HTML),
    Representation("dcat", JSON_LD, also_f=("jsonld",)),
    Representation("iso", ISO_XML, also=("text/xml",), also_f=("iso19115-3",)),
)

LANGUAGES = {
    "zh-CN": {"code": "zh-CN", "name": "中文", "alternate": "Chinese"},
    "en": {"code": "en", "name": "English"},
}

_RIGHTS = {
    "unconditional": ("无条件共享", "Shared without conditions"),
    "conditional": ("有条件共享：须申请授权", "Shared under conditions: a grant is applied for"),
    "not_shared": ("不予共享", "Not shared"),
}

_FORMATS = {
    "features": ("OGC API Features", GEOJSON),
    "tiles": ("OGC API Tiles", "application/vnd.mapbox-vector-tile"),
    "stac": ("STAC API", GEOJSON),
    "statistics": ("OpenCIM statistics", JSON),
    "wms": ("OGC WMS", "image/png"),
    "wfs": ("OGC WFS", "application/gml+xml"),
    "wmts": ("OGC WMTS", "image/png"),
    "ogcapi": ("OGC API", JSON),
    "arcgis": ("ArcGIS REST", JSON),
    "xyz": ("XYZ tiles", None),
    "3dtiles": ("OGC 3D Tiles", JSON),
    "s3m": ("S3M", None),
    "i3s": ("OGC I3S", JSON),
    "rest": ("REST", None),
    "file": ("File", None),
    "video": ("Video channels", None),
}
"""Kind → name of the format, media type where there is one."""

_VARIABLE = re.compile(r"\{([A-Za-z0-9_]+)\}")


def record_of(row: Mapping[str, Any], base: str, lang: str, home: str | None = None) -> dict[str, Any]:
    """A service as a GeoJSON record (OGC 20-004r1, 7.2: record core).

    `home`: address of the catalogue that was asked, where it is not `/catalogue`.
    """
    home = home or f"{base}/catalogue"
    links, templates = links_of(row, base, home)
    record: dict[str, Any] = {
        "type": "Feature",
        "id": row["id"],
        "conformsTo": [CORE],
        "geometry": orjson.loads(row["geometry"]) if row["geometry"] else None,
        "time": time_of(row["time_from"], row["time_to"]),
        "properties": {**_core(row, base, lang), **_own(row)},
        "links": [link.to_dict() for link in links],
    }
    if templates:
        record["linkTemplates"] = templates
    if row["min_lon"] is not None:
        record["bbox"] = [row["min_lon"], row["min_lat"], row["max_lon"], row["max_lat"]]
    return record


def time_of(begin: date | None, end: date | None) -> dict[str, Any] | None:
    """What time the resource is about (/req/record-core/time-interval): dates, both included, `..` for open."""
    if begin is None and end is None:
        return None
    return {"interval": [begin.isoformat() if begin else "..", end.isoformat() if end else ".."]}


def _core(row: Mapping[str, Any], base: str, lang: str) -> dict[str, Any]:
    """The properties that the standard names; those without a value are left out, lists may be empty."""
    themes, licence = themes_of(row), row["licence"]
    language = "en" if lang == "en" else "zh-CN"
    rights = _RIGHTS[row["share_class"]][lang == "en"]
    properties: dict[str, Any] = {
        "type": "dataset" if is_dataset(row) else "service",
        "title": in_language(row, "title", lang),
        "description": in_language(row, "description", lang),
        "language": LANGUAGES[language],
        "languages": [LANGUAGES[code] for code, suffix in (("zh-CN", "zh"), ("en", "en")) if row[f"title_{suffix}"]],
        "keywords": themes,
        "formats": _formats(row),
        "contacts": _contacts(row, lang),
        "rights": rights,
        "created": instant_text(row["created_at"]),
        "updated": instant_text(row["updated_at"]),
    }
    if themes:
        properties["themes"] = [{"concepts": [{"id": one} for one in themes], "scheme": f"{base}/catalogue/themes"}]
    external = external_id_of(row)
    if external is not None:
        properties["externalIds"] = [{"scheme": external[0], "value": external[1]}]
    if licence:
        properties["license"] = spdx_of(licence) or OTHER
        if properties["license"] == OTHER:
            properties["rights"] = f"{licence} · {rights}"
    return properties


def _own(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the platform says beside."""
    own = {
        "title_zh": row["title_zh"],
        "title_en": row["title_en"],
        "description_zh": row["description_zh"],
        "description_en": row["description_en"],
        "published": instant_text(row["published_at"]),
        "state": row["state"],
        "kind": row["kind"],
        "organisation": row["organisation_id"],
        "shareClass": row["share_class"],
        "cimLevel": row["cim_level"],
        "areaCode": row["area_code"],
        "collectionId": row["collection_id"],
        "updateCycle": row["update_cycle"],
        "quality": row["quality"],
        "endpoints": endpoints_of(row),
        "version": row["version"],
        "contentHash": row["content_hash"],
    }
    if row["health"]:
        own["health"] = {
            "state": row["health"],
            "checked": instant_text(row["health_checked_at"]),
            "availability30Days": None if row["availability"] is None else round(row["availability"], 5),
        }
    provenance = provenance_of(row)
    if provenance is not None:
        own["provenance"] = provenance
    return own


def _formats(row: Mapping[str, Any]) -> list[dict[str, str]]:
    kinds = dict.fromkeys([row["kind"], *(one["kind"] for one in endpoints_of(row) if one.get("kind") in KINDS)])
    formats = []
    for kind in kinds:
        name, media_type = _FORMATS[kind]
        formats.append({"name": name, **({"mediaType": media_type} if media_type else {})})
    return formats


def _contacts(row: Mapping[str, Any], lang: str) -> list[dict[str, Any]]:
    if not row["organisation_id"]:
        return []
    contact: dict[str, Any] = {
        "identifier": row["organisation_id"],
        "organization": in_language(row, "organisation", lang),
        "roles": ["publisher", "pointOfContact"],
    }
    told = (row["contact"] or "").strip()
    if re.fullmatch(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+", told):
        contact["emails"] = [{"value": told}]
    elif re.fullmatch(r"\+[1-9][0-9]{3,14}", told):
        contact["phones"] = [{"value": told}]
    elif told:
        contact["name"] = told
    return [contact]


def links_of(row: Mapping[str, Any], base: str, home: str) -> tuple[list[Link], list[dict[str, Any]]]:
    """Links of a record, and its templated ones (/req/record-core/links, /req/record-core/templated-link).

    A service is called through this node: at its own path, or beneath `/services/<id>` where it runs elsewhere.
    """
    here = url_of(home, "items", row["id"])
    links = [Link(here, "self", GEOJSON, "This record")]
    for other in RECORD_OFFERS[1:]:
        links.append(Link(f"{here}?f={other.f}", "alternate", other.media_type, f"This record as {other.f}"))
    links.append(Link(home, "collection", JSON, "The catalogue"))
    templates: list[dict[str, Any]] = []
    for number, one in enumerate(endpoints_of(row), 1):
        title = one.get("title") or one.get("kind")
        variables = _VARIABLE.findall(one["url"])
        if variables:
            path = one["url"] if is_own(one["url"]) else relayed_path(one["url"], row["id"], number)
            templates.append(_template(base + path, title, variables))
        elif one["url"].startswith("/"):
            links.append(Link(base + one["url"], _rel_of(one), title=title))
        elif row["state"] == "published":
            title = one.get("title") or KINDS.get(kind_of(one, row["kind"]), "OpenAPI")
            links.append(Link(f"{base}{endpoint_path(row['id'], number)}/", _rel_of(one), title=title))
    if row["collection_id"]:
        links.append(
            Link(url_of(base, "collections", row["collection_id"]), "describes", JSON, "The collection it offers")
        )
    if row["health"]:
        links.append(Link(url_of(base, "catalogue", "items", row["id"], "health"), "related", JSON, "Health"))
    if row["licence"]:
        address = licence_url(row["licence"])
        links.append(Link(address or f"{here}?f=html", "license", HTML, row["licence"]))
    return links, templates


def _rel_of(endpoint: Mapping[str, str]) -> str:
    """`service-desc` (RFC 8631) for a document that describes the service."""
    return "service-desc" if endpoint.get("kind") == OPENAPI else "service"


def _template(address: str, title: str | None, variables: list[str]) -> dict[str, Any]:
    integers = ("z", "x", "y", "tileMatrix", "tileRow", "tileCol")
    known = {name: {"type": "integer", "minimum": 0} if name in integers else {"type": "string"} for name in variables}
    named = {"title": title} if title else {}
    return {"rel": "service", "uriTemplate": address, **named, "variables": known}
