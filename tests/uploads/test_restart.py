"""What was sent is loaded once, whatever becomes of the server meanwhile."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.conftest import serving
from tests.loading.conftest import feature
from tests.uploads.conftest import ADMIN, Sender, opened
from tests.uploads.test_sending import adds_up, collection_of


def buildings(number: int, count: int) -> bytes:
    return collection_of(*[feature(f"r{number}-{n}", 113.8 + n / 10_000, 22.5 + number / 100) for n in range(count)])


def ended(sender: Sender, run_id: int) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        load: dict[str, Any] = sender.http.get(f"/admin/loads/{run_id}").json()
        if load["state"] in ("completed", "failed"):
            return load
        time.sleep(0.1)
    raise AssertionError(load)


def test_loads_of_a_killed_server_are_ended_once_by_the_next(database_url: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    settings = {"CIM_ADMIN_KEY": ADMIN, "CIM_DATA_DIR": str(data)}
    with serving(database_url, **settings) as server:
        sender = opened(server, data)
        sent = [
            sender.form(f"n{number}.geojson", buildings(number, 2000), kind="buildings").json()["id"]
            for number in range(3)
        ]
        half = data / "uploads" / "incoming-of-a-dead-server"
        half.mkdir()
        (half / "half.geojson").write_bytes(b"{")
        for path in (half, half / "half.geojson"):
            os.utime(path, (0, 0))
        server.process.kill()
        server.process.wait()
    with serving(database_url, **settings) as server:
        sender = opened(server, data)
        loads = [ended(sender, run_id) for run_id in sent]
        assert [load["error"] for load in loads] == [None] * 3
        assert sender.is_clear(), sender.files("uploads")
        assert not half.exists()
        assert not sender.files("quarantine")
    for load in loads:
        assert load["state"] == "completed"
        assert load["account"]["read"] == load["account"]["inserted"] == 2000
        assert adds_up(load["account"])
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT (SELECT count(*) FROM cim.building), (SELECT count(*) FROM cim.load_run)")
        assert row.fetchone() == (6000, 3)


def loading(data: Path, run_id: int | None = None) -> list[int]:
    """Processes that load a file of the data folder; of one run, or of any."""
    job = b"--job=" if run_id is None else b"--job=%d\x00" % run_id
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes()
            if job in words and str(data).encode() in words:
                found.append(int(process.name))
    return found


def test_a_load_that_outlives_its_server_is_waited_for(database_url: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    settings = {"CIM_ADMIN_KEY": ADMIN, "CIM_DATA_DIR": str(data)}
    with serving(database_url, **settings) as server:
        run_id = opened(server, data).form("a.geojson", buildings(0, 50), kind="buildings").json()["id"]
        deadline = time.monotonic() + 10
        while not (running := loading(data)) and time.monotonic() < deadline:
            time.sleep(0.01)
        (orphan,) = running
        os.kill(orphan, signal.SIGSTOP)
        server.process.kill()
        server.process.wait()
    try:
        with serving(database_url, **settings) as server:
            sender = opened(server, data)
            time.sleep(1)
            assert loading(data) == [orphan]
            assert sender.http.get(f"/admin/loads/{run_id}").json()["state"] == "running"
            os.kill(orphan, signal.SIGCONT)
            load = ended(sender, run_id)
            assert (load["state"], load["account"]["inserted"]) == ("completed", 50)
            deadline = time.monotonic() + 10
            while sender.files("uploads") and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not sender.files("uploads")
    finally:
        for process in loading(data):
            os.kill(process, signal.SIGKILL)


def test_a_load_that_ended_with_its_server_is_not_run_again(database_url: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    folder = data / "uploads" / "7"
    folder.mkdir(parents=True)
    (folder / "a.geojson").write_bytes(buildings(0, 1))
    (folder / ".request.json").write_text('{"kind": "buildings", "file": "a.geojson", "options": ["--source=a"]}')
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO cim.load_run (id, collection_id, source, kind, state, origin, fingerprint, options, loaded_by) "
            "VALUES (7, 'buildings', 'a', 'buildings', 'completed', 'a.geojson', '', '{}', 'upload')"
        )
    with serving(database_url, CIM_ADMIN_KEY=ADMIN, CIM_DATA_DIR=str(data)) as server:
        sender = opened(server, data)
        assert sender.is_clear()
        assert sender.http.get("/admin/loads/7").json()["account"]["read"] == 0
        assert not sender.files("quarantine")
