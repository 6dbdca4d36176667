"""DCAT-US 1.1 (Project Open Data, `data.json`): one service a data set, its distributions as endpoints."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cim.catalogue.harvest.ckan import FORMATS
from cim.catalogue.harvest.document import Document
from cim.catalogue.harvest.found import Found, Unusable, address, found
from cim.catalogue.harvest.ogcapi import geometry_box
from cim.catalogue.harvest.source import Fetch, Harvester

_CYCLES = {
    "R/PT1S": "continual", "R/P1D": "daily", "R/P1W": "weekly", "R/P1M": "monthly", "R/P3M": "quarterly", "R/P1Y": "yearly",
    "irregular": "irregular",
}  # fmt: skip
_NUMBERS = re.compile(r"-?\d+(?:\.\d+)?")


def _is_ours(document: Document) -> bool:
    return isinstance(document.member("dataset"), list)


def _read(document: Document, fetch: Fetch | None) -> Iterator[Found | Unusable]:
    for one in document.json["dataset"]:
        if isinstance(one, dict):
            yield _dataset(one, document.url)


def _dataset(one: Mapping[str, Any], base: str) -> Found | Unusable:
    identity = str(one.get("identifier") or "")
    endpoints: list[dict[str, str]] = []
    for part in one.get("distribution") or []:
        url = address(base, part.get("accessURL") or part.get("downloadURL")) if isinstance(part, dict) else None
        if url is not None and url not in {other["url"] for other in endpoints}:
            form = str(part.get("format") or "").lower()
            kind = next((ours for word, ours in FORMATS.items() if word in form), "file")
            endpoints.append(
                {"url": url, "kind": kind} | ({"title": str(part["title"])[:200]} if part.get("title") else {})
            )
    endpoints.sort(key=lambda entry: entry["kind"] == "file")
    if not identity or not endpoints:
        return Unusable(identity, "a data set without an identifier or without a distribution")
    contact = one.get("contactPoint") if isinstance(one.get("contactPoint"), dict) else {}
    begin, _, end = str(one.get("temporal") or "").partition("/")
    publisher = one.get("publisher") if isinstance(one.get("publisher"), dict) else {}
    return found(
        identity,
        endpoints[0]["kind"],
        url=endpoints[0]["url"],
        titles=[one.get("title")],
        descriptions=[one.get("description")],
        themes=[word for name in ("theme", "keyword") for word in one.get(name) or [] if isinstance(word, str)],
        bbox=_spatial(one.get("spatial")),
        licence=one.get("license") if isinstance(one.get("license"), str) else None,
        contact=str((contact or {}).get("hasEmail") or (contact or {}).get("fn") or "").removeprefix("mailto:") or None,
        times=(begin, end),
        update_cycle=_CYCLES.get(str(one.get("accrualPeriodicity"))),
        endpoints=endpoints,
        facts={
            "modified": one.get("modified"),
            "accessLevel": one.get("accessLevel"),
            "rights": one.get("rights"),
            "publisher": (publisher or {}).get("name"),
        },
    )


def _spatial(value: Any) -> list[Any] | None:
    """A box written as four numbers, or a GeoJSON geometry; a place's name is none."""
    if isinstance(value, dict):
        return geometry_box(value)
    numbers = _NUMBERS.findall(value) if isinstance(value, str) else []
    return numbers if len(numbers) == 4 else None


HARVESTER = Harvester("dcat", "", _is_ours, _read)
