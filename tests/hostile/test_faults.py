"""What the network and the database do to a server: it stays up, says so, and comes back (F03, F07, F08)."""

import asyncio
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest

from cim.db.embedded import Cluster
from cim.db.migrate import upgrade
from tests.city import City, square
from tests.conftest import Server, free_port
from tests.hostile.raw import connect
from tests.problems import assert_problem

ITEMS = "/collections/buildings/items"


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A cluster that a test may crash."""
    folder = Path(tempfile.mkdtemp(prefix="cim-crash-"))
    folder.chmod(0o755)
    cluster = Cluster(folder, ("fsync=off",))
    cluster.prepare()
    cluster.start()
    yield cluster
    cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)


def crash(cluster: Cluster) -> None:
    """An immediate stop: every session ends at once, nothing is tidied up."""
    postmaster = int((cluster.data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(postmaster, signal.SIGQUIT)
    while cluster.is_running():
        time.sleep(0.02)


def test_F03_requests_get_503_while_postgresql_is_away_and_answers_ten_seconds_after(
    own_cluster: Cluster, server: Callable[..., Server]
) -> None:
    upgrade(own_cluster.url())
    city = City(own_cluster.url())
    city.building(square(114, 22.5))
    city.close()
    running = server(own_cluster.url())
    seen: list[tuple[float, int, float, str | None]] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx2.Client(base_url=running.url, timeout=15) as client:
            while not stop.is_set():
                started = time.monotonic()
                answer = client.get(ITEMS)
                seen.append(
                    (started, answer.status_code, time.monotonic() - started, answer.headers.get("retry-after"))
                )
                if answer.status_code == 200:
                    assert len(answer.json()["features"]) == 1
                else:
                    assert_problem(answer, status=503, code="unavailable")
                time.sleep(0.02)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        crash(own_cluster)
        away = time.monotonic()
        time.sleep(2)
        assert httpx2.get(f"{running.url}/health/live").status_code == 200
        assert httpx2.get(f"{running.url}/health/ready", timeout=15).status_code == 503
        own_cluster.start()
        back = time.monotonic()
        while httpx2.get(f"{running.url}{ITEMS}", timeout=15).status_code != 200:
            assert time.monotonic() - back < 10
        time.sleep(0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    refused = [one for one in seen if one[1] == 503]
    assert {one[1] for one in seen} == {200, 503}
    assert all(one[3] is not None for one in refused)
    assert max(one[2] for one in seen) < 10
    assert seen[-1][1] == 200
    assert not [one for one in seen if away < one[0] < back - 1 and one[1] == 200]


def test_F03_a_server_starts_before_its_database(own_cluster: Cluster, tmp_path: Path) -> None:
    """The API itself (`api.server`), without `cim serve`, which would wait for the database."""
    import subprocess
    import sys

    upgrade(own_cluster.url())
    crash(own_cluster)
    port = free_port()
    environment = {**os.environ, "DATABASE_URL": own_cluster.url(), "CIM_PORT": str(port)}
    code = "from api.server import run; from cim.settings import Settings; run(Settings())"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        while True:
            try:
                answer = httpx2.get(f"{url}/collections", timeout=10)
                break
            except httpx2.ConnectError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert_problem(answer, status=503, code="unavailable")
        assert "retry-after" in answer.headers
        own_cluster.start()
        back = time.monotonic()
        while httpx2.get(f"{url}/health/ready", timeout=10).status_code != 200:
            assert time.monotonic() - back < 10
    finally:
        process.terminate()
        process.wait(20)


def busy(watcher: psycopg.Connection[Any]) -> int:
    row = watcher.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'opencim-api' AND state = 'active' "
        "AND datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_F07_a_client_that_goes_away_takes_its_statement_with_it(
    database_url: str, server: Callable[..., Server]
) -> None:
    city = City(database_url)
    city.building(square(114, 22.5))
    running = server(database_url, CIM_STATEMENT_TIMEOUT_S="60")
    with httpx2.Client(base_url=running.url, timeout=30) as client, psycopg.connect(database_url) as locker:
        city.settle(client)
        started = time.monotonic()
        assert client.get(ITEMS).status_code == 200
        normal_s = time.monotonic() - started
        locker.execute("LOCK TABLE cim.building IN ACCESS EXCLUSIVE MODE")  # every page now takes as long as we like
        sockets = [connect(running.url) for _ in range(50)]
        for opened in sockets:
            opened.sendall(f"GET {ITEMS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        deadline = time.monotonic() + 5
        while busy(city.connection) < 10:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for opened in sockets:
            opened.close()
        gone = time.monotonic()
        while busy(city.connection) > 0:
            assert time.monotonic() - gone < 2
            time.sleep(0.02)
        assert client.get("/health/ready").status_code == 200
        locker.rollback()
        started = time.monotonic()
        assert client.get(ITEMS).status_code == 200
        assert time.monotonic() - started < max(2 * normal_s, 0.5)
    city.close()


def test_a_statement_that_takes_too_long_is_503(database_url: str, server: Callable[..., Server]) -> None:
    city = City(database_url)
    city.building(square(114, 22.5))
    running = server(database_url, CIM_STATEMENT_TIMEOUT_S="0.5")
    with httpx2.Client(base_url=running.url, timeout=30) as client, psycopg.connect(database_url) as locker:
        city.settle(client)
        locker.execute("LOCK TABLE cim.building IN ACCESS EXCLUSIVE MODE")
        answer = client.get(ITEMS)
        assert_problem(answer, status=503, code="unavailable")
        assert answer.headers["retry-after"]
    city.close()


HEADER_TIMEOUT_S = 2
EACH = 300


async def slow(host: str, port: int, first: bytes, drip: bytes | None) -> tuple[float, bytes]:
    """Open, send `first`, then one byte of `drip` every half second; seconds until closed, and what came."""
    reader, writer = await asyncio.open_connection(host, port)
    started = time.monotonic()
    writer.write(first)

    async def dripping() -> None:
        while drip is not None:
            await asyncio.sleep(0.5)
            writer.write(drip)

    task = asyncio.create_task(dripping())
    try:
        received = await asyncio.wait_for(reader.read(), 30)
    except ConnectionResetError:
        received = b""
    finally:
        task.cancel()
        writer.close()
    return time.monotonic() - started, received


def test_F08_slow_heads_slow_bodies_and_idle_connections_are_closed(
    module_database_url: str, server: Callable[..., Server]
) -> None:
    running = server(module_database_url, CIM_HEADER_TIMEOUT_S=str(HEADER_TIMEOUT_S))
    host, port = urlsplit(running.url).hostname, urlsplit(running.url).port
    assert host is not None
    assert port is not None
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "
    body = b"POST /collections/buildings/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{"

    async def attack() -> list[list[tuple[float, bytes]]]:
        kinds = [(head, b"a"), (body, b" "), (b"", None), (b"\r\n", b"\r\n")]
        tasks = [[asyncio.create_task(slow(host, port, *kind)) for _ in range(EACH)] for kind in kinds]
        await asyncio.sleep(1)
        async with httpx2.AsyncClient(timeout=5) as probe:
            for _ in range(5):
                started = time.monotonic()
                assert (await probe.get(f"{running.url}/health/live")).status_code == 200
                assert time.monotonic() - started < 3
        return [list(await asyncio.gather(*group)) for group in tasks]

    for group in asyncio.run(attack()):
        for seconds, received in group:
            assert seconds < 2 * HEADER_TIMEOUT_S + 4
            assert received.startswith(b"HTTP/1.1 408 "), received[:100]
            assert b"application/problem+json" in received


def test_an_endless_head_is_refused(module_server: Server) -> None:
    with connect(module_server.url) as opened:
        opened.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        received = b""
        try:
            for n in range(5_000):
                opened.sendall(b"X-%d: %b\r\n" % (n, b"y" * 100))
            received = opened.recv(65536)
        except OSError:
            received = received or b"HTTP/1.1 431 (closed while we were sending)"
    assert received.startswith(b"HTTP/1.1 431")


def test_what_is_no_http_gets_a_problem(module_server: Server) -> None:
    with connect(module_server.url) as opened:
        opened.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert opened.recv(65536).startswith(b"HTTP/1.1 400")


def test_readiness_turns_false_before_a_server_stops(module_database_url: str, server: Callable[..., Server]) -> None:
    running = server(module_database_url)
    with httpx2.Client(base_url=running.url, timeout=10) as client:
        assert client.get("/health/ready").status_code == 200
        running.process.terminate()
        statuses = []
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                statuses.append((client.get("/health/ready").status_code, client.get("/health/live").status_code))
            except httpx2.HTTPError:
                break
            time.sleep(0.02)
    assert (503, 200) in statuses
    assert running.process.wait(20) in (0, -signal.SIGTERM)
