"""What a tile draws, decoded by a reader of our own and compared with pyproj and shapely."""

import math
from typing import Any

import pytest
import shapely
from shapely.geometry import LineString, MultiPoint, Point, Polygon, box

from cim.model import Kind, Property
from tests.city import City, square
from tests.tiles.mvt import area, read
from tests.tiles.places import GRIDS, tile_at

LON, LAT = 114.05, 22.55
HOLED = Polygon(
    [(LON, LAT), (LON + 0.03, LAT + 0.004), (LON + 0.025, LAT + 0.03), (LON - 0.004, LAT + 0.02)],
    [[(LON + 0.01, LAT + 0.01), (LON + 0.01, LAT + 0.015), (LON + 0.02, LAT + 0.015), (LON + 0.02, LAT + 0.01)]],
)
FAR_NORTH = Polygon([(25.0, 70.0), (25.02, 70.001), (25.018, 70.01), (25.001, 70.012)])


@pytest.fixture(scope="module")
def shapes(city: City, client: Any) -> dict[str, Any]:
    """A dataset of everything that a geometry may be."""
    city.dataset("shapes", Property("kind", Kind.TEXT, "类", "Kind", codes={"甲": ("甲", "A")}))
    made = {
        "holed": HOLED,
        "north": FAR_NORTH,
        "line": LineString([(LON - 0.05, LAT), (LON + 0.05, LAT + 0.001), (LON + 0.1, LAT + 0.05)]),
        "points": MultiPoint([(LON, LAT + 0.001), (LON + 0.002, LAT)]),
        "mixed": "GEOMETRYCOLLECTION (POINT (114.07 22.55), POLYGON ((114.07 22.55, 114.071 22.55, 114.07 22.551, 114.07 22.55)))",
        "nowhere": None,
    }
    for key, geometry in made.items():
        city.feature("shapes", geometry, key=key, kind="甲")
    city.settle(client)
    return made


def tile_of(client: Any, tile: Any, **parameters: str) -> dict[str, Any]:
    """Id → feature of the tile's one layer."""
    answer = client.get(tile.path("shapes"), params=parameters)
    if answer.status_code == 204:
        return {}
    assert answer.status_code == 200, answer.text
    layers = read(answer.content)
    assert list(layers) == ["shapes"]
    return {one.properties["id"]: one for one in layers["shapes"]}


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("zoom", [7, 10, 11, 12, 13, 15])
def test_req_mvt_content_c_shapes_are_linear_pictures_in_the_crs_of_the_grid(
    shapes: Any, client: Any, grid: str, zoom: int
) -> None:
    for key, lon, lat in (("holed", LON + 0.012, LAT + 0.012), ("north", 25.01, 70.005), ("line", LON, LAT)):
        tile = tile_at(grid, zoom, lon, lat)
        found = tile_of(client, tile)[f"test.{key}"].shape
        expected = tile.drawn(shapes[key])
        if expected.length < 16:  # smaller than a pixel: a mark stands for it
            assert found.distance(expected) <= 8
        else:  # below zoom 13 vertices nearer than half a pixel to the one before are left out
            assert shapely.hausdorff_distance(found, expected, 0.05) <= (1.5 if zoom >= 13 else 6)


def test_rings_turn_as_the_specification_says_and_holes_stay_holes(shapes: Any, client: Any) -> None:
    for zoom in (11, 14):
        tile = tile_at("WebMercatorQuad", zoom, LON + 0.012, LAT + 0.012)
        outer, *holes = tile_of(client, tile)["test.holed"].rings
        assert area(outer) > 0
        assert [area(hole) < 0 for hole in holes] == [True]


def test_req_core_tc_success_b_only_what_touches_the_tile_or_its_margin(shapes: Any, client: Any) -> None:
    tile = tile_at("WebMercatorQuad", 15, LON + 0.001, LAT + 0.001)
    expected = {
        f"test.{key}"
        for key, shape in shapes.items()
        if shape is not None and not tile.drawn(shapely.from_wkt(shape) if isinstance(shape, str) else shape).is_empty
    }
    assert set(tile_of(client, tile)) == expected
    assert "test.holed" in expected


def test_collections_and_many_points(shapes: Any, client: Any) -> None:
    for lon, key, kind in ((114.0702, "mixed", "Polygon"), (LON, "points", "MultiPoint")):
        found = tile_of(client, tile_at("WebMercatorQuad", 15, lon, LAT + 0.0003))[f"test.{key}"]
        assert found.shape.geom_type == kind
        assert found.properties == {"id": f"test.{key}", "kind": "甲"}


def test_properties_are_chosen(shapes: Any, client: Any) -> None:
    tile = tile_at("WebMercatorQuad", 15, LON, LAT)
    assert tile_of(client, tile, properties="")["test.points"].properties == {"id": "test.points"}
    assert tile_of(client, tile, properties="kind")["test.points"].properties == {"id": "test.points", "kind": "甲"}
    for wrong in ("name", "kind,kind"):
        answer = client.get(tile.path("shapes"), params={"properties": wrong})
        assert (answer.status_code, answer.json()["parameter"]) == (400, "properties")


def test_a_filter_chooses_what_is_drawn(shapes: Any, client: Any) -> None:
    tile = tile_at("WebMercatorQuad", 12, LON, LAT)
    assert set(tile_of(client, tile, filter="id = 'test.line'")) == {"test.line"}


def test_at_the_poles_and_the_antimeridian(city: City, client: Any) -> None:
    city.dataset("edges")
    for key, shape in {
        "east": box(179.9, 10, 180, 11),
        "west": box(-180, 10, -179.9, 11),
        "north": box(-10, 80, 10, 90),
        "pole": Point(0, 90),
    }.items():
        city.feature("edges", shape, key=key)
    city.settle(client)
    for grid, zoom, lon, lat, keys in (
        ("WebMercatorQuad", 6, 179.95, 10.5, {"test.east"}),
        ("WebMercatorQuad", 6, -179.95, 10.5, {"test.west"}),
        ("WebMercatorQuad", 2, 5, 84, {"test.north"}),
        ("WorldCRS84Quad", 3, 5, 89, {"test.north", "test.pole"}),
    ):
        answer = client.get(tile_at(grid, zoom, lon, lat).path("edges"))
        assert {one.properties["id"] for one in read(answer.content)["edges"]} == keys


def test_A5_a_geometry_that_crosses_itself_does_not_hold_up_its_tiles(city: City, client: Any) -> None:
    city.dataset("tangled", geometry_type="Polygon")
    for count in (1_000, 5_000):
        turns = [(n * 2.399963) % (2 * math.pi) for n in range(count)]
        ring = [
            (LON + 0.01 * math.cos(7 * t) * math.sin(n), LAT + 0.01 * math.sin(5 * t) * math.cos(n * 1.7))
            for n, t in enumerate(turns)
        ]
        city.feature("tangled", Polygon(ring), key=str(count))
    city.settle(client)
    for zoom in (3, 10, 13, 14, 16):
        answer = client.get(tile_at("WebMercatorQuad", zoom, LON + 0.002, LAT + 0.002).path("tangled"), timeout=10)
        assert answer.status_code == 200
        assert answer.elapsed.total_seconds() < 2


def test_the_same_rows_give_the_same_bytes_whatever_order_they_lie_in(city: City, client: Any) -> None:
    for n in range(300):
        city.building(square(113.9 + (n * 37 % 300) * 1e-4, 22.6), key=f"o{n:03}", use="office")
    city.settle(client)
    tile = tile_at("WebMercatorQuad", 14, 113.91, 22.6)
    before = client.get(tile.path("buildings"))
    city.buildings_sql(
        "UPDATE cim.building SET name = 'x' WHERE id < 'test.o150'"
    )  # writes them anew, behind the others
    after = client.get(tile.path("buildings"))
    assert before.content == after.content
    assert before.headers["etag"] == after.headers["etag"]
