"""`cim run` as the first user meets it: once, again, and after a power cut."""

import re
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import psycopg

from cim.db.embedded import Cluster
from cim.db.ownership import used
from tests.conftest import environment, free_port
from tests.platform.programs import CIM, has_ended, kill, run_cim, server_processes, short_folder, until

KEY = re.compile(r"admin key\s+(cim_\S+)")


@dataclass(frozen=True, slots=True)
class Node:
    """A running `cim run`."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        """Everything it wrote."""
        return self.log.read_text(errors="replace")

    def is_ready(self) -> bool:
        """True when it answers and has its database."""
        assert self.process.poll() is None, self.said()
        try:
            return httpx2.get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False

    def counts(self) -> dict[str, int]:
        """Features of each collection, by the API."""
        found = httpx2.get(f"{self.url}/collections?f=json", timeout=30).raise_for_status().json()["collections"]
        return {
            c["id"]: httpx2.get(f"{self.url}/collections/{c['id']}/items?limit=1", timeout=30).json()["numberMatched"]
            for c in found
            if c.get("itemType") != "record"
        }


def as_in_a_login_shell() -> None:
    """A closed terminal is told (the tests may run under nohup), and few files may be open."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@contextmanager
def running(folder: Path) -> Iterator[Node]:
    """`cim run` until it is ready; killed at the end where it still runs."""
    port, log = free_port(), folder.with_suffix(".log")
    env = environment(CIM_DATA_DIR=str(folder), CIM_PORT=str(port))
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*CIM, "run", "--buildings", "60"],
            env=env,
            cwd="/",
            stdout=sink,
            stderr=sink,
            preexec_fn=as_in_a_login_shell,
        )
    node = Node(f"http://127.0.0.1:{port}", process, log)

    try:
        until(node.is_ready, "cim run is ready", timeout_s=180)
        yield node
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        log.unlink()


def digest(cluster: Cluster) -> str:
    """One word for every building as it is stored."""
    with psycopg.connect(cluster.url()) as connection:
        row = connection.execute("SELECT md5(string_agg(b::text, '|' ORDER BY id)) FROM cim.building AS b").fetchone()
    assert row is not None
    assert row[0] is not None
    return row[0]


def stop(node: Node, cluster: Cluster, number: int) -> None:
    """Ask it to end, and see that nothing is left: no PostgreSQL, no listener."""
    servers = server_processes(cluster)
    assert servers
    node.process.send_signal(number)
    assert node.process.wait(60) == 0, node.said()
    assert "Traceback" not in node.said()
    until(lambda: all(map(has_ended, servers)), "PostgreSQL has ended", timeout_s=10)
    assert not (cluster.data / "postmaster.pid").exists()
    port = int(node.url.rpartition(":")[2])
    assert [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr.port == port] == []


def test_the_first_start_serves_a_city_later_ones_change_nothing_and_a_power_cut_loses_nothing():
    with short_folder() as folder:
        cluster = Cluster(folder)
        with running(folder) as first:
            assert httpx2.get(first.url, headers={"accept": "application/json"}, timeout=30).json()["links"]
            assert httpx2.get(first.url, headers={"accept": "text/html"}, timeout=30).status_code == 200
            soft, hard = psutil.Process(first.process.pid).rlimit(psutil.RLIMIT_NOFILE)
            assert soft == min(hard, 65_536)
            counts, stored = first.counts(), digest(cluster)
            assert counts["buildings"] == 60
            assert all(counts[name] for name in ("areas", "sensors", "cameras", "imagery")), counts
            key = KEY.findall(first.said())
            assert len(key) == 1
            admin = {"authorization": f"Bearer {key[0]}"}
            assert httpx2.get(f"{first.url}/admin/loads", headers=admin, timeout=30).status_code == 200
            assert httpx2.get(f"{first.url}/admin/loads", timeout=30).status_code == 401
            stop(first, cluster, signal.SIGINT)

        with running(folder) as second:
            assert KEY.findall(second.said()) == []
            assert (second.counts(), digest(cluster)) == (counts, stored)
            assert httpx2.get(f"{second.url}/admin/loads", headers=admin, timeout=30).status_code == 200
            kill(psutil.Process(second.process.pid), *server_processes(cluster))

        with running(folder) as third:
            assert (third.counts(), digest(cluster)) == (counts, stored)
            kill(*server_processes(cluster))
            told = "PostgreSQL had ended and was started again"
            until(lambda: told in third.said(), "the log tells that the database was started again")
            until(third.is_ready, "the database came back beneath the server")
            assert (third.counts(), digest(cluster)) == (counts, stored)
            stop(third, cluster, signal.SIGTERM)

        with used(cluster) as url, psycopg.connect(url) as connection:  # as if killed before its first city was whole
            connection.execute("DELETE FROM cim.imagery")
            connection.execute("UPDATE cim.collection_stats SET feature_count = 0 WHERE collection_id = 'imagery'")
            connection.execute("UPDATE cim.load_run SET state = 'running' WHERE kind = 'imagery'")

        with running(folder) as fourth:
            assert "stopped before its city was whole" in fourth.said()
            assert (fourth.counts(), digest(cluster)) == (counts, stored)
            stop(fourth, cluster, signal.SIGHUP)  # its terminal was closed


def test_a_port_in_use_is_told_before_anything_is_made():
    with short_folder() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ran = run_cim("run", CIM_DATA_DIR=str(folder), CIM_PORT=str(port))
        assert ran.code == 1
        assert f"port {port} of 127.0.0.1 cannot be had" in ran.err
        assert len(ran.err.strip().splitlines()) == 1
        assert list(folder.iterdir()) == []
