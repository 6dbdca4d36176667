"""Vector tiles: decoded here by GDAL, checked against the features and pyproj."""

import math
from pathlib import Path
from typing import Any

import pyogrio
import pytest
from pyproj import Transformer
from shapely.geometry import box

from cim.query.grids import TileCoord, parse_tile
from tests.city import City, square
from tests.problems import assert_problem

TILES = "/collections/buildings/tiles/WebMercatorQuad"
TO_3857 = Transformer.from_crs(4326, 3857, always_xy=True)
WORLD = 20037508.342789244


def tile_at(lon: float, lat: float, zoom: int) -> tuple[int, int, int]:
    x, y = TO_3857.transform(lon, lat)
    size = 2 * WORLD / 2**zoom
    return zoom, int((WORLD - y) / size), int((x + WORLD) / size)


def decoded(content: bytes, tile: tuple[int, int, int], folder: Path, layer: str = "buildings") -> Any:
    """The tile's features with coordinates in EPSG:3857."""
    path = folder / f"{tile[2]}.mvt"
    path.write_bytes(content)
    return pyogrio.read_dataframe(path, layer=layer, X=tile[2], Y=tile[1], Z=tile[0])


@pytest.fixture(scope="module")
def town(city: City, client: Any) -> dict[str, Any]:
    """25 buildings of 100 m."""
    made = {}
    for n in range(25):
        place = square(114.0 + (n % 5) * 0.002, 22.5 + (n // 5) * 0.002, 0.001)
        made[city.building(place, use="office", height_m=10.0 + n, name="x" * 50)] = place
    city.settle(client)
    return made


def test_a_tile_holds_the_features_that_touch_it(town: Any, client: Any, tmp_path: Path) -> None:
    tile = tile_at(114.004, 22.504, 16)
    answer = client.get(f"{TILES}/{tile[0]}/{tile[1]}/{tile[2]}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    frame = decoded(answer.content, tile, tmp_path)
    size = 2 * WORLD / 2**16
    margin = size * 64 / 4096
    west, north = tile[2] * size - WORLD, WORLD - tile[1] * size
    area = box(west - margin, north - size - margin, west + size + margin, north + margin)
    corners = {
        key: (*TO_3857.transform(*place.bounds[:2]), *TO_3857.transform(*place.bounds[2:]))
        for key, place in town.items()
    }
    expected = {key for key, corner in corners.items() if box(*corner).intersects(area)}
    assert set(frame["id"]) == expected
    assert set(frame["use"]) == {"office"}
    assert "name" not in frame.columns
    assert set(frame["height_m"]) <= {10.0 + n for n in range(25)}


def test_the_same_tile_has_the_same_bytes_and_is_not_sent_again(town: Any, client: Any) -> None:
    tile = tile_at(114.004, 22.504, 14)
    url = f"{TILES}/{tile[0]}/{tile[1]}/{tile[2]}"
    first, second = client.get(url), client.get(url)
    assert first.content == second.content
    assert client.get(url, headers={"If-None-Match": first.headers["etag"]}).status_code == 304


def test_an_empty_tile_is_204(town: Any, client: Any) -> None:
    answer = client.get(f"{TILES}/10/0/0")
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_tile_takes_the_same_filters_as_items(town: Any, client: Any, tmp_path: Path) -> None:
    tile = tile_at(114.004, 22.504, 14)
    url = f"{TILES}/{tile[0]}/{tile[1]}/{tile[2]}"
    frame = decoded(client.get(url, params={"height_m": "12"}).content, tile, tmp_path)
    assert list(frame["height_m"]) == [12.0]
    assert client.get(url, params={"use": "medical"}).status_code == 204
    assert client.get(url, params={"bbox": "1,1,2,2"}).status_code == 204
    assert_problem(client.get(url, params={"limit": "5"}), status=400, code="unknown-parameter")


def test_the_world_in_one_tile(town: Any, client: Any, city: City, tmp_path: Path) -> None:
    city.dataset("world")
    for lon in (-179.99, 0, 179.99):
        for lat in (-89.9, -80, 0, 80, 89.9):
            city.feature("world", f"POINT({lon} {lat})")
    city.feature("world", "POLYGON((-180 -90, 180 -90, 180 90, -180 90, -180 -90))")
    city.settle(client)
    answer = client.get("/collections/world/tiles/WebMercatorQuad/0/0/0")
    assert answer.status_code == 200
    frame = decoded(answer.content, (0, 0, 0), tmp_path, "world")
    assert len(frame) == 3 * 3 + 1


def test_the_box_of_a_tile_agrees_with_pyproj() -> None:
    back = Transformer.from_crs(3857, 4326, always_xy=True)
    for tile in (TileCoord(14, 7143, 13379), TileCoord(5, 0, 31), TileCoord(1, 1, 0)):
        size = 2 * WORLD / 2**tile.zoom
        west, south = back.transform(tile.col * size - WORLD, WORLD - (tile.row + 1) * size)
        east, north = back.transform((tile.col + 1) * size - WORLD, WORLD - tile.row * size)
        bounds = tile.bbox(margin=0)
        assert (bounds.min_x, bounds.min_y) == pytest.approx((west, south), abs=1e-9)
        assert (bounds.max_x, bounds.max_y) == pytest.approx((east, north), abs=1e-9)
    assert math.isclose(parse_tile("0", "0", "0").bbox().max_y, 85.06, abs_tol=0.01)


def test_tileset_and_tilejson_name_the_tiles(town: Any, client: Any) -> None:
    tileset = client.get(TILES).json()
    template = next(link for link in tileset["links"] if link["rel"] == "item")
    assert template["templated"]
    tile = tile_at(114.004, 22.504, 14)
    url = template["href"].format(tileMatrix=tile[0], tileRow=tile[1], tileCol=tile[2])
    assert client.get(url).status_code == 200
    tilejson = client.get(TILES, params={"f": "tilejson"}).json()
    assert client.get(tilejson["tiles"][0].format(z=tile[0], y=tile[1], x=tile[2])).status_code == 200
    assert tilejson["vector_layers"][0]["id"] == "buildings"
    assert_problem(client.get("/collections/buildings/tiles/WorldCRS85Quad"), status=404, code="not-found")
