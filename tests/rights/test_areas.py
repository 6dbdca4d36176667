"""A district's caller sees the rows of the district, whatever the question says beside it (catalogue B21)."""

import httpx2
import pytest

from tests.problems import assert_problem
from tests.rights.conftest import Caller
from tests.rights.town import FUTIAN, NANSHAN, Town

WORLD = [[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]


@pytest.fixture(scope="module")
def nanshan(caller: Caller, town: Town) -> httpx2.Client:
    return caller(area_code=NANSHAN)


def ids(answer: httpx2.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {feature["id"] for feature in answer.json()["features"]}


@pytest.mark.parametrize(
    "asked",
    [
        {}, {"bbox": "-180,-90,180,90"}, {"area": "44"}, {"area": FUTIAN}, {"use": "office"},
        {"bbox": "114.04,22.5,114.1,22.6"}, {"datetime": "../.."}, {"area": FUTIAN, "bbox": "-180,-90,180,90"},
    ],
)  # fmt: skip
def test_B21_no_question_reaches_beyond_the_district(nanshan, anyone, town, asked):
    own = {*town.nanshan, town.placeless}
    parameters = {**asked, "limit": 100}
    everything = ids(anyone.get("/collections/buildings/items", params=parameters))
    expected = everything & own
    assert ids(nanshan.get("/collections/buildings/items", params=parameters)) == expected
    total = nanshan.get("/collections/buildings/aggregate", params=asked).json()["total"]["count"]
    assert total == len(expected)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"geometry": {"type": "Polygon", "coordinates": [WORLD]}}, {"bbox": [-180, -90, 180, 90]}, {"area": FUTIAN},
        {"properties": {"use": "office"}}, {"properties": {}}, {"properties": {"name": None}},
    ],
)  # fmt: skip
def test_B21_nor_does_a_search(nanshan, anyone, town, body):
    everything = ids(anyone.post("/collections/buildings/search", json={**body, "limit": 100}))
    expected = everything & {*town.nanshan, town.placeless}
    assert ids(nanshan.post("/collections/buildings/search", json={**body, "limit": 100})) == expected
    total = nanshan.post("/collections/buildings/aggregate", json=body).json()["total"]["count"]
    assert total == len(expected)


FILTERS = (
    "1=1", "use = 'office' OR 1=1", "TRUE OR FALSE", "NOT (1=0)", f"area_code LIKE '{FUTIAN}%'", "area_code IS NULL",
    f"area_code = '{FUTIAN}002001' OR area_code IS NULL OR use IS NOT NULL", "S_INTERSECTS(geometry, BBOX(-180,-90,180,90))",
    "id LIKE 'test.%'", "height_m > 0 OR height_m <= 0 OR height_m IS NULL",
)  # fmt: skip


@pytest.mark.parametrize("text", FILTERS)
def test_B21_the_row_rule_stands_outside_the_filter(nanshan, anyone, town, text):
    own = {*town.nanshan, town.placeless}
    asked = {"filter": text, "limit": 100}
    everything = ids(anyone.get("/collections/buildings/items", params=asked))
    assert everything
    assert ids(nanshan.get("/collections/buildings/items", params=asked)) == everything & own
    assert ids(nanshan.post("/collections/buildings/search", json=asked)) == everything & own
    total = nanshan.get("/collections/buildings/aggregate", params={"filter": text}).json()["total"]["count"]
    assert total == len(everything & own)


@pytest.mark.parametrize(
    "text", ["", "1=1) OR (1=1", "1=1) OR TRUE --", "TRUE/**/", ") OR (", "use = 'office') OR (use = 'office'", ";"]
)
def test_B21_what_would_break_out_of_the_filter_is_refused(nanshan, town, text):
    refused = nanshan.get("/collections/buildings/items", params={"filter": text, "limit": 100})
    assert refused.status_code == 400, refused.text


def test_rows_without_a_code_are_in_no_area(nanshan, anyone, town):
    assert anyone.get(f"/collections/buildings/items/{town.nowhere}").status_code == 200
    missing = nanshan.get(f"/collections/buildings/items/{town.nowhere}")
    assert_problem(missing, status=404, code="not-found")


def test_areas_are_told_by_their_own_code(nanshan, town):
    codes = [f["properties"]["code"] for f in nanshan.get("/collections/areas/items").json()["features"]]
    assert sorted(codes) == [NANSHAN, "440305001"]


def test_stac_tells_of_the_scenes_of_the_district_only(nanshan, anyone, town):
    assert ids(nanshan.get("/stac/search")) == {town.scene}
    assert ids(nanshan.get("/stac/collections/drone/items")) == {town.scene}
    assert nanshan.get(f"/stac/collections/drone/items/{town.foreign_scene}").status_code == 404
    assert anyone.get(f"/stac/collections/drone/items/{town.foreign_scene}").status_code == 200
    told = nanshan.get("/stac/collections/drone").json()["extent"]["spatial"]["bbox"]
    assert told == [pytest.approx([113.93, 22.5, 113.94, 22.51])]


def test_neither_count_nor_extent_speak_of_others_rows(nanshan, anyone, town):
    told, whole = (one.get("/collections/buildings").json() for one in (nanshan, anyone))
    assert {"itemCount", "extent"}.isdisjoint(told)
    assert whole["itemCount"] == len(town.all)
    assert "bounds" not in nanshan.get("/collections/buildings/tiles/WebMercatorQuad?f=tilejson").json()
    first = nanshan.get("/collections/buildings/items?limit=2").json()
    assert "numberMatched" not in first
    assert nanshan.get("/collections/buildings/items?limit=100").json()["numberMatched"] == len(town.nanshan) + 1


def test_a_cursor_of_another_caller_opens_nothing_more(nanshan, anyone, town):
    page = anyone.get("/collections/buildings/items", params={"limit": 5}).json()
    (following,) = [link["href"] for link in page["links"] if link["rel"] == "next"]
    cursor = httpx2.URL(following).params["cursor"]
    rest = ids(nanshan.get("/collections/buildings/items", params={"limit": 100, "cursor": cursor}))
    assert rest <= {*town.nanshan, town.placeless}
