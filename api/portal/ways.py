"""A call written to be copied: for curl, Python, QGIS, MapLibre, Leaflet, OpenLayers and Cesium, as far as it makes sense there."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from api.portal.calling import Call, Offer
from cim.gateway.template import MAX_ZOOM


@dataclass(frozen=True, slots=True)
class Way:
    """One way to call: message `way.<key>`, text to copy, and the message that tells how (`way.<how>`), if any."""

    key: str
    text: str
    how: str = ""


def ways_of(offer: Offer, call: Call) -> list[Way]:
    """The ways of the call; those that make no sense for the service are left out."""
    ways = [Way("curl", _curl(offer, call)), Way("python", _python(offer, call))]
    for made in (_qgis, _maplibre, _leaflet, _openlayers, _cesium):
        way = made(offer, call)
        if way is not None:
            ways.append(way)
    return ways


def query_of(parameters: Sequence[tuple[str, str]]) -> str:
    """The parameters as a query string that a shell takes between double quotes as it is."""
    return urlencode(parameters, safe=",:/*{}-")


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
    into = f" -o {offer.name}.{_suffix(offer, call)}" if call.gives in ("tile", "image", "file") else ""
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
        name = json.dumps(f"{offer.name}.{_suffix(offer, call)}")
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
            return Way("qgis", _entry(offer), "qgis.3dtiles")
    if call.gives == "features":
        wanted = tuple((name, "1000" if name == "limit" else value) for name, value in call.parameters)
        return Way("qgis", f"{offer.address}{call.path}?{query_of(wanted)}", "qgis.geojson")
    return None


def _entry(offer: Offer) -> str:
    """The address of the document that a set of 3D tiles begins with; where it runs is not told to everybody."""
    name = urlsplit(offer.url).path.rpartition("/")[2]
    return (
        f"{offer.address}/{name}" if "." in name else f"{offer.address}/" if offer.url.endswith("/") else offer.address
    )


_WITH_KEY = """const map = new maplibregl.Map({
  container: "map",
  style: { version: 8, sources: {}, layers: [] },
  transformRequest: (url) => (url.startsWith(%s) ? { url, headers: { "X-API-Key": KEY } } : { url }),
});
"""


def _maplibre(offer: Offer, call: Call) -> Way | None:
    name, layer = json.dumps(offer.name), json.dumps(offer.collection_id or offer.id)
    if call.template and not call.is_raster:
        source = f'{{ type: "vector", {_tiles(offer, call)}, maxzoom: {MAX_ZOOM} }}'
        drawn = f'{{ id: {name}, type: "fill", source: {name}, "source-layer": {layer}, paint: {{ "fill-color": "#0b6468" }} }}'
    elif call.is_raster:
        source = f'{{ type: "raster", {_tiles(offer, call)}, tileSize: 256 }}'
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


def _tiles(offer: Offer, call: Call) -> str:
    """The members of a MapLibre source that say where tiles are; it counts rows from the south by `scheme`."""
    if call.template:
        scheme = ', scheme: "tms"' if "{-y}" in call.template else ""
        return f"tiles: [{json.dumps(offer.address + call.template.replace('{-y}', '{y}'))}]{scheme}"
    changed = {"SRS": "EPSG:3857", "BBOX": "{bbox-epsg-3857}", "WIDTH": "256", "HEIGHT": "256"}
    asked = [(name, changed.get(name, value)) for name, value in call.parameters]
    address = f"{offer.address}?{query_of([*asked, ('TRANSPARENT', 'true')])}"
    return f"tiles: [{json.dumps(address)}]"


_KEYED_LEAFLET = """const Keyed = L.TileLayer.extend({
  createTile(at, done) {
    const image = document.createElement("img");
    fetch(this.getTileUrl(at), { headers: { "X-API-Key": KEY } })
      .then((answer) => (answer.ok ? answer.blob() : Promise.reject(new Error(answer.status))))
      .then((tile) => ((image.src = URL.createObjectURL(tile)), done(null, image)))
      .catch((error) => done(error, image));
    return image;
  },
});
"""


def _leaflet(offer: Offer, call: Call) -> Way | None:
    """Pictures in tiles; vector tiles are not Leaflet's own."""
    if not call.template or not call.is_raster:
        return None
    address = json.dumps(offer.address + call.template)
    if offer.needs_key:
        return Way("leaflet", f"{_KEYED_LEAFLET}new Keyed({address}, {{ maxZoom: 19 }}).addTo(map);")
    return Way("leaflet", f"L.tileLayer({address}, {{ maxZoom: 19 }}).addTo(map);")


_KEYED_IMAGE = """,
    tileLoadFunction: (tile, url) =>
      fetch(url, { headers: { "X-API-Key": KEY } })
        .then((answer) => answer.blob())
        .then((picture) => (tile.getImage().src = URL.createObjectURL(picture)))"""
_KEYED_VECTOR = """,
    tileLoadFunction: (tile, url) =>
      tile.setLoader((extent, resolution, featureProjection) =>
        fetch(url, { headers: { "X-API-Key": KEY } })
          .then((answer) => answer.arrayBuffer())
          .then((data) => tile.setFeatures(tile.getFormat().readFeatures(data, { extent, featureProjection }))))"""


def _openlayers(offer: Offer, call: Call) -> Way | None:
    if not call.template:
        return None
    url = f"url: {json.dumps(offer.address + call.template)}"
    if call.is_raster:
        source = f"new ol.source.XYZ({{\n    {url}{_KEYED_IMAGE if offer.needs_key else ''},\n  }})"
        return Way("openlayers", f"map.addLayer(new ol.layer.Tile({{\n  source: {source},\n}}));")
    options = f"{url},\n    format: new ol.format.MVT(),\n    maxZoom: {MAX_ZOOM}"
    source = f"new ol.source.VectorTile({{\n    {options}{_KEYED_VECTOR if offer.needs_key else ''},\n  }})"
    return Way("openlayers", f"map.addLayer(new ol.layer.VectorTile({{\n  source: {source},\n}}));")


def _cesium(offer: Offer, call: Call) -> Way | None:
    """Three-dimensional sets: 3D Tiles and I3S by Cesium, S3M by its maker's edition of it."""
    url = json.dumps(_entry(offer))
    if offer.needs_key:
        url = f'new Cesium.Resource({{ url: {url}, headers: {{ "X-API-Key": KEY }} }})'
    match offer.kind:
        case "3dtiles":
            return Way("cesium", f"viewer.scene.primitives.add(await Cesium.Cesium3DTileset.fromUrl({url}));")
        case "i3s":
            return Way("cesium", f"viewer.scene.primitives.add(await Cesium.I3SDataProvider.fromUrl({url}));")
        case "s3m":
            made = f"await viewer.scene.addS3MTilesLayerByScp({url}, {{ name: {json.dumps(offer.name)} }});"
            return Way("cesium", made, "cesium.s3m")
    return None
