"""The catalogue's records in the OpenAPI description: under `/catalogue` and `/collections/catalogue` alike."""

from collections.abc import Callable, Iterable
from typing import Any

from api.catalogue_document import ATOM, CSV, FACETS_JSON, RSS, XLSX
from api.documents import GEOJSON, HTML, JSON, SCHEMA_JSON
from api.openapi_parts import parameter, ref
from api.record_query import EQUALS, HEALTH, MAX_BUCKETS, MAX_EXTERNAL_IDS, MAX_WORDS
from api.records import ISO_XML, JSON_LD
from api.routes.records import HOMES
from api.schemas import property_schema
from cim.catalogue.service import SHARE_CLASSES
from cim.collections.records import CATALOGUE_ID, TYPES
from cim.query.feature_query import DEFAULT_LIMIT
from cim.query.order import MAX_KEYS
from cim.query.records import FACETS, MAX_RECORDS
from cim.query.text_search import MAX_TERMS

Get = Callable[..., dict[str, Any]]
_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}


def _listed(name: str, description: str, items: dict[str, Any] | None = None) -> dict[str, Any]:
    schema = {"type": "array", "items": items or _TEXT}
    return {**parameter(name, description, schema), "style": "form", "explode": False}


def conditions() -> list[dict[str, Any]]:
    """Parameters that say which records."""
    shared = [
        ref("parameters", name) for name in ("bbox", "bbox-crs", "datetime", "filter", "filter-lang", "filter-crs")
    ]
    own = [
        _listed(
            "q",
            f"One of these terms (at most {MAX_TERMS}) stands in a title, description, theme, the id, or the name of the "
            "organisation; words of a term together and in order",
        ),
        parameter("words", f"Every one of these words (at most {MAX_WORDS}), wherever it stands", _TEXT),
        _listed("type", "Types of the resource", {"type": "string", "enum": list(TYPES), "maxLength": 64}),
        _listed("ids", "Ids of records"),
        _listed(
            "externalIds", f"Where they came from, as scheme:value, value, or scheme: (at most {MAX_EXTERNAL_IDS})"
        ),
        parameter("theme", "A theme, as it is written", _TEXT),
        parameter("share-class", "Share class", {"type": "string", "enum": list(SHARE_CLASSES)}),
        parameter("mine", "Only those that the caller sees in every state", {"type": "string", "enum": ["true"]}),
        parameter("health", "What the last probe found", {"type": "string", "enum": list(HEALTH)}),
        parameter("area", "Division code (行政区划代码), or the name of an area: services about it or within", _TEXT),
    ]
    equal = []
    for name, declared in EQUALS.items():
        schema = property_schema(declared, "en")
        kept = {key: schema[key] for key in schema if key in ("type", "format", "enum")}
        equal.append(parameter(name, f"{declared.title_zh} {declared.title_en}: equal to this value", kept))
    return [*shared, *own, *equal]


def paging() -> list[dict[str, Any]]:
    """Parameters of a page."""
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_RECORDS, "default": DEFAULT_LIMIT}
    return [
        parameter("limit", f"Records of a page; more than {MAX_RECORDS:,} gives {MAX_RECORDS:,}", limit),
        ref("parameters", "cursor"),
        _listed(
            "sortby",
            f"Up to {MAX_KEYS} of what /sortables lists, - for descending; by relevance where words are looked for",
        ),
        parameter("count", "Ask how many match", {"type": "string", "enum": ["exact"]}),
        _listed(
            "facets", f"name[:number[:order]] of {', '.join(FACETS)}, or all; at most {MAX_BUCKETS:,} values of each"
        ),
        _listed("profile", "Profiles that are asked for: URIs, safe CURIEs or ids of OGC's register"),
    ]


def _formats(*names: str) -> dict[str, Any]:
    return parameter("f", "Representation", {"type": "string", "enum": list(names)})


def _described(
    get: Get, name: str, summary: str, media: dict[str, Any], parameters: Iterable[Any], *formats: str
) -> dict[str, Any]:
    path = get(name, "Catalogue", summary, media, parameters)
    kept = [one for one in path["get"]["parameters"] if one != ref("parameters", "f")]
    path["get"]["parameters"] = [*kept, _formats(*formats)]
    return path


def record_paths(get: Get) -> dict[str, Any]:
    """The paths of reading; `get` describes one GET."""
    one = parameter("serviceId", "Id of the service", _TEXT, place="path")
    profile = paging()[-1]
    page = {GEOJSON: _OBJECT, HTML: _TEXT, JSON_LD: _OBJECT}
    record = {GEOJSON: _OBJECT, HTML: _TEXT, JSON_LD: _OBJECT, ISO_XML: _TEXT}
    paths: dict[str, Any] = {}
    for home in HOMES:
        tag = "catalogue" if home == HOMES[0] else f"{CATALOGUE_ID}.collection"
        document = {JSON: _OBJECT, HTML: _TEXT, JSON_LD: _OBJECT}
        schema = {SCHEMA_JSON: _OBJECT, HTML: _TEXT}
        paths |= {
            home: _described(get, tag, "The catalogue of data services", document, [profile], "json", "html", "dcat"),
            f"{home}/items": _described(
                get, f"{tag}.records", "Services that match", page, [*conditions(), *paging()], "json", "html", "dcat"
            ),
            f"{home}/items/{{serviceId}}": _described(
                get, f"{tag}.record", "One service", record, [one, profile], "json", "html", "dcat", "iso"
            ),
            f"{home}/queryables": get(f"{tag}.queryables", "Catalogue", "What records can be asked for by", schema),
            f"{home}/sortables": get(f"{tag}.sortables", "Catalogue", "What records can be sorted by", schema),
            f"{home}/schema": get(f"{tag}.schema", "Catalogue", "What can be asked of a record", schema),
            f"{home}/facets": get(
                f"{tag}.facets", "Catalogue", "What records can be counted by", {FACETS_JSON: _OBJECT, HTML: _TEXT}
            ),
        }
    paths["/catalogue/themes"] = get(
        "catalogue.themes", "Catalogue", "Themes of services, with how many have each", {JSON: _OBJECT}
    )
    feeds = {ATOM: _TEXT, RSS: _TEXT}
    paths["/catalogue/feed"] = _described(
        get,
        "catalogue.feed",
        "What is new",
        feeds,
        [parameter("limit", "Entries, up to 1,000", {"type": "integer"})],
        "atom",
        "rss",
    )
    paths["/catalogue/export"] = _described(
        get,
        "catalogue.export",
        "Everything that matches, as a table",
        {CSV: _TEXT, XLSX: _TEXT},
        [*conditions(), parameter("bom", "With a byte order mark (CSV)", {"type": "boolean"})],
        "csv",
        "xlsx",
    )
    return paths
