"""CKAN (`package_search` of its action API): one service a data set, its resources as endpoints."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from cim.catalogue.harvest.document import Document
from cim.catalogue.harvest.found import Found, Unusable, address, found
from cim.catalogue.harvest.ogcapi import geometry_box
from cim.catalogue.harvest.source import Fetch, Harvester

PAGE = 100
MAX_PAGES = 1_000
FORMATS = {
    "wms": "wms", "wfs": "wfs", "wmts": "wmts", "esri rest": "arcgis", "arcgis": "arcgis", "ogc api": "ogcapi", "stac": "stac",
    "3d tiles": "3dtiles", "api": "rest", "json api": "rest",
}  # fmt: skip


def _is_ours(document: Document) -> bool:
    result = document.member("result")
    return (
        document.member("success") is True
        and isinstance(result, dict)
        and ("results" in result or "resources" in result)
    )


def _read(document: Document, fetch: Fetch | None) -> Iterator[Found | Unusable]:
    result = document.json["result"]
    if "results" not in result:
        yield _package(result, document.url)
        return
    taken, page = 0, document
    for _ in range(MAX_PAGES):
        packages = [one for one in page.json["result"].get("results") or [] if isinstance(one, dict)]
        for one in packages:
            yield _package(one, page.url)
        taken += len(packages)
        if fetch is None or not packages or taken >= int(result.get("count") or 0):
            return
        page = fetch(f"{document.url.partition('?')[0]}?rows={PAGE}&start={taken}")
        if not _is_ours(page):
            return


def _package(one: Mapping[str, Any], base: str) -> Found | Unusable:
    identity = str(one.get("id") or one.get("name") or "")
    endpoints: list[dict[str, str]] = []
    for resource in one.get("resources") or []:
        url = address(base, resource.get("url")) if isinstance(resource, dict) else None
        if url is None or url in {other["url"] for other in endpoints}:
            continue
        form = str(resource.get("format") or "").lower()
        entry = {"url": url, "kind": FORMATS.get(form, "file")}
        endpoints.append(entry | ({"title": str(resource["name"])[:200]} if resource.get("name") else {}))
    endpoints.sort(key=lambda entry: entry["kind"] == "file")
    if not identity or not endpoints:
        return Unusable(identity, "a data set without an id or without resources")
    owner = one.get("organization") if isinstance(one.get("organization"), dict) else {}
    return found(
        identity,
        endpoints[0]["kind"],
        url=endpoints[0]["url"],
        titles=[one.get("title") or one.get("name")],
        descriptions=[one.get("notes")],
        themes=[tag.get("display_name") or tag.get("name") for tag in one.get("tags") or [] if isinstance(tag, dict)],
        bbox=geometry_box(_spatial(one.get("spatial"))),
        licence=one.get("license_id") or one.get("license_title"),
        contact=next(
            (
                v
                for n in ("contact_point", "maintainer_email", "author_email", "author")
                if isinstance(v := one.get(n), str) and v
            ),
            None,
        ),
        times=(one.get("temporal_coverage_from"), one.get("temporal_coverage_to")),
        endpoints=endpoints,
        facts={
            "modified": one.get("metadata_modified"),
            "organization": (owner or {}).get("title"),
            "name": one.get("name"),
        },
    )


def _spatial(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


HARVESTER = Harvester("ckan", "", _is_ours, _read)
