"""Edits and loads of the same features: an edit is never undone in silence, and the account adds up."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cim.settings import Settings
from loaders.run import LoadRequest, load_source
from tests.changes.conftest import ADMIN, ITEMS
from tests.conftest import Server, clone, serving
from tests.loading.conftest import Load, connection, feature, load, write_geojson

__all__ = ["connection", "load"]

PATCH = {"Content-Type": "application/merge-patch+json", "If-Match": "*"}


@pytest.fixture(scope="module")
def database_url(cluster: str, template: str) -> Any:
    """One database for the file: the server and the loads share it."""
    with clone(cluster, template) as url:
        yield url


@pytest.fixture(scope="module")
def running(database_url: str) -> Any:
    with serving(database_url, CIM_ADMIN_KEY=ADMIN) as server:
        yield server


@pytest.fixture(scope="module")
def admin(running: Server) -> Any:
    import httpx2

    with httpx2.Client(base_url=running.url, timeout=30, headers={"Authorization": f"Bearer {ADMIN}"}) as opened:
        yield opened


def rows(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [feature(n, 114 + place * 1e-3, name=f"{n}楼", **more) for place, n in enumerate(names)]


def test_an_edit_stands_until_the_source_says_something_new(
    admin: Any, load: Load, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    path = write_geojson(tmp_path / "spare.geojson", rows("a", "b", "c", "d"))
    assert load("buildings", path).inserted == 4
    assert admin.patch(f"{ITEMS}/spare.a", json={"name": "改"}, headers=PATCH).status_code == 200
    assert admin.patch(f"{ITEMS}/spare.b", json={"height_m": 9}, headers=PATCH).status_code == 200
    assert admin.delete(f"{ITEMS}/spare.c", headers={"If-Match": "*"}).status_code == 204

    def names() -> dict[str, str]:
        found = connection.execute("SELECT source_id, name FROM cim.building WHERE source = 'spare'").fetchall()
        return dict(found)

    # the source says what it said before: all edits stand, in silence
    again = load("buildings", write_geojson(path, [*rows("a", "b", "c", "d"), feature("e", 114.01)]))
    assert (again.read, again.inserted, again.updated, again.unchanged, again.rejected) == (5, 1, 0, 4, 0)
    assert names() == {"a": "改", "b": "b楼", "d": "d楼", "e": None}
    # it says something new of edited and deleted ones, of one what the edit says, and of one that nobody touched
    changed = rows("a", "b", "c", "d", use="office")
    changed[0]["properties"] = {"id": "a", "name": "改"}
    third = load("buildings", write_geojson(path, changed))
    assert (third.read, third.inserted, third.updated, third.unchanged, third.rejected) == (4, 0, 1, 1, 2)
    rejected = connection.execute(
        "SELECT code, value, original->'properties'->>'use' FROM cim.load_rejection WHERE load_run_id = %s ORDER BY value",
        [third.run_id],
    ).fetchall()
    assert rejected == [("edited", "b", "office"), ("edited", "c", "office")]
    assert names() == {"a": "改", "b": "b楼", "d": "d楼", "e": None}
    # replacing deletes what the source no longer has, but no edited feature
    last = load("buildings", write_geojson(path, rows("z")), is_replacing=True)
    assert (last.inserted, last.deleted) == (1, 2)
    assert names() == {"a": "改", "b": "b楼", "z": "z楼"}


def test_every_transaction_of_a_load_is_a_change(
    admin: Any, load: Load, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    def changes() -> list[Any]:
        return connection.execute(
            "SELECT version, recorded_at, load_run_id FROM cim.change WHERE collection_id = 'buildings' ORDER BY version"
        ).fetchall()

    before = changes()
    path = write_geojson(tmp_path / "runs.geojson", rows("a", "b"))
    first = load("buildings", path)
    same = load("buildings", path)
    second = load("buildings", write_geojson(path, rows("b", use="office")), is_replacing=True)
    new = changes()[len(before) :]
    assert [run for *_, run in new] == [first.run_id, second.run_id]
    assert same.unchanged == 2
    assert new[0][0] < new[1][0]
    for version, recorded_at, run_id in new:
        written = connection.execute(
            "SELECT count(*) FROM (SELECT FROM cim.building WHERE recorded_at = %s UNION ALL "
            "SELECT FROM cim.building_history WHERE recorded_at = %s OR superseded_at = %s) AS w",
            [recorded_at] * 3,
        ).fetchone()
        assert written[0] > 0, (version, run_id)
    total = connection.execute("SELECT feature_count FROM cim.collection_stats WHERE collection_id = 'buildings'")
    counted = connection.execute("SELECT count(*) FROM cim.building")
    assert total.fetchone() == counted.fetchone()


def test_a_feature_that_a_load_is_writing_is_not_waited_for_without_end(
    admin: Any, load: Load, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    load("buildings", write_geojson(tmp_path / "held.geojson", rows("a")))
    with connection.transaction():
        connection.execute("SELECT FROM cim.building WHERE id = 'held.a' FOR UPDATE")
        answer = admin.patch(f"{ITEMS}/held.a", json={"name": "x"}, headers=PATCH)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "write-busy")
    assert admin.patch(f"{ITEMS}/held.a", json={"name": "x"}, headers=PATCH).status_code == 200


def test_codes_that_areas_bring_are_a_change_that_feed_and_history_tell(
    admin: Any, load: Load, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    made = [feature(n, lon, 23.5, name=n) for n, lon in (("in", 115.05), ("out", 117.0))]
    load("buildings", write_geojson(tmp_path / "tagged.geojson", made))
    load("dataset", write_geojson(tmp_path / "trees.geojson", [feature("t", 115.05, 23.5)]), collection_id="trees")
    feed = admin.get("/collections/buildings/changes/feed", params={"since": "now"}).json()
    before = admin.get(f"{ITEMS}/tagged.in")
    area = feature("440306", 115.0, 23.4)
    area["geometry"]["coordinates"] = [[[115, 23.4], [115.2, 23.4], [115.2, 23.6], [115, 23.6], [115, 23.4]]]
    area["properties"] = {"code": "440306", "name": "某区"}
    run = load("areas", write_geojson(tmp_path / "districts.geojson", [area]))

    (link,) = [one for one in feed["links"] if one["rel"] == "next"]
    changes = admin.get(link["href"]).json()["changes"]
    assert [(one["id"], one["change"], one["load"]) for one in changes] == [("tagged.in", "replaced", run.run_id)]
    assert changes[0]["feature"]["properties"]["area_code"] == "440306"
    versions = admin.get(f"{ITEMS}/tagged.in/history").json()["versions"]
    assert [one["feature"]["properties"]["area_code"] for one in versions] == ["440306", None]
    known = admin.get(f"{ITEMS}/tagged.in", params={"known-at": versions[1]["recordedAt"]}).json()
    assert known["properties"]["area_code"] is None
    # who has read the feature without its code writes over nothing
    stale = {"Content-Type": PATCH["Content-Type"], "If-Match": before.headers["etag"]}
    assert admin.patch(f"{ITEMS}/tagged.in", json={"name": "x"}, headers=stale).status_code == 412
    assert connection.execute("SELECT area_code FROM dataset.trees").fetchall() == [("440306",)]
    again = load("areas", write_geojson(tmp_path / "districts.geojson", [area]))
    assert again.unchanged == 1
    assert admin.get(link["href"]).json()["changes"] == changes


def district(code: str, west: float, east: float) -> dict[str, Any]:
    ring = [[west, 23.4], [east, 23.4], [east, 23.6], [west, 23.6], [west, 23.4]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"id": code, "code": code, "name": "某区"},
    }


def test_a_feature_that_lies_in_no_area_any_more_has_no_code_and_the_feed_tells(
    admin: Any, load: Load, tmp_path: Path
) -> None:
    """After an edit of its place, after its area became smaller, and after its area is gone."""
    areas = tmp_path / "shrinking.geojson"

    def codes(*ids: str) -> list[Any]:
        return [admin.get(f"{ITEMS}/leaving.{n}").json()["properties"]["area_code"] for n in ids]

    def told(link: str) -> dict[str, Any]:
        changes = admin.get(link).json()["changes"]
        assert {one["change"] for one in changes} == {"replaced"}
        return {one["id"]: one["feature"]["properties"]["area_code"] for one in changes}

    def follow() -> str:
        feed = admin.get("/collections/buildings/changes/feed", params={"since": "now"}).json()
        return str(next(one["href"] for one in feed["links"] if one["rel"] == "next"))

    load("areas", write_geojson(areas, [district("440308", 118.0, 118.2), district("440309", 118.2, 118.4)]))
    places = (("moved", 118.05), ("cut", 118.15), ("orphan", 118.3), ("stays", 118.01))
    load("buildings", write_geojson(tmp_path / "leaving.geojson", [feature(n, lon, 23.5, name=n) for n, lon in places]))
    assert codes("moved", "cut", "orphan", "stays") == ["440308", "440308", "440309", "440308"]

    link = follow()
    away = {"geometry": feature("x", 119.0, 23.5)["geometry"]}
    answer = admin.patch(f"{ITEMS}/leaving.moved", json=away, headers=PATCH)
    assert answer.status_code == 200
    assert answer.json()["properties"]["area_code"] is None
    assert told(link) == {"leaving.moved": None}

    link = follow()
    load("areas", write_geojson(areas, [district("440308", 118.0, 118.1)]), is_replacing=True)
    assert codes("moved", "cut", "orphan", "stays") == [None, None, None, "440308"]
    assert told(link) == {"leaving.cut": None, "leaving.orphan": None}
    versions = admin.get(f"{ITEMS}/leaving.cut/history").json()["versions"]
    assert [one["feature"]["properties"]["area_code"] for one in versions] == [None, "440308"]
    found = admin.get(ITEMS, params={"area": "440308", "limit": 1000}).json()["features"]
    assert [one["id"] for one in found] == ["leaving.stays"]


def test_areas_whose_load_ended_before_all_codes_were_written_go_on_with_it(
    admin: Any, load: Load, connection: psycopg.Connection[Any], database_url: str, tmp_path: Path
) -> None:
    load("buildings", write_geojson(tmp_path / "waiting.geojson", [feature("w", 116.05, 23.5)]))
    area = feature("440307", 116.0, 23.4)
    area["geometry"]["coordinates"] = [[[116, 23.4], [116.2, 23.4], [116.2, 23.6], [116, 23.6], [116, 23.4]]]
    area["properties"] = {"code": "440307", "name": "某区"}
    path = write_geojson(tmp_path / "others.geojson", [area])

    def state() -> Any:
        found = connection.execute("SELECT state FROM cim.load_run WHERE source = 'others' ORDER BY id DESC").fetchone()
        return found[0] if found else None

    with (
        psycopg.connect(database_url) as holder,
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(database_url, autocommit=True) as loading,
    ):
        holder.execute("SELECT FROM cim.building WHERE id = 'waiting.w' FOR UPDATE")
        killed = pool.submit(load_source, loading, Settings(), LoadRequest("areas", path, source="others"))
        waits = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
        deadline = time.monotonic() + 60
        while connection.execute(waits, [loading.info.backend_pid]).fetchone() != (1,):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert state() == "running"
        connection.execute("SELECT pg_terminate_backend(%s)", [loading.info.backend_pid])
        assert killed.exception(30) is not None
    code = "SELECT area_code FROM cim.building WHERE id = 'waiting.w'"
    assert connection.execute(code).fetchone() == (None,)
    again = load("areas", path)
    assert again.skipped_batches == 1
    assert state() == "completed"
    assert connection.execute(code).fetchone() == ("440307",)
