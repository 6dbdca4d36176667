"""Which features by their ids, and what of a feature is shown (drafts "Query by IDs" and "Property Selection")."""

from typing import Any

import pytest

from tests.city import City, square
from tests.problems import assert_problem

ITEMS = "/collections/buildings/items"


@pytest.fixture(scope="module")
def town(city: City, client: Any) -> City:
    """Nine buildings, one of a source whose ids hold commas."""
    for n in range(8):
        city.building(square(114.0 + n * 0.01, 22.5), key=f"b{n}", name=f"楼 {n}", height_m=float(n), use="office")
    city.building(square(114.5, 22.5), key="a,b", name="逗号")
    city.settle(client)
    return city


def test_ids_find_those_features(town: Any, client: Any) -> None:
    document = client.get(ITEMS, params={"ids": "test.b3,test.b1,nothing,test.b3", "sortby": "-id"}).json()
    assert [one["id"] for one in document["features"]] == ["test.b3", "test.b1"]
    assert document["numberMatched"] == 2
    within = client.get(ITEMS, params={"ids": "test.b3,test.b1", "bbox": "114.0,22.4,114.011,22.6"}).json()
    assert [one["id"] for one in within["features"]] == ["test.b1"]
    posted = client.post("/collections/buildings/search", json={"ids": ["test.a,b", "test.b0"]}).json()
    assert [one["id"] for one in posted["features"]] == ["test.a,b", "test.b0"]
    total = client.get("/collections/buildings/aggregate", params={"ids": "test.b3,test.b4"}).json()["total"]
    assert (total["count"], total["height_m"]["sum"]) == (2, 7)


@pytest.mark.parametrize("ids", ["", "test.b1,", ",".join(f"x{n}" for n in range(1001))])
def test_ids_that_cannot_be(town: Any, client: Any, ids: str) -> None:
    answer = client.get(ITEMS, params={"ids": ids})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="ids")


@pytest.mark.parametrize("ids", [7, [7], [], ["a\u0000"], {"a": 1}])
def test_ids_of_a_body_that_cannot_be(town: Any, client: Any, ids: Any) -> None:
    answer = client.post("/collections/buildings/search", json={"ids": ids})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="ids")


def test_properties_say_what_is_shown(town: Any, client: Any) -> None:
    """In the order of the schema, whatever the order asked for."""
    shown = {"properties": "height_m,name", "limit": 2}
    features = client.get(ITEMS, params=shown).json()["features"]
    assert [list(one["properties"]) for one in features] == [["name", "height_m"]] * 2
    assert features[1]["properties"] == {"name": "楼 0", "height_m": 0.0}
    assert features[0]["geometry"]["type"] == "MultiPolygon"
    one = client.get(f"{ITEMS}/test.b7", params={"properties": "area_code,height_m"}).json()
    assert one["properties"] == {"height_m": 7.0, "area_code": None}
    whole = client.get(f"{ITEMS}/test.b7", params={"properties": "attributes"}).json()
    assert whole["properties"] == {"attributes": None}
    following = client.get(ITEMS, params=shown).json()["links"]
    assert any(link["rel"] == "next" and "properties=height_m%2Cname" in link["href"] for link in following)


def test_geometry_may_be_skipped(town: Any, client: Any) -> None:
    features = client.get(ITEMS, params={"skipGeometry": "true", "properties": "name", "bbox": "114,22,115,23"}).json()
    assert [(one["geometry"], list(one["properties"])) for one in features["features"]] == [(None, ["name"])] * 9
    assert client.get(f"{ITEMS}/test.b7", params={"skipGeometry": "true"}).json()["geometry"] is None
    assert client.get(f"{ITEMS}/test.b7", params={"skipGeometry": "false"}).json()["geometry"] is not None


def test_a_search_shows_what_its_list_says(town: Any, client: Any) -> None:
    body = {"properties": ["use"], "skipGeometry": True, "ids": ["test.b2"]}
    assert client.post("/collections/buildings/search", json=body).json()["features"] == [
        {"type": "Feature", "id": "test.b2", "geometry": None, "properties": {"use": "office"}}
    ]


@pytest.mark.parametrize(
    ("path", "parameters", "code", "parameter"),
    [
        (ITEMS, {"properties": "hight_m"}, "unknown-property", "properties"),
        (ITEMS, {"properties": "attributes"}, "unknown-property", "properties"),
        (ITEMS, {"properties": ""}, "invalid-parameter", "properties"),
        (ITEMS, {"skipGeometry": "yes"}, "invalid-parameter", "skipGeometry"),
        (f"{ITEMS}/test.b1", {"properties": "name,geometry"}, "unknown-property", "properties"),
        (f"{ITEMS}/test.b1", {"sortby": "name"}, "unknown-parameter", "sortby"),
    ],
)
def test_what_cannot_be_shown(town: Any, client: Any, path: str, parameters: Any, code: str, parameter: str) -> None:
    assert_problem(client.get(path, params=parameters), status=400, code=code, parameter=parameter)


def test_a_cursor_goes_on_whatever_is_shown(town: Any, client: Any) -> None:
    document = client.get(ITEMS, params={"limit": 4}).json()
    following = next(link["href"] for link in document["links"] if link["rel"] == "next")
    rest = client.get(f"{following}&properties=name&skipGeometry=true").json()["features"]
    assert [one["id"] for one in rest] == [f"test.b{n}" for n in range(3, 7)]


def test_features_are_stamped_with_their_areas(city: City, client: Any, town: Any) -> None:
    for code, level, name in (
        ("4403", "city", "深圳市"),
        ("440304", "district", "福田区"),
        ("440304001", "street", "园岭街道"),
    ):
        city.feature("areas", square(114.0, 22.5), key=code, code=code, level=level, name=name)
    city.building(square(114.6, 22.5), key="stamped", area_code="440304001002", name="章")
    city.settle(client)
    names = {"city": "深圳市", "district": "福田区", "street": "园岭街道"}
    one = client.get(f"{ITEMS}/test.stamped", params={"areas": "true", "properties": "name"}).json()
    assert one["properties"] == {"name": "章", "area": names}
    page = client.get(ITEMS, params={"areas": "true", "sortby": "-id", "limit": 2}).json()["features"]
    assert [feature["properties"]["area"] for feature in page] == [names, None]
    assert "area" not in client.get(f"{ITEMS}/test.stamped").json()["properties"]
    nearest = client.get(ITEMS, params={"areas": "true", "nearest": "114.6,22.5", "limit": 1}).json()["features"][0]
    assert (nearest["properties"]["area"], nearest["properties"]["distance_m"]) == (names, 0)
    posted = client.post("/collections/buildings/search", json={"areas": True, "ids": ["test.stamped"]}).json()
    assert posted["features"][0]["properties"]["area"] == names
    assert_problem(client.get(ITEMS, params={"areas": "yes"}), status=400, code="invalid-parameter", parameter="areas")
