"""Harvests and tables of services are work behind the request: followed, ended, and picked up again after a crash."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import psutil
import psycopg
import pytest

from cim.catalogue.load import load_organisations
from tests.catalogue.conftest import ADMIN, WAIT
from tests.catalogue.sources import Source, serving_source
from tests.catalogue.test_harvest import layers
from tests.conftest import Server, environment, free_port, serving
from tests.problems import assert_problem

MANY = 2_000


def table(name: str, count: int) -> bytes:
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow(["id", "kind", "title_en", "organisation_id", "endpoints"])
    writer.writerows([f"{name}-{n}", "wms", f"Map {n}", "planning", "https://maps.example/wms"] for n in range(count))
    return sheet.getvalue().encode()


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with serving_source() as opened:
        yield opened


@pytest.fixture(scope="module")
def running(module_database_url: str, source: Source) -> Iterator[Server]:
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        load_organisations(connection, [{"id": "planning", "name_zh": "规划局"}])
    with serving(module_database_url, CIM_ADMIN_KEY=ADMIN, CIM_ALLOWED_UPSTREAMS=source.pair) as server:
        yield server


@pytest.fixture(scope="module")
def admin(running: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=running.url, headers={"X-API-Key": ADMIN}, timeout=90) as client:
        yield client


def until(admin: httpx2.Client, home: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        run: dict[str, Any] = admin.get(home).json()
        if is_so(run):
            return run
        assert time.monotonic() < deadline, run
        time.sleep(0.05)


def has_ended(run: dict[str, Any]) -> bool:
    return run["state"] in ("completed", "failed")


def test_a_long_table_is_taken_at_once_followed_and_read_to_its_end(admin: httpx2.Client) -> None:
    began = time.monotonic()
    sent = admin.post("/catalogue/loads?filename=many.csv", content=table("many", MANY))
    assert time.monotonic() - began < 5
    assert sent.status_code == 202, sent.text
    home = sent.headers["location"]
    assert sent.json()["state"] in ("queued", "running")
    assert sent.json()["links"][0]["href"] == home
    half = until(admin, home, lambda run: run["account"]["read"] > 0 or has_ended(run))
    assert half["state"] == "running"
    assert half["expected"] == MANY
    assert 0 < half["account"]["read"] < MANY
    done = until(admin, home, has_ended)
    assert (done["state"], done["account"]["inserted"], done["account"]["rejected"]) == ("completed", MANY, 0)


def test_a_load_that_is_ended_keeps_nothing_and_its_process_is_gone(
    admin: httpx2.Client, running: Server, module_database_url: str
) -> None:
    home = admin.post("/catalogue/loads?filename=ended.csv", content=table("ended", MANY)).headers["location"]
    until(admin, home, lambda run: run["account"]["read"] > 0)
    cancelled = admin.post(f"{home}/cancel")
    assert cancelled.status_code == 200, cancelled.text
    assert (cancelled.json()["state"], cancelled.json()["error"]["code"]) == ("failed", "cancelled")
    assert_problem(admin.post(f"{home}/cancel"), status=409, code="conflict")
    deadline = time.monotonic() + 15
    while processes(running) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes(running)
    with psycopg.connect(module_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM cim.service WHERE id LIKE 'ended-%'").fetchone() == (0,)
    assert admin.get(home).json()["error"]["detail"].startswith("cancelled by")


def processes(server: Server) -> list[psutil.Process]:
    """The `cim catalogue` processes of a server."""
    found = []
    for one in psutil.process_iter(["cmdline"]):
        words = one.info["cmdline"] or []
        if "catalogue" in words and any(word.startswith("--job=") for word in words):
            try:
                if one.environ().get("CIM_PORT") == server.url.rpartition(":")[2]:
                    found.append(one)
            except psutil.Error:
                continue
    return found


def test_a_harvest_is_queued_and_told_when_it_ends(admin: httpx2.Client, source: Source) -> None:
    source.documents["/wms"] = layers(**{f"layer{n}": f"Layer {n}" for n in range(400)})
    body = {"id": "hundreds", "url": f"{source.url}/wms", "organisation_id": "planning"}
    assert admin.post("/catalogue/harvests", json=body).status_code == 201
    sent = admin.post("/catalogue/harvests/hundreds/run")
    assert sent.status_code == 202
    assert sent.headers["location"].endswith(f"/catalogue/harvests/hundreds/runs/{sent.json()['id']}")
    done = until(admin, sent.headers["location"], has_ended)
    assert (done["state"], done["account"]["inserted"]) == ("completed", 400)
    again = admin.post("/catalogue/harvests/hundreds/run", headers=WAIT)
    assert (again.status_code, again.json()["account"]["unchanged"]) == (200, 400)
    asked = admin.post("/catalogue/harvests/hundreds/run", headers={"Prefer": "wait=soon"})
    assert_problem(asked, status=400, code="invalid-parameter", parameter="Prefer")


def test_a_harvest_that_is_ended_keeps_what_it_wrote_and_goes_on_with_the_next_run(
    admin: httpx2.Client, source: Source, module_database_url: str
) -> None:
    source.documents["/long"] = layers(**{f"layer{n}": f"Layer {n}" for n in range(800)})
    body = {"id": "long", "url": f"{source.url}/long", "organisation_id": "planning"}
    assert admin.post("/catalogue/harvests", json=body).status_code == 201
    home = admin.post("/catalogue/harvests/long/run").headers["location"]
    until(admin, home, lambda run: run["account"]["read"] > 0)
    assert admin.post(f"{home}/cancel").json()["state"] == "failed"
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        deadline = time.monotonic() + 15  # the process is gone, and the harvest free again
        while (
            time.monotonic() < deadline
            and not connection.execute("SELECT pg_try_advisory_xact_lock(44030002, hashtext('long'))").fetchone()[0]
        ):
            time.sleep(0.1)
        kept = connection.execute("SELECT count(*) FROM cim.service WHERE harvest_id = 'long'").fetchone()[0]
    assert 0 < kept < 800
    account = admin.post("/catalogue/harvests/long/run", headers=WAIT).json()["account"]
    assert (account["unchanged"], account["inserted"]) == (kept, 800 - kept)


def test_a_run_survives_its_server(module_database_url: str, tmp_path: Any, running: Server) -> None:
    """SIGKILL of the worker in the middle of a load, and of its process: done once, by the next server."""

    port, name = free_port(), "again"
    settings = {
        "DATABASE_URL": module_database_url,
        "CIM_PORT": str(port),
        "CIM_DATA_DIR": str(tmp_path),
        "CIM_ADMIN_KEY": ADMIN,
    }

    def start() -> tuple[subprocess.Popen[bytes], Server]:
        process = subprocess.Popen(
            [sys.executable, "-m", "cim.cli.main", "serve"],
            env=environment(**settings),
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if httpx2.get(f"{url}/health/ready", timeout=2).status_code == 200:
                    break
            except httpx2.HTTPError:
                time.sleep(0.05)
        return process, Server(url, process, tmp_path / "log")

    first, server = start()
    try:
        with httpx2.Client(headers={"X-API-Key": ADMIN}, timeout=60) as client:
            sent = client.post(f"{server.url}/catalogue/loads?filename={name}.csv", content=table(name, MANY))
            home = sent.headers["location"]
            until(client, home, lambda run: run["account"]["read"] > 0)
            workers = processes(server)
            assert len(workers) == 1
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
            workers[0].kill()
            first, server = start()
            done = until(client, home, has_ended)
        assert (done["state"], done["account"]["inserted"]) == ("completed", MANY), done
        deadline = time.monotonic() + 10
        while list((tmp_path / "intake").glob("[0-9]*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not list((tmp_path / "intake").glob("[0-9]*"))
    finally:
        first.send_signal(signal.SIGINT)
        first.wait(30)
    with psycopg.connect(module_database_url) as connection:
        found = connection.execute("SELECT count(*) FROM cim.service WHERE id LIKE %s", [f"{name}-%"]).fetchone()
        assert found == (MANY,)
