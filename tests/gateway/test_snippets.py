"""What the shelf's page says under "how to call it" runs as it is shown, by curl and by Python, for every kind of service."""

import os
import subprocess
import sys
from pathlib import Path

import httpx2
import orjson
import pytest

from api.portal.calling import Call, Offer, call_of, offers_of
from api.portal.ways import ways_of
from tests.city import City
from tests.conftest import Server
from tests.gateway.conftest import Shelf
from tests.gateway.upstream import Upstream, answer

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
FEATURES = orjson.dumps(
    {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": None, "properties": {"name": "黄埔"}}]}
)
XML = b'<?xml version="1.0"?><WMS_Capabilities version="1.3.0"/>'
OWN = {
    "here-items": ("features", "/collections/buildings/items"),
    "here-collection": ("features", "/collections/buildings"),
    "here-statistics": ("statistics", "/collections/buildings/aggregate"),
    "here-tiles": ("tiles", "/collections/buildings/tiles"),
    "here-grid": ("tiles", "/collections/buildings/tiles/WebMercatorQuad"),
    "here-stac": ("stac", "/stac"),
    "here-template": ("tiles", "/collections/buildings/tiles/WebMercatorQuad/{z}/{y}/{x}"),
}
ELSEWHERE = {
    "far-wms": ("wms", "/wms?layers=city", PNG, "image/png"),
    "far-caps": ("wms", "/caps", XML, "application/xml"),
    "far-wfs": ("wfs", "/wfs?typenames=city", XML, "application/xml"),
    "far-wmts": ("wmts", "/wmts", XML, "application/xml"),
    "far-xyz": ("xyz", "/xyz/{z}/{x}/{y}.png", PNG, "image/png"),
    "far-xyz-query": ("xyz", "/tile?key=1&z={z}&x={x}&y={y}", PNG, "image/png"),
    "far-tms": ("xyz", "/tms/city_{z}/{x}/{-y}.png", PNG, "image/png"),
    "far-vector": ("tiles", "/vector/{z}/{x}/{y}.pbf", PNG, "application/vnd.mapbox-vector-tile"),
    "far-layer": ("arcgis", "/arcgis/rest/services/city/FeatureServer/0", FEATURES, "application/json"),
    "far-oapif": ("ogcapi", "/ogc/collections/roads", FEATURES, "application/geo+json"),
    "far-landing": ("ogcapi", "/landing", b'{"links":[]}', "application/json"),
    "far-3d": ("3dtiles", "/3d/tileset.json", b'{"asset":{"version":"1.1"}}', "application/json"),
    "far-file": ("file", "/files/terrain.tif", PNG, "image/tiff"),
    "far-rest": ("rest", "/rest/v1", b'{"ok":true}', "application/json"),
}
BOX = {"geom": "SRID=4326;POLYGON((114.0 22.5,114.1 22.5,114.1 22.6,114.0 22.6,114.0 22.5))"}


@pytest.fixture(scope="module")
def offers(shelf: Shelf, city: City, node: Server, maps: Upstream) -> dict[str, Offer]:
    """Every service as its record tells it to everybody; one of them needs a key."""
    city.building()
    for service_id, (kind, path) in OWN.items():
        shelf.put(service_id, path, kind, collection_id="imagery" if kind == "stac" else "buildings", **BOX)
    for service_id, (kind, path, body, media_type) in ELSEWHERE.items():
        shelf.put(service_id, maps.url + path, kind, **BOX)
        offer = Offer(service_id, kind, "", maps.url + path, False, (114.0, 22.5, 114.1, 22.6))
        folder = path.partition("?")[0].partition("{")[0].rpartition("/")[0] if "{" in path.partition("?")[0] else path
        asked = folder.partition("?")[0] + call_of(offer).path.partition("?")[0]
        maps.on(asked, answer(body, content_type=media_type))
    shelf.put("by-key", "/collections/buildings/items", "features", share_class="conditional", **BOX)
    shelf.grant("by-key", "water")
    with httpx2.Client(base_url=node.url, timeout=30) as client:
        names = (*OWN, *ELSEWHERE, "by-key")
        return {name: offers_of(client.get(f"/catalogue/items/{name}").json(), node.url)[0] for name in names}


def written(offer: Offer, key: str) -> tuple[Call, str]:
    call = call_of(offer)
    return call, next(way.text for way in ways_of(offer, call) if way.key == key)


def test_the_curl_lines_get_data(offers: dict[str, Offer], shelf: Shelf, tmp_path: Path) -> None:
    key = shelf.key("water")["Authorization"].removeprefix("Bearer ")
    for name, offer in offers.items():
        call, text = written(offer, "curl")
        assert ("$KEY" in text) == (name == "by-key")
        run = subprocess.run(
            ["bash", "-c", text],
            cwd=tmp_path,
            env={**os.environ, "KEY": key},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert run.returncode == 0, (name, text, run.stderr)
        made = next(tmp_path.glob(f"{name}.*"), None)
        body = run.stdout if made is None else made.read_bytes()
        assert body, name
        if call.gives == "features":
            assert orjson.loads(body)["type"] == "FeatureCollection", name
        if call.gives == "image":
            assert body == PNG, name


def test_the_python_programs_get_data(offers: dict[str, Offer], shelf: Shelf, tmp_path: Path) -> None:
    key = shelf.key("water")["Authorization"].removeprefix("Bearer ")
    programs = {name: written(offer, "python")[1] for name, offer in offers.items()}
    one_by_one = (
        "import json, sys\nfor name, text in json.load(sys.stdin).items():\n    print('##', name)\n    exec(text, {})\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", one_by_one],
        input=orjson.dumps(programs),
        cwd=tmp_path,
        env={**os.environ, "KEY": key},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, (run.stdout.decode()[-300:], run.stderr.decode()[-1500:])
    told = dict(part.split("\n", 1) for part in run.stdout.decode().split("## ")[1:])
    assert told.keys() == programs.keys()
    assert "黄埔" in told["far-layer"]
    assert "POLYGON" in told["by-key"]
    assert (tmp_path / "far-file.tif").read_bytes() == PNG


def test_ways_that_make_no_sense_are_left_out(offers: dict[str, Offer]) -> None:
    ways = {name: {way.key: way for way in ways_of(offer, call_of(offer))} for name, offer in offers.items()}
    assert "maplibre" not in ways["far-3d"]
    assert "qgis" not in ways["far-file"]
    assert "{bbox-epsg-3857}" in ways["far-wms"]["maplibre"].text
    assert ways["far-wms"]["qgis"].text == offers["far-wms"].address
    assert ways["here-tiles"]["qgis"].text.endswith("/services/here-tiles/WebMercatorQuad/{z}/{y}/{x}")
    assert ways["far-landing"]["qgis"].how == "qgis.wfs"
    assert "transformRequest" in ways["by-key"]["maplibre"].text
    assert "openlayers" not in ways["far-wms"]
    assert "leaflet" not in ways["far-vector"]
    assert offers["far-3d"].address + '/tileset.json"))' in ways["far-3d"]["cesium"].text
    for name, tail in {
        "far-xyz": "/{z}/{x}/{y}.png",
        "far-xyz-query": "?z={z}&x={x}&y={y}",
        "far-tms": "/city_{z}/{x}/{-y}.png",
    }.items():
        for way in ("qgis", "leaflet", "openlayers"):
            assert offers[name].address + tail in ways[name][way].text, (name, way)
    counted_from_the_south = '/city_{z}/{x}/{y}.png"], scheme: "tms"'
    assert offers["far-tms"].address + counted_from_the_south in ways["far-tms"]["maplibre"].text
    assert "/{z}/{y}/{x}" in ways["here-template"]["openlayers"].text


def test_the_box_that_is_asked_for_holds_the_edges_of_the_extent():
    """A row of trees on one parallel, whose floats lie a hair above it."""
    row = (114.05241, 22.534000000000002, 114.05483, 22.534000000000002)
    record = {
        "id": "trees",
        "bbox": row,
        "properties": {
            "kind": "features",
            "endpoints": [{"url": "/collections/trees"}],
            "shareClass": "unconditional",
            "collectionId": "trees",
        },
    }
    asked = dict(call_of(offers_of(record, "https://city.example")[0]).parameters)
    west, south, east, north = map(float, asked["bbox"].split(","))
    outward = (row[0] - west, row[1] - south, east - row[2], north - row[3])
    assert all(0 <= distance <= 1.1e-4 for distance in outward), asked["bbox"]
