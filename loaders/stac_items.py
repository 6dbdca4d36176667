"""STAC items → rows of imagery (STAC 1.0.0, its release candidates, and 1.1.0)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import shapely
from shapely.errors import GEOSException

from loaders.imagery_rows import Row, json_text, utc

_TAKEN = ("title", "datetime", "start_datetime", "end_datetime", "gsd", "eo:cloud_cover", "platform")
_NAVIGATION = frozenset({"self", "root", "parent", "collection", "child", "item", "items", "next", "prev"})
_MAX_DEPTH = 12


class BrokenItem(ValueError):
    """An item that is no row of imagery; `field` is what is wrong."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def is_item(document: object) -> bool:
    """True for a GeoJSON feature that says it is a STAC item."""
    return (
        isinstance(document, dict)
        and document.get("type") == "Feature"
        and isinstance(document.get("stac_version"), str)
        and isinstance(document.get("properties"), dict)
    )


def row_of(item: Mapping[str, Any], located: "Locator") -> tuple[Row, shapely.Geometry | None]:
    """The item as a row and its geometry (lon, lat). `located` turns an asset's href into the stored one.

    What no column takes stays in `stac_properties`: the other properties, and under `links`,
    `stac_extensions` and `stac_version` what the item has beside its properties; links that only lead
    through a catalogue are left out. Size and resolution are the item's own, else those of its finest asset.
    Raises BrokenItem.
    """
    properties = item["properties"]
    identity = item.get("id")
    if not isinstance(identity, str) or not identity:
        raise BrokenItem("id", "an item needs an id, a text that is not empty")
    assets = item.get("assets") or {}
    if not isinstance(assets, dict) or not all(isinstance(a, dict) for a in assets.values()):
        raise BrokenItem("assets", "assets is an object of objects")
    begin, end = instant(properties, "start_datetime"), instant(properties, "end_datetime")
    moment = instant(properties, "datetime")
    if moment is None and (begin is None or end is None):
        raise BrokenItem("datetime", "an item has a datetime, or both start_datetime and end_datetime")
    shapes = [pair for holder in (properties, *assets.values()) if (pair := _pair(holder.get("proj:shape")))]
    shape = _pair(properties.get("proj:shape")) or max(shapes, default=None)
    finest = [gsd for a in assets.values() if (gsd := _number(a.get("gsd"), least=0.0)) is not None]
    collection = item.get("collection", properties.get("collection"))
    row: dict[str, Any] = {
        "id": identity,
        "stac_collection": collection if isinstance(collection, str) else None,
        "title": _text(properties.get("title")),
        "datetime": moment,
        "start_datetime": begin,
        "end_datetime": end,
        "gsd_m": _number(properties.get("gsd", min(finest, default=None)), least=0.0),
        "cloud_cover_percent": _number(properties.get("eo:cloud_cover"), least=0.0, most=100.0),
        "platform": _text(properties.get("platform")),
        "crs": _crs(properties) or next((c for a in assets.values() if (c := _crs(a))), None),
        "height": shape[0] if shape else _count(properties.get("height")),
        "width": shape[1] if shape else _count(properties.get("width")),
        "bands": _bands(properties, assets),
        "assets": {name: {**asset, **located(asset)} for name, asset in assets.items()},
        "stac_properties": _rest(item, row_takes=_TAKEN),
    }
    return row, _geometry(item.get("geometry"))


class Locator:
    """Gives an asset's href as it is stored: relative ones from the source's root folder, others as they are.

    `folder` is the item's folder below the root, as posix text ("" for the root itself).
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __call__(self, asset: Mapping[str, Any]) -> dict[str, str]:
        """The asset's own `href`, moved."""
        href = asset.get("href")
        if not isinstance(href, str) or not self._folder or "://" in href or href.startswith(("/", "data:")):
            return {}
        parts = [p for p in self._folder.split("/") if p]
        for part in href.split("/"):
            if part == "..":
                if not parts:
                    return {}  # above the root: nothing of ours
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        return {"href": "/".join(parts)}


def instant(properties: Mapping[str, Any], name: str) -> datetime | None:
    """An RFC 3339 instant in UTC, None where it is absent or null. Raises BrokenItem."""
    value = properties.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
        if moment is None:
            raise ValueError
        return utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise BrokenItem(name, f"{name} is not an RFC 3339 instant such as 2018-06-15T15:39:09Z") from error


def _geometry(document: object) -> shapely.Geometry | None:
    if document is None:
        return None
    if _depth(document) > _MAX_DEPTH:
        raise BrokenItem("geometry", f"the geometry is nested deeper than {_MAX_DEPTH}")
    try:
        return shapely.from_geojson(json_text(document))
    except (GEOSException, ValueError) as error:
        raise BrokenItem("geometry", "the geometry is not GeoJSON") from error


def _depth(document: object) -> int:
    """How deep lists and objects are nested, counted to just beyond the cap."""
    level, depth = [document], 0
    while level and depth <= _MAX_DEPTH:
        inner = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, (dict, list))]
        level = [w for v in inner for w in v if isinstance(w, (dict, list))]
        depth += 1
    return depth


def _crs(properties: Mapping[str, Any]) -> str | None:
    code = properties.get("proj:code")
    if isinstance(code, str) and code:
        return code
    number = properties.get("proj:epsg")
    if isinstance(number, int):
        return f"EPSG:{number}"
    wkt = properties.get("proj:wkt2")
    return wkt if isinstance(wkt, str) and wkt else None


def _bands(properties: Mapping[str, Any], assets: Mapping[str, Mapping[str, Any]]) -> list[Any] | None:
    """Bands of the item itself, else those of its assets, each name once."""
    own = properties.get("bands") or properties.get("eo:bands")
    if isinstance(own, list):
        return own
    found: dict[str, Any] = {}
    for name, asset in assets.items():
        listed = asset.get("bands") or asset.get("eo:bands") or []
        for band in listed if isinstance(listed, list) else []:
            if isinstance(band, dict):
                found.setdefault(str(band.get("name", name)), band)
    return list(found.values()) or None


def _rest(item: Mapping[str, Any], row_takes: tuple[str, ...]) -> dict[str, Any]:
    rest = {name: value for name, value in item["properties"].items() if name not in row_takes}
    links = [
        link
        for link in item.get("links") or []
        if isinstance(link, dict) and link.get("rel") not in _NAVIGATION and isinstance(link.get("href"), str)
    ]
    if links:
        rest["links"] = links
    if isinstance(item.get("stac_extensions"), list):
        rest["stac_extensions"] = item["stac_extensions"]
    rest["stac_version"] = item["stac_version"]
    return rest


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object, *, least: float, most: float = float("inf")) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if least <= value <= most else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _pair(value: object) -> tuple[int, int] | None:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value):
        return int(value[0]), int(value[1])
    return None
