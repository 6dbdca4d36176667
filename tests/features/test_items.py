"""Which features a question finds, checked against shapely and plain Python."""

import random
from typing import Any

import pytest
from shapely.geometry import Polygon, box, shape

from cim.model import Kind, Property
from tests.city import City, square
from tests.problems import assert_problem

USES = ("residential", "office", "industrial")


@pytest.fixture(scope="module")
def town(city: City, client: Any) -> dict[str, Any]:
    """60 buildings on a grid, some special ones, and a dataset of awkward names; id → facts."""
    random.seed(7)
    facts: dict[str, Any] = {}
    for n in range(60):
        lon, lat = 114.0 + (n % 10) * 0.01, 22.5 + (n // 10) * 0.01
        place = square(lon, lat, 0.004)
        use = USES[n % 3]
        area = f"44030{1 + n % 2}001{1 + n % 4:03}"
        begin = f"{2000 + n % 20}-01-01T00:00:00Z"
        end = f"{2010 + n % 20}-01-01T00:00:00Z" if n % 5 == 0 else None
        made = city.building(
            place, key=f"b{n:03}", use=use, height_m=float(n), area_code=area, valid_from=begin, valid_to=end,
            name=f"楼 {n}", floors_above=n,
        )  # fmt: skip
        facts[made] = {"place": place, "use": use, "area": area, "begin": begin, "end": end, "height": float(n)}
    city.settle(client)
    return facts


def found(client: Any, path: str = "/collections/buildings/items", **parameters: Any) -> set[str]:
    answer = client.get(path, params={"limit": 1000, **parameters})
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["numberReturned"] == len(document["features"])
    return {feature["id"] for feature in document["features"]}


@pytest.mark.parametrize(
    "bbox",
    [(114.0, 22.5, 114.05, 22.52), (114.004, 22.504, 114.0101, 22.51), (114.0, 22.5, 114.004, 22.504), (0, 0, 1, 1)],
)
def test_a_box_finds_what_shapely_says_intersects_it(town: Any, client: Any, bbox: Any) -> None:
    expected = {made for made, one in town.items() if one["place"].intersects(box(*bbox))}
    assert found(client, bbox=",".join(map(str, bbox))) == expected


def test_a_box_of_six_numbers_ignores_heights(town: Any, client: Any) -> None:
    assert found(client, bbox="114.0,22.5,-10,114.05,22.52,500") == found(client, bbox="114.0,22.5,114.05,22.52")


def test_a_box_beside_a_diagonal_does_not_find_it(city: City, client: Any, town: Any) -> None:
    city.dataset("lines")
    line = city.feature("lines", "LINESTRING(10 10, 20 20)")
    city.settle(client)
    path = "/collections/lines/items"
    assert found(client, path, bbox="10,18,12,20") == set()
    assert found(client, path, bbox="14,14,15,15") == {line}


def test_a_box_across_the_antimeridian_finds_both_sides(city: City, client: Any, town: Any) -> None:
    city.dataset("pacific")
    west = city.feature("pacific", "POINT(-179.5 10)")
    east = city.feature("pacific", "POINT(179.5 10)")
    far = city.feature("pacific", "POINT(0 10)")
    city.settle(client)
    path = "/collections/pacific/items"
    assert found(client, path, bbox="179,9,-179,11") == {west, east}
    assert found(client, path, bbox="-179,9,179,11") == {far}


def test_features_without_geometry_match_every_box(city: City, client: Any, town: Any) -> None:
    """OGC 17-069r4, /req/core/fc-bbox-response C."""
    city.dataset("placeless")
    nowhere = city.feature("placeless", None)
    there = city.feature("placeless", "POINT(1 1)")
    city.settle(client)
    path = "/collections/placeless/items"
    assert found(client, path, bbox="5,5,6,6") == {nowhere}
    assert found(client, path, bbox="0,0,2,2") == {nowhere, there}
    feature = client.get(f"{path}/{nowhere}").json()
    assert feature["geometry"] is None


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [
        ("2005-06-01T00:00:00Z", "2005-06-01", "2005-06-01"),
        ("2005-06-01T08:00:00+08:00", "2005-06-01", "2005-06-01"),
        ("2012-01-01T00:00:00Z/2014-01-01T00:00:00Z", "2012-01-01", "2014-01-01"),
        ("../2003-01-01T00:00:00Z", None, "2003-01-01"),
        ("2025-01-01T00:00:00Z/", "2025-01-01", None),
        ("2010-01-01", "2010-01-01", "2010-01-01T23:59:59"),
        ("../..", None, None),
    ],
)
def test_a_time_finds_what_was_valid_then(town: Any, client: Any, asked: str, begin: Any, end: Any) -> None:
    expected = {
        made
        for made, one in town.items()
        if (end is None or one["begin"] <= end + "Z")
        and (begin is None or one["end"] is None or one["end"][:10] > begin)
    }
    assert found(client, datetime=asked) == expected


def test_valid_time_is_half_open(city: City, client: Any, town: Any) -> None:
    city.dataset("spans")
    gone = city.feature("spans", "POINT(1 1)", valid_from="2001-01-01T00:00:00Z", valid_to="2005-01-01T00:00:00Z")
    always = city.feature("spans", "POINT(1 1)")
    city.settle(client)
    path = "/collections/spans/items"
    assert found(client, path, datetime="2005-01-01T00:00:00Z") == {always}
    assert found(client, path, datetime="2004-12-31T23:59:59.999999Z") == {gone, always}
    assert found(client, path, datetime="2001-01-01T00:00:00Z") == {gone, always}


@pytest.mark.parametrize("area", ["440301", "440301001001", "4403", "440302001", "440300000000", "440399"])
def test_an_area_finds_what_lies_in_it(town: Any, client: Any, area: str) -> None:
    prefix = {"440300000000": "4403"}.get(area, area)
    assert found(client, area=area) == {made for made, one in town.items() if one["area"].startswith(prefix)}


def test_a_property_equals(town: Any, client: Any) -> None:
    assert found(client, use="office") == {made for made, one in town.items() if one["use"] == "office"}
    assert found(client, height_m="7") == {made for made, one in town.items() if one["height"] == 7}
    assert found(client, use="office", bbox="114.0,22.5,114.05,22.52") == {
        made
        for made, one in town.items()
        if one["use"] == "office" and one["place"].intersects(box(114.0, 22.5, 114.05, 22.52))
    }
    assert found(client, use="no such use") == set()


def test_a_polygon_finds_what_shapely_says_intersects_it(town: Any, client: Any) -> None:
    star = Polygon([(114.0, 22.5), (114.03, 22.51), (114.09, 22.5), (114.06, 22.53), (114.09, 22.56), (114.0, 22.5)])
    answer = client.post("/collections/buildings/search", json={"geometry": star.__geo_interface__, "limit": 1000})
    assert answer.status_code == 200, answer.text
    assert {f["id"] for f in answer.json()["features"]} == {
        made for made, one in town.items() if one["place"].intersects(star)
    }


def test_a_search_joins_all_its_conditions(town: Any, client: Any) -> None:
    body = {
        "bbox": [114.0, 22.5, 114.06, 22.53],
        "datetime": "2015-01-01T00:00:00Z",
        "area": "440301",
        "properties": {"use": "residential"},
        "limit": 100,
    }
    answer = client.post("/collections/buildings/search", json=body).json()
    expected = {
        made
        for made, one in town.items()
        if one["place"].intersects(box(114.0, 22.5, 114.06, 22.53))
        and one["begin"] <= "2015-01-01T00:00:00Z"
        and (one["end"] is None or one["end"] > "2015-01-01T00:00:00Z")
        and one["area"].startswith("440301")
        and one["use"] == "residential"
    }
    assert {f["id"] for f in answer["features"]} == expected
    assert expected


def test_null_asks_for_features_without_the_property(town: Any, client: Any) -> None:
    answer = client.post("/collections/buildings/search", json={"properties": {"use": None}, "limit": 100}).json()
    assert answer["features"] == []
    answer = client.post("/collections/buildings/search", json={"properties": {"address": None}, "limit": 100}).json()
    assert len(answer["features"]) == len(town)


def test_walking_next_links_meets_every_feature_once(town: Any, client: Any) -> None:
    seen: list[str] = []
    url = "/collections/buildings/items?limit=7"
    while url:
        answer = client.get(url)
        document = answer.json()
        seen += [feature["id"] for feature in document["features"]]
        assert document["numberMatched"] == len(town)
        url = next((link["href"] for link in document["links"] if link["rel"] == "next"), "")
        assert ('rel="next"' in answer.headers["link"]) == bool(url)
    assert sorted(seen) == sorted(town)
    assert len(seen) == len(set(seen))


def test_walking_a_search_meets_every_feature_once(town: Any, client: Any) -> None:
    seen: list[str] = []
    body: Any = {"bbox": [114.0, 22.5, 114.06, 22.53], "limit": 4}
    while body:
        document = client.post("/collections/buildings/search", json=body).json()
        seen += [feature["id"] for feature in document["features"]]
        following = next((link for link in document["links"] if link["rel"] == "next"), None)
        body = following and following["body"]
    whole = {made for made, one in town.items() if one["place"].intersects(box(114.0, 22.5, 114.06, 22.53))}
    assert sorted(seen) == sorted(whole)


def test_a_cursor_is_good_for_its_own_query_only(town: Any, client: Any) -> None:
    document = client.get("/collections/buildings/items", params={"limit": 2, "use": "office"}).json()
    following = next(link["href"] for link in document["links"] if link["rel"] == "next")
    cursor = following.split("cursor=")[1].split("&")[0]
    for parameters in (
        {"use": "residential", "cursor": cursor},
        {"cursor": cursor},
        {"use": "office", "cursor": cursor[:-2]},
    ):
        answer = client.get("/collections/buildings/items", params={"limit": 2, **parameters})
        assert_problem(answer, status=400, code="invalid-parameter", parameter="cursor")
    assert (
        client.get("/collections/buildings/items", params={"use": "office", "cursor": cursor, "limit": 50}).status_code
        == 200
    )


def test_the_count_is_exact_or_absent(town: Any, client: Any) -> None:
    path = "/collections/buildings/items"
    assert client.get(path, params={"limit": 1}).json()["numberMatched"] == len(town)
    assert "numberMatched" not in client.get(path, params={"limit": 1, "use": "office"}).json()
    offices = sum(one["use"] == "office" for one in town.values())
    assert client.get(path, params={"limit": 1000, "use": "office"}).json()["numberMatched"] == offices


def test_coordinates_and_values_come_back_as_stored(town: Any, client: Any) -> None:
    made = "test.b007"
    feature = client.get(f"/collections/buildings/items/{made}").json()
    assert shape(feature["geometry"]).symmetric_difference(town[made]["place"]).area < 1e-12
    properties = feature["properties"]
    assert (properties["name"], properties["height_m"], properties["floors_above"]) == ("楼 7", 7, 7)
    assert properties["area_code"] == town[made]["area"]
    assert properties["valid_from"].startswith("2007-01-01T00:00:00")
    assert properties["address"] is None


def test_awkward_names_and_values_survive(city: City, client: Any, town: Any) -> None:
    awkward = 'quo"te \\ back\nline </script> 名'
    names = ("MixedCase", 'with "quotes"', "名称", "it's; DROP", "select", "a b", "limit", "bbox", "{}")
    city.dataset("awkward", *(Property(name, Kind.TEXT, name, name) for name in names))
    made = city.feature("awkward", "POINT (114.123456789 22.5)", **dict.fromkeys(names, awkward))
    city.settle(client)
    feature = client.get(f"/collections/awkward/items/{made}").json()
    assert {name: feature["properties"][name] for name in names} == dict.fromkeys(names, awkward)
    assert feature["geometry"]["coordinates"] == [114.1234568, 22.5]
    for name in names:
        if name not in ("limit", "bbox"):
            assert found(client, "/collections/awkward/items", **{name: "other"}) == set()
        answer = client.post("/collections/awkward/search", json={"properties": {name: awkward.replace("\n", "")}})
        assert answer.status_code == 200
        assert answer.json()["features"] == []
    page = client.get(f"/collections/awkward/items/{made}", headers={"Accept": "text/html"}).text
    assert "</script>" not in page


def test_an_empty_collection_is_an_empty_page(city: City, client: Any, town: Any) -> None:
    document = client.get("/collections/sensors/items").json()
    assert (document["features"], document["numberMatched"], document["numberReturned"]) == ([], 0, 0)
    assert not [link for link in document["links"] if link["rel"] == "next"]


def test_a_new_collection_is_served_within_a_second(city: City, client: Any, town: Any) -> None:
    import time

    started = time.monotonic()
    city.dataset("fresh", Property("n", Kind.INTEGER, "n", "n"))
    while client.get("/collections/fresh").status_code != 200:
        assert time.monotonic() - started < 1.0
    assert client.get("/collections/fresh/items").json()["features"] == []
