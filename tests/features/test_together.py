"""Small questions asked at the same time are answered by one statement, each to who asked."""

import asyncio
from collections.abc import Iterator

import httpx2
import pytest

from cim.db.pool import Database
from cim.db.together import Together, _Lane
from cim.settings import Settings
from cim.sql import Cast, Sql
from tests.city import City, square
from tests.conftest import Server, serving

ADMIN = "an-admin-key-of-the-tests"
HOME = "/collections/buildings/items"


@pytest.fixture(scope="module")
def server(city: City, module_database_url: str) -> Iterator[Server]:
    """50 buildings with names of their own, in two districts."""
    for number in range(50):
        city.building(
            square(114.0 + number * 1e-3, 22.5),
            key=f"{number:02}",
            name=f"楼 {number}",
            area_code="440304" if number % 2 else "440305",
        )
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
    for one, answer in zip(wanted, asked(server, [(f"/test.{one}", {}) for one in wanted]), strict=True):
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
        (f"/test.{number:02}", headers) for number in range(50) for headers in ({}, reader, {"Accept": "text/html"})
    ]
    for (one, headers), answer in zip(wanted, asked(server, wanted), strict=True):
        if headers is not reader:
            assert f"楼 {int(one[6:])}" in answer.text
        elif int(one[6:]) % 2:
            assert "name" not in answer.json()["properties"]
        else:
            assert answer.status_code == 404


def test_everybody_gets_the_page_of_their_box(server):
    """Buildings stand a thousandth of a degree apart, so a box tells how many it holds."""
    asks = []
    for number in range(200):
        first, width, limit = number % 50, 1 + number % 7, (1, 3, 10)[number % 3]
        west = 114.0 + first * 1e-3 - 1e-4
        held = [f"test.{one:02}" for one in range(first, min(first + width, 50))]
        f = "" if number % 4 else "&f=geojsonl"
        asks.append((f"?bbox={west:.5f},22.49,{west + width * 1e-3 - 1e-4:.5f},22.51&limit={limit}{f}", held, limit))
    for (address, held, limit), answer in zip(asks, asked(server, [(one[0], {}) for one in asks]), strict=True):
        assert answer.status_code == 200, answer.text
        if "geojsonl" in address:
            assert answer.text.count("\x1e") == min(limit, len(held))
            continue
        page = answer.json()
        assert [one["id"] for one in page["features"]] == held[:limit]
        assert page["numberReturned"] == len(held[:limit])
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        assert bool(following) == (len(held) > limit)
        if following:
            rest = httpx2.get(server.url + "/" + following[0].partition("//")[2].partition("/")[2]).json()
            assert [one["id"] for one in rest["features"]] == held[limit : 2 * limit]


def test_a_box_that_fails_fails_alone(server):
    asks = ["?bbox=114,22.49,114.01,22.51&limit=5", "?bbox=114,22.51,114.01,22.49&limit=5", "?bbox=114,x&limit=5"] * 10
    found = [answer.status_code for answer in asked(server, [(one, {}) for one in asks])]
    assert found == [200, 400, 400] * 10


def test_a_quick_question_does_not_wait_for_a_slow_one(module_database_url):
    asleep = "SELECT seconds, pg_sleep(seconds) FROM unnest({}) AS seconds"

    async def ask() -> list[float]:
        database = Database(Settings(DATABASE_URL=module_database_url))
        await database.open()
        together = Together(database)
        lane = _Lane(lambda seconds: Sql.of(asleep, Cast(seconds, "float8[]")), is_numbered=False)
        ended: list[float] = []

        async def one(seconds: float, after: float) -> None:
            await asyncio.sleep(after)
            row = await together._ask("asleep", lane, seconds)
            assert row is not None
            ended.append(row["seconds"])

        try:
            await asyncio.gather(one(1.0, 0), one(0.01, 0.001), one(0.02, 0.1), one(0.03, 0.3))
            assert (lane.running, lane.late, lane.waiting, together._lanes) == (0, 0, [], {})
        finally:
            await database.close()
        return ended

    assert asyncio.run(ask()) == [0.01, 0.02, 0.03, 1.0]
