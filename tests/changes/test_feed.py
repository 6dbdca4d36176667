"""The feed of changes: in the order of commits, none lost and none twice, by polling and as server-sent events."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from cim.model import Scope
from cim.query.changes import feed_sql
from tests.changes.conftest import ADMIN, ITEMS
from tests.changes.conftest import feature as square
from tests.city import City
from tests.conftest import Server, clone, serving
from tests.loading.conftest import Load, connection, feature, load, write_geojson
from tests.problems import assert_problem

__all__ = ["connection", "load"]

FEED = "/collections/buildings/changes/feed"
GEOJSON = {"Content-Type": "application/geo+json"}
PATCH = {"Content-Type": "application/merge-patch+json", "If-Match": "*"}


@pytest.fixture(scope="module")
def database_url(cluster: str, template: str) -> Iterator[str]:
    """One database for the file: server, loads and sessions share it."""
    with clone(cluster, template) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(database_url: str) -> str:
    return database_url


@pytest.fixture
def reader(admin: httpx2.Client) -> "Reader":
    """One who has read everything so far."""
    return Reader(admin, admin.get(FEED, params={"since": "now"}).json()["next"])


class Reader:
    """Polls the feed, a few entries at a time."""

    def __init__(self, client: httpx2.Client, token: str) -> None:
        self.client, self.token = client, token

    def read(self, limit: int = 2) -> list[tuple[str, str]]:
        """(id, change) of all that came since."""
        entries = []
        while True:
            answer = self.client.get(FEED, params={"since": self.token, "limit": limit})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            entries += [(one["id"], one["change"]) for one in page["changes"]]
            self.token = page["next"]
            if not page["hasMore"]:
                return entries


def made(admin: httpx2.Client, key: str) -> None:
    answer = admin.post(ITEMS, json={**square(name=key), "id": key}, headers=GEOJSON)
    assert answer.status_code == 201, answer.text


def test_edits_and_loads_and_deletions_come_in_order(
    admin: httpx2.Client, reader: Reader, load: Load, tmp_path: Path
) -> None:
    made(admin, "one")
    path = write_geojson(tmp_path / "feed.geojson", [feature(n, 114 + n * 1e-3, name="x") for n in range(5)])
    first = load("buildings", path)
    assert admin.patch(f"{ITEMS}/api.one", json={"name": "y"}, headers=PATCH).status_code == 200
    load("buildings", path)  # nothing new
    load(
        "buildings",
        write_geojson(path, [feature(n, 114 + n * 1e-3, name="xy"[n % 2]) for n in (1, 2, 7)]),
        is_replacing=True,
    )
    assert admin.delete(f"{ITEMS}/api.one", headers={"If-Match": "*"}).status_code == 204
    assert reader.read() == [
        ("api.one", "created"),
        *((f"feed.{n}", "created") for n in range(5)),
        ("api.one", "replaced"),
        ("feed.0", "deleted"),
        ("feed.1", "replaced"),
        ("feed.3", "deleted"),
        ("feed.4", "deleted"),
        ("feed.7", "created"),
        ("api.one", "deleted"),
    ]
    assert reader.read() == []
    whole = admin.get(FEED, params={"limit": 1000}).json()["changes"]
    versions = [one["version"] for one in whole]
    assert versions == sorted(versions)
    loaded = [one for one in whole if one["load"] == first.run_id]
    assert [one["id"] for one in loaded] == [f"feed.{n}" for n in range(5)]
    assert loaded[0]["feature"]["properties"]["name"] == "x"
    assert whole[-1]["feature"] is None


def test_a_transaction_that_commits_late_is_not_passed_by(
    admin: httpx2.Client, reader: Reader, database_url: str
) -> None:
    """Catalogue, part B: of two interleaved transactions the one begun first commits last, and is read all the same."""
    from cim.collections import BUILTIN
    from cim.db.changes import record_load

    buildings = next(c for c in BUILTIN if c.id == "buildings")

    def write(session: psycopg.Connection[Any], key: str) -> None:
        session.execute(
            "INSERT INTO cim.building (id, source, source_id, geom) VALUES "
            "(%s, 'late', %s, ST_Multi(ST_MakeEnvelope(114, 22.5, 114.0002, 22.5002, 4326)))",
            [f"late.{key}", key],
        )

    def end(session: psycopg.Connection[Any], run_id: int) -> None:
        text, values = record_load(buildings.id, 1, None, run_id, "test").compile_psycopg()
        session.execute(text.encode(), values)
        session.commit()

    with psycopg.connect(database_url) as early, psycopg.connect(database_url) as late:
        write(early, "early")  # has its time, and its transaction id, first
        write(late, "late")
        made(admin, "between")
        assert reader.read() == [("api.between", "created")]
        end(late, 2)
        assert reader.read() == [("late.late", "created")]
        end(early, 1)
        assert reader.read() == [("late.early", "created")]
    with psycopg.connect(database_url) as holder, ThreadPoolExecutor(1) as pool:
        # one that has its version but has not committed: those after it wait, so the reader cannot pass it
        write(holder, "holder")
        text, values = record_load(buildings.id, 1, None, 3, "test").compile_psycopg()
        holder.execute(text.encode(), values)
        waiting = pool.submit(made, admin, "waits")
        time.sleep(0.3)
        assert reader.read() == []
        assert not waiting.done()
        holder.commit()
        waiting.result()
    assert reader.read() == [("late.holder", "created"), ("api.waits", "created")]


def test_readers_at_any_pace_get_every_change_once(admin: httpx2.Client, reader: Reader, opened: Any) -> None:
    writers = 4

    def write(number: int) -> None:
        for n in range(8):
            made(admin, f"w{number}-{n}")

    with ThreadPoolExecutor(writers) as pool:
        running = [pool.submit(write, number) for number in range(writers)]
        seen = []
        while not all(one.done() for one in running):
            seen += reader.read(limit=3)
        for one in running:
            one.result()
    seen += reader.read()
    expected = {(f"api.w{number}-{n}", "created") for number in range(writers) for n in range(8)}
    assert len(seen) == len(expected)
    assert set(seen) == expected
    for number in range(writers):  # each writer's own order is kept
        own = [key for key, _ in seen if key.startswith(f"api.w{number}-")]
        assert own == [f"api.w{number}-{n}" for n in range(8)]


class Stream:
    """Reads server-sent events in a thread of its own."""

    def __init__(self, url: str, **headers: str) -> None:
        self.events: list[tuple[str, str]] = []
        self.last_id = headers.get("last_event_id", "")
        self._client = httpx2.Client(timeout=30)
        asked = {"Accept": "text/event-stream", "Authorization": f"Bearer {ADMIN}"}
        if self.last_id:
            asked["Last-Event-ID"] = self.last_id
        self._url, self._asked = url, asked
        self.is_open = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self.is_open.wait(30)

    def _run(self) -> None:
        try:
            with self._client.stream("GET", self._url, headers=self._asked) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                kind = ""
                for line in answer.iter_lines():
                    self.is_open.set()
                    name, _, value = line.partition(": ")
                    if name == "event":
                        kind = value
                    if name == "id":
                        self.last_id = value
                    if name == "data":
                        self.events.append((json.loads(value).get("id", ""), kind))
        except httpx2.HTTPError:
            pass

    def wait_for(self, count: int) -> list[tuple[str, str]]:
        deadline = time.monotonic() + 30
        while len(self.events) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.events

    def wait_for_the_end(self) -> None:
        self._thread.join(40)
        assert not self._thread.is_alive()
        self._client.close()


def test_events_come_by_themselves_and_go_on_after_a_restart(
    admin: httpx2.Client, city: City, database_url: str
) -> None:
    token = admin.get(FEED, params={"since": "now"}).json()["next"]
    with serving(database_url, CIM_ADMIN_KEY=ADMIN) as second:
        stream = Stream(f"{second.url}{FEED}?since={token}")
        backends = (
            "SELECT array_agg(state || ': ' || query) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        deadline = time.monotonic() + 20
        while city.run_text(backends).fetchone()[0] and time.monotonic() < deadline:
            time.sleep(0.02)
        assert city.run_text(backends).fetchone()[0] is None  # an open stream that has read all holds nothing
        began = time.monotonic()
        made(admin, "s1")
        assert stream.wait_for(1) == [("api.s1", "created")]
        assert time.monotonic() - began < 10  # long before a heartbeat
        assert admin.patch(f"{ITEMS}/api.s1", json={"name": "z"}, headers=PATCH).status_code == 200
        assert stream.wait_for(2)[1:] == [("api.s1", "replaced")]
        second.process.terminate()  # asked to stop, the server ends its streams
        stream.wait_for_the_end()
    made(admin, "s2")
    assert admin.delete(f"{ITEMS}/api.s1", headers={"If-Match": "*"}).status_code == 204
    with serving(database_url, CIM_ADMIN_KEY=ADMIN) as third:
        again = Stream(f"{third.url}{FEED}", last_event_id=stream.last_id)
        assert again.wait_for(2) == [("api.s2", "created"), ("api.s1", "deleted")]


def test_a_stream_ends_with_the_key_it_was_opened_with(admin: httpx2.Client, running: Server) -> None:
    key = admin.post("/admin/keys", json={"role": "reader"}).json()
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {key['key']}"}
    with (
        httpx2.Client(timeout=15) as client,
        client.stream("GET", f"{running.url}{FEED}?since=now", headers=headers) as answer,
    ):
        assert admin.delete(f"/admin/keys/{key['prefix']}").status_code == 204
        said = "\n".join(answer.iter_lines())  # ends by itself
    assert "event: error" in said
    assert '"code":"unauthorized"' in said


def test_the_feed_stays_within_what_the_caller_may_see(admin: httpx2.Client, city: City, caller: Any) -> None:
    west = caller(role="reader", area_code="440305")
    token = west.get(FEED, params={"since": "now"}).json()["next"]
    for key, lon in (("in", 114.05), ("out", 114.15)):
        answer = admin.post(
            ITEMS, json={**square(lon, 22.55, name=key, use="office"), "id": f"r-{key}"}, headers=GEOJSON
        )
        assert answer.status_code == 201
    for key, lon in (("in", 114.15), ("out", 114.05)):
        moved = {"geometry": square(lon, 22.55)["geometry"]}
        assert admin.patch(f"{ITEMS}/api.r-{key}", json=moved, headers=PATCH).status_code == 200
    # what leaves the area is gone for them, what enters it is new
    assert Reader(west, token).read(1) == [("api.r-in", "created"), ("api.r-in", "deleted"), ("api.r-out", "created")]
    blind = caller(role="reader", hidden=["use"])
    page = blind.get(FEED, params={"since": token}).text
    assert '"name":"out"' in page.replace(" ", "")
    assert '"use"' not in page


@pytest.mark.parametrize("token", ["", "x", "AAAA", "bm93"])
def test_a_token_that_was_not_given_is_refused(admin: httpx2.Client, token: str) -> None:
    assert_problem(admin.get(FEED, params={"since": token}), status=400, code="invalid-parameter", parameter="since")
    other = admin.get("/collections/sensors/changes/feed").json()["next"]
    assert_problem(admin.get(FEED, params={"since": other}), status=400, code="invalid-parameter", parameter="since")


def test_a_page_inside_a_large_change_begins_in_the_index(city: City) -> None:
    """Plan of the feed behind the 10,000th of 20,000 features that one transaction wrote."""
    city.buildings_sql(
        "INSERT INTO cim.building (id, source, source_id, geom) SELECT 'many.' || lpad(i::text, 6, '0'), 'many', i::text, "
        "ST_Multi(ST_MakeEnvelope(114, 22.5, 114.0002, 22.5002, 4326)) FROM generate_series(1, 20000) AS i"
    )
    city.run_text("ANALYZE cim.building")
    version = city.run_text("SELECT max(version) FROM cim.change WHERE collection_id = 'buildings'").fetchone()[0]
    text, values = feed_sql(city.collection("buildings"), Scope(), version, "many.010000", 10).compile_psycopg()
    rows = city.connection.execute(text.encode(), values).fetchall()
    assert [row[3] for row in rows] == [f"many.{n:06}" for n in range(10001, 10011)]
    plan = city.connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + text.encode(), values).fetchone()

    def scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield node
        for part in node.get("Plans", ()):
            yield from scans(part)

    assert plan is not None
    found = [one for one in scans(plan[0][0]["Plan"]) if one.get("Relation Name") == "building"]
    assert found
    assert all(one["Index Name"] in ("building_recorded_at_idx", "building_pkey") for one in found)
    assert all(one["Actual Rows"] + one.get("Rows Removed by Filter", 0) <= 10 for one in found)
