"""The catalogue as a collection of records (OGC 20-004r1, 7.3), and the facets by which its records can be counted."""

from typing import Any

from api.documents import GEOJSON, HTML, JSON, SCHEMA_JSON, Link
from api.record_query import CATALOG_PROFILE, DEFAULT_BUCKETS, facet_names
from api.records import JSON_LD, LANGUAGES
from cim.collections.records import CATALOGUE_ID, RECORDS
from cim.model import Scope
from cim.query.records import FACETS

FACETS_JSON = "application/facets+json"
ATOM, RSS, CSV = "application/atom+xml", "application/rss+xml", "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
COLLECTION = "http://www.opengis.net/spec/ogcapi-records-1/1.0/req/record-collection"
_REL = "http://www.opengis.net/def/rel/ogc/1.0"


def catalogue_of(base: str, home: str, lang: str) -> dict[str, Any]:
    """The catalogue's document; `home` is the address under which it was asked."""
    is_english = lang == "en"
    title = RECORDS.title_en if is_english else RECORDS.title_zh
    links = [
        Link(home, "self", JSON, "This document"),
        Link(f"{home}?f=html", "alternate", HTML, "This document as HTML"),
        Link(f"{home}?f=dcat", "alternate", JSON_LD, "DCAT"),
        Link(f"{home}/items", "items", GEOJSON, title),
        Link(f"{home}/items?f=html", "items", HTML, title),
        Link(f"{home}/queryables", f"{_REL}/queryables", SCHEMA_JSON, "What to ask for"),
        Link(f"{home}/sortables", f"{_REL}/sortables", SCHEMA_JSON, "What to sort by"),
        Link(f"{home}/schema", f"{_REL}/schema", SCHEMA_JSON, "What can be asked of a record"),
        Link(f"{home}/facets", "related", FACETS_JSON, "What to count by"),
        Link(f"{base}/catalogue/feed?f=atom", "alternate", ATOM, "What is new"),
        Link(f"{base}/catalogue/feed?f=rss", "alternate", RSS, "What is new"),
        Link(f"{base}/catalogue/export?f=csv", "enclosure", CSV, "Everything as CSV"),
        Link(f"{base}/catalogue/export?f=xlsx", "enclosure", XLSX, "Everything as XLSX"),
        Link(f"{base}/catalogue/organisations", "related", JSON, "Organisations" if is_english else "机构"),
        Link(CATALOG_PROFILE, "profile"),
    ]
    return {
        "id": CATALOGUE_ID,
        "type": "Collection",
        "itemType": "record",
        "title": title,
        "description": RECORDS.description_en if is_english else RECORDS.description_zh,
        "language": LANGUAGES["en" if is_english else "zh-CN"],
        "languages": list(LANGUAGES.values()),
        "recordLanguages": list(LANGUAGES.values()),
        "conformsTo": [COLLECTION],
        "defaultSortOrder": [{"field": "id", "direction": "asc"}],
        "links": [link.to_dict() for link in links],
    }


def facets_document(scope: Scope, lang: str) -> dict[str, Any]:
    """The facets that the caller may ask for (OGC API Records Part 2, draft, 7)."""
    known = {
        name: {"type": "term", "property": FACETS[name][0], "sortedBy": "count", "minOccurs": 1}
        for name in facet_names(scope)
    }
    title = RECORDS.title_en if lang == "en" else RECORDS.title_zh
    return {"id": CATALOGUE_ID, "title": title, "facets": known, "defaultBucketCount": DEFAULT_BUCKETS}
