"""Coordinate reference systems (OGC 18-058r1, Features Part 2), checked against pyproj."""

from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
from shapely.geometry import box, shape

from tests.city import City, feature_collections, square
from tests.problems import assert_problem

ITEMS = "/collections/buildings/items"
BASE = "http://www.opengis.net/def/crs/"
CRS84 = f"{BASE}OGC/1.3/CRS84"


def uri(code: int) -> str:
    return f"{BASE}EPSG/0/{code}"


def moved(transformer: pyproj.Transformer, place: Any) -> Any:
    """`place` by pyproj."""
    return shapely.transform(place, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1])))


@pytest.fixture(scope="module")
def town(city: City, client: Any) -> dict[str, Any]:
    """Thirty buildings of 20 m between 113.9 and 114.2; one beyond the zone of EPSG:4547."""
    shapes = {}
    for n in range(30):
        place = square(113.9 + n * 0.01, 22.5 + (n % 7) * 0.01)
        shapes[city.building(place, source="crs", name=f"楼{n}")] = place
    city.settle(client)
    return shapes


def test_req_crs_fc_md_crs_list_every_collection_lists_its_systems_and_how_it_is_stored(client: Any, town: Any) -> None:
    for one in feature_collections(client):
        assert one["crs"][0] == CRS84
        assert {uri(code) for code in (4326, 4490, 4547, 3857, 4526, 4554)} <= set(one["crs"])
        assert one["storageCrs"] in one["crs"]


def test_req_crs_ogc_crs_header_is_there_without_a_wish(client: Any, town: Any) -> None:
    for url in (ITEMS, f"{ITEMS}/{next(iter(town))}"):
        assert client.get(url).headers["content-crs"] == f"<{CRS84}>"


@pytest.mark.parametrize("code", [4326, 4490, 4547, 4526, 3857, 32649])
def test_req_crs_fc_crs_action_coordinates_have_the_axes_of_the_authority(client: Any, town: Any, code: int) -> None:
    projected = pyproj.Transformer.from_crs("OGC:CRS84", f"EPSG:{code}")  # the authority's order
    tolerance = 2e-7 if projected.target_crs.is_geographic else 2e-3
    answer = client.get(ITEMS, params={"crs": uri(code), "limit": 100})
    assert answer.headers["content-crs"] == f"<{uri(code)}>"
    features = answer.json()["features"]
    assert len(features) == 30
    for feature in features:
        assert "crs" not in feature["geometry"]
        expected = moved(projected, town[feature["id"]])
        assert shape(feature["geometry"]).bounds == pytest.approx(expected.bounds, abs=tolerance)
    one = client.get(f"{ITEMS}/{features[0]['id']}", params={"crs": uri(code)})
    assert one.headers["content-crs"] == f"<{uri(code)}>"
    assert one.json()["geometry"] == features[0]["geometry"]


@pytest.mark.parametrize("code", [4326, 4490, 4547, 3857, 32649])
def test_req_crs_fc_bbox_crs_action_the_box_has_the_axes_of_its_system(client: Any, town: Any, code: int) -> None:
    forward = pyproj.Transformer.from_crs("OGC:CRS84", f"EPSG:{code}")
    middle = forward.transform(114.0501, 22.5)
    half = (0.06, 0.06) if forward.target_crs.is_geographic else (6000, 6000)
    asked = box(middle[0] - half[0], middle[1] - half[1], middle[0] + half[0], middle[1] + half[1])
    expected = {key for key, place in town.items() if moved(forward, place).intersects(asked)}
    assert 3 < len(expected) < 30
    text = ",".join(map(str, asked.bounds))
    found = client.get(ITEMS, params={"bbox": text, "bbox-crs": uri(code), "limit": 100}).json()
    assert {feature["id"] for feature in found["features"]} == expected
    body = {"bbox": list(asked.bounds), "bbox-crs": uri(code), "crs": uri(code), "limit": 100}
    posted = client.post("/collections/buildings/search", json=body)
    assert {feature["id"] for feature in posted.json()["features"]} == expected
    assert posted.headers["content-crs"] == f"<{uri(code)}>"
    counted = client.get("/collections/buildings/aggregate", params={"bbox": text, "bbox-crs": uri(code)}).json()
    assert counted["total"]["count"] == len(expected)


@pytest.mark.parametrize("name", ["EPSG:4547", "[EPSG:4547]", f"{BASE}EPSG/9.9.1/4547", f"https{BASE[4:]}EPSG/0/4547"])
def test_short_names_of_a_system_are_taken(client: Any, town: Any, name: str) -> None:
    assert client.get(ITEMS, params={"crs": name}).headers["content-crs"] == f"<{uri(4547)}>"


@pytest.mark.parametrize("parameter", ["crs", "bbox-crs"])
@pytest.mark.parametrize(
    "value", ["", "4547", "EPSG:999999", "EPSG:2000", "EPSG:4978", "GCJ02", uri(4547) + "'--", "a" * 900]
)
def test_req_crs_fc_crs_valid_value_others_are_refused(client: Any, town: Any, parameter: str, value: str) -> None:
    for params in ({parameter: value}, {parameter: value, "bbox": "1,2,3,4"}):
        assert_problem(client.get(ITEMS, params=params), status=400, code="invalid-parameter", parameter=parameter)


def test_next_pages_keep_the_system(client: Any, town: Any) -> None:
    page = client.get(ITEMS, params={"crs": uri(4547), "limit": 20})
    following = next(link["href"] for link in page.json()["links"] if link["rel"] == "next")
    second = client.get(following)
    assert second.headers["content-crs"] == f"<{uri(4547)}>"
    assert len(second.json()["features"]) == 10
    assert second.json()["features"][0]["geometry"]["coordinates"][0][0][0][0] > 1e6


def test_a_box_across_the_antimeridian_has_its_latitudes_first_in_epsg_4326(client: Any, city: City, town: Any) -> None:
    east = city.building(square(179.9, 10.0), source="crs")
    west = city.building(square(-179.9, 10.0), source="crs")
    found = client.get(ITEMS, params={"bbox": "9,179.5,11,-179.5", "bbox-crs": uri(4326)}).json()
    assert {feature["id"] for feature in found["features"]} == {east, west}


def test_coordinates_that_a_system_has_no_place_for_are_the_client_s_mistake(client: Any, town: Any) -> None:
    answer = client.get(ITEMS, params={"bbox": "1e12,1e12,2e12,2e12", "bbox-crs": uri(4547)})
    assert_problem(answer, status=400, code="outside-crs")
    for text in ("-1e9,-1e9,1e9,1e9", "-20037508.35,-20037508.35,20037508.35,20037508.35"):
        found = client.get(ITEMS, params={"bbox": text, "bbox-crs": uri(3857), "limit": 100}).json()
        assert len(found["features"]) >= 30


def test_a_box_in_metres_keeps_its_order(client: Any, town: Any) -> None:
    answer = client.get(ITEMS, params={"bbox": "2500000,500000,2400000,600000", "bbox-crs": uri(4547)})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="bbox")
