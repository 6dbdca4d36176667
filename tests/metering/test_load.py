"""L02: many calls through four processes that are killed at random; the ledger holds what was answered, each call once."""

import mmap
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment
from tests.metering.conftest import rows
from tests.metering.driver import NUMBER, ORGANISATIONS, SERVICES, TASKS

WORKERS = 4


class Drivers:
    """Four worker processes, and what they began and answered."""

    def __init__(self, url: str, folder: Path, calls_a_task: int, pause_s: float) -> None:
        self.folder, self._calls = folder, calls_a_task
        self._shared_path = folder / "shared"
        self._shared_path.write_bytes(b"\0" * (WORKERS * TASKS * 2 * NUMBER.size))
        self._file = self._shared_path.open("r+b")
        self._shared = mmap.mmap(self._file.fileno(), 0)
        self._pause_s = pause_s
        self._env = environment(DATABASE_URL=url, CIM_DATA_DIR=str(folder), PYTHONPATH=str(ROOT))
        self.unanswered: set[tuple[int, int]] = set()
        self.kills = 0
        self._processes = [self._start(worker) for worker in range(WORKERS)]

    def _start(self, worker: int) -> subprocess.Popen[bytes]:
        words = [str(self._shared_path), str(worker), str(self._calls), str(self._pause_s)]
        return subprocess.Popen([sys.executable, "-m", "tests.metering.driver", *words], env=self._env, cwd=ROOT)

    def numbers(self, task: int) -> tuple[int, int]:
        """What a task began last, and answered last."""
        place = task * 2 * NUMBER.size
        return NUMBER.unpack_from(self._shared, place)[0], NUMBER.unpack_from(self._shared, place + NUMBER.size)[0]

    def run(self, pause: Callable[[], float]) -> None:
        """Kill a random worker from time to time, and start it again, until all have ended by themselves."""
        while any(process.poll() is None for process in self._processes):
            time.sleep(pause())
            worker = random.randrange(WORKERS)
            if self._processes[worker].poll() is not None:
                continue
            before = self.done_of(worker)
            self._processes[worker].kill()
            self._processes[worker].wait()
            self.kills += before > 0
            for task in range(worker * TASKS, (worker + 1) * TASKS):
                begun, answered = self.numbers(task)
                if begun > answered:
                    self.unanswered.add((task, begun))
            self._processes[worker] = self._start(worker)
        assert [process.returncode for process in self._processes] == [0] * WORKERS

    def done_of(self, worker: int) -> int:
        return sum(self.numbers(task)[0] for task in range(worker * TASKS, (worker + 1) * TASKS))

    @property
    def sent(self) -> int:
        return sum(self.numbers(task)[0] for task in range(WORKERS * TASKS))

    def close(self) -> None:
        self._shared.close()
        self._file.close()


def settle(url: str, folder: Path) -> None:
    """What the last one left is booked by the next start: here by the command."""
    env = environment(DATABASE_URL=url, CIM_DATA_DIR=str(folder))
    subprocess.run([sys.executable, "-m", "cim.cli.main", "meter", "ship"], env=env, check=True, timeout=300)
    assert list((folder / "spool").glob("*")) == []


def check(url: str, drivers: Drivers, calls: int) -> int:
    """The equation, by SQL; how many calls the ledger holds."""
    assert drivers.sent == calls
    [(ledger, distinct)] = rows(url, "SELECT count(*), count(DISTINCT call_id) FROM cim.call")
    assert ledger == distinct
    assert calls - len(drivers.unanswered) <= ledger <= calls
    missing = rows(
        url,
        "WITH found AS (SELECT ('x' || substr(call_id::text, 25, 4))::bit(16)::int AS task, "
        "('x' || substr(call_id::text, 29, 8))::bit(32)::int AS number FROM cim.call) "
        "SELECT task, number FROM generate_series(0, %s) AS task, generate_series(1, %s) AS number "
        "EXCEPT SELECT task, number FROM found",
        WORKERS * TASKS - 1,
        calls // (WORKERS * TASKS),
    )
    assert set(missing) <= drivers.unanswered  # what is not in the ledger got no answer
    sums = "count(*), sum(bytes)::bigint, sum(rows)::bigint"
    for keys in ("organisation_id", "service_id", "day", "day, organisation_id, service_id, scenario_id"):
        for table in ("call_day", "call_minute"):
            if table == "call_minute" and "scenario" in keys:
                continue
            differences = rows(
                url,
                f"(SELECT {keys}, {sums} FROM cim.call GROUP BY {keys}) EXCEPT "
                f"(SELECT {keys}, sum(calls + denied)::bigint, sum(bytes)::bigint, sum(rows)::bigint FROM cim.{table} GROUP BY {keys})",
            )
            assert differences == [], (keys, table)
            [(total,)] = rows(url, f"SELECT sum(calls + denied) FROM cim.{table}")
            assert total == ledger
    return int(str(ledger))


def test_L02_twenty_thousand_calls_through_four_processes_that_are_killed(database_url: str, tmp_path: Path) -> None:
    calls = 20_000 // (WORKERS * TASKS)
    drivers = Drivers(database_url, tmp_path, calls, pause_s=0.05)
    drivers.run(lambda: random.uniform(0.8, 1.6))
    settle(database_url, tmp_path)
    check(database_url, drivers, calls * WORKERS * TASKS)
    assert drivers.kills > 0
    drivers.close()


@pytest.mark.soak
def test_L02_a_million_calls_of_53_organisations_and_4500_services(database_url: str, tmp_path: Path) -> None:
    calls = 1_000_000 // (WORKERS * TASKS)
    started = time.monotonic()
    drivers = Drivers(database_url, tmp_path, calls, pause_s=0.02)
    drivers.run(lambda: random.uniform(1.5, 4))
    metered = time.monotonic()
    settle(database_url, tmp_path)
    booked = time.monotonic()
    ledger = check(database_url, drivers, calls * WORKERS * TASKS)
    [(organisations, services)] = rows(
        database_url, "SELECT count(DISTINCT organisation_id), count(DISTINCT service_id) FROM cim.call_day"
    )
    assert (organisations, services) == (ORGANISATIONS, SERVICES)
    print(
        f"sent {drivers.sent:,} without an answer {len(drivers.unanswered):,} ledger {ledger:,} kills {drivers.kills} "
        f"metered in {metered - started:.0f} s, booked in {booked - started:.0f} s"
    )
    drivers.close()
