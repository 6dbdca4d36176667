"""A caller who is told no exact place: every way to ask gives the same cell (catalogue B47, B48)."""

import itertools
import math
from pathlib import Path
from typing import Any

import httpx2
import pyogrio
import pytest
from pyproj import Geod, Transformer

from tests.problems import assert_problem
from tests.rights.conftest import Caller
from tests.rights.town import Town

PRECISION_M = 500
GEOD = Geod(ellps="WGS84")
TO_4547 = Transformer.from_crs(4326, 4547, always_xy=True)
TO_3857 = Transformer.from_crs(4326, 3857, always_xy=True)
WORLD = 20037508.342789244
EXACT_WORDS = ("深南大道", "楼1", "proj:bbox", "imagery.example")


def cell_of(lon: float, lat: float) -> tuple[float, float]:
    """Centre of the cell of a place, by the rule as docs/administration.md states it."""
    height = PRECISION_M / 110_574
    middle = (math.floor(lat / height) + 0.5) * height
    width = height / math.cos(math.radians(middle))
    return (math.floor(lon / width) + 0.5) * width, middle


def middle_of(place: Any) -> tuple[float, float]:
    west, south, east, north = place.bounds
    return (west + east) / 2, (south + north) / 2


@pytest.fixture(scope="module")
def masked(caller: Caller, town: Town) -> httpx2.Client:
    return caller(precision_m=PRECISION_M)


@pytest.fixture(scope="module")
def cells(town: Town) -> dict[str, tuple[float, float]]:
    """Id of a building → the centre of its cell."""
    return {key: cell_of(*middle_of(place)) for key, place in town.places.items()}


def places_in(document: dict[str, Any]) -> dict[str, Any]:
    return {f["id"]: f["geometry"] for f in document["features"]}


def assert_at(geometry: Any, expected: tuple[float, float], tolerance: float = 1e-6) -> None:
    assert geometry["type"] == "Point"
    assert geometry["coordinates"] == pytest.approx(expected, abs=tolerance)


def test_cells_are_as_large_as_promised_and_hold_their_places(cells, town):
    for key, (lon, lat) in cells.items():
        true_lon, true_lat = middle_of(town.places[key])
        _, _, metres = GEOD.inv(lon, lat, true_lon, true_lat)
        assert metres <= PRECISION_M * math.sqrt(0.5) * 1.02
        height = PRECISION_M / 110_574
        assert GEOD.inv(lon, lat - height / 2, lon, lat + height / 2)[2] >= PRECISION_M
        width = height / math.cos(math.radians(lat))
        assert GEOD.inv(lon - width / 2, lat, lon + width / 2, lat)[2] >= PRECISION_M * 0.999


def test_B47_items_search_and_single_item_give_the_cell(masked, cells, town):
    page = masked.get("/collections/buildings/items", params={"limit": 100}).json()
    posted = masked.post("/collections/buildings/search", json={"limit": 100}).json()
    for document in (page, posted):
        found = places_in(document)
        assert set(found) == town.all
        for key, cell in cells.items():
            assert_at(found[key], cell)
        assert found[town.placeless] is None
    for key, cell in cells.items():
        assert_at(masked.get(f"/collections/buildings/items/{key}").json()["geometry"], cell)


def test_B47_the_place_is_the_same_each_time_and_for_each_such_key(masked, caller, anyone, town):
    first, again, other = (
        one.get("/collections/buildings/items", params={"limit": 100}).json()
        for one in (masked, masked, caller(precision_m=PRECISION_M))
    )
    assert places_in(first) == places_in(again) == places_in(other)
    exact = anyone.get("/collections/buildings/items", params={"limit": 100}).json()
    assert places_in(exact)[town.nanshan[0]]["type"] == "MultiPolygon"


def test_B47_sensors_cameras_and_scenes_are_masked_too(masked, town):
    for collection, key, place in (
        ("sensors", town.sensor, (113.9312345, 22.5312345)),
        ("cameras", town.camera, (114.0512345, 22.5312345)),
        ("imagery", town.scene, (113.935, 22.505)),
    ):
        document = masked.get(f"/collections/{collection}/items/{key}").json()
        assert_at(document["geometry"], cell_of(*place))
        assert "name" not in document["properties"]
        assert "attributes" not in document["properties"]


def test_B47_a_filter_sees_the_cell_and_no_hidden_property(masked, cells, town):
    def ids(text):
        answer = masked.get("/collections/buildings/items", params={"limit": 100, "filter": text})
        assert answer.status_code == 200, answer.text
        return set(places_in(answer.json()))

    for key, (lon, lat) in cells.items():
        true_lon, true_lat = middle_of(town.places[key])
        apart = GEOD.inv(lon, lat, true_lon, true_lat)[2]
        assert key in ids(f"distance_m(geometry, POINT({lon} {lat})) < 0.5")
        assert key in ids(f"S_INTERSECTS(geometry, buffer(POINT({lon} {lat}), 1))")
        if apart > 2:
            assert key not in ids(f"S_INTERSECTS(geometry, buffer(POINT({true_lon} {true_lat}), 1))")
            assert key not in ids(f"distance_m(geometry, POINT({true_lon} {true_lat})) < {apart / 2}")
    assert ids("area_m2(geometry) > 0") == set()
    for name in ("name", "address"):
        answer = masked.get("/collections/buildings/items", params={"filter": f"{name} IS NULL"})
        assert_problem(answer, status=400, code="unknown-property", parameter="filter")
        answer = masked.get("/collections/buildings/queryables").json()
        assert name not in answer["properties"]
    answer = masked.get("/stac/search", params={"filter": "title IS NULL"})
    assert_problem(answer, status=400, code="unknown-property", parameter="filter")
    assert "title" not in masked.get("/stac/queryables").json()["properties"]
    beside = masked.get("/stac/search", params={"filter": "S_INTERSECTS(geometry, POINT(113.9301 22.5001))"})
    assert beside.json()["features"] == []


def test_B47_stac_gives_the_cell_and_nothing_of_the_footprint(masked, town):
    cell = cell_of(113.935, 22.505)
    (found,) = [f for f in masked.get("/stac/search").json()["features"] if f["id"] == town.scene]
    single = masked.get(f"/stac/collections/drone/items/{town.scene}").json()
    for document in (found, single):
        assert_at(document["geometry"], cell)
        assert document["bbox"] == pytest.approx([*cell, *cell], abs=1e-6)
        assert document["assets"] == {}
    collection = masked.get("/stac/collections/drone").json()
    corners = [*cell, *cell_of(114.055, 22.505)]
    assert collection["extent"]["spatial"]["bbox"][0] == pytest.approx(corners, abs=1e-6)


def test_B47_a_box_finds_cells_and_not_places(masked, anyone, cells, town):
    """Else halving a box would find the place."""
    for key in town.nanshan:
        west, south, east, north = town.places[key].bounds
        box = f"{west},{south},{east},{north}"
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        polygon = {"type": "Polygon", "coordinates": [ring]}
        lon, lat = cells[key]
        near = f"{lon - 1e-6},{lat - 1e-6},{lon + 1e-6},{lat + 1e-6}"
        exact = places_in(anyone.get("/collections/buildings/items", params={"bbox": box}).json())
        assert key in exact
        assert key not in places_in(masked.get("/collections/buildings/items", params={"bbox": box}).json())
        assert key not in places_in(masked.post("/collections/buildings/search", json={"geometry": polygon}).json())
        assert key in places_in(masked.get("/collections/buildings/items", params={"bbox": near, "limit": 100}).json())


def test_B47_every_box_finds_what_the_masked_places_say(masked, cells, town):
    """The index is asked for more than the box, and no row is lost by it (checked against the cells)."""
    lons, lats = (sorted({c[i] for c in cells.values()}) for i in (0, 1))
    for (west, east), (south, north) in itertools.product(
        [(113.9, 113.935), (113.9305, 114.06), (lons[2] - 1e-5, lons[5] + 1e-5)],
        [(22.5, 22.533), (lats[1] - 1e-5, lats[3] + 1e-5)],
    ):
        expected = {k for k, (lon, lat) in cells.items() if west <= lon <= east and south <= lat <= north}
        document = masked.get(
            "/collections/buildings/items", params={"bbox": f"{west},{south},{east},{north}", "limit": 100}
        ).json()
        assert set(places_in(document)) == expected | {town.placeless}
        query = {"bbox": f"{west},{south},{east},{north}"}
        assert (
            masked.get("/collections/buildings/aggregate", params=query).json()["total"]["count"] == len(expected) + 1
        )


def test_B47_a_tile_holds_the_cells_and_zooming_ends_there(masked, anyone, cells, tmp_path: Path):
    described = masked.get("/collections/buildings/tiles/WebMercatorQuad?f=tilejson").json()
    zoom = described["maxzoom"]
    assert 156_543 / 2**zoom <= PRECISION_M < 156_543 / 2 ** (zoom - 1)
    assert anyone.get("/collections/buildings/tiles/WebMercatorQuad?f=tilejson").json()["maxzoom"] > zoom
    size = 2 * WORLD / 2**zoom
    seen: dict[str, tuple[float, float]] = {}
    for lon, lat in cells.values():
        x, y = TO_3857.transform(lon, lat)
        col, row = int((x + WORLD) / size), int((WORLD - y) / size)
        answer = masked.get(f"/collections/buildings/tiles/WebMercatorQuad/{zoom}/{row}/{col}")
        assert answer.status_code == 200
        path = tmp_path / f"{row}-{col}.mvt"
        path.write_bytes(answer.content)
        frame = pyogrio.read_dataframe(path, layer="buildings", X=col, Y=row, Z=zoom)
        assert {"name", "address"}.isdisjoint(frame.columns)
        seen |= {key: (shape.x, shape.y) for key, shape in zip(frame["id"], frame.geometry, strict=True)}
    assert set(seen) == set(cells)
    for key, (x, y) in seen.items():
        assert (x, y) == pytest.approx(TO_3857.transform(*cells[key]), abs=size / 4096)
    assert_problem(
        masked.get(f"/collections/buildings/tiles/WebMercatorQuad/{zoom + 1}/0/0"), status=404, code="not-found"
    )


def test_B47_a_kept_tile_is_nobody_elses(masked, anyone, cells):
    lon, lat = next(iter(cells.values()))
    x, y = TO_3857.transform(lon, lat)
    size = 2 * WORLD / 2**8
    url = f"/collections/buildings/tiles/WebMercatorQuad/8/{int((WORLD - y) / size)}/{int((x + WORLD) / size)}"
    whole, hidden = anyone.get(url), masked.get(url)
    assert whole.content != hidden.content
    assert [anyone.get(url).content, masked.get(url).content] == [whole.content, hidden.content]
    assert hidden.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize("crs", ["EPSG:4547", "EPSG:4490", "EPSG:3857"])
def test_B48_no_system_leads_around_the_mask(masked, cells, town, crs):
    transform = Transformer.from_crs(4326, crs)
    for key in town.nanshan:
        answer = masked.get(f"/collections/buildings/items/{key}", params={"crs": crs})
        assert answer.headers["content-crs"].endswith(f"/EPSG/0/{crs.removeprefix('EPSG:')}>")
        lon, lat = cells[key]
        expected = transform.transform(lat, lon)  # both as the authority orders their axes
        assert answer.json()["geometry"]["coordinates"] == pytest.approx(
            expected, abs=0.02 if crs != "EPSG:4490" else 1e-6
        )


def test_B48_a_box_in_another_system_meets_the_masked_place(masked, cells, town):
    key = town.nanshan[1]
    x, y = TO_4547.transform(*cells[key])
    box = f"{y - 1},{x - 1},{y + 1},{x + 1}"
    found = masked.get("/collections/buildings/items", params={"bbox": box, "bbox-crs": "EPSG:4547"}).json()
    assert key in places_in(found)
    x, y = TO_4547.transform(*middle_of(town.places[key]))
    box = f"{y - 1},{x - 1},{y + 1},{x + 1}"
    found = masked.get("/collections/buildings/items", params={"bbox": box, "bbox-crs": "EPSG:4547"}).json()
    assert key not in places_in(found)


def test_B47_properties_that_tell_the_place_do_not_exist(masked, anyone):
    for name in ("name", "address"):
        asked = masked.get("/collections/buildings/items", params={name: "深南大道1号"})
        assert_problem(asked, status=400, code="unknown-parameter")
        assert anyone.get("/collections/buildings/items", params={name: "深南大道1号"}).status_code == 200
    for what in ("schema", "queryables"):
        properties = masked.get(f"/collections/buildings/{what}").json()["properties"]
        assert {"name", "name_en", "address", "attributes"}.isdisjoint(properties)
        assert properties["geometry"]["format"] == "geometry-point"


def test_B47_words_and_order_of_what_tells_the_place_do_not_exist(masked, anyone, caller, town):
    less = caller(hidden=["address"])
    for client, found in ((anyone, 7), (less, 0), (masked, 0)):
        answer = client.get("/collections/buildings/items", params={"q": "福华路", "limit": 100})
        assert len(places_in(answer.json())) == found
        assert len(places_in(client.post("/collections/buildings/search", json={"q": ["福华路"]}).json())) == found
    for client in (less, masked):
        refused = client.get("/collections/buildings/items", params={"sortby": "address"})
        assert_problem(refused, status=400, code="unknown-property", parameter="sortby")
        refused = client.get("/collections/buildings/items", params={"properties": "address"})
        assert_problem(refused, status=400, code="unknown-property", parameter="properties")


def test_B47_an_area_is_told_by_its_district(masked, town):
    codes = {
        f["properties"]["area_code"] for f in masked.get("/collections/buildings/items?limit=100").json()["features"]
    }
    assert codes == {"440305", "440304", None}
    count = lambda area: masked.get("/collections/buildings/aggregate", params={"area": area}).json()["total"]["count"]  # noqa: E731
    assert count("440305") == len(town.nanshan) + 1
    assert count("440305001") == 0
    areas = masked.get("/collections/areas/items?limit=100").json()["features"]
    assert {f["geometry"]["type"] for f in areas} == {"MultiPolygon"}  # what everybody knows is not masked


def test_B47_no_document_tells_more(masked, town, cells):
    bounds = masked.get("/collections/buildings").json()["extent"]["spatial"]["bbox"][0]
    union = [f(p.bounds[i] for p in town.places.values()) for f, i in ((min, 0), (min, 1), (max, 2), (max, 3))]
    assert bounds[0] <= union[0]
    assert bounds[3] >= union[3]
    assert all(abs(told - true) > 1e-9 for told, true in zip(bounds, union, strict=True))
    for path in (
        "/collections/buildings/items?limit=100", "/collections/buildings/items?limit=100&f=html", "/stac/search",
        "/stac/collections", "/collections/imagery/items", f"/collections/buildings/items/{town.nanshan[1]}?f=html",
    ):  # fmt: skip
        text = masked.get(path).text
        assert not [word for word in EXACT_WORDS if word in text], path


def test_a_street_editor_and_a_masked_reader_of_a_street_see_the_same_rows(caller, town):
    editor, reader = (
        caller(role="editor", area_code="440305001"),
        caller(area_code="440305001", precision_m=PRECISION_M),
    )
    seen = [set(places_in(one.get("/collections/buildings/items?limit=100").json())) for one in (editor, reader)]
    assert seen[0] == seen[1] == {*town.nanshan, town.placeless}
