"""A server whose catalogue is empty, an admin at it, and somebody without a key."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.conftest import Server, serving

ADMIN = "admin-key-of-the-catalogue-tests"


@pytest.fixture(scope="module")
def running(module_database_url: str) -> Iterator[Server]:
    """One server for a file of tests."""
    with serving(module_database_url, CIM_ADMIN_KEY=ADMIN) as server:
        yield server


@pytest.fixture(scope="module")
def admin(running: Server) -> Iterator[httpx2.Client]:
    """An admin; the organisations 'planning' and 'water' are there."""
    with httpx2.Client(base_url=running.url, timeout=30, headers={"Authorization": f"Bearer {ADMIN}"}) as client:
        for key, zh, en in (("planning", "规划局", "Planning Bureau"), ("water", "水务局", "Water Authority")):
            response = client.put(f"/catalogue/organisations/{key}", json={"name_zh": zh, "name_en": en})
            assert response.status_code == 204, response.text
        yield client


@pytest.fixture(scope="module")
def anyone(running: Server) -> Iterator[httpx2.Client]:
    """A caller without a key."""
    with httpx2.Client(base_url=running.url, timeout=30) as client:
        yield client


def service(service_id: str, **members: Any) -> dict[str, Any]:
    """A registration that has all the shelf asks for."""
    return {
        "id": service_id,
        "kind": "wms",
        "organisation_id": "planning",
        "title_zh": "历史影像服务",
        "title_en": "Historical imagery",
        "description_zh": "一九八〇年以来的航空影像。",
        "description_en": "Aerial photographs since 1980.",
        "themes": ["imagery", "规划"],
        "endpoints": [{"url": "https://maps.example/wms?service=WMS", "kind": "wms"}],
        "licence": "CC-BY-4.0",
        "contact": "desk@planning.example",
        **members,
    }


def put_on_the_shelf(admin: httpx2.Client, service_id: str, **members: Any) -> None:
    """Register and publish."""
    assert admin.post("/catalogue/items", json=service(service_id, **members)).status_code == 201
    response = admin.post(f"/catalogue/items/{service_id}/publish")
    assert response.status_code == 200, response.text
