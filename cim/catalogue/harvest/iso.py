"""Metadata records of ISO 19139 and ISO 19115-3, alone or in the answer of a CSW: one service a record."""

from collections.abc import Iterator
from typing import Any

from cim.catalogue.harvest.document import Document, attribute, local, path_of, text_at
from cim.catalogue.harvest.found import Found, Unusable, address, found
from cim.catalogue.harvest.source import Fetch, Harvester

_KINDS = (
    ("wmts", "wmts"), ("wms", "wms"), ("wfs", "wfs"), ("wcs", "rest"), ("csw", "rest"), ("ogcapi", "ogcapi"), ("stac", "stac"),
    ("esri", "arcgis"), ("arcgis", "arcgis"), ("3dtiles", "3dtiles"), ("tms", "xyz"), ("xyz", "xyz"), ("download", "file"),
)  # fmt: skip
_CYCLES = {
    "continual": "continual", "daily": "daily", "weekly": "weekly", "fortnightly": "irregular", "monthly": "monthly",
    "quarterly": "quarterly", "biannually": "irregular", "annually": "yearly", "asNeeded": "irregular", "irregular": "irregular",
    "notPlanned": "once", "unknown": None,
}  # fmt: skip


def _is_ours(document: Document) -> bool:
    return document.is_xml and next(document.xml.iter("{*}MD_Metadata", "{*}MI_Metadata"), None) is not None


def _read(document: Document, fetch: Fetch | None) -> Iterator[Found | Unusable]:
    for record in document.xml.iter("{*}MD_Metadata", "{*}MI_Metadata"):
        yield record_found(record, document.url)


def record_found(record: Any, base: str) -> Found | Unusable:
    """The service that a record is of."""
    identity = (
        text_at(record, "fileIdentifier", "metadataIdentifier/MD_Identifier/code") or attribute(record, "uuid") or ""
    )
    about = next((one for one in record.iter("{*}MD_DataIdentification", "{*}SV_ServiceIdentification")), None)
    if not identity or about is None:
        return Unusable(identity, "a record without an identifier or without an identification")
    citation = about.find(path_of("citation/CI_Citation"))
    titles = _languages(citation.find("{*}title")) if citation is not None else []
    endpoints = _endpoints(record, base)
    if not titles or not endpoints:
        return Unusable(identity, "a record without a title or without an address online")
    return found(
        identity,
        endpoints[0]["kind"],
        url=endpoints[0]["url"],
        titles=titles,
        descriptions=_languages(about.find("{*}abstract")),
        themes=[*_words(about, "keyword"), *_words(about, "MD_TopicCategoryCode")],
        bbox=_box(about),
        licence="; ".join(dict.fromkeys([*_words(about, "otherConstraints"), *_words(about, "useLimitation")])) or None,
        contact=_contact(record, about),
        times=(_first(about, "beginPosition"), _first(about, "endPosition")),
        update_cycle=_CYCLES.get(_code(about, "MD_MaintenanceFrequencyCode") or ""),
        endpoints=endpoints,
        facts={
            "access": [value for value in (_code_of(one) for one in about.iter("{*}MD_RestrictionCode")) if value],
            "crs": _crs(record),
            "hierarchy": _code(record, "MD_ScopeCode"),
            "modified": text_at(record, "dateStamp", "dateInfo/CI_Date/date"),
            "standard": text_at(record, "metadataStandardName"),
            "lineage": (_first(record, "statement") or "")[:1000],
        },
    )


def _languages(element: Any) -> list[str | None]:
    """A text, and what it is in other languages (ISO 19139, PT_FreeText)."""
    if element is None:
        return []
    plain = text_at(element, "CharacterString", "Anchor")
    others = [" ".join("".join(one.itertext()).split()) for one in element.iter("{*}LocalisedCharacterString")]
    return list(dict.fromkeys(text for text in (plain, *others) if text))


def _words(element: Any, name: str) -> list[str]:
    return [
        text
        for one in element.iter(f"{{*}}{name}")
        if (text := " ".join(filter(None, _languages(one)[:1])) or _plain(one))
    ]


def _plain(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


def _first(element: Any, name: str) -> str | None:
    return next((text for one in element.iter(f"{{*}}{name}") if (text := _plain(one))), None)


def _code(element: Any, name: str) -> str | None:
    return next((value for one in element.iter(f"{{*}}{name}") if (value := _code_of(one))), None)


def _code_of(one: Any) -> str | None:
    return attribute(one, "codeListValue") or _plain(one) or None


def _box(about: Any) -> list[str] | None:
    names = ("westBoundLongitude", "southBoundLatitude", "eastBoundLongitude", "northBoundLatitude")
    for box in about.iter("{*}EX_GeographicBoundingBox"):
        numbers = [text_at(box, name) for name in names]
        if all(numbers):
            return [number or "" for number in numbers]
    return None


def _contact(record: Any, about: Any) -> str | None:
    parts = (*about.iterfind("{*}pointOfContact"), *record.iterfind("{*}contact"))
    return next(
        (
            text
            for name in ("electronicMailAddress", "organisationName", "CI_Organisation")
            for one in parts
            if (text := _first(one, name))
        ),
        None,
    )


def _crs(record: Any) -> list[str]:
    return [text for one in record.iterfind(path_of("referenceSystemInfo")) if (text := _first(one, "code"))][:20]


def _endpoints(record: Any, base: str) -> list[dict[str, str]]:
    """Addresses of the operations of a service and of the distribution, those of a known protocol first."""
    listed: list[dict[str, str]] = []
    for online in record.iter("{*}CI_OnlineResource"):
        place = local(online.getparent())
        if place not in ("connectPoint", "onLine"):
            continue
        url = address(base, _plain(online.find("{*}linkage")) if online.find("{*}linkage") is not None else None)
        if url is None or url in {one["url"] for one in listed}:
            continue
        said = " ".join(
            filter(None, (text_at(online, "protocol"), text_at(online, "name"), url.partition("?")[2], url))
        ).lower()
        kind = next((ours for word, ours in _KINDS if word in said), "")
        title = text_at(online, "name")
        listed.append(
            {"url": url, "kind": kind or "file"}
            | ({"title": title[:200]} if title else {})
            | ({} if kind else {"_": ""})
        )
    ordered = sorted(listed, key=lambda one: "_" in one)
    return [{name: value for name, value in one.items() if name != "_"} for one in ordered]


HARVESTER = Harvester("iso", "", _is_ours, _read)
