"""A node whose catalogue has services of two upstreams of the test, and of its own data; one for all tests of the folder."""

import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import orjson
import psycopg
import pytest

from tests.city import City
from tests.conftest import Server, clone, serving
from tests.gateway.upstream import Upstream, upstream

ADMIN = "admin-key-of-the-gateway-tests"
TTL_S = 2.1


@pytest.fixture(scope="package")
def node_url(cluster: str, template: str) -> Iterator[str]:
    """The node's database."""
    with clone(cluster, template) as url:
        yield url


@pytest.fixture(scope="package")
def maps() -> Iterator[Upstream]:
    """An upstream that may be called."""
    with upstream() as running:
        yield running


@pytest.fixture(scope="package")
def closed() -> Iterator[Upstream]:
    """A listener on the same machine that is in no list."""
    with upstream() as running:
        yield running


@pytest.fixture(scope="package")
def other() -> Iterator[Upstream]:
    """Another upstream that may be called."""
    with upstream() as running:
        yield running


@pytest.fixture(scope="package")
def spares() -> Iterator[list[Upstream]]:
    """More upstreams that may be called."""
    with ExitStack() as stack:
        yield [stack.enter_context(upstream()) for _ in range(12)]


@pytest.fixture
def fresh(spares: list[Upstream]) -> Upstream:
    """An upstream that has not failed in any other test."""
    return spares.pop()


@pytest.fixture(scope="package")
def node(node_url: str, maps: Upstream, other: Upstream, spares: list[Upstream]) -> Iterator[Server]:
    """The node, with budgets that a test can wait for."""
    pairs = [f"127.0.0.1:{one.port}" for one in (maps, other, *spares)]
    with serving(
        node_url,
        CIM_ADMIN_KEY=ADMIN,
        CIM_ALLOWED_UPSTREAMS=", ".join(pairs),
        CIM_UPSTREAM_FIRST_BYTE_S="2",
        CIM_UPSTREAM_CONNECT_S="1",
        CIM_UPSTREAM_IDLE_S="1",
        CIM_UPSTREAM_TOTAL_S="8",
    ) as running:
        yield running


@pytest.fixture(scope="package")
def city(node_url: str) -> Iterator[City]:
    """The city of the node."""
    made = City(node_url)
    yield made
    made.close()


@pytest.fixture(scope="package")
def shelf(node: Server, node_url: str) -> Iterator["Shelf"]:
    """The catalogue as rows."""
    with psycopg.connect(node_url, autocommit=True) as connection:
        yield Shelf(connection)


class Shelf:
    """Services, grants and keys as the database has them; calls as the ledger has them."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        for one in ("planning", "water"):
            self.run("INSERT INTO cim.organisation (id, name_zh, name_en) VALUES (%s, %s, %s)", one, one, one)

    def run(self, statement: str, *values: object) -> Any:
        return self.connection.execute(statement.encode(), values)

    def put(self, service_id: str, url: str, kind: str = "wms", **more: object) -> str:
        """A service on the shelf; gives the path it is called at."""
        row = {
            "id": service_id,
            "kind": kind,
            "state": "published",
            "title_zh": service_id,
            "title_en": service_id,
            "organisation_id": "planning",
            "share_class": "unconditional",
            "endpoints": orjson.dumps([{"url": url}]).decode(),
            **more,
        }
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        self.run(f"INSERT INTO cim.service ({names}) VALUES ({marks})", *row.values())
        return f"/services/{service_id}"

    def key(self, organisation_id: str, role: str = "reader", duties: tuple[str, ...] = ()) -> dict[str, str]:
        """Header fields of a caller of that organisation."""
        key = "cim_" + secrets.token_urlsafe(24)
        self.run(
            "INSERT INTO cim.api_key (prefix, digest, role, label, organisation_id, duties) VALUES (%s, %s, %s, '', %s, %s)",
            key[4:12],
            hashlib.sha256(key.encode()).hexdigest(),
            role,
            organisation_id,
            list(duties),
        )
        return {"Authorization": f"Bearer {key}"}

    def grant(self, service_id: str, organisation_id: str, **more: object) -> None:
        row = {"service_id": service_id, "organisation_id": organisation_id, "granted_by": "test", **more}
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        self.run(f"INSERT INTO cim.service_grant ({names}) VALUES ({marks})", *row.values())

    def calls(self, service_id: str, expected: int) -> list[tuple[str, int, str, int]]:
        """Organisation, status, outcome and bytes of each call in the ledger, once there are so many."""
        deadline = time.monotonic() + 8
        while True:
            found = self.run(
                "SELECT organisation_id, status, outcome, bytes FROM cim.call WHERE service_id = %s ORDER BY received_at",
                service_id,
            ).fetchall()
            if len(found) >= expected or time.monotonic() > deadline:
                assert len(found) == expected, found
                return list(found)
            time.sleep(0.1)


@pytest.fixture(scope="package")
def anyone(node: Server) -> Iterator[httpx2.Client]:
    """A caller without a key, who follows no redirect."""
    with httpx2.Client(base_url=node.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="package")
def admin(node: Server) -> Iterator[httpx2.Client]:
    """An admin."""
    with httpx2.Client(base_url=node.url, timeout=30, headers={"Authorization": f"Bearer {ADMIN}"}) as client:
        yield client
