"""A city behind a server, an admin, a reader and an editor of one district."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from shapely.geometry import box

from tests.city import City
from tests.conftest import Server, serving

ADMIN = "admin-key-of-the-tests-of-changes"
ITEMS = "/collections/buildings/items"


@pytest.fixture(scope="module")
def city(module_database_url: str) -> Iterator[City]:
    """A city of two districts: 440305 west of 114.1°, 440304 east of it."""
    made = City(module_database_url)
    for code, west in (("440305", 114.0), ("440304", 114.1)):
        made.feature(
            "areas", box(west, 22.5, west + 0.1, 22.6), source="areas", area_code=code, code=code, level="district"
        )
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
def client(opened: Callable[..., httpx2.Client], city: City) -> httpx2.Client:
    """Nobody in particular."""
    return opened()


@pytest.fixture(scope="module")
def admin(opened: Callable[..., httpx2.Client], city: City) -> httpx2.Client:
    """The admin."""
    return opened(authorization=f"Bearer {ADMIN}")


@pytest.fixture(scope="module")
def caller(opened: Callable[..., httpx2.Client], admin: httpx2.Client) -> Callable[..., httpx2.Client]:
    """`caller(role="editor", area_code="440305")`: a client with a key of those rights."""

    def make(**rights: Any) -> httpx2.Client:
        made = admin.post("/admin/keys", json=rights)
        assert made.status_code == 201, made.text
        return opened(authorization=f"Bearer {made.json()['key']}")

    return make


def feature(lon: float = 114.05, lat: float = 22.55, side: float = 2e-4, **properties: Any) -> dict[str, Any]:
    """A GeoJSON feature: a square of `side` degrees."""
    ring = [[lon, lat], [lon + side, lat], [lon + side, lat + side], [lon, lat + side], [lon, lat]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": properties,
    }
