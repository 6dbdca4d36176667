"""What was recorded when: known-at, versions of a feature, and what changed between two instants."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from shapely.geometry import shape

from tests.changes.conftest import ITEMS, feature
from tests.city import City
from tests.problems import assert_problem

GEOJSON = {"Content-Type": "application/geo+json"}
PATCH = {"Content-Type": "application/merge-patch+json", "If-Match": "*"}
CHANGES = "/collections/buildings/changes"


def now(city: City) -> str:
    """The database's present instant."""
    instant: datetime = city.run_text("SELECT clock_timestamp()").fetchone()[0]
    time.sleep(0.002)
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture(scope="module")
def story(admin: Any, city: City) -> dict[str, str]:
    """Instants between which buildings came, changed, moved from west (440305) to east (440304) and went."""
    at = {"before": now(city)}
    for key, lon in (("stays", 114.01), ("alters", 114.02), ("moves", 114.03), ("goes", 114.04)):
        made = {**feature(lon, 22.55, use="office", name=key), "id": key}
        assert admin.post(ITEMS, json=made, headers=GEOJSON).status_code == 201
    at["made"] = now(city)
    patch = {"use": "medical", "height_m": 30, "name": "改"}
    assert admin.patch(f"{ITEMS}/api.alters", json=patch, headers=PATCH).status_code == 200
    at["altered"] = now(city)
    moved = {"geometry": feature(114.15, 22.55)["geometry"]}
    assert admin.patch(f"{ITEMS}/api.moves", json=moved, headers=PATCH).status_code == 200
    assert admin.delete(f"{ITEMS}/api.goes", headers={"If-Match": "*"}).status_code == 204
    fleeting = {**feature(114.05, 22.55), "id": "fleeting"}
    assert admin.post(ITEMS, json=fleeting, headers=GEOJSON).status_code == 201
    assert admin.delete(f"{ITEMS}/api.fleeting", headers={"If-Match": "*"}).status_code == 204
    new = {**feature(114.06, 22.55, use="office", name="new"), "id": "new"}
    assert admin.post(ITEMS, json=new, headers=GEOJSON).status_code == 201
    at["end"] = now(city)
    city.settle(admin)
    return at


def ids(answer: Any) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {one["id"].removeprefix("api.") for one in answer.json()["features"]}


def test_known_at_gives_what_was_recorded_then(client: Any, story: dict[str, str]) -> None:
    four = {"stays", "alters", "moves", "goes"}
    for moment, expected in (
        ("before", set()),
        ("made", four),
        ("altered", four),
        ("end", {"stays", "alters", "moves", "new"}),
    ):
        asked = {"known-at": story[moment], "limit": 100}
        found = client.get(ITEMS, params=asked)
        assert ids(found) == expected
        assert found.json()["numberMatched"] == len(expected)
        assert ids(client.post("/collections/buildings/search", json=asked)) == expected
        counted = client.get("/collections/buildings/aggregate", params={"known-at": story[moment]}).json()
        assert counted["total"]["count"] == len(expected)
    assert ids(client.get(ITEMS, params={"limit": 100})) == {"stays", "alters", "moves", "new"}
    assert ids(client.get(ITEMS, params={"limit": 100, "known-at": "2999-01-01"})) == {
        "stays",
        "alters",
        "moves",
        "new",
    }


def test_known_at_goes_with_every_condition(client: Any, story: dict[str, str]) -> None:
    for asked, then, later in (
        ({"use": "office"}, {"stays", "alters", "moves", "goes"}, {"stays", "moves", "new"}),
        ({"area": "440305"}, {"stays", "alters", "moves", "goes"}, {"stays", "alters", "new"}),
        ({"bbox": "114.1,22.5,114.2,22.6"}, set(), {"moves"}),
        ({"filter": "use='medical' AND S_INTERSECTS(geometry, BBOX(114,22.5,114.1,22.6))"}, set(), {"alters"}),
    ):
        assert ids(client.get(ITEMS, params={**asked, "known-at": story["made"]})) == then, asked
        assert ids(client.get(ITEMS, params={**asked, "known-at": story["end"]})) == later, asked


def test_known_at_pages_and_one_feature_and_tiles(client: Any, story: dict[str, str]) -> None:
    seen, url = [], f"{ITEMS}?limit=1&known-at={story['made']}"
    while url:
        page = client.get(url).json()
        seen += [one["id"] for one in page["features"]]
        url = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
    assert seen == ["api.alters", "api.goes", "api.moves", "api.stays"]
    one = client.get(f"{ITEMS}/api.goes", params={"known-at": story["made"]})
    assert one.json()["properties"]["name"] == "goes"
    assert_problem(client.get(f"{ITEMS}/api.goes"), status=404, code="not-found")
    # the tile that holds 114.15 22.55 at zoom 14
    tile = "/collections/buildings/tiles/WebMercatorQuad/14/7138/13387"
    statuses = [client.get(tile, params={"known-at": story[moment]}).status_code for moment in ("made", "end")]
    assert statuses == [204, 200]


@pytest.mark.parametrize("value", ["", "yesterday", "2024-01-01/2025-01-01", "2024-01-01T00:00:00", ".."])
def test_an_instant_that_is_none_is_refused(client: Any, story: dict[str, str], value: str) -> None:
    answer = client.get(ITEMS, params={"known-at": value})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="known-at")


def test_known_at_uses_the_indexes_of_both_tables(city: City, story: dict[str, str]) -> None:
    from cim.bbox import parse_bbox
    from cim.interval import parse_instant
    from cim.model import Scope
    from cim.query.feature_query import FeatureQuery
    from cim.query.items import page_sql

    query = FeatureQuery(bbox=parse_bbox("114.1,22.5,114.11,22.51"), known_at=parse_instant(story["end"]))
    text, values = page_sql(city.collection("buildings"), query, Scope()).compile_psycopg()
    with city.connection.transaction():
        city.run_text("SET LOCAL enable_seqscan = off")
        plan = "\n".join(r[0] for r in city.connection.execute(b"EXPLAIN " + text.encode(), values).fetchall())
    assert "building_geom_idx" in plan
    assert "building_history_geom_idx" in plan


def test_versions_of_a_feature_are_told_with_their_times_and_writers(
    client: Any, admin: Any, story: dict[str, str]
) -> None:
    found = admin.get(f"{ITEMS}/api.alters/history")
    assert found.status_code == 200, found.text
    latest, first = found.json()["versions"]
    assert (latest["feature"]["properties"]["use"], first["feature"]["properties"]["use"]) == ("medical", "office")
    assert latest["supersededAt"] is None
    assert first["supersededAt"] == latest["recordedAt"]
    assert story["before"] < first["recordedAt"] < story["made"] < latest["recordedAt"] < story["altered"]
    assert first["changedBy"] == first["supersededBy"] == latest["changedBy"] == "admin key of the settings"
    gone = client.get(f"{ITEMS}/api.goes/history").json()["versions"]
    assert len(gone) == 1
    assert gone[0]["supersededAt"] is not None
    assert "changedBy" not in gone[0]  # who it was is not for everybody
    page = client.get(f"{ITEMS}/api.alters/history", params={"limit": 1}).json()
    following = next(link["href"] for link in page["links"] if link["rel"] == "next")
    assert [v["feature"]["properties"]["use"] for v in client.get(following).json()["versions"]] == ["office"]
    assert_problem(client.get(f"{ITEMS}/api.never/history"), status=404, code="not-found")


def changed(client: Any, since: str, until: str, **asked: Any) -> dict[str, Any]:
    answer = client.get(CHANGES, params={"between": f"{since}/{until}", "count": "exact", **asked})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def kinds(document: dict[str, Any]) -> dict[str, str]:
    found = {one["id"].removeprefix("api."): one["change"] for one in document["changes"]}
    counts = {name: list(found.values()).count(name) for name in ("added", "altered", "removed")}
    assert counts == document["counts"]
    return found


def test_what_changed_between_two_instants(client: Any, story: dict[str, str]) -> None:
    assert kinds(changed(client, story["before"], story["made"])) == dict.fromkeys(
        ("stays", "alters", "moves", "goes"), "added"
    )
    document = changed(client, story["made"], story["end"])
    assert kinds(document) == {"alters": "altered", "moves": "altered", "goes": "removed", "new": "added"}
    entries = {one["id"].removeprefix("api."): one for one in document["changes"]}
    altered = entries["alters"]
    assert altered["properties"]["use"] == {"old": "office", "new": "medical"}
    assert altered["properties"]["name"] == {"old": "alters", "new": "改"}
    assert altered["properties"]["height_m"] == {"old": None, "new": 30.0}
    assert "area_code" not in altered["properties"]
    assert altered["geometryChanged"] is False
    moved = entries["moves"]
    assert moved["geometryChanged"] is True
    assert moved["properties"]["area_code"] == {"old": "440305", "new": "440304"}
    assert shape(moved["oldGeometry"]).bounds[0] == pytest.approx(114.03)
    assert shape(moved["feature"]["geometry"]).bounds[0] == pytest.approx(114.15)
    assert entries["goes"]["feature"]["properties"]["name"] == "goes"
    assert kinds(changed(client, story["made"], story["altered"])) == {"alters": "altered"}
    assert kinds(changed(client, story["before"], story["end"])) == dict.fromkeys(
        ("stays", "alters", "moves", "new"), "added"
    )
    assert kinds(changed(client, story["end"], "2999-01-01")) == {}


def test_changes_take_the_conditions_of_items(client: Any, story: dict[str, str]) -> None:
    since, until = story["made"], story["end"]
    for asked, expected in (
        ({"area": "440304"}, {"moves"}),
        ({"area": "440305"}, {"alters", "moves", "goes", "new"}),  # it was there before
        ({"use": "medical"}, {"alters"}),
        ({"bbox": "114.1,22.5,114.2,22.6"}, {"moves"}),
        ({"filter": "name = 'new'"}, {"new"}),
    ):
        assert set(kinds(changed(client, since, until, **asked))) == expected, asked


def test_pages_of_changes_hold_each_feature_once(client: Any, story: dict[str, str]) -> None:
    seen, url = [], f"{CHANGES}?between={story['made']}/{story['end']}&limit=1"
    while url:
        page = client.get(url).json()
        seen += [one["id"] for one in page["changes"]]
        url = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
    assert seen == ["api.alters", "api.goes", "api.moves", "api.new"]


def test_changes_stay_within_what_the_caller_may_see(caller: Callable[..., Any], story: dict[str, str]) -> None:
    west, east = caller(role="reader", area_code="440305"), caller(role="reader", area_code="440304")
    since, until = story["made"], story["end"]
    assert kinds(changed(west, since, until)) == {
        "alters": "altered",
        "moves": "removed",
        "goes": "removed",
        "new": "added",
    }
    document = changed(east, since, until)
    assert kinds(document) == {"moves": "added"}
    assert "properties" not in document["changes"][0]
    assert len(west.get(f"{ITEMS}/api.moves/history").json()["versions"]) == 1
    blind = caller(role="reader", hidden=["use", "height_m", "height_source"])
    document = changed(blind, since, until)
    entry = next(one for one in document["changes"] if one["id"] == "api.alters")
    assert set(entry["properties"]) & {"use", "height_m", "height_source"} == set()
    assert entry["properties"]["name"] == {"old": "alters", "new": "改"}
    assert "medical" not in str(document)
    assert "medical" not in blind.get(f"{ITEMS}/api.alters/history").text
    blinder = caller(role="reader", hidden=["use", "height_m", "height_source", "name", "cim_level"])
    assert "alters" not in kinds(changed(blinder, since, until))  # nothing differs that they see


@pytest.mark.parametrize("value", ["", "2024-01-01", "../2024-01-01", "2024-01-01/..", "2025-01-01/2024-01-01", "a/b"])
def test_between_needs_two_instants(client: Any, story: dict[str, str], value: str) -> None:
    answer = client.get(CHANGES, params={"between": value})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="between")


def test_without_two_instants_it_is_the_last_day(client: Any, story: dict[str, str]) -> None:
    found = client.get(CHANGES, params={"limit": 1}).json()
    assert len(found["changes"]) == 1
    following = next(link["href"] for link in found["links"] if link["rel"] == "next")
    assert client.get(following).json()["between"] == found["between"]


def test_other_forms_know_it_too(client: Any, story: dict[str, str]) -> None:
    table = client.get(ITEMS, params={"known-at": story["made"], "f": "csv"})
    assert table.status_code == 200, table.text
    assert "goes" in table.text
    assert "goes" not in client.get(ITEMS, params={"f": "csv"}).text
