"""Loads that are killed, doubled, or lose their database: nothing lost, nothing stored twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cim.db.embedded import Cluster
from cim.db.migrate import upgrade
from cim.db.ownership import owned
from tests.loading.conftest import feature, write_geojson
from tests.platform.programs import short_folder

Connection = psycopg.Connection[Any]
ROWS = 10_000
BATCH = 2_000


@pytest.fixture(scope="module")
def big_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10,000 buildings, one of a hundred of them with a height that is no number."""
    features = [
        feature(i, lon=114 + (i % 100) / 1000, lat=22.5 + (i // 100) / 1000, height="tall" if i % 100 == 7 else i % 90)
        for i in range(ROWS)
    ]
    return write_geojson(tmp_path_factory.mktemp("faults") / "big.geojson", features)


def command(source: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "cim.cli.main", "load", "buildings", str(source), "--json"),
        *("--batch-rows", str(BATCH), *more),
    ]


def environment(database_url: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": database_url, "NO_COLOR": "1"}


def run(source: Path, database_url: str, *more: str) -> tuple[int, dict[str, Any]]:
    """The command to its end: exit code and its last line."""
    done = subprocess.run(
        command(source, *more), env=environment(database_url), capture_output=True, text=True, timeout=120
    )
    return done.returncode, json.loads(done.stdout.strip().splitlines()[-1])


@contextmanager
def started(source: Path, database_url: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command(source, *more), env=environment(database_url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def content(connection: Connection) -> tuple[Any, ...]:
    """What a load leaves: rows, a hash of what they say, the reject table."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM cim.building), "
        "(SELECT md5(string_agg(id || height_m || ST_AsText(geom), '|' ORDER BY id)) FROM cim.building), "
        "(SELECT count(*) FROM cim.load_rejection), "
        "(SELECT md5(string_agg(source_row || code || coalesce(value, ''), '|' ORDER BY source_row)) FROM cim.load_rejection), "
        "(SELECT feature_count FROM cim.collection_stats WHERE collection_id = 'buildings')"
    ).fetchone()
    assert row is not None
    return row


def batches(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM cim.load_batch").fetchone()
    assert row is not None
    return int(row[0])


def kill_at(process: subprocess.Popen[bytes], connection: Connection, wanted: int) -> bool:
    """End the command by SIGKILL once `wanted` batches are committed; False when it was done before."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if batches(connection) >= wanted:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    raise AssertionError(f"batch {wanted} was not committed within 60 s")


def test_F01_a_load_killed_at_any_batch_goes_on_to_the_same_result(big_source: Path, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        clean_code, clean = run(big_source, database_url)
        assert (clean_code, clean["read"], clean["rejected"]) == (3, ROWS, ROWS // 100)
        expected = content(connection)
        for wanted in range(1, ROWS // BATCH):
            connection.execute(
                "TRUNCATE cim.building, cim.building_history, cim.load_run CASCADE; "
                "UPDATE cim.collection_stats SET feature_count = 0, bounds = NULL"
            )
            with started(big_source, database_url) as process:
                was_killed = kill_at(process, connection, wanted)
            done = batches(connection)
            assert was_killed
            _, report = run(big_source, database_url)
            assert report["sources"][0]["skipped_batches"] == done
            assert report["read"] == ROWS == report["inserted"] + report["rejected"]
            assert content(connection) == expected
        _, third = run(big_source, database_url)
        assert (third["inserted"], third["updated"], third["unchanged"]) == (0, 0, ROWS - ROWS // 100)


def test_F02_two_loads_of_one_file_lose_and_double_nothing(big_source: Path, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        with started(big_source, database_url) as first, started(big_source, database_url) as second:
            codes = sorted([first.wait(60), second.wait(60)])
        assert codes in ([1, 3], [3, 3]), "one is refused, or comes after the other"
        assert content(connection)[0] == ROWS - ROWS // 100
        assert content(connection)[4] == ROWS - ROWS // 100
        runs = connection.execute("SELECT count(*) FROM cim.load_run WHERE state = 'completed'").fetchone()
        assert runs is not None
        assert runs[0] == len([c for c in codes if c == 3])


def test_F02_overlapping_sources_are_loaded_side_by_side(big_source: Path, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        with (
            started(big_source, database_url, "--source", "one") as first,
            started(big_source, database_url, "--source", "two") as second,
        ):
            assert (first.wait(90), second.wait(90)) == (3, 3)
        assert content(connection)[0] == 2 * (ROWS - ROWS // 100)
        assert content(connection)[4] == 2 * (ROWS - ROWS // 100)


def test_a_refused_second_load_says_who_to_wait_for(big_source: Path, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended('buildings/big', 4403))")
        code, report = run(big_source, database_url)
    assert code == 1
    assert report["sources"][0]["error"]["code"] == "load-busy"


def test_a_reading_child_that_dies_fails_the_load_and_leaves_it_to_go_on(big_source: Path, database_url: str) -> None:
    import psutil

    with psycopg.connect(database_url, autocommit=True) as connection:
        with started(big_source, database_url) as process:
            deadline = time.monotonic() + 60
            while not batches(connection) and time.monotonic() < deadline:
                time.sleep(0.005)
            for child in psutil.Process(process.pid).children(recursive=True):
                if "loaders.child" in " ".join(child.cmdline()):
                    child.kill()
            assert process.wait(60) == 1
        state, error = connection.execute("SELECT state, error ->> 'detail' FROM cim.load_run").fetchone() or (
            None,
            None,
        )
        assert state == "failed"
        assert "SIGKILL" in str(error)
        code, report = run(big_source, database_url)
        assert (code, report["read"]) == (3, ROWS)


def test_F03_a_load_whose_database_is_stopped_fails_plainly_and_goes_on_after(big_source: Path) -> None:
    with short_folder() as folder, owned(cluster := Cluster(folder)) as url:
        upgrade(url)
        with psycopg.connect(url, autocommit=True) as connection, started(big_source, url) as process:
            deadline = time.monotonic() + 60
            while not batches(connection) and time.monotonic() < deadline:
                time.sleep(0.005)
            server = int((cluster.data / "postmaster.pid").read_text().splitlines()[0])
            os.kill(server, signal.SIGQUIT)  # immediate shutdown
            assert process.wait(60) == 1
        cluster.start()
        with psycopg.connect(url, autocommit=True) as connection:
            done = batches(connection)
            assert done >= 1
            code, report = run(big_source, url)
            assert (code, report["read"], report["sources"][0]["skipped_batches"]) == (3, ROWS, done)
            assert content(connection)[0] == ROWS - ROWS // 100
