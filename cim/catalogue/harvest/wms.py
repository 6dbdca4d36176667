"""WMS 1.0 to 1.3.0 capabilities (OGC 06-042): one service a named layer."""

from collections.abc import Iterator
from typing import Any

from cim.catalogue.harvest.document import Document, attribute, path_of, text_at, texts_at
from cim.catalogue.harvest.found import Found, Unusable, address, found
from cim.catalogue.harvest.source import Fetch, Harvester

MAX_LAYERS = 20_000


def _is_ours(document: Document) -> bool:
    return document.root in ("WMS_Capabilities", "WMT_MS_Capabilities")


def _read(document: Document, fetch: Fetch | None) -> Iterator[Found | Unusable]:
    root = document.xml
    service, top = root.find(path_of("Service")), root.find(path_of("Capability/Layer"))
    if top is None or service is None:
        return
    get_map = root.find(path_of("Capability/Request/GetMap"))
    href = (
        next((attribute(one, "href") for one in get_map.iter("{*}OnlineResource")), None)
        if get_map is not None
        else None
    )
    common = _Common(
        url=address(document.url, href) or document.url,
        formats=texts_at(get_map, "Format") if get_map is not None else [],
        version=str(root.get("version") or ""),
        service=service,
        url_of_document=document.url,
    )
    yield from _layers(top, common, (), {})


class _Common:
    """What all layers of a document share."""

    def __init__(self, url: str, formats: list[str], version: str, service: Any, url_of_document: str) -> None:
        self.url, self.formats, self.version, self.base = url, formats, version, url_of_document
        self.title = text_at(service, "Title")
        self.description = text_at(service, "Abstract")
        self.keywords = texts_at(service, "KeywordList/Keyword")
        self.fees = text_at(service, "Fees")
        self.constraints = text_at(service, "AccessConstraints")
        contact = "ContactInformation/"
        self.contact = text_at(
            service,
            f"{contact}ContactElectronicMailAddress",
            f"{contact}ContactPersonPrimary/ContactOrganization",
            f"{contact}ContactPersonPrimary/ContactPerson",
        )


def _layers(
    layer: Any, common: _Common, groups: tuple[str, ...], inherited: dict[str, Any]
) -> Iterator[Found | Unusable]:
    """The layer and those beneath: they inherit CRS and boxes (06-042, 7.2.4.8)."""
    own = dict(inherited)
    own["bbox"] = _box(layer) or inherited.get("bbox")
    crs = [word for text in texts_at(layer, "CRS") + texts_at(layer, "SRS") for word in text.split()]
    own["crs"] = list(dict.fromkeys([*inherited.get("crs", []), *crs]))[:100]
    title, name = text_at(layer, "Title"), text_at(layer, "Name")
    if name:
        yield found(
            name,
            "wms",
            url=common.url,
            titles=[title or name],
            descriptions=[text_at(layer, "Abstract"), common.description],
            themes=[*texts_at(layer, "KeywordList/Keyword"), *groups, *common.keywords],
            bbox=own["bbox"],
            licence=_licence(common.constraints, common.fees),
            contact=common.contact,
            times=_times(layer),
            endpoints=[{"url": common.url, "kind": "wms", "title": name[:200]}],
            facts={
                "layer": name,
                "version": common.version,
                "crs": own["crs"],
                "formats": common.formats,
                "fees": common.fees,
                "accessConstraints": common.constraints,
                "queryable": layer.get("queryable") == "1",
                "serviceTitle": common.title,
            },
        )
    for inner in layer.iterfind("{*}Layer"):
        yield from _layers(inner, common, (*groups, title) if title and not name else groups, own)


def _box(layer: Any) -> list[str] | None:
    box = layer.find("{*}EX_GeographicBoundingBox")
    if box is not None:
        names = ("westBoundLongitude", "southBoundLatitude", "eastBoundLongitude", "northBoundLatitude")
        return [text_at(box, name) or "" for name in names]
    box = layer.find("{*}LatLonBoundingBox")
    return None if box is None else [box.get(name) or "" for name in ("minx", "miny", "maxx", "maxy")]


def _times(layer: Any) -> tuple[str | None, str | None]:
    """Begin and end of the time dimension: a list, or begin/end/period (06-042, annex D)."""
    for one in (*layer.iterfind("{*}Dimension"), *layer.iterfind("{*}Extent")):
        if (one.get("name") or "").lower() == "time" and one.text and one.text.strip():
            values = one.text.strip().split(",")
            begin, _, rest = values[-1].partition("/")
            return values[0].partition("/")[0], rest.partition("/")[0] or begin
    return None, None


def _licence(constraints: str | None, fees: str | None) -> str | None:
    """What the service says of its use; `none` says nothing of a licence."""
    said = [text for text in (constraints, fees) if text and text.lower() not in ("none", "no conditions apply", "无")]
    return "; ".join(said) or None


HARVESTER = Harvester("wms", "service=WMS&request=GetCapabilities", _is_ours, _read)
