"""WFS 1.0.0 to 2.0.0 capabilities (OGC 04-094, 09-025r2): one service a feature type."""

from collections.abc import Iterator
from typing import Any

from cim.catalogue.harvest.document import Document, attribute, path_of, text_at, texts_at
from cim.catalogue.harvest.found import Found, Unusable, address, found
from cim.catalogue.harvest.source import Fetch, Harvester


def _is_ours(document: Document) -> bool:
    return document.root == "WFS_Capabilities"


def _read(document: Document, fetch: Fetch | None) -> Iterator[Found | Unusable]:
    root = document.xml
    url, formats = _get_feature(root, document.url)
    service = root.find(path_of("ServiceIdentification"))
    if service is None:
        service = root.find(path_of("Service"))
    contact = text_at(
        root,
        "ServiceProvider/ServiceContact/ContactInfo/Address/ElectronicMailAddress",
        "ServiceProvider/ProviderName",
        "ServiceProvider/ServiceContact/IndividualName",
    )
    said = {
        name: text_at(service, name) if service is not None else None
        for name in ("Title", "Abstract", "Fees", "AccessConstraints")
    }
    for one in root.iterfind(path_of("FeatureTypeList/FeatureType")):
        name = text_at(one, "Name")
        if not name:
            yield Unusable("", "a feature type without a name")
            continue
        keywords = texts_at(one, "Keywords/Keyword") or [
            word.strip() for text in texts_at(one, "Keywords") for word in text.split(",")
        ]
        yield found(
            name,
            "wfs",
            url=url,
            titles=[text_at(one, "Title") or name],
            descriptions=[text_at(one, "Abstract"), said["Abstract"]],
            themes=keywords,
            bbox=_box(one),
            licence=said["AccessConstraints"],
            contact=contact,
            endpoints=[{"url": url, "kind": "wfs", "title": name[:200]}],
            facts={
                "layer": name,
                "version": root.get("version"),
                "crs": [
                    t for tag in ("DefaultCRS", "DefaultSRS", "SRS", "OtherCRS", "OtherSRS") for t in texts_at(one, tag)
                ][:100],
                "formats": texts_at(one, "OutputFormats/Format") or formats,
                "fees": said["Fees"],
                "accessConstraints": said["AccessConstraints"],
                "metadata": [href for href in (attribute(m, "href") for m in one.iterfind("{*}MetadataURL")) if href],
                "serviceTitle": said["Title"],
            },
        )


def _get_feature(root: Any, base: str) -> tuple[str, list[str]]:
    for operation in root.iterfind(path_of("OperationsMetadata/Operation")):
        if operation.get("name") == "GetFeature":
            href = next((attribute(one, "href") for one in operation.iter("{*}Get")), None)
            formats = [
                value
                for parameter in operation.iterfind("{*}Parameter")
                if (parameter.get("name") or "").lower() == "outputformat"
                for value in texts_at(parameter, "AllowedValues/Value") + texts_at(parameter, "Value")
            ]
            return address(base, href) or base, formats
    get = root.find(path_of("Capability/Request/GetFeature"))  # 1.0.0
    if get is None:
        return base, []
    href = next((one.get("onlineResource") for one in get.iter("{*}Get")), None)
    formats = [str(one.tag).rpartition("}")[2] for box in get.iterfind("{*}ResultFormat") for one in box]
    return address(base, href) or base, formats


def _box(one: Any) -> list[str] | None:
    low, high = text_at(one, "WGS84BoundingBox/LowerCorner"), text_at(one, "WGS84BoundingBox/UpperCorner")
    if low and high:
        return [*low.split()[:2], *high.split()[:2]]
    box = one.find("{*}LatLongBoundingBox")
    return None if box is None else [box.get(name) or "" for name in ("minx", "miny", "maxx", "maxy")]


HARVESTER = Harvester("wfs", "service=WFS&request=GetCapabilities", _is_ours, _read)
