"""Statistics over what matches, against sums in plain Python."""

from typing import Any

import pytest

from tests.city import City, square
from tests.problems import assert_problem

PATH = "/collections/buildings/aggregate"


@pytest.fixture(scope="module")
def rows(city: City, client: Any) -> list[dict[str, Any]]:
    """30 buildings; every seventh without a height, every tenth without a use."""
    made = []
    for n in range(30):
        row = {
            "use": None if n % 10 == 0 else ("office", "residential")[n % 2],
            "height_m": None if n % 7 == 0 else 3.0 * n,
            "footprint_area_m2": 100.0 + n,
            "area_code": ("440301001001", "440301002", "440305", None)[n % 4],
        }
        city.building(square(114.0 + n * 0.001, 22.5), **row)
        made.append({**row, "lon": 114.0 + n * 0.001})
    city.settle(client)
    return made


def check(measure: dict[str, Any], values: list[float]) -> None:
    if not values:
        assert measure == {"sum": None, "avg": None, "min": None, "max": None}
        return
    assert measure["sum"] == pytest.approx(sum(values))
    assert measure["avg"] == pytest.approx(sum(values) / len(values))
    assert (measure["min"], measure["max"]) == (min(values), max(values))


def heights(rows: list[dict[str, Any]]) -> list[float]:
    return [row["height_m"] for row in rows if row["height_m"] is not None]


def test_totals_without_groups(rows: Any, client: Any) -> None:
    document = client.get(PATH).json()
    assert (document["collection"], document["groupBy"], document["groups"]) == ("buildings", None, [])
    assert document["total"]["count"] == 30
    check(document["total"]["height_m"], heights(rows))
    check(document["total"]["footprint_area_m2"], [row["footprint_area_m2"] for row in rows])


def test_groups_by_use_add_up_to_the_total(rows: Any, client: Any) -> None:
    document = client.get(PATH, params={"group-by": "use"}).json()
    groups = {one["group"]["use"]: one for one in document["groups"]}
    assert set(groups) == {"office", "residential", None}
    for use, group in groups.items():
        members = [row for row in rows if row["use"] == use]
        assert group["count"] == len(members)
        check(group["height_m"], heights(members))
    assert sum(group["count"] for group in groups.values()) == document["total"]["count"] == 30


@pytest.mark.parametrize(("level", "digits"), [("city", 4), ("district", 6), ("street", 9), ("community", 12)])
def test_groups_by_area_level(rows: Any, client: Any, level: str, digits: int) -> None:
    document = client.get(PATH, params={"group-by": level}).json()
    counts = {one["group"][level]: one["count"] for one in document["groups"]}
    expected: dict[str | None, int] = {}
    for row in rows:
        code = row["area_code"]
        key = code[:digits] if code and len(code) >= digits else None
        expected[key] = expected.get(key, 0) + 1
    assert counts == expected


def test_a_polygon_and_filters_by_post(rows: Any, client: Any) -> None:
    ring = [[113.9, 22.4], [114.01005, 22.4], [114.01005, 22.6], [113.9, 22.6], [113.9, 22.4]]
    body = {"geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {"use": "office"}, "group-by": "use"}
    document = client.post(PATH, json=body).json()
    members = [row for row in rows if row["lon"] <= 114.01005 and row["use"] == "office"]
    assert document["total"]["count"] == len(members)
    check(document["total"]["height_m"], heights(members))


def test_nothing_found_is_a_count_of_zero(rows: Any, client: Any) -> None:
    document = client.get(PATH, params={"area": "9999", "group-by": "use"}).json()
    assert document["groups"] == []
    assert document["total"]["count"] == 0
    check(document["total"]["height_m"], [])


def test_directions_are_not_averaged(rows: Any, client: Any, city: City) -> None:
    city.feature("cameras", "POINT(114 22)", direction_deg=350.0)
    city.feature("cameras", "POINT(114 22)", direction_deg=10.0)
    total = client.get("/collections/cameras/aggregate").json()["total"]
    assert total["count"] == 2
    assert "direction_deg" not in total


def test_group_by_what_has_no_codes_is_refused(rows: Any, client: Any) -> None:
    problem = assert_problem(
        client.get(PATH, params={"group-by": "height_m"}), status=400, code="invalid-parameter", parameter="group-by"
    )
    assert "district" in problem["detail"]
    answer = client.post(PATH, json={"group-by": ["use"]})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="group-by")
