"""Descriptions of tiles: tilesets of one collection or of several (OGC 20-057), TileJSON 3.0, and a style of a collection for MapLibre."""

from dataclasses import dataclass
from typing import Any

from api.documents import JSON, MVT, Link, url_of
from api.schemas import property_schema
from cim.model import Collection, Kind, Property
from cim.query.grids import GRIDS, WEB_MERCATOR_QUAD, Grid, limits

TILEJSON = "application/vnd.mapbox.tile+json"
STYLE = "application/vnd.mapbox.style+json"
SCHEME_REL = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"
GEODATA_REL = "http://www.opengis.net/def/rel/ogc/1.0/geodata"

CLUSTER_FIELDS = {"cluster": "Boolean", "point_count": "Number", "estimated": "Boolean"}
"""What a mark has that stands for several points."""

_GEOMETRY_TYPES = {"Point": "points", "LineString": "lines", "Polygon": "polygons"}
_COLOURS = ("#2f7fb8", "#e08a2e", "#4d9f5b", "#b6528c", "#8a6cc9", "#c9b03c", "#4aa8a0", "#a3654a")
_OTHER = "#8c979b"
_DEEPEST_SHOWN = 16
"""A map draws nearer views from the tiles of this zoom, which hold everything."""


@dataclass(frozen=True, slots=True)
class Tiled:
    """What a tileset is of: `layers`, each a collection with the properties that its tiles carry.

    `data` is the address of the collection, or of the dataset that all of them are; `selection` the query string that
    its addresses end in, "?" included.
    """

    base: str
    data: str
    title_zh: str
    title_en: str
    layers: tuple[tuple[Collection, tuple[Property, ...]], ...]
    selection: str = ""

    def address(self, *parts: str) -> str:
        """Where its tilesets are, and what is beneath them."""
        return url_of(self.data.rstrip("/"), "tiles", *parts) + self.selection

    def template(self, grid: Grid, names: str) -> str:
        """The address of tiles, with `names` in braces for zoom, row and column."""
        return f"{self.data.rstrip('/')}/tiles/{grid.id}/{names}{self.selection}"

    @property
    def bounds_crs84(self) -> tuple[float, float, float, float] | None:
        """Bounds of all layers that tell theirs; None where none does."""
        known = [one.extent.bounds_crs84 for one, _ in self.layers if one.extent.bounds_crs84 is not None]
        if not known:
            return None
        west, south, east, north = zip(*known, strict=True)
        return min(west), min(south), max(east), max(north)

    @property
    def attribution(self) -> str | None:
        """Those of the layers, each once."""
        stated = dict.fromkeys(one.attribution for one, _ in self.layers if one.attribution)
        return "; ".join(stated) or None


def tiled_of(base: str, collection: Collection, drawn: tuple[Property, ...]) -> Tiled:
    """The tiles of one collection."""
    data = url_of(base, "collections", collection.id)
    return Tiled(base, data, collection.title_zh, collection.title_en, ((collection, drawn),))


def tileset_item(tiled: Tiled, grid: Grid) -> dict[str, Any]:
    """A member of the list of tilesets (OGC 20-057, /req/tilesets-list/tileset-links)."""
    scheme = url_of(tiled.base, "tileMatrixSets", grid.id)
    links = [
        Link(tiled.address(grid.id), "self", JSON, f"{tiled.title_en}: {grid.id}"),
        Link(scheme, SCHEME_REL, JSON, grid.title),
    ]
    document: dict[str, Any] = {
        "title": f"{tiled.title_zh} {tiled.title_en}",
        "dataType": "vector",
        "crs": grid.crs,
        "tileMatrixSetDefinition": scheme,
        "links": [link.to_dict() for link in links],
    }
    if grid.uri is not None:
        document["tileMatrixSetURI"] = grid.uri
    return document


def tilesets_document(tiled: Tiled) -> dict[str, Any]:
    """The list of tilesets, one a tile matrix set (OGC 20-057, /req/tilesets-list/tileset-path)."""
    links = [
        Link(tiled.address(), "self", JSON, "This document"),
        Link(tiled.data, GEODATA_REL, JSON, tiled.title_en),
    ]
    return {"links": [link.to_dict() for link in links], "tilesets": [tileset_item(tiled, grid) for grid in GRIDS]}


def tileset_document(tiled: Tiled, grid: Grid) -> dict[str, Any]:
    """Metadata of a tileset (OGC 20-057, /req/tileset/description; OGC 17-083r4, tileset metadata)."""
    document = tileset_item(tiled, grid)
    names = "{tileMatrix}/{tileRow}/{tileCol}"
    more = [
        Link(tiled.template(grid, names), "item", MVT, "Vector tiles", templated=True),
        Link(tiled.data, GEODATA_REL, JSON, tiled.title_en),
    ]
    if grid is WEB_MERCATOR_QUAD:
        written = tiled.address(grid.id) + ("&" if tiled.selection else "?") + "f=tilejson"
        more.append(Link(written, "describedby", TILEJSON, "TileJSON"))
        if len(tiled.layers) == 1:
            style = url_of(tiled.base, "collections", tiled.layers[0][0].id, "style")
            more.append(Link(style, "stylesheet", STYLE, "Style for MapLibre"))
    document["links"] += [link.to_dict() for link in more]
    document["mediaTypes"] = [MVT]
    document["layers"] = [_layer_document(tiled.base, *layer) for layer in tiled.layers]
    bounds = tiled.bounds_crs84
    if bounds is not None:
        document["boundingBox"] = {
            "lowerLeft": list(bounds[:2]),
            "upperRight": list(bounds[2:]),
            "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        }
        document["tileMatrixSetLimits"] = limits(grid, bounds)
    if tiled.attribution:
        document["attribution"] = tiled.attribution
    licences = {one.licence for one, _ in tiled.layers}
    if len(licences) == 1 and None not in licences:
        document["license"] = licences.pop()
    return document


def _layer_document(base: str, collection: Collection, drawn: tuple[Property, ...]) -> dict[str, Any]:
    layer: dict[str, Any] = {"id": collection.id, "title": collection.title_en, "dataType": "vector"}
    kind = _GEOMETRY_TYPES.get(collection.geometry_type.removeprefix("Multi"))
    if kind is not None:
        layer["geometryType"] = kind
    properties = {"id": {"title": "Id", "type": "string"}, **{p.name: property_schema(p, "en") for p in drawn}}
    layer["propertiesSchema"] = {"type": "object", "properties": properties}
    layer["links"] = [Link(url_of(base, "collections", collection.id), GEODATA_REL, JSON).to_dict()]
    return layer


def tilejson_document(tiled: Tiled, deepest: int) -> dict[str, Any]:
    """TileJSON 3.0 of a tileset."""
    document: dict[str, Any] = {
        "tilejson": "3.0.0",
        "name": tiled.title_en,
        "tiles": [tiled.template(WEB_MERCATOR_QUAD, "{z}/{y}/{x}")],
        "minzoom": 0,
        "maxzoom": deepest,
        "vector_layers": [{"id": one.id, "fields": _fields(one, drawn)} for one, drawn in tiled.layers],
    }
    if tiled.bounds_crs84 is not None:
        document["bounds"] = list(tiled.bounds_crs84)
    if tiled.attribution:
        document["attribution"] = tiled.attribution
    return document


def _fields(collection: Collection, drawn: tuple[Property, ...]) -> dict[str, str]:
    fields = {"id": "String", **{p.name: _field_kind(p) for p in drawn}}
    return fields | CLUSTER_FIELDS if collection.geometry_type == "Point" else fields


def _field_kind(shown: Property) -> str:
    if shown.kind in (Kind.INTEGER, Kind.NUMBER):
        return "Number"
    return "Boolean" if shown.kind is Kind.BOOLEAN else "String"


def style_document(base: str, collection: Collection, drawn: tuple[Property, ...], deepest: int) -> dict[str, Any]:
    """A style of version 8 that draws the collection and needs no other host: no sprite, no glyphs, no text.

    Colours by the first property that has codes; areas with a height in metres stand up.
    """
    source: dict[str, Any] = {
        "type": "vector",
        "tiles": [tiled_of(base, collection, drawn).template(WEB_MERCATOR_QUAD, "{z}/{y}/{x}")],
        "minzoom": 0,
        "maxzoom": min(deepest, _DEEPEST_SHOWN),
        "promoteId": "id",
    }
    bounds = collection.extent.bounds_crs84
    if bounds is not None:
        source["bounds"] = list(bounds)
    if collection.attribution:
        source["attribution"] = collection.attribution
    document: dict[str, Any] = {
        "version": 8,
        "name": collection.title_en,
        "sources": {collection.id: source},
        "layers": [
            {"id": "ground", "type": "background", "paint": {"background-color": "#eef1ee"}},
            *_layers(collection, drawn),
        ],
    }
    if bounds is not None:
        document["center"] = [(bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2]
        document["zoom"] = 11
    return document


def _layers(collection: Collection, drawn: tuple[Property, ...]) -> list[dict[str, Any]]:
    colour = _colour(drawn)
    kind = collection.geometry_type.removeprefix("Multi")
    layers = []
    if kind not in ("Point", "LineString"):
        heights = [p.name for p in drawn if p.name == "height_m"]
        layers.append(_areas(collection, colour, heights[0] if heights else None))
    if kind not in ("Point", "Polygon"):
        line = {"line-color": colour, "line-width": ["interpolate", ["linear"], ["zoom"], 8, 0.6, 16, 2.5]}
        layers.append(_layer(collection, "lines", "line", line, ["==", ["geometry-type"], "LineString"]))
    if kind not in ("LineString", "Polygon"):
        is_point = ["==", ["geometry-type"], "Point"]
        alone = {"circle-color": colour, "circle-radius": 4, "circle-stroke-color": "#ffffff", "circle-stroke-width": 1}
        many = {
            "circle-color": _COLOURS[0],
            "circle-opacity": 0.75,
            "circle-radius": ["interpolate", ["linear"], ["log10", ["get", "point_count"]], 0, 4, 4, 16],
        }
        layers.append(_layer(collection, "points", "circle", alone, ["all", is_point, ["!", ["has", "cluster"]]]))
        layers.append(_layer(collection, "clusters", "circle", many, ["all", is_point, ["has", "cluster"]]))
    return layers


def _areas(collection: Collection, colour: Any, height: str | None) -> dict[str, Any]:
    is_area = ["==", ["geometry-type"], "Polygon"]
    if height is None:
        return _layer(
            collection,
            "areas",
            "fill",
            {"fill-color": colour, "fill-opacity": 0.45, "fill-outline-color": "#3d4f55"},
            is_area,
        )
    paint = {
        "fill-extrusion-color": colour,
        "fill-extrusion-height": ["to-number", ["get", height], 0],
        "fill-extrusion-opacity": 0.9,
    }
    return _layer(collection, "areas", "fill-extrusion", paint, is_area)


def _layer(collection: Collection, name: str, kind: str, paint: dict[str, Any], only: list[Any]) -> dict[str, Any]:
    return {
        "id": f"{collection.id}-{name}",
        "type": kind,
        "source": collection.id,
        "source-layer": collection.id,
        "filter": only,
        "paint": paint,
    }


def _colour(drawn: tuple[Property, ...]) -> Any:
    coded = next((p for p in drawn if p.codes and p.kind is Kind.TEXT), None)
    if coded is None or not coded.codes:
        return _COLOURS[0]
    pairs = [part for n, code in enumerate(coded.codes) for part in (code, _COLOURS[n % len(_COLOURS)])]
    return ["match", ["to-string", ["get", coded.name]], *pairs, _OTHER]
