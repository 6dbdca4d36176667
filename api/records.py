"""Records of data services in the words of OGC API Records."""

from collections.abc import Mapping
from typing import Any

import orjson

from api.documents import GEOJSON, JSON, Link, url_of
from cim.interval import instant_text


def record_of(row: Mapping[str, Any], base: str, lang: str) -> dict[str, Any]:
    """A service as a GeoJSON record (OGC 20-004r1, 7.2: record core properties)."""
    first, second = ("en", "zh") if lang == "en" else ("zh", "en")
    endpoints = orjson.loads(row["endpoints"])
    themes = orjson.loads(row["themes"])
    home = url_of(base, "catalogue", "items", row["id"])
    links = [Link(home, "self", GEOJSON), Link(f"{base}/catalogue", "collection", JSON)]
    for one in endpoints:
        links.append(Link(absolute(one["url"], base), "service", title=one.get("title") or one.get("kind")))
    properties = {
        "type": "service",
        "title": row[f"title_{first}"] or row[f"title_{second}"],
        "description": row[f"description_{first}"] or row[f"description_{second}"],
        "language": {"code": "en" if lang == "en" else "zh-CN"},
        "title_zh": row["title_zh"],
        "title_en": row["title_en"],
        "description_zh": row["description_zh"],
        "description_en": row["description_en"],
        "keywords": themes,
        "themes": [{"concepts": [{"id": theme} for theme in themes], "scheme": f"{base}/catalogue/themes"}]
        if themes
        else [],
        "contacts": [
            {
                "organization": row[f"organisation_{first}"] or row[f"organisation_{second}"],
                "identifier": row["organisation_id"],
                "name": row["contact"],
                "roles": ["publisher"],
            }
        ]
        if row["organisation_id"]
        else [],
        "license": row["licence"],
        "created": instant_text(row["created_at"]),
        "updated": instant_text(row["updated_at"]),
        "published": instant_text(row["published_at"]),
        "state": row["state"],
        "kind": row["kind"],
        "shareClass": row["share_class"],
        "cimLevel": row["cim_level"],
        "areaCode": row["area_code"],
        "collectionId": row["collection_id"],
        "updateCycle": row["update_cycle"],
        "endpoints": endpoints,
        "version": row["version"],
    }
    record: dict[str, Any] = {
        "type": "Feature",
        "id": row["id"],
        "conformsTo": ["http://www.opengis.net/spec/ogcapi-records-1/1.0/req/record-core"],
        "geometry": orjson.loads(row["geometry"]) if row["geometry"] else None,
        "time": None,
        "properties": properties,
        "links": [link.to_dict() for link in links],
    }
    if row["min_lon"] is not None:
        record["bbox"] = [row["min_lon"], row["min_lat"], row["max_lon"], row["max_lat"]]
    return record


def absolute(url: str, base: str) -> str:
    """An endpoint's address; a path is one of this node."""
    return base + url if url.startswith("/") else url
