"""Features asked for by their ids at the same time come by one statement, each to who asked for it."""

import asyncio
from collections.abc import Iterator

import httpx2
import pytest

from tests.city import City
from tests.conftest import Server, serving

ADMIN = "an-admin-key-of-the-tests"
HOME = "/collections/buildings/items/"


@pytest.fixture(scope="module")
def server(city: City, module_database_url: str) -> Iterator[Server]:
    """50 buildings with names of their own, in two districts."""
    for number in range(50):
        city.building(key=f"{number:02}", name=f"楼 {number}", area_code="440304" if number % 2 else "440305")
    with serving(module_database_url, CIM_ADMIN_KEY=ADMIN) as server:
        yield server


def asked(server: Server, asks: list[tuple[str, dict[str, str]]]) -> list[httpx2.Response]:
    """The answers to requests that are sent at once."""

    async def ask() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(base_url=server.url, timeout=30) as client:
            return await asyncio.gather(*[client.get(HOME + one, headers=headers) for one, headers in asks])

    return asyncio.run(ask())


def test_everybody_gets_the_feature_they_asked_for(server):
    wanted = [f"{number % 60:02}" for number in range(300)]  # some twice, some that there are not
    for one, answer in zip(wanted, asked(server, [(f"test.{one}", {}) for one in wanted]), strict=True):
        if int(one) < 50:
            assert answer.json()["properties"]["name"] == f"楼 {int(one)}"
            assert answer.json()["links"][0]["href"].endswith(f"/test.{one}")
            assert answer.headers["ETag"].startswith('"')
        else:
            assert answer.status_code == 404


def test_what_one_may_see_another_one_does_not(server):
    made = httpx2.post(
        f"{server.url}/admin/keys",
        json={"role": "reader", "label": "t", "area_code": "440304", "hidden": ["name"]},
        headers={"X-API-Key": ADMIN},
    )
    reader = {"X-API-Key": made.json()["key"]}
    wanted = [
        (f"test.{number:02}", headers) for number in range(50) for headers in ({}, reader, {"Accept": "text/html"})
    ]
    for (one, headers), answer in zip(wanted, asked(server, wanted), strict=True):
        if headers is not reader:
            assert f"楼 {int(one[5:])}" in answer.text
        elif int(one[5:]) % 2:
            assert "name" not in answer.json()["properties"]
        else:
            assert answer.status_code == 404
