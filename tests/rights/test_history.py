"""What was recorded once is seen by the rights of today: the same rule, mask and hidden properties (known-at)."""

from typing import Any

import httpx2
import pytest

from tests.city import City
from tests.problems import assert_problem
from tests.rights.conftest import Caller
from tests.rights.test_masking import PRECISION_M, assert_at, cell_of, middle_of, places_in
from tests.rights.town import FUTIAN, NANSHAN, Town

MOVED_TO = (114.06, 22.53)


@pytest.fixture(scope="module")
def moved(admin: httpx2.Client, city: City, town: Town) -> dict[str, Any]:
    """A building of Nanshan that was moved to Futian: its id, and an instant before that."""
    key = town.nanshan[2]
    before = city.connection.execute(
        "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    ).fetchone()
    assert before is not None
    lon, lat = MOVED_TO
    ring = [[lon, lat], [lon + 2e-4, lat], [lon + 2e-4, lat + 2e-4], [lon, lat + 2e-4], [lon, lat]]
    headers = {"Content-Type": "application/merge-patch+json", "If-Match": "*"}
    body = {"geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {"name": "搬迁"}}
    answer = admin.patch(f"/collections/buildings/items/{key}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return {"id": key, "before": before[0]}


def seen(client: httpx2.Client, **asked: Any) -> dict[str, Any]:
    answer = client.get("/collections/buildings/items", params={"limit": 100, **asked})
    assert answer.status_code == 200, answer.text
    return places_in(answer.json())


def test_each_district_sees_the_versions_that_were_its_own(caller: Caller, moved, town):
    nanshan, futian = caller(area_code=NANSHAN), caller(area_code=FUTIAN)
    then = {"known-at": moved["before"]}
    assert moved["id"] not in seen(nanshan)
    assert moved["id"] in seen(nanshan, **then)
    assert moved["id"] in seen(futian)
    assert moved["id"] not in seen(futian, **then)
    assert set(seen(futian, **then)) == set(town.futian)


def test_B47_a_former_place_is_masked_as_the_present_one(caller: Caller, moved, town):
    masked = caller(precision_m=PRECISION_M, hidden=["use"])
    former = middle_of(town.places[moved["id"]])
    assert_at(seen(masked)[moved["id"]], cell_of(MOVED_TO[0] + 1e-4, MOVED_TO[1] + 1e-4))
    assert_at(seen(masked, **{"known-at": moved["before"]})[moved["id"]], cell_of(*former))
    box = ",".join(str(n) for n in town.places[moved["id"]].bounds)
    assert moved["id"] not in seen(masked, bbox=box, **{"known-at": moved["before"]})
    refused = masked.get("/collections/buildings/items", params={"use": "office", "known-at": moved["before"]})
    assert_problem(refused, status=400, code="unknown-parameter")
    page = masked.get("/collections/buildings/items", params={"limit": 100, "known-at": moved["before"]}).json()
    for feature in page["features"]:
        assert {"name", "address", "use"}.isdisjoint(feature["properties"])


def test_what_changed_is_told_of_what_the_caller_sees(caller: Caller, moved):
    """A move from one district to another is a removal here and an addition there; nobody else's change is told."""
    between = {"between": f"{moved['before']}/2100-01-01T00:00:00Z"}
    for code, change in ((NANSHAN, "removed"), (FUTIAN, "added")):
        client = caller(area_code=code)
        told = client.get("/collections/buildings/changes", params=between).json()["changes"]
        assert [(one["id"], one["change"]) for one in told] == [(moved["id"], change)]
        versions = client.get(f"/collections/buildings/items/{moved['id']}/history").json()["versions"]
        assert {v["feature"]["properties"]["area_code"][:6] for v in versions} <= {code}
    strange = caller(area_code="440307")
    assert strange.get("/collections/buildings/changes", params=between).json()["changes"] == []
    assert strange.get("/collections/buildings/changes/feed").json()["changes"] == []
    assert_problem(strange.get(f"/collections/buildings/items/{moved['id']}/history"), status=404, code="not-found")


def test_B47_versions_and_changes_tell_cells(caller: Caller, moved, town):
    masked = caller(precision_m=PRECISION_M, hidden=["use"])
    former, present = cell_of(*middle_of(town.places[moved["id"]])), cell_of(MOVED_TO[0] + 1e-4, MOVED_TO[1] + 1e-4)
    versions = masked.get(f"/collections/buildings/items/{moved['id']}/history").json()["versions"]
    assert_at(versions[0]["feature"]["geometry"], present)
    assert_at(versions[-1]["feature"]["geometry"], former)
    params = {"between": f"{moved['before']}/2100-01-01T00:00:00Z"}
    (told,) = masked.get("/collections/buildings/changes", params=params).json()["changes"]
    assert_at(told["oldGeometry"], former)
    assert_at(told["feature"]["geometry"], present)
    feed = masked.get("/collections/buildings/changes/feed").json()["changes"]
    assert_at(feed[-1]["feature"]["geometry"], present)
    for document in (versions, told, feed):
        text = str(document)
        assert not [word for word in ("'use'", "搬迁", "深南大道", "'name'", "'attributes'") if word in text]
