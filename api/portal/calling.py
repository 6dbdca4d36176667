"""How a service is called: a first question that fits what it is, and the same written for curl, Python, QGIS and MapLibre."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import asinh, ceil, floor, log2, pi, radians, tan
from typing import Any
from urllib.parse import unquote_plus, urlencode, urlsplit

Box = tuple[float, float, float, float]
WORLD: Box = (-180.0, -85.0, 180.0, 85.0)
"""Where a picture is asked for of a service that does not tell where it is: west, south, east, north in degrees."""
MAX_ZOOM = 16


@dataclass(frozen=True, slots=True)
class Offer:
    """What is offered. `address`: where the node answers for it; `url`: the first endpoint as registered, a path for own data.

    `facts`: of its provenance (`layer`, `style`, `version`). `needs_key`: calls carry a key.
    """

    id: str
    kind: str
    address: str
    url: str
    needs_key: bool
    box: Box | None = None
    collection_id: str | None = None
    facts: Mapping[str, Any] | None = None

    @property
    def is_own(self) -> bool:
        """True for data of this node; what runs elsewhere is told by its address, or by `/services/{id}/…`."""
        return self.url.startswith("/") and not self.url.startswith("/services/")


@dataclass(frozen=True, slots=True)
class Call:
    """A question: `path` behind the service's address, parameters in order, and what comes back.

    `gives`: features, json, xml, tile, image or file. `more`: names of parameters that may be given beside.
    `template`: the path with `{z}`, `{x}` and `{y}` where tiles are asked for.
    """

    gives: str
    path: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    more: tuple[str, ...] = ()
    template: str = ""
    is_raster: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """One way to call: message `way.<key>`, text to copy, and the message that tells how (`way.<how>`), if any."""

    key: str
    text: str
    how: str = ""


def offer_of(record: Mapping[str, Any], base: str, collection: Mapping[str, Any] | None = None) -> Offer:
    """The record of the catalogue as what is called at `base`/services/; where it does not say where, its collection does."""
    properties = record["properties"]
    endpoints = properties["endpoints"] or [{"url": ""}]
    box = record.get("bbox") or _extent_of(collection or {})
    return Offer(
        record["id"],
        properties["kind"],
        f"{base}/services/{record['id']}",
        endpoints[0]["url"],
        properties["shareClass"] != "unconditional",
        (box[0], box[1], box[2], box[3]) if box else None,
        properties["collectionId"],
        (properties.get("provenance") or {}).get("facts") or {},
    )


def _extent_of(collection: Mapping[str, Any]) -> Any:
    boxes = (collection.get("extent") or {}).get("spatial", {}).get("bbox") or [None]
    box = boxes[0]
    return box if box is None or len(box) == 4 else [*box[:2], *box[3:5]]


def call_of(offer: Offer) -> Call:
    """The first question to ask of the service."""
    about = (("limit", "5"), *((("bbox", _text_of(offer.box)),) if offer.box else ()))
    path = urlsplit(offer.url).path.rstrip("/")
    if offer.is_own:
        return _own_call(path, about, offer)
    if "{" in offer.url:
        return _tile(_template_of(offer.url), offer, is_raster=offer.kind != "tiles")
    match offer.kind:
        case "wms" | "wfs" | "wmts":
            return _ows_call(offer)
        case "arcgis":
            if not path.rpartition("/")[2].isdigit():
                return Call("json", "", (("f", "json"),))
            asked = (("where", "1=1"), ("outFields", "*"), ("resultRecordCount", "5"), ("f", "geojson"))
            return Call("features", "/query", asked, ("geometry",))
        case "features" | "ogcapi":
            if path.endswith("/items"):
                return Call("features", "", about, ("filter", "datetime"))
            is_one = "/collections/" in path
            return Call("features", "/items", about, ("filter", "datetime")) if is_one else Call("json", "", ())
        case "stac" | "3dtiles" | "i3s" | "statistics" | "s3m":
            return Call("json")
        case "tiles" | "xyz":
            return _tile("/{z}/{x}/{y}", offer, is_raster=offer.kind == "xyz")
    return Call("file" if offer.kind == "file" else "json")


def _text_of(box: Box) -> str:
    """West, south, east, north with four decimals, rounded outward: what lies on the edge of the extent is inside."""
    low, high = (floor(edge * 1e4) / 1e4 for edge in box[:2]), (ceil(edge * 1e4) / 1e4 for edge in box[2:])
    return ",".join(f"{edge:.4f}".rstrip("0").rstrip(".") for edge in (*low, *high))


def _own_call(path: str, about: tuple[tuple[str, str], ...], offer: Offer) -> Call:
    last = path.rpartition("/")[2]
    grid = "WebMercatorQuad/{z}/{y}/{x}"
    if path.startswith("/stac"):
        is_search = last in ("search", "items")
        return Call("features", "" if is_search else "/search", about, ("datetime",))
    match last:
        case "items":
            return Call("features", "", about, ("filter", "datetime"))
        case "aggregate":
            return Call("json", "", about[1:], ("group-by", "filter"))
        case "tiles":
            return _tile(f"/{grid}", offer)
        case "WebMercatorQuad":
            return _tile("/{z}/{y}/{x}", offer)
    if offer.kind == "tiles":
        return _tile(f"/tiles/{grid}", offer)
    is_collection = path.count("/") == 2
    return Call("features", "/items", about, ("filter", "datetime")) if is_collection else Call("json")


def _ows_call(offer: Offer) -> Call:
    facts, service = offer.facts or {}, offer.kind.upper()
    layer = str(facts.get("layer") or _registered(offer.url, "layers", "layer", "typenames", "typename") or "")
    if not layer or offer.kind == "wmts":
        return Call("xml", "", (("SERVICE", service), ("REQUEST", "GetCapabilities")))
    if offer.kind == "wfs":
        version = str(facts.get("version") or "2.0.0")
        names, count = ("TYPENAMES", "COUNT") if version.startswith("2") else ("TYPENAME", "MAXFEATURES")
        wanted = (("SERVICE", service), ("VERSION", version), ("REQUEST", "GetFeature"), (names, layer), (count, "5"))
        return Call("xml", "", wanted, ("OUTPUTFORMAT",))
    asked = (
        ("SERVICE", service),
        ("VERSION", "1.1.1"),
        ("REQUEST", "GetMap"),
        ("LAYERS", layer),
        ("STYLES", str(facts.get("style") or "")),
        ("SRS", "EPSG:4326"),
        ("BBOX", _text_of(offer.box or WORLD)),
        ("WIDTH", "512"),
        ("HEIGHT", "512"),
        ("FORMAT", "image/png"),
    )
    return Call("image", "", asked, is_raster=True)


def _registered(url: str, *names: str) -> str | None:
    for part in urlsplit(url).query.split("&"):
        name, _, value = part.partition("=")
        if name.lower() in names:
            return unquote_plus(value)
    return None


def _template_of(url: str) -> str:
    """What follows the folder of an address with `{z}`, `{x}` and `{y}` in it, as the gateway takes it."""
    path, _, query = url.partition("?")
    folder, brace, rest = path.partition("{")
    stem = folder.rpartition("/")[2]
    open_parts = "&".join(part for part in query.split("&") if "{" in part)
    return (f"/{stem}{brace}{rest}" if brace else "") + (f"?{open_parts}" if open_parts else "")


def _tile(template: str, offer: Offer, *, is_raster: bool = False) -> Call:
    """The tile in the middle of the service's box, at the zoom at which a tile is about as wide as the box."""
    west, south, east, north = offer.box or WORLD
    zoom = max(0, min(MAX_ZOOM, floor(log2(360 / max(east - west, 1e-6)))))
    lon, lat = (west + east) / 2, max(-85.0, min(85.0, (south + north) / 2))
    last = 2**zoom - 1
    column = max(0, min(last, floor((lon + 180) / 360 * 2**zoom)))
    row = max(0, min(last, floor((1 - asinh(tan(radians(lat))) / pi) / 2 * 2**zoom)))
    path = template.replace("{z}", str(zoom)).replace("{x}", str(column)).replace("{y}", str(row))
    return Call("image" if is_raster else "tile", path, (), (), template, is_raster)


def query_of(parameters: Sequence[tuple[str, str]]) -> str:
    """The parameters as a query string that a shell takes between double quotes as it is."""
    return urlencode(parameters, safe=",:/*{}-")


def ways_of(offer: Offer, call: Call) -> list[Way]:
    """The call for curl, Python, QGIS and MapLibre; those that make no sense for the service are left out."""
    ways = [Way("curl", _curl(offer, call)), Way("python", _python(offer, call))]
    for made in (_qgis(offer, call), _maplibre(offer, call)):
        if made is not None:
            ways.append(made)
    return ways


def _url(offer: Offer, call: Call) -> str:
    query = query_of(call.parameters)
    return f"{offer.address}{call.path}" + (f"?{query}" if query else "")


def _suffix(offer: Offer, call: Call) -> str:
    name = urlsplit(offer.url).path.rpartition("/")[2]
    if call.gives == "file" and "." in name and '"' not in name:
        return name.rpartition(".")[2][:8]
    return {"tile": "mvt", "image": "png"}.get(call.gives, "bin")


def _curl(offer: Offer, call: Call) -> str:
    key = ' -H "X-API-Key: $KEY"' if offer.needs_key else ""
    into = f" -o {offer.id}.{_suffix(offer, call)}" if call.gives in ("tile", "image", "file") else ""
    return f'curl -fsSL{key}{into} "{_url(offer, call)}"'


_READS = {
    "features": 'frame = geopandas.GeoDataFrame.from_features(answer.json(), crs="OGC:CRS84")\nprint(frame.head())',
    "json": "print(answer.json())",
    "xml": "print(answer.text[:2000])",
}


def _python(offer: Offer, call: Call) -> str:
    imports = [*(["import os"] if offer.needs_key else []), *(["import geopandas"] if call.gives == "features" else [])]
    arguments = [json.dumps(f"{offer.address}{call.path}")]
    if call.parameters:
        arguments.append(f"params={json.dumps(dict(call.parameters), ensure_ascii=False)}")
    if offer.needs_key:
        arguments.append('headers={"X-API-Key": os.environ["KEY"]}')
    reads = _READS.get(call.gives)
    if reads is None:
        name = json.dumps(f"{offer.id}.{_suffix(offer, call)}")
        reads = f'with open({name}, "wb") as file:\n    file.write(answer.content)\nprint(len(answer.content), "bytes")'
    lines = ",\n    ".join([*arguments, "timeout=60"])
    head = "\n".join([*imports, "import requests"])
    return f"{head}\n\nanswer = requests.get(\n    {lines},\n)\nanswer.raise_for_status()\n{reads}"


def _qgis(offer: Offer, call: Call) -> Way | None:
    if call.template:
        how = "qgis.xyz" if call.is_raster else "qgis.tiles"
        return Way("qgis", offer.address + call.template, how)
    match offer.kind:
        case "wms" | "wmts" | "wfs":
            return Way("qgis", offer.address, f"qgis.{offer.kind}")
        case "arcgis":
            return Way("qgis", offer.address, "qgis.arcgis")
        case "ogcapi" if call.gives == "json":
            return Way("qgis", offer.address, "qgis.wfs")
        case "3dtiles":
            return Way("qgis", f"{offer.address}/tileset.json", "qgis.3dtiles")
    if call.gives == "features":
        wanted = tuple((name, "1000" if name == "limit" else value) for name, value in call.parameters)
        return Way("qgis", f"{offer.address}{call.path}?{query_of(wanted)}", "qgis.geojson")
    return None


_WITH_KEY = """const map = new maplibregl.Map({
  container: "map",
  style: { version: 8, sources: {}, layers: [] },
  transformRequest: (url) => (url.startsWith(%s) ? { url, headers: { "X-API-Key": KEY } } : { url }),
});
"""


def _maplibre(offer: Offer, call: Call) -> Way | None:
    name, layer = json.dumps(offer.id), json.dumps(offer.collection_id or offer.id)
    if call.template and not call.is_raster:
        source = f'{{ type: "vector", tiles: [{json.dumps(offer.address + call.template)}], maxzoom: {MAX_ZOOM} }}'
        drawn = f'{{ id: {name}, type: "fill", source: {name}, "source-layer": {layer}, paint: {{ "fill-color": "#0b6468" }} }}'
    elif call.is_raster:
        source = f'{{ type: "raster", tiles: [{json.dumps(_raster_tiles(offer, call))}], tileSize: 256 }}'
        drawn = f'{{ id: {name}, type: "raster", source: {name} }}'
    elif call.gives == "features":
        wanted = tuple((key, "1000" if key == "limit" else value) for key, value in call.parameters)
        data = json.dumps(f"{offer.address}{call.path}?{query_of(wanted)}")
        source = f'{{ type: "geojson", data: {data} }}'
        drawn = f'{{ id: {name}, type: "line", source: {name}, paint: {{ "line-color": "#0b6468" }} }}'
    else:
        return None
    begin = _WITH_KEY % json.dumps(offer.address) if offer.needs_key else ""
    return Way("maplibre", f"{begin}map.addSource({name}, {source});\nmap.addLayer({drawn});")


def _raster_tiles(offer: Offer, call: Call) -> str:
    if call.template:
        return offer.address + call.template
    changed = {"SRS": "EPSG:3857", "BBOX": "{bbox-epsg-3857}", "WIDTH": "256", "HEIGHT": "256"}
    asked = [(name, changed.get(name, value)) for name, value in call.parameters]
    return f"{offer.address}?{query_of([*asked, ('TRANSPARENT', 'true')])}"
