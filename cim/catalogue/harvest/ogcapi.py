"""OGC API (Common Part 2, Features, Tiles; Records of another node) and STAC: one service a collection or record."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cim.catalogue.harvest.document import Document
from cim.catalogue.harvest.found import Found, Unusable, address, found
from cim.catalogue.harvest.source import Fetch, Harvester

MAX_PAGES = 1_000
_DATA = ("data", "http://www.opengis.net/def/rel/ogc/1.0/data")
_KINDS = (
    "features",
    "tiles",
    "stac",
    "statistics",
    "wms",
    "wfs",
    "wmts",
    "ogcapi",
    "arcgis",
    "xyz",
    "3dtiles",
    "s3m",
    "i3s",
    "rest",
    "file",
    "video",
)


def _is_landing(document: Document) -> bool:
    return isinstance(document.member("links"), list) and any(
        isinstance(one, dict) and one.get("rel") in (*_DATA, "conformance", "service-desc")
        for one in document.member("links")
    )


def _is_stac(document: Document) -> bool:
    return isinstance(document.member("stac_version"), str) or any(
        isinstance(one, dict) and one.get("stac_version") for one in _listed(document.member("collections"))
    )


def _is_collections(document: Document) -> bool:
    return isinstance(document.member("collections"), list)


def _is_ours(document: Document) -> bool:
    return not _is_stac(document) and not _is_records(document) and (_is_collections(document) or _is_landing(document))


def _is_records(document: Document) -> bool:
    features = _listed(document.member("features"))
    return document.member("type") == "FeatureCollection" and (
        not features or any(isinstance(one, dict) and "properties" in one for one in features)
    )


def _read(document: Document, fetch: Fetch | None) -> Iterator[Found | Unusable]:
    yield from _read_as(document, fetch, "ogcapi")


def _read_stac(document: Document, fetch: Fetch | None) -> Iterator[Found | Unusable]:
    if document.member("type") == "Catalog" and link(document.json, _DATA) is None:
        yield from _static(document, fetch, depth=0, seen=set())
        return
    if document.member("type") == "Collection":
        yield _collection(document.json, document.url, "stac", {})
        return
    yield from _read_as(document, fetch, "stac")


def _read_as(document: Document, fetch: Fetch | None, kind: str) -> Iterator[Found | Unusable]:
    """Collections of the document, or of the one that a landing page leads to; a landing page alone is itself a service."""
    if _is_collections(document):
        for page in _pages(document, fetch):
            for one in _listed(page.member("collections")):
                if isinstance(one, dict):
                    yield from _of_collection(one, page, fetch, kind)
        return
    data = address(document.url, link(document.json, _DATA))
    if fetch is not None and data is not None:
        collections = fetch(data)
        if _is_collections(collections):
            yield from _read_as(collections, fetch, kind)
            return
    landing = document.json
    yield found(
        str(landing.get("id") or "landing"),
        kind,
        url=document.url,
        titles=[landing.get("title")],
        descriptions=[landing.get("description")],
        bbox=_bbox(landing),
        licence=_licence(landing),
        facts={"attribution": landing.get("attribution"), "conformsTo": _listed(landing.get("conformsTo"))[:100]},
    )


def _of_collection(
    one: Mapping[str, Any], page: Document, fetch: Fetch | None, kind: str
) -> Iterator[Found | Unusable]:
    items = address(page.url, link(one, ("items",)))
    if one.get("itemType") == "record" and fetch is not None and items is not None:
        yield from _read_records(fetch(items), fetch)
        return
    yield _collection(one, page.url, kind, page.json)


def _collection(one: Mapping[str, Any], base: str, kind: str, among: Mapping[str, Any]) -> Found | Unusable:
    identity = one.get("id") or one.get("name")
    if not isinstance(identity, str) or not identity:
        return Unusable("", "a collection without an id")
    spatial = one.get("extent") if isinstance(one.get("extent"), dict) else {}
    crs = [word for word in _listed(one.get("crs")) if isinstance(word, str) and not word.startswith("#")]
    links = [one for one in _listed(one.get("links")) if isinstance(one, dict)]
    return found(
        identity,
        kind,
        url=_home(links, base, identity),
        titles=[one.get("title") or identity],
        descriptions=[one.get("description")],
        themes=[word for word in _listed(one.get("keywords")) if isinstance(word, str)],
        bbox=_bbox(one),
        licence=_licence(one),
        contact=_provider(one),
        times=_interval(spatial),
        facts={
            "itemType": one.get("itemType"),
            "crs": (crs or [word for word in _listed(among.get("crs")) if isinstance(word, str)])[:100],
            "formats": list(
                dict.fromkeys(
                    link["type"] for link in links if link.get("rel") == "items" and isinstance(link.get("type"), str)
                )
            ),
            "attribution": one.get("attribution"),
        },
    )


def _home(links: Sequence[Mapping[str, Any]], base: str, identity: str) -> str:
    href = next((one.get("href") for rel in ("self", "items") for one in links if one.get("rel") == rel), None)
    root = base.partition("?")[0].rstrip("/")
    if not root.endswith(f"/{identity}") and not isinstance(href, str):
        return f"{root}/{identity}"
    return address(base, href) or base


def _static(document: Document, fetch: Fetch | None, *, depth: int, seen: set[str]) -> Iterator[Found | Unusable]:
    """Collections of a static catalogue, by its links to children."""
    children = [
        address(document.url, one.get("href"))
        for one in _listed(document.member("links"))
        if isinstance(one, dict) and one.get("rel") == "child"
    ]
    if fetch is None or not children:
        landing = document.json
        yield found(
            str(landing.get("id") or "catalog"),
            "stac",
            url=document.url,
            titles=[landing.get("title")],
            descriptions=[landing.get("description")],
        )
        return
    for url in children:
        if url is None or url in seen or depth > 5:
            continue
        seen.add(url)
        child = fetch(url)
        if child.member("type") == "Collection":
            yield _collection(child.json, url, "stac", {})
        else:
            yield from _static(child, fetch, depth=depth + 1, seen=seen)


def _read_records(document: Document, fetch: Fetch | None) -> Iterator[Found | Unusable]:
    """Records (OGC 20-004r1) of another node."""
    for page in _pages(document, fetch):
        for one in _listed(page.member("features")):
            if isinstance(one, dict):
                yield _record(one, page.url)


def _record(one: Mapping[str, Any], base: str) -> Found | Unusable:
    identity, said = one.get("id"), one.get("properties")
    if not isinstance(identity, str | int) or not isinstance(said, dict):
        return Unusable(str(identity or ""), "a record without an id or properties")
    endpoints = _record_endpoints(one, said, base)
    if not endpoints:
        return Unusable(str(identity), "a record without a link to a service")
    titles = [said.get(name) for name in ("title", "title_zh", "titleZh", "title_en", "titleEn")]
    texts = [
        said.get(name) for name in ("description", "description_zh", "descriptionZh", "description_en", "descriptionEn")
    ]
    themes = [word for word in _listed(said.get("keywords")) + _listed(said.get("themes")) if isinstance(word, str)]
    themes += [
        concept["id"]
        for theme in _listed(said.get("themes"))
        if isinstance(theme, dict)
        for concept in _listed(theme.get("concepts"))
        if isinstance(concept, dict) and isinstance(concept.get("id"), str)
    ]
    interval = _listed((one.get("time") or {}).get("interval") if isinstance(one.get("time"), dict) else None)
    return found(
        str(identity),
        endpoints[0]["kind"],
        url=endpoints[0]["url"],
        titles=titles,
        descriptions=texts,
        themes=themes,
        bbox=geometry_box(one.get("geometry")),
        licence=said.get("license") or said.get("licence"),
        contact=_contact(said),
        times=(interval[0], interval[1]) if len(interval) == 2 else (None, None),
        endpoints=endpoints,
        facts={"updated": said.get("updated"), "shareClass": said.get("shareClass"), "formats": said.get("formats")},
    )


def _record_endpoints(one: Mapping[str, Any], said: Mapping[str, Any], base: str) -> list[dict[str, str]]:
    kind = str(said.get("kind") or said.get("serviceType") or said.get("type") or "").lower()
    found_kind = kind if kind in _KINDS else ""
    listed: list[dict[str, str]] = []
    for entry in _listed(said.get("endpoints")) + [
        link
        for link in _listed(one.get("links"))
        if isinstance(link, dict) and link.get("rel") in ("service", "item", "items", "enclosure", "data")
    ]:
        if not isinstance(entry, dict):
            continue
        url = address(base, entry.get("url") or entry.get("href"))
        if url and url not in {other["url"] for other in listed}:
            own = str(entry.get("kind") or "").lower()
            listed.append({"url": url, "kind": own if own in _KINDS else found_kind or "rest"})
    return listed


def _pages(document: Document, fetch: Fetch | None) -> Iterator[Document]:
    """The document and those that its `next` links lead to."""
    page, seen = document, {document.url}
    for _ in range(MAX_PAGES):
        yield page
        follows = address(page.url, link(page.json, ("next",)))
        if fetch is None or follows is None or follows in seen:
            return
        seen.add(follows)
        page = fetch(follows)


def link(document: Any, rels: Sequence[str]) -> str | None:
    """The address of the first link of one of the relations, one in JSON before others."""
    links = [
        one for one in _listed(document.get("links") if isinstance(document, dict) else None) if isinstance(one, dict)
    ]
    right = [one for one in links if one.get("rel") in rels and isinstance(one.get("href"), str)]
    right.sort(key=lambda one: "json" not in str(one.get("type") or "json"))
    return right[0]["href"] if right else None


def _bbox(one: Mapping[str, Any]) -> list[Any] | None:
    extent = one.get("extent")
    spatial = extent.get("spatial") if isinstance(extent, dict) else None
    boxes = _listed(spatial.get("bbox") if isinstance(spatial, dict) else spatial)
    box = boxes[0] if boxes and isinstance(boxes[0], list) else boxes
    if len(box) == 6:
        return [box[0], box[1], box[3], box[4]]
    return box if len(box) == 4 else None


def _interval(extent: Any) -> tuple[Any, Any]:
    temporal = extent.get("temporal") if isinstance(extent, dict) else None
    intervals = _listed(temporal.get("interval") if isinstance(temporal, dict) else temporal)
    first = intervals[0] if intervals and isinstance(intervals[0], list) else intervals
    return (first[0], first[1]) if len(first) == 2 else (None, None)


def _licence(one: Mapping[str, Any]) -> str | None:
    return one["license"] if isinstance(one.get("license"), str) else link(one, ("license",))


def _provider(one: Mapping[str, Any]) -> str | None:
    providers = [p for p in _listed(one.get("providers")) + _listed(one.get("contacts")) if isinstance(p, dict)]
    return next(
        (p[name] for p in providers for name in ("email", "name", "organization") if isinstance(p.get(name), str)), None
    )


def _contact(said: Mapping[str, Any]) -> str | None:
    for one in _listed(said.get("contacts")):
        if isinstance(one, dict):
            mails = [
                m["value"]
                for m in _listed(one.get("emails"))
                if isinstance(m, dict) and isinstance(m.get("value"), str)
            ]
            text = (mails or [one.get("name") or one.get("organization")])[0]
            if isinstance(text, str):
                return text
    return said["contact"] if isinstance(said.get("contact"), str) else None


def geometry_box(geometry: Any) -> list[float] | None:
    """The box around the positions of a GeoJSON geometry."""
    if not isinstance(geometry, dict):
        return None
    level, positions = [geometry.get("coordinates")], []
    while level:
        one = level.pop()
        if isinstance(one, list) and len(one) >= 2 and all(isinstance(v, int | float) for v in one[:2]):
            positions.append(one)
        elif isinstance(one, list):
            level += one
    if not positions:
        return None
    xs, ys = [p[0] for p in positions], [p[1] for p in positions]
    return [min(xs), min(ys), max(xs), max(ys)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


HARVESTER = Harvester("ogcapi", "", _is_ours, _read)
STAC = Harvester("stac", "", _is_stac, _read_stac)
RECORDS = Harvester("records", "", _is_records, _read_records)
