"""Tilesets, tile matrix sets, TileJSON and styles, by the requirements of OGC 20-057 and OGC 17-083r4."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.city import City, square
from tests.problems import assert_problem
from tests.tiles.places import GRIDS, tile_at

WEB = Path(__file__).resolve().parents[2] / "web"
CONF = "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/"
REL = "http://www.opengis.net/def/rel/ogc/1.0/"


@pytest.fixture(scope="module")
def town(city: City, client: Any) -> City:
    """One building, one sensor."""
    city.building(square(114.05, 22.55), use="office", height_m=30)
    city.feature("sensors", "POINT(114.05 22.55)", kind="noise")
    city.settle(client)
    return city


def link(document: dict[str, Any], rel: str) -> dict[str, Any]:
    return next(one for one in document["links"] if one["rel"] == rel)


def test_the_classes_that_are_declared(client: Any) -> None:
    declared = {uri for uri in client.get("/conformance").json()["conformsTo"] if uri.startswith(CONF)}
    assert declared == {
        CONF + name
        for name in (
            *("core", "tileset", "tilesets-list", "geodata-tilesets", "mvt", "oas30"),
            *("dataset-tilesets", "collections-selection"),
        )
    }


def test_req_geodata_tilesets_desc_links_and_operation(town: City, client: Any) -> None:
    collection = client.get("/collections/buildings").json()
    address = link(collection, REL + "tilesets-vector")["href"]
    assert address.endswith("/collections/buildings/tiles")
    assert client.get(address).status_code == 200


def test_req_tilesets_list_tileset_links(town: City, client: Any) -> None:
    """B: dataType, self, tiling-scheme, tileMatrixSetURI where registered. C, D: self is the tileset, its path ends in the id."""
    tilesets = client.get("/collections/buildings/tiles").json()["tilesets"]
    assert [one["tileMatrixSetDefinition"].rsplit("/", 1)[1] for one in tilesets] == list(GRIDS)
    for one, name in zip(tilesets, GRIDS, strict=True):
        assert one["dataType"] == "vector"
        assert link(one, "self")["href"].endswith(f"/collections/buildings/tiles/{name}")
        assert client.get(link(one, "self")["href"]).json()["crs"] == one["crs"]
        assert client.get(link(one, REL + "tiling-scheme")["href"]).json()["id"] == name
        registered = f"http://www.opengis.net/def/tilematrixset/OGC/1.0/{name}"
        assert one.get("tileMatrixSetURI") == (None if name == "CGCS2000Quad" else registered)


@pytest.mark.parametrize("grid", GRIDS)
def test_req_tileset_description(town: City, client: Any, grid: str) -> None:
    """A: metadata; D: tiling-scheme; E to G: a templated link with type, that leads to tiles (/req/core/tc-op)."""
    tileset = client.get(f"/collections/buildings/tiles/{grid}").json()
    assert tileset["dataType"] == "vector"
    assert link(tileset, REL + "tiling-scheme")["href"].endswith(f"/tileMatrixSets/{grid}")
    item = link(tileset, "item")
    assert item["templated"] is True
    assert item["type"] == "application/vnd.mapbox-vector-tile"
    tile = tile_at(grid, 15, 114.0501, 22.5501)
    answer = client.get(item["href"].format(tileMatrix=tile.zoom, tileRow=tile.row, tileCol=tile.col))
    assert (answer.status_code, answer.headers["content-type"]) == (200, item["type"])
    (layer,) = tileset["layers"]
    assert (layer["id"], layer["geometryType"]) == ("buildings", "polygons")
    assert layer["propertiesSchema"]["properties"]["height_m"]["type"] == "number"
    for limit in tileset["tileMatrixSetLimits"]:
        at = tile_at(grid, int(limit["tileMatrix"]), 114.0501, 22.5501)
        assert limit["minTileRow"] <= at.row <= limit["maxTileRow"]
        assert limit["minTileCol"] <= at.col <= limit["maxTileCol"]
    assert tileset["boundingBox"]["lowerLeft"] == pytest.approx([114.05, 22.55])


def test_req_core_tc_error(town: City, client: Any) -> None:
    """A: out of range is 404; B: nothing there is 204."""
    for path in ("WebMercatorQuad/25/0/0", "WebMercatorQuad/1/2/0", "WorldCRS84Quad/0/0/2", "WorldCRS84Quad/24/0/0"):
        assert_problem(client.get(f"/collections/buildings/tiles/{path}"), status=404, code="not-found")
    assert client.get("/collections/buildings/tiles/WorldCRS84Quad/0/0/0").status_code == 204
    assert client.get("/collections/buildings/tiles/WorldCRS84Quad/0/0/1").status_code == 200
    for path in ("tiles/WebMercator", "tiles/WebMercator/0/0/0"):
        answer = client.get(f"/collections/buildings/{path}")
        assert_problem(answer, status=404, code="not-found")
        assert "WebMercatorQuad" in answer.json()["detail"]
    assert_problem(client.get("/tileMatrixSets/MyQuad"), status=404, code="not-found")
    wrong = client.get("/collections/buildings/tiles/WebMercatorQuad/0/0/0", headers={"Accept": "image/png"})
    assert_problem(wrong, status=406, code="not-acceptable")


def test_tile_matrix_sets_have_the_numbers_of_the_register(client: Any) -> None:
    """As registry/json of the 2D Tile Matrix Set standard has them."""
    listed = client.get("/tileMatrixSets").json()["tileMatrixSets"]
    assert [one["id"] for one in listed] == list(GRIDS)
    mercator, degrees, chinese = (client.get(link(one, "self")["href"]).json() for one in listed)
    assert mercator["crs"] == "http://www.opengis.net/def/crs/EPSG/0/3857"
    assert mercator["orderedAxes"] == ["X", "Y"]
    assert len(mercator["tileMatrices"]) == 25
    assert mercator["tileMatrices"][24] == {
        "id": "24",
        "scaleDenominator": pytest.approx(33.3238997476528, rel=1e-12),
        "cellSize": pytest.approx(0.0093306919293428, rel=1e-12),
        "cornerOfOrigin": "topLeft",
        "pointOfOrigin": [-20037508.3427892, 20037508.3427892],
        "tileWidth": 256,
        "tileHeight": 256,
        "matrixWidth": 16777216,
        "matrixHeight": 16777216,
    }
    assert degrees["orderedAxes"] == ["Lon", "Lat"]
    assert degrees["wellKnownScaleSet"] == "http://www.opengis.net/def/wkss/OGC/1.0/GoogleCRS84Quad"
    last = degrees["tileMatrices"][23]
    assert last["scaleDenominator"] == pytest.approx(33.3238997476528, rel=1e-12)
    assert last["cellSize"] == pytest.approx(0.00000008381903171539, rel=1e-12)
    assert (last["pointOfOrigin"], last["matrixWidth"], last["matrixHeight"]) == ([-180, 90], 16777216, 8388608)
    assert (chinese["crs"], chinese["orderedAxes"]) == ("http://www.opengis.net/def/crs/EPSG/0/4490", ["Lat", "Lon"])
    assert chinese["tileMatrices"][0]["pointOfOrigin"] == [90, -180]
    landing = client.get("/", headers={"Accept": "application/json"}).json()
    assert link(landing, REL + "tiling-schemes")["href"].endswith("/tileMatrixSets")


def test_req_oas30_completeness_and_operation_ids(client: Any) -> None:
    paths = client.get("/api").json()["paths"]
    home = "/collections/buildings/tiles"
    ids = {
        home: "collection.vector.getTileSetsList",
        home + "/{tileMatrixSetId}": "collection.vector.getTileSet",
        home + "/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}": "collection.vector.getTile",
        "/tileMatrixSets": "getTileMatrixSetsList",
        "/tileMatrixSets/{tileMatrixSetId}": "getTileMatrixSet",
    }
    for path, end in ids.items():
        assert paths[path]["get"]["operationId"].endswith(end)
    tile = paths[home + "/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}"]["get"]
    named = {one["name"] for one in tile["parameters"] if "name" in one}
    assert {"tileMatrixSetId", "tileMatrix", "tileRow", "tileCol", "properties", "use"} <= named


def test_tilejson_names_what_tiles_carry(town: City, client: Any) -> None:
    document = client.get("/collections/sensors/tiles/WebMercatorQuad", params={"f": "tilejson"}).json()
    fields = document["vector_layers"][0]["fields"]
    assert {"id": "String", "kind": "String", "cluster": "Boolean", "point_count": "Number"}.items() <= fields.items()
    refused = client.get("/collections/sensors/tiles/WorldCRS84Quad", params={"f": "tilejson"})
    assert_problem(refused, status=400, code="invalid-parameter", parameter="f")


@pytest.mark.parametrize("collection", ["buildings", "sensors", "areas", "imagery"])
def test_a_style_is_valid_and_needs_no_other_host(town: City, client: Any, module_server: Any, collection: str) -> None:
    answer = client.get(f"/collections/{collection}/style")
    assert answer.headers["content-type"] == "application/vnd.mapbox.style+json"
    style = answer.json()
    assert "glyphs" not in style
    assert "sprite" not in style
    assert all(one.startswith(module_server.url) for one in style["sources"][collection]["tiles"])
    script = (
        "import { validateStyleMin } from '@maplibre/maplibre-gl-style-spec';"
        "import { readFileSync } from 'node:fs';"
        "console.log(JSON.stringify(validateStyleMin(JSON.parse(readFileSync(0, 'utf8')))));"
    )
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", script], input=answer.content, capture_output=True, cwd=WEB, timeout=60
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert json.loads(ran.stdout) == []
