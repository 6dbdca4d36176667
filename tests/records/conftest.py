"""A server with services on the shelf that differ in all that records are asked for by."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import psycopg
import pytest

from tests.conftest import NO_TLS, Server, serving

ADMIN = "admin-key-of-the-records-tests"

ORGANISATIONS = (("planning", "规划局", "Planning Bureau"), ("water", "水务局", "Water Authority"))

SERVICES: dict[str, dict[str, Any]] = {
    "imagery": {
        "kind": "wms",
        "title_zh": "历史影像服务",
        "title_en": "Historical imagery",
        "description_zh": "一九八〇年以来的航空影像。",
        "description_en": "Aerial photographs since 1980.",
        "themes": ["imagery", "规划"],
        "geom": (113.8, 22.5, 114.1, 22.7),
        "area_code": "440305",
        "time_from": "1980-01-01",
        "time_to": "2020-12-31",
        "cim_level": 2,
        "update_cycle": "yearly",
        "share_class": "unconditional",
        "endpoints": [{"url": "https://maps.example/wms", "kind": "wms"}],
        "licence": "CC-BY-4.0",
    },
    "pipes": {
        "kind": "wfs",
        "organisation_id": "water",
        "title_zh": "地下管线",
        "title_en": "Pipelines underground",
        "description_zh": "供水与排水管网。",
        "description_en": "Mains and sewers, with historical maps.",
        "themes": ["water", "规划"],
        "geom": (114.2, 22.6, 114.3, 22.7),
        "area_code": "440303001",
        "time_from": "2015-06-01",
        "cim_level": 4,
        "update_cycle": "daily",
        "endpoints": [{"url": "https://water.example/wfs", "kind": "wfs"}],
        "licence": "供水数据许可 2.0",
        "harvest_id": "water-csw",
        "remote_id": "urn:x:pipes",
        "provenance": {"harvest": "water-csw", "source": "https://water.example/csw"},
    },
    "terrain": {
        "kind": "file",
        "title_zh": "地形 <script>alert(1)</script>",
        "title_en": '=HYPERLINK("https://evil.example")',
        "description_zh": "javascript:alert(1)",
        "description_en": "Terrain of 2024; a <b>file</b> & more.",
        "themes": ["terrain"],
        "time_from": "2024-03-01",
        "time_to": "2024-03-31",
        "share_class": "not_shared",
        "endpoints": [{"url": "https://files.example/terrain.tif", "kind": "file"}],
        "contact": "+8675588888888",
    },
    "tiles": {
        "kind": "xyz",
        "title_zh": "",
        "title_en": "Base map",
        "description_zh": "",
        "description_en": "A base map in tiles.",
        "themes": [],
        "geom": (113.7, 22.4, 114.7, 22.9),
        "area_code": "4403",
        "endpoints": [{"url": "https://tiles.example/{z}/{x}/{y}.png", "kind": "xyz"}],
    },
    "own": {
        "kind": "features",
        "title_zh": "历史",
        "title_en": "Buildings",
        "description_zh": "建筑要素。",
        "description_en": "Buildings as features.",
        "themes": ["规划", "buildings"],
        "collection_id": "buildings",
        "endpoints": [{"url": "/collections/buildings/items", "kind": "features"}],
    },
    "unfinished": {"state": "draft", "kind": "wms", "title_zh": "草稿", "title_en": "Draft"},
    "gone": {"state": "withdrawn", "kind": "wms", "title_zh": "已下架", "title_en": "Gone"},
}
ON_THE_SHELF = {"imagery", "pipes", "terrain", "tiles", "own"}


def write_service(connection: psycopg.Connection[Any], service_id: str, **members: Any) -> None:
    """A row as registration and review leave it."""
    values: dict[str, Any] = {
        "organisation_id": "planning",
        "state": "published",
        "contact": "desk@planning.example",
        "content_hash": f"{hash(service_id) & 0xFFFFFFFF:064x}",
        **members,
    }
    box = values.pop("geom", None)
    for name in ("themes", "endpoints", "provenance"):
        if name in values:
            values[name] = json.dumps(values[name])
    values["published_at"] = None if values["state"] == "draft" else "2026-11-01T00:00:00Z"
    columns = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    edges = "NULL" if box is None else f"ST_MakeEnvelope({box[0]}, {box[1]}, {box[2]}, {box[3]}, 4326)"
    connection.execute(
        f"INSERT INTO cim.service (id, geom, {columns}) VALUES (%s, {edges}, {marks})".encode(),
        [service_id, *values.values()],
    )


@pytest.fixture(scope="module")
def running(module_database_url: str) -> Iterator[Server]:
    """One server for a file of tests, the services written."""
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        for key, zh, en in ORGANISATIONS:
            connection.execute("INSERT INTO cim.organisation (id, name_zh, name_en) VALUES (%s, %s, %s)", [key, zh, en])
        for service_id, members in SERVICES.items():
            write_service(connection, service_id, **members)
    with serving(module_database_url, CIM_ADMIN_KEY=ADMIN) as server:
        yield server


@pytest.fixture(scope="module")
def admin(running: Server) -> Iterator[httpx2.Client]:
    """An admin."""
    with httpx2.Client(
        base_url=running.url, timeout=30, headers={"Authorization": f"Bearer {ADMIN}"}, verify=NO_TLS
    ) as client:
        yield client


@pytest.fixture(scope="module")
def anyone(running: Server) -> Iterator[httpx2.Client]:
    """A caller without a key."""
    with httpx2.Client(base_url=running.url, timeout=30, verify=NO_TLS) as client:
        yield client


def found(client: httpx2.Client, path: str = "/collections/catalogue/items", **query: object) -> list[str]:
    """Ids of the records, in order."""
    response = client.get(path, params=query)
    assert response.status_code == 200, response.text
    return [record["id"] for record in response.json()["features"]]
