"""Low zooms: points become clusters, small shapes give way to large ones, and no tile outgrows its budget."""

from typing import Any

import numpy as np
import pytest
from shapely.geometry import box

from cim.query.grids import TileCoord
from cim.query.tiles import BUDGET_BYTES, MAX_FEATURES, WHOLE_BUDGET_BYTES
from tests.city import City
from tests.tiles.mvt import read
from tests.tiles.places import Tile, parts, tile_at

LON, LAT = 114.05, 22.55


@pytest.fixture(scope="module")
def points(city: City, client: Any) -> np.ndarray:
    """2,000 sensors around two places, (n, 2) degrees."""
    random = np.random.default_rng(1)
    spots = np.concatenate(
        [random.normal((LON, LAT), 0.01, (1_500, 2)), random.normal((LON + 0.08, LAT), 0.02, (500, 2))]
    )
    spots = spots.round(7)
    with city.connection.transaction(), city.connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO cim.sensor (id, source, source_id, geom, kind) "
            "VALUES (%s, 'test', %s, ST_SetSRID(ST_MakePoint(%s, %s), 4326), 'noise')",
            [(f"test.{n:05}", f"{n:05}", x, y) for n, (x, y) in enumerate(spots.tolist())],
        )
        city.refresh("sensors")
    city.settle(client)
    return spots


def placed(tile: Tile, spots: np.ndarray) -> np.ndarray:
    """Tile coordinates of places, (n, 2)."""
    across, down = parts(tile.grid, spots[:, 0], spots[:, 1])
    side = 4096 * 2**tile.zoom
    columns = 1 if tile.grid == "WebMercatorQuad" else 2
    return np.column_stack([across * side * columns - tile.col * 4096, down * side - tile.row * 4096])


@pytest.mark.parametrize("grid", ["WebMercatorQuad", "WorldCRS84Quad"])
@pytest.mark.parametrize("zoom", [3, 9, 11, 12])
def test_points_are_clustered_and_every_one_is_counted(points: np.ndarray, client: Any, grid: str, zoom: int) -> None:
    tile = tile_at(grid, zoom, LON, LAT)
    answer = client.get(tile.path("sensors"))
    at = placed(tile, points)
    inside = at[((at >= -128) & (at < 4096 + 128)).all(axis=1)]
    cells: dict[tuple[int, int], list[np.ndarray]] = {}
    for spot in inside:
        cells.setdefault((int(spot[0] // 128), int(spot[1] // 128)), []).append(spot)
    found = read(answer.content)["sensors"]
    drawn = {}
    for one in found:
        # a mark lies in the middle of its points; rounding may put it on the edge of the cell
        mean = min(
            (np.mean(members, axis=0) for members in cells.values()),
            key=lambda m: abs(m - (one.shape.x, one.shape.y)).sum(),
        )
        cell = (int(mean[0] // 128), int(mean[1] // 128))
        assert abs(mean - (one.shape.x, one.shape.y)).max() <= 1.5
        drawn[cell] = one.properties.get("point_count", 1)
        assert ("cluster" in one.properties) == (drawn[cell] > 1) == ("id" not in one.properties)
        assert one.properties.get("kind") == (None if drawn[cell] > 1 else "noise")
    assert drawn == {cell: len(members) for cell, members in cells.items()}
    assert answer.headers["x-cim-truncated"]


def test_from_zoom_13_on_every_point_is_itself(points: np.ndarray, client: Any) -> None:
    tile = tile_at("WebMercatorQuad", 13, LON, LAT)
    answer = client.get(tile.path("sensors"))
    at = placed(tile, points)
    expected = np.flatnonzero(((at >= -64) & (at <= 4160)).all(axis=1))
    assert len(expected) > 200
    assert {one.properties["id"] for one in read(answer.content)["sensors"]} == {f"test.{n:05}" for n in expected}
    assert "x-cim-truncated" not in answer.headers


def test_neighbouring_tiles_agree_on_a_cluster_at_their_edge(points: np.ndarray, client: Any) -> None:
    left = tile_at("WebMercatorQuad", 12, LON, LAT)
    right = Tile(left.grid, left.zoom, left.row, left.col + 1)
    marks = []
    for tile, shift in ((left, 0), (right, 4096)):
        found = read(client.get(tile.path("sensors")).content)["sensors"]
        shared = [one for one in found if 4096 <= one.shape.x + shift < 4096 + 128]
        marks.append({(one.shape.x + shift, one.shape.y, one.properties.get("point_count")) for one in shared})
    assert marks[0] == marks[1] != set()


@pytest.fixture(scope="module")
def blocks(city: City, client: Any) -> None:
    """12,000 squares in 0.6 by 0.4 degrees, sides from 20 m to 1 km: the larger the number, the larger the square."""
    city.dataset("blocks", geometry_type="Polygon")
    city.connection.execute(
        "INSERT INTO dataset.blocks (id, source, source_id, geom) SELECT 'test.' || lpad(n::text, 5, '0'), 'test', n::text, "
        "ST_MakeEnvelope(x, y, x + side, y + side, 4326) FROM (SELECT n, 0.0002 + n * 8e-7 AS side, "
        "113.8 + (n * 7919 % 12000) % 150 * 0.004 AS x, 22.4 + (n * 7919 % 12000) / 150 * 0.005 AS y "
        "FROM generate_series(0, 11999) AS n) AS placed"
    )
    city.connection.execute("ANALYZE dataset.blocks")
    city.refresh("blocks")
    city.settle(client)


def test_the_smallest_are_left_out_first_and_the_tile_says_so(blocks: None, client: Any) -> None:
    tile = tile_at("WebMercatorQuad", 9, 114.1, 22.6)
    answer = client.get(tile.path("blocks"))
    assert answer.headers["x-cim-truncated"] == str(MAX_FEATURES)
    drawn = {int(one.properties["id"].removeprefix("test.")) for one in read(answer.content)["blocks"]}
    assert len(answer.content) <= BUDGET_BYTES
    inside = []
    for n in range(12_000):
        place, side = n * 7919 % 12_000, 0.0002 + n * 8e-7
        x, y = 113.8 + place % 150 * 0.004, 22.4 + place // 150 * 0.005
        if not tile.drawn(box(x, y, x + side, y + side)).is_empty:
            inside.append(n)
    largest = set(inside[-MAX_FEATURES:])
    assert len(inside) > MAX_FEATURES + 100
    assert len(drawn) > MAX_FEATURES - 10
    assert len(drawn - largest) < 10, "at the very edge a square may count as touching"


def test_of_shapes_smaller_than_a_pixel_one_stands_for_all(blocks: None, client: Any) -> None:
    tile = tile_at("WebMercatorQuad", 4, 114.1, 22.6)
    answer = client.get(tile.path("blocks"))
    found = read(answer.content)["blocks"]
    assert 10 < len(found) < 200
    assert len({one.shape.wkt for one in found}) == len(found)
    for one in found:
        low_x, low_y, high_x, high_y = one.shape.bounds
        assert (high_x - low_x, high_y - low_y) == (8, 8)
        assert low_x % 8 == low_y % 8 == 0


@pytest.mark.parametrize(("zoom", "budget"), [(10, BUDGET_BYTES), (13, WHOLE_BUDGET_BYTES)])
def test_B25_no_tile_outgrows_its_budget(city: City, client: Any, zoom: int, budget: int) -> None:
    """3,000 rings of 800 vertices: 10 MB if drawn as they are."""
    if "wreaths" not in {c["id"] for c in client.get("/collections").json()["collections"]}:
        city.dataset("wreaths", geometry_type="Polygon")
        city.connection.execute(
            "INSERT INTO dataset.wreaths (id, source, source_id, geom) SELECT 'test.' || n, 'test', n::text, "
            "ST_Buffer(ST_SetSRID(ST_MakePoint(114.0 + n % 50 * 0.0006, 22.5 + n / 50 * 0.0006), 4326), 0.003 + n * 1e-6, 200) "
            "FROM generate_series(1, 3000) AS n"
        )
        city.refresh("wreaths")
        city.settle(client)
    tile = tile_at("WebMercatorQuad", zoom, 114.015, 22.518)
    answers = [client.get(tile.path("wreaths"), timeout=60) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len({answer.headers["etag"] for answer in answers}) == 1
    assert 0.1 * budget < len(answers[0].content) <= budget
    kept = int(answers[0].headers["x-cim-truncated"])
    numbers = {int(one.properties["id"].removeprefix("test.")) for one in read(answers[0].content)["wreaths"]}
    assert len(numbers) <= kept < 3_000
    assert min(numbers) > 3_000 - 2 * kept


def test_how_far_a_tile_is_from_straight_agrees_with_pyproj() -> None:
    for tile in (TileCoord(12, 1787, 3344), TileCoord(9, 200, 400), TileCoord(14, 4000, 9000)):
        north, south = tile.latitude(tile.row), tile.latitude(tile.row + 1)
        steps = np.linspace(0, 1, 401)
        _, down = parts("WebMercatorQuad", np.zeros(401), north + (south - north) * steps)
        worst = np.abs((down * 2**tile.zoom - tile.row) * 4096 - steps * 4096).max()
        assert worst == pytest.approx(tile.bow, rel=0.02)
        assert tile.is_even == (tile.bow <= 0.5)
