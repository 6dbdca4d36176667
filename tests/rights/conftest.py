"""A city behind a server, and callers whose keys are limited in one way or another."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from tests.city import City
from tests.conftest import Server, serving
from tests.rights.town import Town, build

ADMIN = "admin-key-of-the-tests-of-rights"

Caller = Callable[..., httpx2.Client]
"""`caller(role="editor", area_code="440305")`: a client with a key of those rights."""


@pytest.fixture(scope="module")
def city(module_database_url: str) -> Iterator[City]:
    """An empty city; the tests of a file share it."""
    made = City(module_database_url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def running(module_database_url: str) -> Iterator[Server]:
    """One server for a file of tests."""
    with serving(module_database_url, CIM_ADMIN_KEY=ADMIN) as server:
        yield server


@pytest.fixture(scope="module")
def opened(running: Server) -> Iterator[Callable[..., httpx2.Client]]:
    """Opens clients with headers of their own, closed with the file."""
    with ExitStack() as stack:
        yield lambda **headers: stack.enter_context(httpx2.Client(base_url=running.url, timeout=30, headers=headers))


@pytest.fixture(scope="module")
def anyone(opened: Callable[..., httpx2.Client]) -> httpx2.Client:
    """A caller without a key."""
    return opened()


@pytest.fixture(scope="module")
def admin(opened: Callable[..., httpx2.Client]) -> httpx2.Client:
    """The admin of the settings."""
    return opened(Authorization=f"Bearer {ADMIN}")


@pytest.fixture(scope="module")
def caller(opened: Callable[..., httpx2.Client], admin: httpx2.Client) -> Caller:
    """Makes a key by HTTP and a client that sends it."""

    def make(**rights: Any) -> httpx2.Client:
        made = admin.post("/admin/keys", json=rights)
        assert made.status_code == 201, made.text
        return opened(**{"X-API-Key": made.json()["key"]})

    return make


@pytest.fixture(scope="module")
def town(city: City, admin: httpx2.Client) -> Town:
    """The town, known to the server."""
    built = build(city)
    city.settle(admin)
    return built
