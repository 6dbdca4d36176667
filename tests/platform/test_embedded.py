"""The private cluster: who may use it, what it listens on, and what is left after the worst moment."""

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from cim.db.embedded import Cluster, has_small_shm, memory_bytes
from cim.db.ownership import owned, owner_of, used
from cim.db.programs import APT_LINE, binaries, client_program
from cim.errors import SetupProblem
from tests.conftest import environment
from tests.platform.programs import has_ended, kill, run_cim, server_processes, short_folder, until

HOLDER = """
import sys
from pathlib import Path
from cim.db import ownership
from cim.db.embedded import Cluster
with getattr(ownership, sys.argv[1])(Cluster(Path(sys.argv[2]))) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One data folder for this file: making a cluster takes seconds."""
    with short_folder() as made:
        yield made


def another_owner(folder: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """Another process that owns the cluster."""
    return another("owned", folder)


def a_user(folder: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """Another process that uses the cluster."""
    return another("used", folder)


@contextmanager
def another(way: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns or uses the cluster, until its input ends."""
    command = [sys.executable, "-c", HOLDER, way, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().startswith("postgresql://")
            yield process
        finally:
            process.communicate(timeout=60)


def shown(url: str, *names: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [connection.execute(f"SHOW {name}".encode()).fetchone()[0] for name in names]


def test_the_cluster_is_private_durable_and_ends_with_its_owner(folder):
    cluster = Cluster(folder)
    with owned(cluster) as url:
        processes = server_processes(cluster)
        assert processes
        assert processes[0].net_connections(kind="inet") == []
        assert shown(url, "listen_addresses") == [""]
        durable = shown(url, "fsync", "full_page_writes", "synchronous_commit", "data_checksums")
        assert durable == ["on"] * 4
        with psycopg.connect(url) as connection:
            facts = connection.execute(
                "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database WHERE datname = 'cim'"
            ).fetchone()
        assert facts == ("UTF8", "C.UTF-8", "C.UTF-8")
        assert 0 not in processes[0].uids()
        assert cluster.socket.stat().st_mode & 0o077 == 0
        assert owner_of(cluster) == str(os.getpid())
    until(lambda: all(map(has_ended, processes)), "PostgreSQL has ended", timeout_s=10)
    assert not (cluster.data / "postmaster.pid").exists()


def test_a_second_owner_is_refused_by_the_number_of_the_first_and_a_user_joins(folder):
    cluster = Cluster(folder)
    with another_owner(folder) as owner:
        with pytest.raises(SetupProblem, match=rf"process {owner.pid};.*CIM_DATA_DIR"), owned(cluster):
            pass
        postmaster = server_processes(cluster)[0]
        with used(cluster) as url, psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert postmaster.is_running()
        assert cluster.is_running()
    until(lambda: has_ended(postmaster), "PostgreSQL has ended", timeout_s=10)


def test_a_user_of_a_cluster_that_nobody_owns_starts_and_stops_it(folder):
    cluster = Cluster(folder)
    with used(cluster) as url:
        assert shown(url, "fsync") == ["on"]
    assert not cluster.is_running()


def test_the_last_of_several_commands_stops_the_cluster_not_the_first(folder):
    cluster = Cluster(folder)
    with ExitStack() as last:
        with used(cluster):
            last.enter_context(a_user(folder))
        assert cluster.is_running()
    assert not cluster.is_running()


def test_a_server_may_start_while_a_command_uses_the_cluster_and_keeps_it_after(folder):
    cluster = Cluster(folder)
    with ExitStack() as server:
        with used(cluster):
            postmaster = server_processes(cluster)[0]
            server.enter_context(another_owner(folder))
        assert server_processes(cluster)[0].pid == postmaster.pid
        assert cluster.is_running()
    assert not cluster.is_running()


def test_what_db_start_started_runs_until_db_stop(folder):
    cluster, settings = Cluster(folder), {"CIM_DATA_DIR": str(folder)}
    assert run_cim("db", "start", **settings).code == 0
    postmaster = server_processes(cluster)[0]
    assert run_cim("db", "upgrade", **settings).code == 0
    with another_owner(folder):
        pass
    assert server_processes(cluster)[0].pid == postmaster.pid
    assert run_cim("db", "stop", **settings).code == 0
    assert has_ended(postmaster)
    assert run_cim("db", "stop", **settings).code == 0
    with used(cluster):
        pass
    assert not cluster.is_running()


def test_the_first_command_makes_the_tables_of_a_new_cluster(folder):
    settings = {"CIM_DATA_DIR": str(folder)}
    ran = run_cim("collections", "list", "--json", **settings)
    assert ran.code == 0, ran.err
    assert {c["id"]: c["count"] for c in json.loads(ran.out)} == dict.fromkeys(
        ("areas", "buildings", "cameras", "imagery", "sensors"), 0
    )


def test_db_stop_does_not_take_the_database_from_a_server_or_a_command(folder):
    cluster, settings = Cluster(folder), {"CIM_DATA_DIR": str(folder)}
    with another_owner(folder) as owner:
        ran = run_cim("db", "stop", **settings)
        assert (ran.code, f"process {owner.pid} serves" in ran.err) == (1, True), ran.err
        assert cluster.is_running()
    with used(cluster):
        ran = run_cim("db", "stop", **settings)
        assert (ran.code, "other commands are at work" in ran.err) == (1, True), ran.err
        assert cluster.is_running()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another account")
def test_root_uses_the_cluster_of_another_account_as_that_account():
    with short_folder() as folder:
        cluster = Cluster(folder)
        with owned(cluster):
            pass
        nobody = pwd.getpwnam("nobody")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        folder.chmod(0o700)
        with owned(cluster) as url:
            assert shown(url, "fsync") == ["on"]
            assert server_processes(cluster)[0].uids().real == nobody.pw_uid


def test_what_was_committed_is_there_after_every_process_was_killed(folder):
    cluster = Cluster(folder)
    with another_owner(folder) as owner, psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute("CREATE TABLE kept AS SELECT n, md5(n::text) AS word FROM generate_series(1, 20000) AS n")
        kill(psutil.Process(owner.pid), *server_processes(cluster))
    assert (cluster.data / "postmaster.pid").exists()
    with owned(cluster) as url, psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*), count(*) FILTER (WHERE word = md5(n::text)) FROM kept").fetchone()
    assert row == (20_000, 20_000)


def test_when_only_the_owner_was_killed_the_next_one_takes_the_running_cluster_over(folder):
    cluster = Cluster(folder)
    with another_owner(folder) as owner:
        postmaster = server_processes(cluster)[0]
        kill(psutil.Process(owner.pid))
    assert postmaster.is_running()
    with owned(cluster):
        assert server_processes(cluster)[0].pid == postmaster.pid
    until(lambda: has_ended(postmaster), "PostgreSQL has ended", timeout_s=10)


def test_a_watched_server_that_is_killed_comes_back_with_its_data(folder):
    cluster = Cluster(folder)
    with owned(cluster, is_watched=True) as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS watched AS SELECT 42 AS answer")
        former = server_processes(cluster)
        kill(*former)
        until(cluster.is_running, "PostgreSQL runs again")
        assert server_processes(cluster)[0].pid != former[0].pid
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT answer FROM watched").fetchone() == (42,)
    assert not cluster.is_running()


def test_a_cluster_half_made_is_made_anew():
    with short_folder() as folder:
        (folder / "postgres.new").mkdir()
        (folder / "postgres.new" / "PG_VERSION").write_text("15\n")
        with owned(Cluster(folder)) as url:
            assert shown(url, "server_encoding") == ["UTF8"]
        assert not (folder / "postgres.new").exists()


@pytest.mark.parametrize("folder_name", ["d" * 100, "d" * 300], ids=["long for a socket", "long for a file system"])
def test_a_data_folder_with_a_long_path_is_refused_in_one_line(tmp_path, folder_name):
    ran = run_cim("status", CIM_DATA_DIR=str(tmp_path / folder_name))
    assert ran.code == 1
    assert "CIM_DATA_DIR" in ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err.strip().splitlines()) == 1


@pytest.mark.parametrize("data_dir", ["/proc/nothing", "/dev/null/city"])
def test_a_data_folder_that_cannot_be_is_refused_in_one_line(data_dir):
    ran = run_cim("status", CIM_DATA_DIR=data_dir)
    assert ran.code == 1
    assert f"{data_dir} cannot be written" in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_without_postgresql_the_line_that_installs_it_is_given(tmp_path):
    with pytest.raises(SetupProblem, match=APT_LINE):
        binaries(installed=tmp_path, path=str(tmp_path))


def test_without_psql_the_line_that_installs_it_is_given(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SetupProblem, match="apt-get install postgresql-client"):
        client_program("psql-of-nobody")


@pytest.fixture
def postgresqls(tmp_path: Path) -> dict[str, Path]:
    """A machine with PostgreSQL 9.6, 13 and 15 with PostGIS, 16 without it, and only psql of 17."""
    for version in ("9.6", "13", "15", "16", "17"):
        (tmp_path / "lib" / version / "bin").mkdir(parents=True)
        for name in ("psql",) if version == "17" else ("initdb", "pg_ctl", "postgres"):
            (tmp_path / "lib" / version / "bin" / name).touch()
        if version not in ("16", "17"):
            (tmp_path / "share" / version / "extension").mkdir(parents=True)
            (tmp_path / "share" / version / "extension" / "postgis.control").write_text("default_version = '3.3.2'")
    for program in (tmp_path / "lib").glob("*/bin/postgres"):
        program.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {program.parent.parent.name}.1'\n")
        program.chmod(0o755)
    return {"installed": tmp_path / "lib", "shared": tmp_path / "share"}


def test_the_newest_postgresql_with_all_its_programs_and_postgis_is_taken(postgresqls):
    assert binaries(path="", **postgresqls) == postgresqls["installed"] / "15" / "bin"


def test_a_city_is_run_by_the_postgresql_that_made_it_though_a_newer_one_is_installed(postgresqls):
    assert binaries("13", path="", **postgresqls) == postgresqls["installed"] / "13" / "bin"
    with pytest.raises(SetupProblem, match="apt-get install postgresql-14-postgis-3"):
        binaries("14", path="", **postgresqls)


def test_a_city_made_by_a_postgresql_that_is_gone_is_told_in_one_line():
    with short_folder() as folder:
        cluster = Cluster(folder)
        cluster.data.mkdir()
        (cluster.data / "PG_VERSION").write_text("12\n")
        for words in ("status", "doctor"):
            ran = run_cim(words, CIM_DATA_DIR=str(folder))
            assert ran.code == 1
            assert "apt-get install postgresql-12-postgis-3" in ran.out + ran.err
            assert "Traceback" not in ran.err


def test_a_container_s_memory_counts_not_its_machine_s(tmp_path):
    (tmp_path / "memory.max").write_text("max\n")
    machine = memory_bytes(tmp_path)
    assert machine == psutil.virtual_memory().total
    (tmp_path / "memory.max").write_text("268435456\n")
    assert memory_bytes(tmp_path) == 268_435_456


def test_a_container_s_small_shared_memory_is_not_relied_on(folder, tmp_path):
    assert has_small_shm(tmp_path / "nowhere")
    with owned(Cluster(folder, ("dynamic_shared_memory_type=mmap",))) as url, psycopg.connect(url) as connection:
        connection.execute(
            "SET debug_parallel_query = on"
            if connection.info.server_version >= 160000
            else "SET force_parallel_mode = on"
        )
        assert connection.execute("SELECT count(*) FROM generate_series(1, 1000)").fetchone() == (1000,)


def test_a_data_folder_is_made_for_the_account_of_postgresql_under_any_umask():
    with short_folder() as parent:
        cluster = Cluster(parent / "new" / "city")
        former = os.umask(0o077)
        try:
            with owned(cluster) as url:
                assert shown(url, "server_encoding") == ["UTF8"]
        finally:
            os.umask(former)
            kill(*server_processes(cluster))
        assert cluster.data.stat().st_mode & 0o077 == 0
        assert cluster.folder.stat().st_mode & 0o066 == 0
