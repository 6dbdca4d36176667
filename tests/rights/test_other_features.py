"""A question by other features keeps to the rights on both collections: what one may not see cannot be found from elsewhere."""

from typing import Any

import httpx2
import pytest
from shapely.geometry import shape

from tests.problems import assert_problem
from tests.rights.conftest import Caller
from tests.rights.town import NANSHAN, Town

BUILDINGS = "/collections/buildings/items"
SENSORS = "/collections/sensors/items"
PARAMETERS = ("within", "intersects", "near", "nearest")


def ids(answer: httpx2.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {feature["id"] for feature in answer.json()["features"]}


def asked(name: str, reference: str) -> dict[str, Any]:
    return {name: reference, "limit": 100, **({"distance": 3000} if name == "near" else {})}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_feature_of_another_district_is_no_feature(caller: Caller, anyone: Any, town: Town, name: str) -> None:
    nanshan = caller(area_code=NANSHAN)
    foreign, unknown = (asked(name, f"buildings/{one}") for one in (town.futian[0], "test.none"))
    assert ids(anyone.get(SENSORS, params=foreign)) is not None
    details = []
    for parameters in (foreign, unknown):
        document = assert_problem(
            nanshan.get(SENSORS, params=parameters), status=400, code="invalid-parameter", parameter=name
        )
        details.append(document["detail"].replace(parameters[name], "…"))
    assert details[0] == details[1]
    several = asked(name, "buildings?use = 'office'")
    own = ids(nanshan.get(BUILDINGS, params=several))
    assert own <= {*town.nanshan}
    through = {"filter": f"S_INTERSECTS(geometry, feature('buildings', '{town.futian[0]}'))"}
    assert_problem(nanshan.get(BUILDINGS, params=through), status=400, code="invalid-parameter", parameter="filter")


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_hidden_collection_is_no_collection(caller: Caller, town: Town, name: str) -> None:
    limited = caller(collections=["buildings"])
    details = []
    for collection in ("sensors", "nothing"):
        for reference in (f"{collection}/{town.sensor}", f"{collection}?kind='weather'"):
            answer = limited.get(BUILDINGS, params=asked(name, reference))
            document = assert_problem(answer, status=400, code="invalid-parameter", parameter=name)
            details.append(document["detail"].replace(collection, "…"))
    assert len(set(details)) == 1
    assert "sensors" not in details[0]


def test_a_hidden_property_is_none_of_another_collection_either(caller: Caller, town: Town) -> None:
    limited = caller(hidden=["height_m"])
    for parameters in (
        asked("near", "buildings?height_m > 12"),
        {"filter": "S_INTERSECTS(geometry, features('buildings', 'height_m > 12'))"},
    ):
        assert_problem(limited.get(SENSORS, params=parameters), status=400, code="unknown-property", parameter="filter")


def test_a_hidden_name_is_not_searched_nor_sorted_by(caller: Caller, anyone: Any, town: Town) -> None:
    limited = caller(hidden=["buildings.name"])
    assert ids(anyone.get(BUILDINGS, params={"q": "楼1"})) == {town.nanshan[1], town.futian[1]}
    assert ids(limited.get(BUILDINGS, params={"q": "楼1"})) == set()
    assert ids(limited.get(BUILDINGS, params={"q": "福华路"})) == {*town.futian}
    answer = limited.get(BUILDINGS, params={"sortby": "name"})
    assert_problem(answer, status=400, code="unknown-property", parameter="sortby")
    assert "name" not in limited.get("/collections/buildings/sortables").json()["properties"]
    answer = limited.get(BUILDINGS, params={"properties": "name"})
    assert_problem(answer, status=400, code="unknown-property", parameter="properties")


def test_relations_take_the_masked_place(caller: Caller, town: Town) -> None:
    """Both sides are where the caller is told that they are: asking by distance tells no more than the answer does."""
    masked = caller(precision_m=500)
    features = masked.get(BUILDINGS, params={"limit": 100}).json()["features"]
    shown = {one["id"]: shape(one["geometry"]) for one in features if one["geometry"] is not None}
    station = masked.get(f"{SENSORS}/{town.sensor}").json()["geometry"]["coordinates"]
    at_the_place_shown = ids(
        masked.get(BUILDINGS, params={"near": f"{station[0]},{station[1]}", "distance": 900, "limit": 100})
    )
    assert (
        ids(masked.get(BUILDINGS, params={**asked("near", f"sensors/{town.sensor}"), "distance": 900}))
        == at_the_place_shown
    )
    several = {**asked("near", "sensors?kind = 'weather'"), "distance": 900}
    assert ids(masked.get(BUILDINGS, params=several)) == at_the_place_shown
    assert 0 < len(at_the_place_shown) < len(shown)
    true = town.places[town.nanshan[0]]
    assert town.nanshan[0] not in ids(masked.get(BUILDINGS, params={"within": true.envelope.wkt}))
    nearest = masked.get(BUILDINGS, params={"nearest": f"sensors/{town.sensor}", "limit": 1}).json()["features"][0]
    assert shape(nearest["geometry"]).equals(shown[nearest["id"]])


def test_names_of_areas_are_those_of_areas_one_may_see(caller: Caller, anyone: Any, town: Town) -> None:
    path, asked_for = f"{BUILDINGS}/{town.nanshan[0]}", {"areas": "true"}
    everything = anyone.get(path, params=asked_for).json()["properties"]["area"]
    assert everything == {"city": "深圳市", "district": "南山区", "street": "南头街道"}
    own = caller(area_code=NANSHAN).get(path, params=asked_for).json()["properties"]["area"]
    assert own == {"district": "南山区", "street": "南头街道"}
    for rights in ({"collections": ["buildings"]}, {"hidden": ["areas.name"]}):
        answer = caller(**rights).get(path, params=asked_for)
        assert_problem(answer, status=400, code="invalid-parameter", parameter="areas")
