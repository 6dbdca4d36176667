"""Two worker processes are one server: a revoked key is dead in both, a load is run by one."""

import time
from collections.abc import Iterator

import httpx2
import psycopg
import pytest

from tests.conftest import serving
from tests.loading.conftest import feature
from tests.uploads.conftest import ADMIN, Sender, opened
from tests.uploads.test_sending import collection_of

AT_ONCE = 2


@pytest.fixture(scope="module")
def both(module_database_url: str) -> Iterator[Sender]:
    """An admin at a server of two workers."""
    with serving(module_database_url, CIM_ADMIN_KEY=ADMIN, CIM_WORKERS="2") as server:
        made = opened(server)
        with made.http:
            yield made


def asked(url: str, key: str) -> int:
    """How a new connection, which may meet either worker, is answered."""
    with httpx2.Client(base_url=url, timeout=20, headers={"X-API-Key": key}) as client:
        return client.get("/collections/buildings/items?limit=1").status_code


def test_B39_a_revoked_key_is_dead_in_every_worker(both):
    made = both.http.post("/admin/keys", json={"role": "reader"}).json()
    assert {asked(both.server.url, made["key"]) for _ in range(20)} == {200}
    assert both.http.delete(f"/admin/keys/{made['prefix']}").status_code == 204
    revoked, refused = time.monotonic(), 0
    while refused < 20:
        began = time.monotonic()
        status = asked(both.server.url, made["key"])
        assert status in (200, 401)
        assert status == 401 or began - revoked < 5
        refused = refused + 1 if status == 401 else 0


def test_loads_run_once_and_two_at_a_time_whatever_the_number_of_workers(both, module_database_url):
    count, most = 4, 0
    sent = []
    for number in range(count):
        with httpx2.Client(base_url=both.server.url, timeout=30, headers={"X-API-Key": ADMIN}) as client:
            body = collection_of(*[feature(f"w{number}-{n}", 114 + n / 1000, 22.1) for n in range(20)])
            query = {"kind": "buildings", "filename": f"w{number}.geojson"}
            sent.append(client.post("/admin/loads", params=query, content=body).json()["id"])
    waiting, deadline = set(sent), time.monotonic() + 90
    while waiting and time.monotonic() < deadline:
        with psycopg.connect(module_database_url) as connection:
            row = connection.execute("SELECT count(*) FROM cim.load_run WHERE state = 'running'").fetchone()
        most = max(most, row[0] if row else 0)
        waiting -= {n for n in waiting if both.http.get(f"/admin/loads/{n}").json()["state"] == "completed"}
    assert not waiting
    assert 1 <= most <= AT_ONCE
    assert both.is_clear()
    with psycopg.connect(module_database_url) as connection:
        batches = connection.execute(
            "SELECT load_run_id, sum(read), sum(inserted) FROM cim.load_batch GROUP BY load_run_id ORDER BY 1"
        ).fetchall()
    assert batches == [(run_id, 20, 20) for run_id in sorted(sent)]
