"""The API's sessions log in by a role that owns nothing (B46): whoever takes one over cannot become the owner."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from cim.db.guard import LOGIN
from cim.db.login import login_url, ways
from cim.settings import Settings
from tests.conftest import Server

HIJACKED = ("SET ROLE NONE", "RESET ROLE", "RESET ALL", "SET SESSION AUTHORIZATION DEFAULT", "DISCARD ALL")


@pytest.fixture(scope="module")
def session_url(module_database_url: str) -> str:
    """The address that the API's sessions have."""
    return login_url(module_database_url, None)


def test_the_api_s_sessions_are_those_of_the_login(module_server: Server, client, module_database_url: str) -> None:
    assert client.get("/collections").status_code == 200
    assert client.get("/catalogue/items?facets=all").status_code == 200
    with psycopg.connect(module_database_url) as connection:
        users = connection.execute(
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'opencim-api' AND datname = current_database()"
        ).fetchall()
    assert users == [(LOGIN,)]


@pytest.mark.parametrize("way", HIJACKED)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cim.audit SET actor = 'x'",
        "UPDATE cim.audit_head SET number = 0",
        "DELETE FROM cim.call_day",
        "DROP TABLE cim.service",
        "SET ROLE opencim",
        "CREATE TABLE public.mine (a int)",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_a_session_that_is_taken_over_does_not_become_the_owner(session_url: str, way: str, statement: str) -> None:
    with psycopg.connect(session_url, autocommit=True, options="-c role=cim_app") as connection:
        assert connection.execute("SELECT count(*) FROM cim.service").fetchone() is not None
        connection.execute(way.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_the_password_is_given_by_upgrade_and_is_the_only_way_then(cim, database_url: str) -> None:
    password = "a/b:c@d e?f#g%"
    assert cim("db", "upgrade", CIM_API_PASSWORD=password).code == 0
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [LOGIN]).fetchone()
    assert row is not None
    assert row[0].startswith("SCRAM-SHA-256$")
    given = Settings(database_url="postgresql://opencim:pw@db.example:5433/cim?sslmode=require", api_password=password)
    (way,) = ways(given)
    facts = conninfo_to_dict(way.url)
    assert facts == {
        "user": LOGIN, "password": password, "host": "db.example", "port": "5433", "dbname": "cim", "sslmode": "require"
    }  # fmt: skip


def test_without_a_password_the_login_is_tried_where_none_is_asked_for() -> None:
    socket = ways(Settings(database_url="postgresql://opencim@/cim?host=/run/x"))
    assert [conninfo_to_dict(way.url)["user"] for way in socket] == [LOGIN, "opencim", "opencim"]
    network = ways(Settings(database_url="postgresql://owner:pw@db/cim"))
    assert [(conninfo_to_dict(way.url)["user"], way.settings.get("role")) for way in network] == [
        ("owner", "cim_app"),
        ("owner", None),
    ]
    assert "CIM_API_PASSWORD" in (network[0].lacks or "")
