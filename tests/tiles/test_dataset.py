"""Tiles of several collections at once, by the requirements of OGC 20-057."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from cim.model import Kind, Property
from tests.city import City, square
from tests.conftest import Server, serving
from tests.problems import assert_problem
from tests.tiles.mvt import read
from tests.tiles.places import GRIDS, Tile, tile_at

REL = "http://www.opengis.net/def/rel/ogc/1.0/"
ADMIN = "admin-key-of-the-tests-of-tiles"
LON, LAT = 114.0501, 22.5501


@pytest.fixture(scope="module")
def running(module_database_url: str) -> Iterator[Server]:
    with serving(module_database_url, CIM_ADMIN_KEY=ADMIN) as server:
        yield server


@pytest.fixture(scope="module")
def client(running: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=running.url, timeout=30) as opened:
        yield opened


@pytest.fixture(scope="module")
def town(city: City, client: httpx2.Client) -> City:
    """A building, a sensor and a district at one place; another building of another time and district."""
    city.building(square(114.05, 22.55), use="office", height_m=30, area_code="440304001")
    city.building(square(114.051, 22.55), use="office", area_code="440305001", valid_to="2020-01-01T00:00:00Z")
    city.feature("sensors", "POINT(114.05 22.55)", kind="noise", area_code="440304001")
    city.feature("areas", square(114.0, 22.5, 0.1), code="440304", name="福田区", level="district")
    city.settle(client)
    return city


def address(tile: Tile) -> str:
    return f"/tiles/{tile.grid}/{tile.zoom}/{tile.row}/{tile.col}"


HERE = tile_at("WebMercatorQuad", 15, LON, LAT)


def layers(client: httpx2.Client, tile: Tile = HERE, **asked: Any) -> dict[str, int]:
    """Layer → features, in the order of the tile."""
    answer = client.get(address(tile), params=asked)
    if answer.status_code == 204:
        return {}
    assert answer.status_code == 200, answer.text
    return {name: len(features) for name, features in read(answer.content).items()}


def link(document: dict[str, Any], rel: str) -> dict[str, Any]:
    return next(one for one in document["links"] if one["rel"] == rel)


def test_req_dataset_tilesets_landingpage_and_operation(town: City, client: httpx2.Client) -> None:
    landing = client.get("/", headers={"Accept": "application/json"}).json()
    listed = client.get(link(landing, REL + "tilesets-vector")["href"])
    assert listed.url.path == "/tiles"
    tilesets = listed.json()["tilesets"]
    assert [one["tileMatrixSetDefinition"].rsplit("/", 1)[1] for one in tilesets] == list(GRIDS)
    for one in tilesets:
        tileset = client.get(link(one, "self")["href"]).json()
        assert [layer["id"] for layer in tileset["layers"]] == ["areas", "buildings", "cameras", "imagery", "sensors"]
        assert tileset["boundingBox"]["lowerLeft"] == pytest.approx([114.0, 22.5])
        item = link(tileset, "item")
        at = tile_at(tileset["tileMatrixSetDefinition"].rsplit("/", 1)[1], 15, LON, LAT)
        answer = client.get(item["href"].format(tileMatrix=at.zoom, tileRow=at.row, tileCol=at.col))
        assert list(read(answer.content)) == ["areas", "buildings", "sensors"]


def test_each_layer_is_what_the_collections_own_tile_is(town: City, client: httpx2.Client) -> None:
    whole = client.get(address(HERE)).content
    own = [client.get(HERE.path(name)).content for name in ("areas", "buildings", "cameras", "imagery", "sensors")]
    assert whole == b"".join(own)


def test_req_collections_selection_query_collections(town: City, client: httpx2.Client, running: Server) -> None:
    """B: on tilesets and tiles. C: ids and full addresses, separated by commas."""
    chosen = f"sensors,{running.url}/collections/areas"
    tileset = client.get("/tiles/WebMercatorQuad", params={"collections": chosen}).json()
    assert [layer["id"] for layer in tileset["layers"]] == ["sensors", "areas"]
    href = link(tileset, "item")["href"].format(tileMatrix=HERE.zoom, tileRow=HERE.row, tileCol=HERE.col)
    assert list(read(client.get(href).content)) == ["sensors", "areas"]
    json = client.get(link(tileset, "describedby")["href"]).json()
    assert [layer["id"] for layer in json["vector_layers"]] == ["sensors", "areas"]
    (template,) = json["tiles"]
    assert list(read(client.get(template.format(z=HERE.zoom, y=HERE.row, x=HERE.col)).content)) == ["sensors", "areas"]
    listed = client.get("/tiles", params={"collections": chosen}).json()["tilesets"]
    again = client.get(link(listed[0], "self")["href"]).json()
    assert [layer["id"] for layer in again["layers"]] == ["sensors", "areas"]


def test_req_collections_selection_collections_response(town: City, client: httpx2.Client) -> None:
    """A: only these; B: the first first."""
    assert layers(client, collections="buildings") == {"buildings": 2}
    assert list(layers(client, collections="sensors,buildings")) == ["sensors", "buildings"]
    assert list(layers(client, collections="buildings,sensors")) == ["buildings", "sensors"]
    assert layers(client, collections="cameras") == {}
    for wrong in ("nothing", "buildings,", "buildings,buildings", "http://elsewhere.example/collections/buildings"):
        for path in ("/tiles", "/tiles/WebMercatorQuad", address(HERE)):
            refused = client.get(path, params={"collections": wrong})
            assert_problem(refused, status=400, code="invalid-parameter", parameter="collections")


def test_conditions_that_every_collection_has_hold_for_each_layer(town: City, client: httpx2.Client) -> None:
    assert layers(client, datetime="2024-01-01", collections="buildings,sensors") == {"buildings": 1, "sensors": 1}
    assert layers(client, area="440305") == {"buildings": 1}
    assert layers(client, bbox="114.0508,22,115,23", collections="sensors,buildings") == {"buildings": 1}
    refused = client.get(address(HERE), params={"height_m": "30"})
    assert_problem(refused, status=400, code="unknown-parameter", parameter="height_m")


def test_req_core_tc_error_of_a_dataset(town: City, client: httpx2.Client) -> None:
    for path in ("WebMercatorQuad/25/0/0", "WebMercatorQuad/1/2/0", "Nothing/0/0/0", "Nothing"):
        assert_problem(client.get(f"/tiles/{path}"), status=404, code="not-found")
    nothing = client.get("/tiles/WorldCRS84Quad/0/0/0")
    assert (nothing.status_code, nothing.content) == (204, b"")


def test_req_oas30_operation_ids_of_a_dataset(client: httpx2.Client) -> None:
    paths = client.get("/api").json()["paths"]
    for path, end in (
        ("/tiles", "dataset.vector.getTileSetsList"),
        ("/tiles/{tileMatrixSetId}", "dataset.vector.getTileSet"),
        ("/tiles/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}", "dataset.vector.getTile"),
    ):
        described = paths[path]["get"]
        assert described["operationId"].endswith(end)
        (selection,) = [one for one in described["parameters"] if one.get("name") == "collections"]
        assert (selection["style"], selection["explode"], selection["schema"]["type"]) == ("form", False, "array")


def test_B41_a_collection_that_the_caller_may_not_see_is_no_layer(town: City, client: httpx2.Client) -> None:
    admin = {"Authorization": f"Bearer {ADMIN}"}
    made = client.post(
        "/admin/keys", json={"collections": ["sensors", "buildings"], "area_code": "440305"}, headers=admin
    )
    assert made.status_code == 201, made.text
    key = {"X-API-Key": made.json()["key"]}
    answer = client.get(address(HERE), headers=key)
    assert {name: len(found) for name, found in read(answer.content).items()} == {"buildings": 1}
    assert answer.headers["cache-control"] == "private, no-store"
    tileset = client.get("/tiles/WebMercatorQuad", headers=key).json()
    assert [layer["id"] for layer in tileset["layers"]] == ["buildings", "sensors"]
    refused = client.get(address(HERE), params={"collections": "areas"}, headers=key)
    assert_problem(refused, status=400, code="invalid-parameter", parameter="collections")
    assert layers(client)["sensors"] == 1


def test_an_edit_is_seen_in_the_next_request_and_a_tag_saves_the_body(town: City, client: httpx2.Client) -> None:
    first = client.get(address(HERE))
    etag = first.headers["etag"]
    assert client.get(address(HERE), headers={"If-None-Match": etag}).status_code == 304
    city = town
    city.feature("cameras", "POINT(114.0502 22.5502)", kind="dome")
    second = client.get(address(HERE), headers={"If-None-Match": etag})
    assert second.status_code == 200
    assert list(read(second.content)) == ["areas", "buildings", "cameras", "sensors"]
    packed = client.get(address(HERE), headers={"Accept-Encoding": "gzip"})
    assert packed.content == second.content


def test_a_tile_of_all_is_within_the_budget_of_one(town: City, client: httpx2.Client) -> None:
    """Two collections of 5,000 round areas: alone each tile is within 500 kB, together they are not."""
    for name in ("marks", "plots"):
        town.dataset(name, Property("note", Kind.NUMBER, "注", "Note"), geometry_type="Polygon")
        table = town.collection(name).table
        town.run_text(
            f'INSERT INTO "{table[0].name}"."{table[1].name}" (id, source, source_id, geom, note) '
            "SELECT 't.' || n, 't', n::text, ST_Buffer(ST_SetSRID(ST_MakePoint(100 + (n % 75) * 0.4, (n / 75) * 0.4), 4326), 0.15, 16), "
            "n / 3.0 FROM generate_series(0, 4999) AS n"
        )
        town.refresh(name)
    town.settle(client)
    tile = tile_at("WebMercatorQuad", 3, 114.0, 22.0)
    own = {name: len(client.get(tile.path(name)).content) for name in ("marks", "plots")}
    assert sum(own.values()) > 500_000 > max(own.values()), own
    answer = client.get(address(tile), params={"collections": "marks,plots"})
    assert len(answer.content) <= 500_000
    assert set(read(answer.content)) == {"marks", "plots"}
    assert "marks=" in answer.headers["x-cim-truncated"]


def test_a_coded_tile_of_all_is_the_same_tile(town: City, client: httpx2.Client) -> None:
    plain = client.get(address(HERE), headers={"Accept-Encoding": "identity"})
    for coding in ("gzip", "br", "zstd"):
        for _ in range(2):
            coded = client.get(address(HERE), headers={"Accept-Encoding": coding})
            assert coded.content == plain.content
            assert coded.headers["content-type"] == "application/vnd.mapbox-vector-tile"
            assert "Accept-Encoding" in coded.headers["vary"]
    again = client.get(address(HERE), headers={"If-None-Match": coded.headers["etag"], "Accept-Encoding": "zstd"})
    assert (again.status_code, again.content) == (304, b"")
