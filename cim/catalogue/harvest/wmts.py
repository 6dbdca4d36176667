"""WMTS 1.0.0 capabilities (OGC 07-057r7): one service a layer."""

from collections.abc import Iterator
from typing import Any

from cim.catalogue.harvest.document import Document, attribute, path_of, text_at, texts_at
from cim.catalogue.harvest.found import Found, Unusable, address, found
from cim.catalogue.harvest.source import Fetch, Harvester


def _is_ours(document: Document) -> bool:
    return document.root == "Capabilities" and document.xml.find(path_of("Contents/TileMatrixSet")) is not None


def _read(document: Document, fetch: Fetch | None) -> Iterator[Found | Unusable]:
    root = document.xml
    url = _get_tile(root, document.url)
    service = root.find(path_of("ServiceIdentification"))
    said: dict[str, str | None] = {
        name: text_at(service, name) if service is not None else None
        for name in ("Title", "Abstract", "Fees", "AccessConstraints")
    }
    contact = text_at(
        root,
        "ServiceProvider/ServiceContact/ContactInfo/Address/ElectronicMailAddress",
        "ServiceProvider/ProviderName",
    )
    crs = {
        text_at(one, "Identifier"): text_at(one, "SupportedCRS")
        for one in root.iterfind(path_of("Contents/TileMatrixSet"))
    }
    for layer in root.iterfind(path_of("Contents/Layer")):
        name = text_at(layer, "Identifier")
        if not name:
            yield Unusable("", "a layer without an identifier")
            continue
        grids = texts_at(layer, "TileMatrixSetLink/TileMatrixSet")
        formats = texts_at(layer, "Format")
        templates = [
            one.get("template") for one in layer.iterfind("{*}ResourceURL") if one.get("resourceType") == "tile"
        ]
        yield found(
            name,
            "wmts",
            url=url,
            titles=[text_at(layer, "Title") or name],
            descriptions=[text_at(layer, "Abstract"), said["Abstract"]],
            themes=texts_at(layer, "Keywords/Keyword"),
            bbox=_box(layer),
            licence=said["AccessConstraints"],
            contact=contact,
            times=_times(layer),
            endpoints=[{"url": url, "kind": "wmts", "title": name[:200]}],
            facts={
                "layer": name,
                "style": next((text_at(one, "Identifier") for one in layer.iterfind("{*}Style")), None),
                "tileMatrixSets": grids,
                "crs": [value for value in dict.fromkeys(crs.get(grid) for grid in grids) if value],
                "formats": formats,
                "tile": _first_tile(root, layer, grids[0]) if grids else None,
                "template": templates[0] if templates else None,
                "fees": said["Fees"],
                "accessConstraints": said["AccessConstraints"],
                "serviceTitle": said["Title"],
            },
        )


def _first_tile(root: Any, layer: Any, grid: str) -> str | None:
    """A tile of the layer, `matrix/row/column`: the first within its limits, else of its grid's first matrix (OGC 07-057r7, 7.1.1)."""
    for limits in layer.iterfind(path_of("TileMatrixSetLink/TileMatrixSetLimits/TileMatrixLimits")):
        tile = [text_at(limits, name) or "" for name in ("TileMatrix", "MinTileRow", "MinTileCol")]
        return "/".join(tile) if all(tile) else None
    for one in root.iterfind(path_of("Contents/TileMatrixSet")):
        if text_at(one, "Identifier") == grid:
            matrix = text_at(one, "TileMatrix/Identifier")
            return f"{matrix}/0/0" if matrix else None
    return None


def _get_tile(root: Any, base: str) -> str:
    for operation in root.iterfind(path_of("OperationsMetadata/Operation")):
        if operation.get("name") in ("GetTile", "GetCapabilities"):
            href = next((attribute(one, "href") for one in operation.iter("{*}Get")), None)
            if href:
                return address(base, href) or base
    return base


def _box(layer: Any) -> list[str] | None:
    low, high = text_at(layer, "WGS84BoundingBox/LowerCorner"), text_at(layer, "WGS84BoundingBox/UpperCorner")
    return [*low.split()[:2], *high.split()[:2]] if low and high else None


def _times(layer: Any) -> tuple[str | None, str | None]:
    for one in layer.iterfind("{*}Dimension"):
        if (text_at(one, "Identifier") or "").lower() == "time":
            values = texts_at(one, "Value")
            if values:
                return values[0].split("/")[0], values[-1].split("/")[-1]
    return None, None


HARVESTER = Harvester("wmts", "service=WMTS&request=GetCapabilities", _is_ours, _read)
