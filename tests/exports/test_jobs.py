"""Exports as jobs: progress, cancelling, the link that expires, restarts, ranges."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
import psycopg
import pytest

from tests.city import City
from tests.conftest import Server, serving
from tests.exports.town import enclosure, finished, town
from tests.problems import assert_problem

ASYNC = {"Prefer": "respond-async"}
SLOW_ROWS = 60_000


@pytest.fixture(scope="module")
def plots(city: City, client: Any) -> dict[str, Any]:
    """Ten features with polygons."""
    made = town(city, "plots", "Geometry")
    city.buildings_sql(
        "INSERT INTO cim.building (id, source, source_id, geom, name) SELECT 'bulk.' || n, 'bulk', n::text, "
        f"ST_Multi(ST_Expand(ST_SetSRID(ST_Point(114 + n / 1e5, 22.5), 4326), 1e-5)), '楼 ' || n FROM generate_series(1, {SLOW_ROWS}) AS n"
    )
    city.settle(client)
    return made


@pytest.fixture(scope="module")
def folder(module_server: Server) -> Path:
    """Where the server keeps its exports."""
    return module_server.log.parent / "exports"


def writers(server: Server) -> list[psutil.Process]:
    """The writing processes of a server that runs."""
    found = []
    for one in psutil.Process(server.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile, or was not waited for yet
            if "cim.export.child" in " ".join(one.cmdline()):
                found.append(one)
    return found


def asked_alone(client: Any, server: Server) -> Any:
    """The answer to a long export, asked for when the writers of former ones have ended."""
    deadline = time.monotonic() + 30
    while writers(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    return client.get("/collections/buildings/export", params={"f": "xlsx"}, headers=ASYNC)


def started(client: Any, server: Server, answer: Any) -> psutil.Process:
    """The process of a job that has written something."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = writers(server)
        state = client.get(answer.headers["location"]).json()
        if found and state["state"] == "running":
            return found[0]
        assert state["state"] in ("queued", "running"), state
        time.sleep(0.02)
    raise AssertionError("no process was started")


def test_a_job_tells_how_far_it_is_and_where_its_file_is(client: Any, plots: Any, folder: Path) -> None:
    answer = client.get("/collections/plots/export", params={"f": "csv", "lang": "zh-CN"}, headers=ASYNC)
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    document = answer.json()
    assert document["state"] in ("queued", "running", "completed")
    assert (document["collection"], document["format"]) == ("plots", "csv")
    document = finished(client, answer)
    assert (document["done"], document["total"], document["progress"]) == (10, 10, 100)
    file = client.get(enclosure(document))
    assert file.text == client.get("/collections/plots/export?f=csv").text
    assert document["bytes"] == len(file.content)
    assert file.headers["content-disposition"] == "attachment; filename=\"plots.csv\"; filename*=UTF-8''plots.csv"
    names = {path.name for path in folder.iterdir() if path.is_dir()}
    assert names
    assert document["id"] not in str(names)  # the digest only


def test_the_name_of_a_download_is_the_collections_title(client: Any, plots: Any) -> None:
    answer = client.get("/collections/buildings/export", params={"f": "csv", "area": "99", "lang": "zh-CN"})
    assert "filename*=UTF-8''%E5%BB%BA%E7%AD%91" in answer.headers["content-disposition"]
    assert 'filename="buildings.csv"' in answer.headers["content-disposition"]


def test_conditions_of_a_body_hold_for_an_export(client: Any, plots: Any) -> None:
    ring = [[114.04, 22.53], [114.07, 22.53], [114.07, 22.56], [114.04, 22.56], [114.04, 22.53]]
    body = {"geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {"is_open": False}}
    answer = client.post("/collections/plots/export", params={"f": "json"}, json=body)
    assert {f["id"] for f in answer.json()["features"]} == {f"test.{n:06}" for n in (2, 4, 6, 8)}
    document = finished(client, client.post("/collections/plots/export?f=json", json=body, headers=ASYNC))
    assert {f["id"] for f in client.get(enclosure(document)).json()["features"]} == {
        f"test.{n:06}" for n in (2, 4, 6, 8)
    }
    timed = {"datetime": "2019-01-01T00:00:00Z/2019-06-01T00:00:00Z"}
    document = finished(client, client.post("/collections/plots/export?f=gpkg", json=timed, headers=ASYNC))
    assert (document["done"], document["total"]) == (0, 0)


def test_a_cancelled_job_ends_its_process_and_leaves_nothing(
    client: Any, module_server: Server, plots: Any, folder: Path
) -> None:
    answer = asked_alone(client, module_server)
    process = started(client, module_server, answer)
    before = len(list(folder.glob("*/")))
    document = client.delete(answer.headers["location"]).json()
    assert document["state"] == "cancelled"
    process.wait(10)
    deadline = time.monotonic() + 5
    while len(list(folder.glob("*/"))) >= before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(list(folder.glob("*/"))) == before - 1
    assert client.get(answer.headers["location"]).json()["state"] == "cancelled"
    assert_problem(client.get(answer.headers["location"] + "/download"), status=404, code="not-found")


def test_a_process_that_dies_is_a_failed_job(client: Any, module_server: Server, plots: Any) -> None:
    answer = asked_alone(client, module_server)
    started(client, module_server, answer).send_signal(signal.SIGKILL)
    document = finished(client, answer)
    assert document["state"] == "failed"
    assert document["error"]["code"] == "export-failed"


def test_a_job_that_is_not_ready_has_no_file(client: Any, plots: Any) -> None:
    answer = client.get("/collections/buildings/export", params={"f": "xlsx"}, headers=ASYNC)
    problem = client.get(answer.headers["location"] + "/download")
    assert_problem(problem, status=409, code="conflict")
    assert finished(client, client.get("/collections/plots/export?f=xlsx", headers=ASYNC))["state"] == "completed"
    client.delete(answer.headers["location"])


@pytest.mark.parametrize("export_id", ["none", "x" * 300, "%00", "..%2f..", "城"])
def test_an_unknown_id_is_not_found(client: Any, export_id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/download")):
        assert client.request(method, f"/exports/{export_id}{path}").status_code == 404


@pytest.fixture(scope="module")
def file(client: Any, plots: Any) -> tuple[str, bytes]:
    """Address and bytes of a finished export."""
    document = finished(client, client.get("/collections/plots/export?f=gpkg", headers=ASYNC))
    address = enclosure(document)
    return address, client.get(address).content


@pytest.mark.parametrize(
    ("stated", "begin", "end"),
    [("bytes=0-15", 0, 16), ("bytes=100-", 100, None), ("bytes=-7", -7, None), ("bytes=5-9999999999", 5, None)],
)
def test_a_range_of_a_file_is_given(client: Any, file: Any, stated: str, begin: int, end: int | None) -> None:
    address, whole = file
    answer = client.get(address, headers={"Range": stated})
    assert answer.status_code == 206
    assert answer.content == whole[begin:end]
    first = begin % len(whole)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(whole)}"


def test_a_range_of_another_version_gives_the_whole(client: Any, file: Any) -> None:
    address, whole = file
    answer = client.get(address, headers={"Range": "bytes=0-1", "If-Range": '"another"'})
    assert (answer.status_code, answer.content) == (200, whole)
    same = client.get(address, headers={"Range": "bytes=0-1", "If-Range": answer.headers["etag"]})
    assert same.status_code == 206
    assert client.get(address, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    head = client.head(address)
    assert (head.headers["content-length"], head.headers["accept-ranges"]) == (str(len(whole)), "bytes")


def test_many_ranges_are_refused_at_once(client: Any, module_server: Server, file: Any) -> None:
    """B30."""
    address, whole = file
    before = sum(psutil.Process(module_server.process.pid).cpu_times()[:2])
    many = "bytes=" + ",".join(f"{n}-{n}" for n in range(5000))
    answer = client.get(address, headers={"Range": many})
    assert_problem(answer, status=416, code="range-refused")
    assert answer.headers["content-range"] == f"bytes */{len(whole)}"
    for stated in ("bytes=99999999-", "bytes=9-3", "bytes=a-b", "bytes=-0", "bytes=-", "bytes=" + "9" * 400 + "-"):
        assert client.get(address, headers={"Range": stated}).status_code == 416, stated
    assert client.get(address, headers={"Range": "lines=1-2"}).content == whole
    assert sum(psutil.Process(module_server.process.pid).cpu_times()[:2]) - before < 0.5


def test_the_log_does_not_hold_the_right_to_a_file(client: Any, module_server: Server, file: Any) -> None:
    address, _ = file
    assert address.split("/")[-2] not in module_server.log.read_text()


def test_an_export_outlives_a_restart_and_then_expires(
    city: City, plots: Any, module_database_url: str, tmp_path: Path
) -> None:
    """A server that is stopped in the middle makes the file after its next start."""
    settings = {"CIM_DATA_DIR": str(tmp_path), "CIM_EXPORT_TTL_S": "30"}
    with serving(module_database_url, **settings) as one, httpx2.Client(base_url=one.url, timeout=30) as client:
        answer = client.get("/collections/buildings/export", params={"f": "gpkg"}, headers=ASYNC)
        child = started(client, one, answer)
        os.kill(one.process.pid, signal.SIGTERM)
        one.process.wait(30)
        assert not child.is_running()
    path = answer.headers["location"].partition("/exports/")[2]
    with serving(module_database_url, **settings) as two, httpx2.Client(base_url=two.url, timeout=30) as client:
        answer.headers["location"] = f"/exports/{path}"
        document = finished(client, answer)
        assert (document["state"], document["done"]) == ("completed", SLOW_ROWS)
        address = f"/exports/{path}/download"
        assert client.get(address).content.startswith(b"SQLite format 3")
        with psycopg.connect(module_database_url, autocommit=True) as connection:  # time goes by
            connection.execute("UPDATE cim.export SET expires_at = now() - interval '1 second'")
        assert_problem(client.get(address), status=404, code="not-found")


def test_a_full_quota_is_said(plots: Any, module_database_url: str) -> None:
    with (
        serving(module_database_url, CIM_EXPORT_QUOTA_BYTES="20000") as one,
        httpx2.Client(base_url=one.url, timeout=60) as client,
    ):
        answer = client.get("/collections/buildings/export", params={"f": "csv"}, headers=ASYNC)
        document = finished(client, answer)
        assert (document["state"], document["error"]["code"]) == ("failed", "insufficient-storage")
        answer = client.get("/collections/plots/export", params={"f": "gpkg"})
        assert_problem(answer, status=507, code="insufficient-storage")
