"""Calls are counted before their answer ends, whatever becomes of workers, the database and clients (F04, F05, F06, F10)."""

import asyncio
import random
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import httpx2
import psutil
import pytest

from cim.db.embedded import Cluster
from cim.db.migrate import upgrade
from tests.conftest import NO_TLS, clone
from tests.hostile.raw import connect
from tests.hostile.test_faults import crash
from tests.metering.conftest import Door, call_id, check_sums, door_at, empty, rows, settled
from tests.problems import assert_problem


def of_service(url: str, service: str) -> list[tuple[object, ...]]:
    return rows(
        url,
        "SELECT call_id::text, outcome, status, bytes, rows FROM cim.call WHERE service_id = %s ORDER BY 1",
        service,
    )


class Load:
    """Clients that call as fast as they are answered, and remember what they sent and what they got whole."""

    def __init__(self, url: str, clients: int, *, most: int = 10**9, pause_s: float = 0, **asked: object) -> None:
        self.sent: set[str] = set()
        self.answered: dict[str, int] = {}
        self.failed: list[str] = []
        self._most, self._pause_s, self._asked = most, pause_s, asked
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(url,), daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, url: str) -> None:
        with httpx2.Client(timeout=20, verify=NO_TLS) as client:
            while not self._stop.is_set() and len(self.sent) < self._most:
                name = call_id()
                self.sent.add(name)
                try:
                    answer = client.get(url, params=self._asked, headers={"x-call-id": name})
                    self.answered[name] = answer.status_code
                except httpx2.HTTPError as error:
                    self.failed.append(f"{type(error).__name__}: {error}")
                    time.sleep(0.02)
                time.sleep(self._pause_s)

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(300)

    def stop(self) -> None:
        self._stop.set()
        self.wait()

    def count(self, status: int) -> int:
        return sum(one == status for one in self.answered.values())


def booked(url: str) -> Counter[str]:
    return Counter(row[0] for row in rows(url, "SELECT call_id::text FROM cim.call"))


def test_what_a_call_was_stands_in_the_ledger(door: Door, url: str) -> None:
    asked = {"org": "planning", "scenario": "s1"}
    with httpx2.Client(base_url=door.url, verify=NO_TLS) as client:
        whole = client.get("/door/facts", params={**asked, "size": 1234})
        pieces = client.get("/door/facts", params={**asked, "size": 100, "chunks": 3})
        head = client.head("/door/facts", params=asked)
        denied = client.get("/door/facts", params={**asked, "deny": 403})
    assert [one.status_code for one in (whole, pieces, head, denied)] == [200, 200, 200, 403]
    settled(url, door.folder)
    found = {row[0]: row[1:] for row in of_service(url, "facts")}
    assert len(found) == 4
    assert found.pop(whole.headers["x-call-id"]) == ("answered", 200, 1234, 3)
    assert found.pop(pieces.headers["x-call-id"]) == ("answered", 200, 300, 3)
    assert found.pop(head.headers["x-call-id"]) == ("answered", 200, 0, 3)
    assert list(found.values()) == [("refused", 403, 0, 0)]
    assert rows(
        url, "SELECT organisation_id, scenario_id, calls, denied FROM cim.call_day WHERE service_id = 'facts'"
    ) == [("planning", "s1", 3, 1)]


def test_a_client_that_goes_away_is_counted_as_that(door: Door, url: str) -> None:
    with connect(door.url) as opened:
        opened.sendall(b"GET /door/left?size=50000&chunks=40 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert opened.recv(1000)
    deadline = time.monotonic() + 20
    while not of_service(url, "left"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    [(_, outcome, status, sent, _)] = of_service(url, "left")
    assert (outcome, status) == ("aborted", 200)
    assert 0 < int(str(sent)) < 40 * 50_000


def test_F06_a_quota_of_100_passes_exactly_100_of_200_parallel_calls_over_4_processes(door: Door, url: str) -> None:
    assert len(door.workers()) == 4
    asked = {"org": "transport", "grant": "race", "quota": 100}

    def call(_: int) -> httpx2.Response:
        with httpx2.Client(
            base_url=door.url, timeout=30, verify=NO_TLS
        ) as client:  # a connection of its own: workers share them out
            return client.get("/door/race", params=asked)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(call, range(200)))
    assert Counter(one.status_code for one in answers) == {200: 100, 429: 100}
    for refused in (one for one in answers if one.status_code == 429):
        document = assert_problem(refused, status=429, code="quota-exceeded")
        assert document["limit"] == 100
        reset = datetime.fromisoformat(document["reset"]).timestamp()
        assert 0 < int(refused.headers["retry-after"]) <= 86_401
        assert abs(reset - time.time() - int(refused.headers["retry-after"])) < 30
        assert refused.headers["ratelimit-policy"] == '"day";q=100;w=86400'
        assert refused.headers["ratelimit"].startswith('"day";r=0;t=')
    passed = [one for one in answers if one.status_code == 200]
    assert all(one.headers["ratelimit-policy"] == '"day";q=100;w=86400' for one in passed)
    settled(url, door.folder)
    assert Counter(row[1] for row in of_service(url, "race")) == {"answered": 100, "quota": 100}
    assert rows(url, "SELECT sum(calls), sum(denied) FROM cim.call_day WHERE service_id = 'race'") == [(100, 100)]


def test_F06_a_large_quota_that_is_leased_in_parts_passes_exactly_as_many(door: Door, url: str) -> None:
    limit = 1500
    load = Load(f"{door.url}/door/parts", 12, most=2000, grant="parts", quota=limit)
    load.wait()
    assert not load.failed
    assert (load.count(200), load.count(429)) == (limit, len(load.sent) - limit)
    assert rows(url, "SELECT taken FROM cim.quota_use WHERE grant_id = 'parts'") == [(limit,)]


def test_what_a_worker_does_not_use_of_a_lease_is_given_back(door: Door, url: str) -> None:
    with httpx2.Client(base_url=door.url, verify=NO_TLS) as client:
        for _ in range(3):
            assert client.get("/door/back", params={"grant": "back", "quota": 100_000}).status_code == 200
    deadline = time.monotonic() + 10
    while rows(url, "SELECT taken, held FROM cim.quota_use WHERE grant_id = 'back'") != [(3, 0)]:
        assert time.monotonic() < deadline, rows(url, "SELECT * FROM cim.quota_use WHERE grant_id = 'back'")
        time.sleep(0.1)


def test_a_rate_is_held_over_all_workers_and_told(door: Door) -> None:
    asked = {"grant": "rate", "rate": "20/3600"}

    def call(_: int) -> httpx2.Response:
        with httpx2.Client(base_url=door.url, timeout=30, verify=NO_TLS) as client:
            return client.get("/door/rate", params=asked)

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(call, range(40)))
    counts = Counter(one.status_code for one in answers)
    assert counts[200] in (20, 40)  # 40 where the hour ended between
    if counts[429]:
        refused = next(one for one in answers if one.status_code == 429)
        document = assert_problem(refused, status=429, code="quota-exceeded")
        assert document["violated-policies"] == ["rate"]
        assert refused.headers["ratelimit-policy"] == '"rate";q=20;w=3600'


WHOLE = pytest.mark.soak
"""The row of the catalogue as it is written; the ordinary run has a smaller one."""


@pytest.mark.parametrize(("rounds", "least"), [(1, 100), pytest.param(5, 10_000, marks=WHOLE)])
def test_F04_calls_through_workers_that_are_killed_are_counted_once_each(
    cluster: str, template: str, rounds: int, least: int
) -> None:
    with clone(cluster, template) as url, door_at(url, CIM_WORKERS="2", CIM_POOL_SIZE="2") as door:
        load = Load(f"{door.url}/door/killed", 6, pause_s=0.002)
        for _ in range(rounds):
            for _ in range(2):
                time.sleep(random.uniform(0.2, 0.7))
                if workers := door.workers():  # else the last one is being replaced
                    psutil.Process(random.choice(workers)).kill()
            time.sleep(random.uniform(0.2, 0.5))
            door.kill()
            door.start()
        time.sleep(0.3)
        deadline = time.monotonic() + 200
        while len(load.answered) < least and time.monotonic() < deadline:
            time.sleep(0.2)
        load.stop()
        settled(url, door.folder)
        ledger, answered = booked(url), {name for name, status in load.answered.items() if status == 200}
        assert max(ledger.values()) == 1
        assert answered <= ledger.keys() <= load.sent
        assert len(answered) >= least
        # the difference is calls that were killed between their line and their last byte
        assert len(ledger.keys() - answered) <= len(load.failed)
        check_sums(url)


@pytest.fixture(scope="module")
def crashing() -> Iterator[Cluster]:
    """A cluster that may crash."""
    folder = Path(tempfile.mkdtemp(prefix="cim-meter-"))
    folder.chmod(0o755)
    cluster = Cluster(folder, ("fsync=off",))
    cluster.prepare()
    cluster.start()
    upgrade(cluster.url())
    yield cluster
    cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_cluster(crashing: Cluster) -> Cluster:
    """It, with nothing in the ledger."""
    empty(crashing.url())
    return crashing


@pytest.mark.parametrize("away_s", [2, pytest.param(30, marks=WHOLE)])
def test_F05_calls_are_spooled_while_the_database_is_away_and_booked_to_the_unit_afterwards(
    own_cluster: Cluster,
    away_s: int,
) -> None:
    """The stated mode: calls without a quota go on, those with one are refused (503)."""
    url = own_cluster.url()
    with door_at(url, CIM_WORKERS="2") as door:
        load = Load(f"{door.url}/door/away", 4, pause_s=0.005)
        time.sleep(1)
        crash(own_cluster)
        before = len(load.answered)
        limited = httpx2.get(f"{door.url}/door/limited", params={"grant": "g", "quota": 10}, timeout=20)
        assert_problem(limited, status=503, code="unavailable")
        time.sleep(away_s)
        spooled = sum(path.stat().st_size for path in (door.folder / "spool").glob("*.calls"))
        assert len(load.answered) - before > 100
        assert spooled > 100 * 150
        own_cluster.start()
        time.sleep(1)
        load.stop()
        settled(url, door.folder)
        assert not load.failed
        assert set(load.answered.values()) == {200}
        assert booked(url) == Counter(load.sent)
        check_sums(url)


def test_F05_the_spools_bound_is_respected(own_cluster: Cluster) -> None:
    url = own_cluster.url()
    with door_at(url, CIM_METER_SPOOL_BYTES="60000") as door:
        crash(own_cluster)
        load = Load(f"{door.url}/door/bound", 4, most=1000)
        load.wait()
        assert set(load.answered.values()) == {200, 503}
        assert sum(path.stat().st_size for path in (door.folder / "spool").iterdir()) <= 60_000
        refused = httpx2.get(f"{door.url}/door/bound")
        assert_problem(refused, status=503, code="meter-full")
        assert refused.headers["retry-after"]
        own_cluster.start()
        settled(url, door.folder)
        deadline = time.monotonic() + 10
        while httpx2.get(f"{door.url}/door/more", verify=NO_TLS).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        passed = {name for name, status in load.answered.items() if status == 200}
        assert {row[0] for row in of_service(url, "bound")} == passed


@pytest.mark.parametrize("restarts", [2, pytest.param(5, marks=WHOLE)])
def test_F10_a_rolling_restart_fails_no_call_and_the_ledger_is_exact(
    cluster: str, template: str, restarts: int
) -> None:
    """Two servers of one database; a balancer in front asks their readiness and retries nothing."""
    with clone(cluster, template) as url, door_at(url) as first, door_at(url) as second:
        doors = [first, second]
        balancer = Balancer(doors)
        for turn in range(restarts):
            time.sleep(0.4)
            leaving = doors[turn % 2]
            assert leaving.process is not None
            leaving.process.send_signal(signal.SIGTERM)
            assert leaving.process.wait(40) in (0, -signal.SIGTERM)
            leaving.start()
        balancer.stop()
        for door in doors:
            settled(url, door.folder)
        assert balancer.failed == []
        assert len(balancer.answered) == balancer.sent >= 0.95 * RATE * balancer.seconds
        assert balancer.was_away > 0
        assert booked(url) == Counter(balancer.answered)
        check_sums(url)


RATE = 100
"""Calls a second, as the row of the catalogue has them."""


class Balancer:
    """Sends 100 calls a second, whether they are answered or not, to servers that are ready, as they said within the last 100 ms.

    Each has a connection of its own, and takes 50 ms or more.
    """

    def __init__(self, doors: list[Door]) -> None:
        self.answered: list[str] = []
        self.failed: list[str] = []
        self.was_away = 0
        self.sent, self.seconds = 0, 0.0
        self._doors, self._ready = doors, {door.port for door in doors}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            begin = loop.time()
            while not self._stop.is_set():
                tasks.create_task(self._call(random.choice(sorted(self._ready))))
                self.sent += 1
                await asyncio.sleep(begin + self.sent / RATE - loop.time())
            self.seconds = loop.time() - begin

    async def _watch(self) -> None:
        while not self._stop.is_set():
            for door in self._doors:
                is_ready = False
                with suppress(OSError, EOFError):
                    is_ready = await asked(door.port, "/health/ready") == 200
                (self._ready.add if is_ready else self._ready.discard)(door.port)
                self.was_away += not is_ready
            await asyncio.sleep(0.1)

    async def _call(self, port: int) -> None:
        name = call_id()
        try:
            status = await asked(port, "/door/rolling?wait=0.05", f"X-Call-Id: {name}\r\n")
            (self.answered if status == 200 else self.failed).append(name)
        except (OSError, EOFError) as error:
            self.failed.append(f"{type(error).__name__}: {error}")

    def stop(self) -> None:
        """Send no more; all that were sent are answered, or have failed, when this returns."""
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


async def asked(port: int, path: str, fields: str = "") -> int:
    """The status of a whole answer, by a connection of its own. Raises OSError, EOFError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{fields}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
        return int(head.split()[1])
    finally:
        writer.close()
