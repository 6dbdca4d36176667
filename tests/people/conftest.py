"""Two organisations of two districts and the city's own, their people, and clients of each."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx2
import psycopg
import pytest

from tests.conftest import NO_TLS, Server, clone, serving

ADMIN = "admin-key-of-the-tests-of-people"
PASSWORD = "correct horse 正确 battery"


@dataclass
class Node:
    """A server, and whoever calls it."""

    server: Server
    url: str
    database_url: str
    stack: ExitStack
    people: dict[str, str] = field(default_factory=dict)
    """Login → id."""

    def client(self, **headers: str) -> httpx2.Client:
        """A client with headers of its own."""
        opened = httpx2.Client(base_url=self.url, timeout=30, headers=headers, verify=NO_TLS)
        return self.stack.enter_context(opened)

    @cached_property
    def admin(self) -> httpx2.Client:
        """The admin of the settings."""
        return self.client(Authorization=f"Bearer {ADMIN}")

    def session(self, login: str) -> httpx2.Client:
        """Somebody logged in, whose changes carry the token; each time a session of its own."""
        client = self.client()
        answer = client.post("/login", json={"login": login, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        client.headers["X-CSRF-Token"] = answer.json()["csrf"]
        return client

    def key(self, maker: httpx2.Client, **members: Any) -> httpx2.Client:
        """A client with a key that `maker` made."""
        made = maker.post("/keys", json=members)
        assert made.status_code == 201, made.text
        return self.client(**{"X-API-Key": made.json()["key"]})

    def person(self, login: str, organisation: str, *duties: str, **more: Any) -> None:
        """Somebody with the password of the tests."""
        body = {"login": login, "organisation_id": organisation, "duties": duties, "password": PASSWORD, **more}
        made = self.admin.post("/people", json=body)
        assert made.status_code == 201, made.text
        self.people[login] = made.json()["id"]


def populate(node: Node) -> None:
    """water and planning of Nanshan (440305), roads of Futian (440304)."""
    for key, area in (("planning", "440305"), ("water", "440305"), ("roads", "440304")):
        body = {"id": key, "name_zh": key, "name_en": key, "area_code": area}
        made = node.admin.post("/organisations", json=body)
        assert made.status_code == 201, made.text
    node.person("boss.planning", "planning", "org_admin")
    node.person("publisher", "planning", "publisher")
    node.person("boss.water", "water", "org_admin")
    node.person("clerk", "water")
    node.person("boss.roads", "roads", "org_admin")
    node.person("nanshan", "planning", "district_admin", area_code="440305")
    node.person("mayor", "planning", "city_admin")


def started(stack: ExitStack, url: str, *, is_populated: bool = True, **settings: str) -> Node:
    """A node over that database, which ends with the stack."""
    server = stack.enter_context(serving(url, CIM_ADMIN_KEY=ADMIN, **settings))
    node = Node(server, server.url, url, stack)
    if is_populated:
        populate(node)
    return node


@pytest.fixture(scope="module")
def make_node() -> Iterator[Callable[..., Node]]:
    """`make_node(database_url, CIM_X="…")`: a populated node."""
    with ExitStack() as stack:

        def make(url: str, *, is_populated: bool = True, **settings: str) -> Node:
            return started(stack, url, is_populated=is_populated, **settings)

        yield make


@pytest.fixture(scope="package")
def shared_node(cluster: str, template: str) -> Iterator[Node]:
    """One node for the files of this folder that need no settings of their own: what a test makes has a name of its own."""
    with ExitStack() as stack:
        yield started(stack, stack.enter_context(clone(cluster, template)))


@pytest.fixture(scope="module")
def node(shared_node: Node) -> Node:
    """The node that a file of tests speaks to."""
    return shared_node


@pytest.fixture(scope="module")
def connection(node: Node) -> Iterator[Any]:
    """The node's database."""
    with psycopg.connect(node.database_url, autocommit=True) as opened:
        yield opened
