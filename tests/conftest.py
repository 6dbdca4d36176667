"""A real PostGIS cluster, databases cloned from a migrated template, and the real server over HTTP."""

import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cim.db.embedded import Cluster
from cim.db.migrate import upgrade
from cim.db.ownership import owned

ROOT = Path(__file__).resolve().parent.parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""`verify=` of clients that are made by the dozen: one without it reads the authorities' certificates anew, for 20 ms of CPU."""
TEMPLATE = f"cim_test_template_{WORKER}"


def pytest_configure() -> None:
    """Hundreds of connections at once are part of the tests: a login shell's 1024 open files are not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        wanted = 8192 if hard == resource.RLIM_INFINITY else min(hard, 8192)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """libpq URL of a server the tests may make databases on: DATABASE_URL's, or a private cluster of their own."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="cim-test-"))
    folder.chmod(0o755)
    try:
        # the tests' own cluster may forget on a power cut; the city's own may not
        with owned(Cluster(folder, ("fsync=off", "synchronous_commit=off", "full_page_writes=off"))) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(cluster: str) -> Iterator[str]:
    """Name of a migrated, empty database."""
    _admin(cluster, f'DROP DATABASE IF EXISTS "{TEMPLATE}" WITH (FORCE)')
    _admin(cluster, f"CREATE DATABASE \"{TEMPLATE}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'")
    upgrade(named(cluster, TEMPLATE))
    yield TEMPLATE
    _admin(cluster, f'DROP DATABASE IF EXISTS "{TEMPLATE}" WITH (FORCE)')


def named(url: str, database: str) -> str:
    """The same server's URL for another database."""
    facts = conninfo_to_dict(url)
    if facts.get("password") or not str(facts.get("host", "")).startswith("/"):
        user = f"{facts.get('user', '')}:{facts.get('password', '')}"
        return f"postgresql://{user}@{facts.get('host', 'localhost')}:{facts.get('port', 5432)}/{database}"
    return f"postgresql://{facts['user']}@/{database}?host={facts['host']}"


def _admin(url: str, statement: str) -> None:
    with psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())


_counter = iter(range(10**9))


@contextmanager
def clone(cluster: str, template: str) -> Iterator[str]:
    """URL of a fresh copy of the template, dropped afterwards."""
    name = f"cim_test_{os.getpid()}_{next(_counter)}"
    _admin(cluster, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    try:
        yield named(cluster, name)
    finally:
        _admin(cluster, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def database_url(cluster: str, template: str) -> Iterator[str]:
    """A fresh migrated database for one test."""
    with clone(cluster, template) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(cluster: str, template: str) -> Iterator[str]:
    """A fresh migrated database for one file of tests."""
    with clone(cluster, template) as url:
        yield url


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that is not part of the repository."""
    folder = Path(os.environ.get("CIM_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the shared real data is not here ({folder.name}); set CIM_SHARED_DATA")
    return folder


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """The environment of a program under test: no settings of the developer's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CIM_") and k != "DATABASE_URL"}
    return {**kept, "NO_COLOR": "1", "COLUMNS": "200", **more}


@pytest.fixture
def cim(database_url: str) -> Callable[..., Ran]:
    """`cim("load", "buildings", path)`: the program, on this test's database."""

    def run(*words: object, timeout_s: float = 120, **more: str) -> Ran:
        command = [sys.executable, "-m", "cim.cli.main", *map(str, words)]
        env = environment(**{"DATABASE_URL": database_url, **more})
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=env, cwd="/", check=False)
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


def free_port() -> int:
    """A port below the ephemeral range that nobody listens on, out of a range that no other worker of this run looks in."""
    start = 20_000 + int(WORKER.removeprefix("gw")) % 4 * 3_000 + os.getpid() % 2_000
    for port in range(start, start + 1_000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


@dataclass(frozen=True, slots=True)
class Server:
    """A running `cim serve`."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def serving(database_url: str, **more: str) -> Iterator[Server]:
    """`cim serve` on a free port against a database, ready; its log is printed when it does not get there."""
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="cim-serve-"))
    log = folder / "log"
    env = environment(**{"DATABASE_URL": database_url, "CIM_PORT": str(port), "CIM_DATA_DIR": str(folder), **more})
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "cim.cli.main", "serve"], env=env, cwd="/", stdout=sink, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _await_ready(url, process, log)
        yield Server(url, process, log)
    finally:
        process.send_signal(signal.SIGINT)  # stops at once; SIGTERM drains first, for load balancers
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with suppress(httpx2.HTTPError):
            if httpx2.get(f"{url}/health/ready", timeout=2, verify=NO_TLS).status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"the server was not ready:\n{log.read_text(errors='replace')[-4000:]}")


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    """`server(database_url, CIM_X="…")` starts one; it ends with the test."""
    with ExitStack() as stack:
        yield lambda url, **more: stack.enter_context(serving(url, **more))


@pytest.fixture(scope="module")
def module_server(module_database_url: str) -> Iterator[Server]:
    """One server for a file of tests, over `module_database_url`."""
    with serving(module_database_url) as running:
        yield running


@pytest.fixture(scope="module")
def client(module_server: Server) -> Iterator[Any]:
    """An HTTP client of `module_server`."""
    with httpx2.Client(base_url=module_server.url, timeout=30, verify=NO_TLS) as opened:
        yield opened
