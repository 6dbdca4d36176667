"""The API's own login over the network, by password (SCRAM), as `docker compose` and managed databases have it."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from cim.db.embedded import ROLE, Cluster
from cim.db.ownership import owned
from tests.conftest import NO_TLS, environment, free_port, serving
from tests.problems import assert_problem

PASSWORD = "of the owner"
API_PASSWORD = "a/b:c@d e?f#g%"
ADMIN = "admin-key-of-the-login-tests"


@dataclass(frozen=True)
class NetworkCluster(Cluster):
    """A server that listens on loopback too."""

    port: int = 0

    def url(self, database: str = "cim") -> str:
        """Its superuser's address over the socket, which asks for no password."""
        return f"postgresql://{ROLE}@/{database}?host={self.socket}&port={self.port}"

    def network(self, user: str, password: str, database: str) -> str:
        """An address over the network."""
        return f"postgresql://{user}:{password.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="module")
def network() -> Iterator[NetworkCluster]:
    """PostgreSQL on a TCP port that lets nobody in without SCRAM."""
    folder, port = Path(tempfile.mkdtemp(prefix="cim-tcp-")), free_port()
    folder.chmod(0o755)
    options = ("listen_addresses=127.0.0.1", f"port={port}", "fsync=off", "password_encryption=scram-sha-256")
    cluster = NetworkCluster(folder, options, port)
    try:
        cluster.prepare()
        rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (cluster.data / "pg_hba.conf").write_text(rules)
        with owned(cluster):
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ran(url: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A command of `cim` on the database."""
    env = environment(DATABASE_URL=url, CIM_API_PASSWORD=API_PASSWORD, **more)
    command = [sys.executable, "-m", "cim.cli.main", *words]
    return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=120, check=False)


def as_superuser(network: NetworkCluster, database: str, *statements: str) -> list[Any]:
    """Run statements as the server's superuser; the rows of the last one."""
    with psycopg.connect(network.url(database), autocommit=True) as connection:
        cursor = None
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor is not None and cursor.description else []


def made(network: NetworkCluster, database: str, owner: str, *rights: str) -> str:
    """A database of an owner with a password; gives the owner's address over the network."""
    as_superuser(
        network,
        "postgres",
        f"CREATE ROLE {owner} LOGIN PASSWORD '{PASSWORD}' {' '.join(rights)}",
        f"CREATE DATABASE {database} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'",
    )
    as_superuser(network, database, "CREATE EXTENSION postgis", "CREATE EXTENSION pg_trgm")
    return network.network(owner, PASSWORD, database)


def answers_by_the_login(network: NetworkCluster, url: str, database: str) -> None:
    """The API answers, writes and counts calls, and its sessions are those of `cim_api`, over TCP."""
    with serving(url, CIM_API_PASSWORD=API_PASSWORD, CIM_ADMIN_KEY=ADMIN) as server:
        with httpx2.Client(base_url=server.url, timeout=30, verify=NO_TLS, headers={"X-API-Key": ADMIN}) as client:
            names = {"name_zh": "规划局", "name_en": "Planning"}
            assert client.put("/catalogue/organisations/planning", json=names).status_code == 204
            assert client.get("/collections/buildings/items").json()["numberReturned"] == 0
            house = {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [114.05, 22.54]},
                "properties": {"name": "一号摄像头"},
            }
            written = client.post("/collections/cameras/items", json=house)
            assert written.status_code == 201, written.text
            assert client.get(written.headers["location"]).status_code == 200
            as_superuser(
                network,
                database,
                "INSERT INTO cim.service (id, kind, state, title_zh, title_en, share_class, endpoints, collection_id) VALUES "
                "('cams', 'features', 'published', 'x', 'x', 'unconditional', '[{\"url\": \"/collections/cameras/items\"}]', 'cameras')",
            )
            assert client.get("/services/cams").json()["numberReturned"] == 1
            deadline = time.monotonic() + 10
            while not (calls := as_superuser(network, database, "SELECT service_id FROM cim.call")):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert calls == [("cams",)]
            users = as_superuser(
                network,
                "postgres",
                "SELECT DISTINCT usename, client_addr IS NOT NULL FROM pg_stat_activity "
                f"WHERE application_name = 'opencim-api' AND datname = '{database}'",
            )
            assert users == [("cim_api", True)]
        log = server.log.read_text()
        assert "log in another way" not in log
        assert API_PASSWORD not in log


@pytest.fixture(scope="module")
def compose(network: NetworkCluster) -> str:
    """As `docker compose`: the owner is the server's superuser, `migrate` gives the login its password."""
    url = made(network, "compose", "opencim_net", "SUPERUSER")
    upgraded = ran(url, "db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    return url


def test_what_a_superuser_set_up_the_api_uses_by_a_login_of_its_own(network: NetworkCluster, compose: str) -> None:
    answers_by_the_login(network, compose, "compose")
    facts = {"host": "127.0.0.1", "port": network.port, "user": "cim_api", "dbname": "compose"}
    with psycopg.connect(**facts, password=API_PASSWORD) as session:
        session.execute("SET ROLE cim_app")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("UPDATE cim.audit SET actor = 'x'")


def test_a_plain_owner_sets_up_with_the_lines_of_the_documentation(network: NetworkCluster) -> None:
    """A managed database whose owner may make no roles: its superuser runs what docs/administration.md says."""
    url = made(network, "managed", "city_owner")
    text = (Path(__file__).parents[2] / "docs" / "administration.md").read_text()
    lines = text.partition("its superuser runs once")[2].partition("`")[2].partition("`")[0]
    assert lines.count(";") == 4, lines
    for statement in lines.replace("…", API_PASSWORD).replace(" owner;", " city_owner;").split(";"):
        try:
            as_superuser(network, "postgres", statement)
        except psycopg.errors.DuplicateObject:  # the roles belong to the server: the other test made them
            continue
        except psycopg.ProgrammingError:
            assert not statement.strip()
    upgraded = ran(url, "db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    answers_by_the_login(network, url, "managed")


def test_a_password_that_is_not_the_one_is_told(compose: str) -> None:
    """The API does not fall back to the owner: it says why it cannot answer."""
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="cim-tcp-serve-"))
    settings = {"CIM_API_PASSWORD": "another one", "CIM_PORT": str(port), "CIM_DATA_DIR": str(folder)}
    with (folder / "log").open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "cim.cli.main", "serve"],
            env=environment(DATABASE_URL=compose, **settings),
            cwd="/",
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline, answer = time.monotonic() + 30, None
        while answer is None and process.poll() is None and time.monotonic() < deadline:
            try:
                answer = httpx2.get(f"http://127.0.0.1:{port}/collections/buildings/items", timeout=10)
            except httpx2.HTTPError:
                time.sleep(0.1)
        told = (folder / "log").read_text()
        assert answer is not None, told
        assert_problem(answer, status=503, code="unavailable")
        assert "CIM_API_PASSWORD" in told
        assert "another one" not in told
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
