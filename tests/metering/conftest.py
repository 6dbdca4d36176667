"""Servers with a metered door, and what the ledger has of their calls."""

import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from cim.db import ledger
from cim.db.guard import LEDGER
from cim.metering.spool import Spool
from tests.conftest import NO_TLS, ROOT, clone, environment, free_port


class Door:
    """A server with the metered door: it may be killed and started again, with the same spool."""

    def __init__(self, url: str, folder: Path, **settings: str) -> None:
        self.database_url, self.folder = url, folder
        self._more = settings
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"

    def start(self) -> None:
        """Start, and wait until it is ready."""
        more = {"DATABASE_URL": self.database_url, "CIM_PORT": str(self.port), "CIM_DATA_DIR": str(self.folder)}
        env = environment(**{**more, **self._more, "PYTHONPATH": str(ROOT)})
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.metering.door"], env=env, stdout=sink, stderr=sink, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while True:
            with suppress(httpx2.HTTPError):
                if httpx2.get(f"{self.url}/health/ready", timeout=2, verify=NO_TLS).status_code == 200:
                    return
            time.sleep(0.05)
            assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")[-3000:]

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        import psutil

        assert self.process is not None
        found = []
        for one in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):  # one that was killed and is not replaced yet
                if "spawn_main" in " ".join(one.cmdline()):
                    found.append(one.pid)
        return found

    def kill(self) -> None:
        """End every process of it at once, as SIGKILL does."""
        import psutil

        assert self.process is not None
        ended = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for one in ended:
            one.kill()
        self.process.wait()
        psutil.wait_procs(ended, timeout=10)

    def stop(self) -> None:
        """Ctrl-C."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(2)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def door_at(url: str, **settings: str) -> Iterator[Door]:
    """A server with a door, ended afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="cim-door-"))
    door = Door(url, folder, **settings)
    door.start()
    try:
        yield door
    finally:
        door.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package")
def url(cluster: str, template: str) -> Iterator[str]:
    """The database of `door`."""
    with clone(cluster, template) as made:
        yield made


@pytest.fixture(scope="package")
def door(url: str) -> Iterator[Door]:
    """A server of four processes for all tests that end none of them."""
    with door_at(url, CIM_WORKERS="4", CIM_POOL_SIZE="3") as running:
        yield running


def empty(url: str) -> None:
    """Take everything out of the ledger, its partitions and closes among it."""
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ledger.partitions(connection):
            connection.execute(f"DROP TABLE cim.{name}".encode())
        listed = ", ".join(f"cim.{name}" for name in (*LEDGER, "quota_use") if name not in ("call", "call_minute"))
        connection.execute(f"TRUNCATE {listed}".encode())


def settled(url: str, folder: Path, timeout_s: float = 30) -> None:
    """Wait until nothing is spooled."""
    deadline = time.monotonic() + timeout_s
    while any((folder / "spool").glob("*.calls")):
        assert time.monotonic() < deadline, list((folder / "spool").iterdir())
        time.sleep(0.1)


def rows(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a statement gives."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode(), values).fetchall()


def check_sums(url: str) -> None:
    """The roll-ups are the sums of the calls, by organisation, service and day, and by minute."""
    denied = "outcome IN ('refused', 'quota')"
    failed = f"(status >= 500 OR outcome IN ('upstream-timeout', 'upstream-error')) AND NOT {denied}"
    counts = ", ".join(f"count(*) FILTER (WHERE {which})" for which in (f"NOT {denied}", denied, failed))
    sums = f"{counts}, sum(bytes), sum(rows)"
    free = ", ".join(f"coalesce(sum({name}) FILTER (WHERE {denied} OR {failed}), 0)" for name in ("bytes", "rows"))
    assert rows(
        url,
        f"SELECT day, organisation_id, service_id, scenario_id, {sums}, {free} FROM cim.call GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    ) == rows(
        url,
        "SELECT day, organisation_id, service_id, scenario_id, calls, denied, failed, bytes, rows, free_bytes, free_rows "
        "FROM cim.call_day ORDER BY 1, 2, 3, 4",
    )
    assert rows(
        url,
        f"SELECT day, date_trunc('minute', received_at), organisation_id, service_id, {sums} FROM cim.call "
        "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    ) == rows(
        url,
        "SELECT day, minute, organisation_id, service_id, calls, denied, failed, bytes, rows FROM cim.call_minute ORDER BY 1, 2, 3, 4",
    )
    assert rows(url, "SELECT call_id FROM cim.call GROUP BY 1 HAVING count(*) > 1") == []


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool of this process."""
    made = Spool(tmp_path / "spool", 10_000_000)
    made.open()
    return made


def call_id() -> str:
    """An id that a client gives."""
    return str(uuid.uuid4())
