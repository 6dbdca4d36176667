"""ArcGIS REST: services of a directory, layers of a MapServer or FeatureServer."""

from collections.abc import Iterator, Mapping
from typing import Any

from cim.catalogue.harvest.document import Document
from cim.catalogue.harvest.found import Found, Unusable, box_of, found
from cim.catalogue.harvest.source import Fetch, Harvester

CALLABLE = ("MapServer", "FeatureServer", "ImageServer", "VectorTileServer", "SceneServer")
_DEGREES = (4326, 4269, 4490, 4283, 7844, 4258)
_MERCATOR = (3857, 102100, 102113)


def _is_ours(document: Document) -> bool:
    return isinstance(document.member("currentVersion"), int | float)


def _read(document: Document, fetch: Fetch | None) -> Iterator[Found | Unusable]:
    if isinstance(document.member("services"), list):
        yield from _directory(document, fetch, depth=0)
    elif isinstance(document.member("layers"), list):
        yield from _layers(document)
    else:
        yield _whole(document)


def _directory(document: Document, fetch: Fetch | None, *, depth: int) -> Iterator[Found | Unusable]:
    home = document.url.partition("?")[0].rstrip("/")
    for one in document.json["services"]:
        name, kind = str(one.get("name") or ""), str(one.get("type") or "")
        identity = f"{name}/{kind}"
        if kind not in CALLABLE:
            yield Unusable(identity, f"a {kind} offers no map and no features")
            continue
        url = f"{home}/{name.rpartition('/')[2]}/{kind}"
        yield found(
            identity,
            "arcgis",
            url=url,
            titles=[str(one.get("title") or name).replace("_", " ")],
            descriptions=[one.get("description")],
            facts={"type": kind, "version": document.member("currentVersion")},
        )
    if fetch is None or depth >= 2:
        return
    for folder in document.json.get("folders") or []:
        if isinstance(folder, str):
            inner = fetch(f"{home}/{folder}?f=json")
            if isinstance(inner.member("services"), list):
                yield from _directory(inner, fetch, depth=depth + 1)


def _layers(document: Document) -> Iterator[Found | Unusable]:
    service = document.json
    home = document.url.partition("?")[0].rstrip("/")
    said = service.get("documentInfo") if isinstance(service.get("documentInfo"), dict) else {}
    for one in service["layers"]:
        if not isinstance(one, dict) or not isinstance(one.get("id"), int):
            yield Unusable("", "a layer without an id")
            continue
        if one.get("subLayerIds"):
            yield Unusable(str(one["id"]), "a group of layers")
            continue
        yield found(
            str(one["id"]),
            "arcgis",
            url=f"{home}/{one['id']}",
            titles=[one.get("name")],
            descriptions=[one.get("description"), service.get("serviceDescription"), service.get("description")],
            themes=[word.strip() for word in str(said.get("Keywords") or "").split(",")],
            bbox=_extent(service),
            licence=None,
            contact=said.get("Author"),
            facts={
                "service": service.get("mapName") or said.get("Title"),
                "geometryType": one.get("geometryType"),
                "copyright": service.get("copyrightText"),
                "capabilities": service.get("capabilities"),
                "formats": str(service.get("supportedQueryFormats") or "").split(", "),
                "crs": _crs(service),
            },
        )


def _whole(document: Document) -> Found:
    service = document.json
    return found(
        str(service.get("name") or service.get("id") or "service"),
        "arcgis",
        url=document.url.partition("?")[0],
        titles=[service.get("name") or "service"],
        descriptions=[service.get("description"), service.get("serviceDescription")],
        bbox=_extent(service),
        facts={"copyright": service.get("copyrightText"), "crs": _crs(service)},
    )


def _reference(service: Mapping[str, Any]) -> int | None:
    for holder in (service.get("fullExtent"), service.get("extent"), service):
        reference = holder.get("spatialReference") if isinstance(holder, dict) else None
        code = (reference.get("latestWkid") or reference.get("wkid")) if isinstance(reference, dict) else None
        if isinstance(code, int):
            return code
    return None


def _crs(service: Mapping[str, Any]) -> list[str]:
    code = _reference(service)
    return [f"EPSG:{code}"] if code else []


def _extent(service: Mapping[str, Any]) -> list[float] | None:
    """The full extent in degrees, where it is in degrees or in Web Mercator."""
    extent = service.get("fullExtent") or service.get("extent")
    if not isinstance(extent, dict):
        return None
    numbers = [extent.get(name) for name in ("xmin", "ymin", "xmax", "ymax")]
    code = _reference(service)
    if code in _DEGREES:
        return box_of(numbers)
    if code not in _MERCATOR:
        return None
    from pyproj import Transformer

    try:
        west, south, east, north = (float(v) for v in numbers if v is not None)
    except (TypeError, ValueError):
        return None
    return box_of(Transformer.from_crs(3857, 4326, always_xy=True).transform_bounds(west, south, east, north))


HARVESTER = Harvester("arcgis", "f=json", _is_ours, _read)
