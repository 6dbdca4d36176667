"""How an endpoint is called: a first question that fits what it is (`api.portal.ways` writes it for programs)."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from cim.catalogue.service import kind_of
from cim.catalogue.shown import is_own
from cim.gateway.endpoint import endpoint_path
from cim.gateway.template import WORLD, filled, split_template, tile_at

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Offer:
    """An endpoint that is offered. `address`: where the node answers for it; `url`: as registered, a path for own data.

    `facts`: of the service's provenance (`layer`, `style`, `version`). `needs_key`: calls carry a key. `number`: from 1.
    """

    id: str
    kind: str
    address: str
    url: str
    needs_key: bool
    box: Box | None = None
    collection_id: str | None = None
    facts: Mapping[str, Any] | None = None
    number: int = 1
    title: str = ""

    @property
    def is_own(self) -> bool:
        """True for data of this node."""
        return is_own(self.url)

    @property
    def name(self) -> str:
        """What a file or a layer of it is called."""
        return self.id if self.number == 1 else f"{self.id}-{self.number}"


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


def offers_of(record: Mapping[str, Any], base: str, collection: Mapping[str, Any] | None = None) -> list[Offer]:
    """The endpoints of a record as they are called beneath `base`; where it does not say where it is, its collection does."""
    properties = record["properties"]
    box = record.get("bbox") or _extent_of(collection or {})
    return [
        Offer(
            record["id"],
            kind_of(one, properties["kind"]),
            base + endpoint_path(record["id"], number),
            one["url"],
            properties["shareClass"] != "unconditional",
            (box[0], box[1], box[2], box[3]) if box else None,
            properties["collectionId"],
            ((properties.get("provenance") or {}).get("facts") or {}) if number == 1 else {},
            number,
            one.get("title") or "",
        )
        for number, one in enumerate(properties["endpoints"] or [{"url": ""}], 1)
    ]


def _extent_of(collection: Mapping[str, Any]) -> Any:
    boxes = (collection.get("extent") or {}).get("spatial", {}).get("bbox") or [None]
    box = boxes[0]
    return box if box is None or len(box) == 4 else [*box[:2], *box[3:5]]


def call_of(offer: Offer) -> Call:
    """The first question to ask of the service."""
    about = (("limit", "5"), *((("bbox", _text_of(offer.box)),) if offer.box else ()))
    path, _, query = offer.url.partition("?")
    template = split_template(path, query)[1]
    if template is not None:
        is_vector = offer.kind == "tiles" or offer.is_own or template.endswith((".pbf", ".mvt"))
        return _tile(template, offer, is_raster=not is_vector)
    path = urlsplit(offer.url).path.rstrip("/")
    if offer.is_own:
        return _own_call(path, about, offer)
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


def _tile(template: str, offer: Offer, *, is_raster: bool = False) -> Call:
    """The tile in the middle of the service's box, at the zoom at which a tile is about as wide as the box."""
    path = filled(template, tile_at(offer.box))
    return Call("image" if is_raster else "tile", path, (), (), template, is_raster)
