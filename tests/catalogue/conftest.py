"""A server whose catalogue is empty, an admin at it, and somebody without a key."""

from collections.abc import Iterator
from typing import Any

import httpx2
import psycopg
import pytest

from cim.db.keys import new_key
from tests.conftest import NO_TLS, Server, clone, serving

ADMIN = "admin-key-of-the-catalogue-tests"
WAIT = {"Prefer": "wait=60"}
"""Of a request that queues a run: its account is wanted in the answer."""


@pytest.fixture(scope="module")
def running(module_database_url: str) -> Iterator[Server]:
    """One server for a file of tests."""
    with serving(module_database_url, CIM_ADMIN_KEY=ADMIN) as server:
        yield server


@pytest.fixture(scope="package")
def shared_database_url(cluster: str, template: str) -> Iterator[str]:
    """A database for the files that share one (`tests.catalogue.shared`)."""
    with clone(cluster, template) as url:
        yield url


@pytest.fixture(scope="package")
def shared_server(shared_database_url: str) -> Iterator[Server]:
    """The server over it."""
    with serving(shared_database_url, CIM_ADMIN_KEY=ADMIN) as server:
        yield server


class Admin(httpx2.Client):
    """The node's admin; `reviewer` is another person of the city, since nobody approves their own."""

    reviewer: httpx2.Client


@pytest.fixture(scope="module")
def admin(running: Server, module_database_url: str) -> Iterator[Admin]:
    """An admin; the organisations 'planning' and 'water' are there."""
    reviewer = keyed(running, module_database_url, ("reviewer",), None)
    headers = {"Authorization": f"Bearer {ADMIN}"}
    with Admin(base_url=running.url, timeout=30, headers=headers, verify=NO_TLS) as client, reviewer:
        client.reviewer = reviewer
        for key, zh, en in (("planning", "规划局", "Planning Bureau"), ("water", "水务局", "Water Authority")):
            response = client.put(f"/catalogue/organisations/{key}", json={"name_zh": zh, "name_en": en})
            assert response.status_code == 204, response.text
        yield client


def keyed(
    server: Server, url: str, duties: tuple[str, ...], organisation_id: str | None, area_code: str | None = None
) -> httpx2.Client:
    """A client with a new key of these duties."""
    made = new_key()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO cim.api_key (prefix, digest, label, role, organisation_id, duties, area_code) "
            "VALUES (%s, %s, %s, 'reader', %s, %s, %s)",
            [made.prefix, made.digest, "-".join(duties), organisation_id, list(duties), area_code],
        )
    return httpx2.Client(base_url=server.url, timeout=30, headers={"X-API-Key": made.key}, verify=NO_TLS)


@pytest.fixture(scope="module")
def anyone(running: Server) -> Iterator[httpx2.Client]:
    """A caller without a key."""
    with httpx2.Client(base_url=running.url, timeout=30, verify=NO_TLS) as client:
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


def put_on_the_shelf(admin: Admin, service_id: str, **members: Any) -> None:
    """Register, submit, approve by another, publish."""
    assert admin.post("/catalogue/items", json=service(service_id, **members)).status_code == 201
    review_and_publish(admin, service_id)


def review_and_publish(admin: Admin, service_id: str) -> httpx2.Response:
    """The draft of a service, reviewed by another and put on the shelf."""
    home = f"/catalogue/items/{service_id}"
    submitted = admin.post(f"{home}/submit")
    assert submitted.status_code == 200, submitted.text
    approved = admin.reviewer.post(f"{home}/approve", json={"content_hash": submitted.json()["working"]["contentHash"]})
    assert approved.status_code == 200, approved.text
    published = admin.post(f"{home}/publish")
    assert published.status_code == 200, published.text
    return published
