"""How many match: exact, labelled as an estimate, or not said."""

import asyncio
import time
from typing import Any

import pytest

from api.counting import count_matched
from cim.db.pool import Database
from cim.db.registry import Registry
from cim.model import Scope
from cim.query.feature_query import FeatureQuery
from cim.settings import Settings
from cim.sql import Sql
from tests.city import City
from tests.problems import assert_problem

ITEMS = "/collections/buildings/items"
SEARCH = "/collections/buildings/search"
SEED = """
INSERT INTO cim.building (id, source, source_id, geom, use)
SELECT 'test.' || lpad(n::text, 6, '0'), 'test', n::text, ST_Multi(ST_MakeEnvelope(x, y, x + 0.0002, y + 0.0002, 4326)),
       CASE WHEN n % 4 = 0 THEN 'office' ELSE 'residential' END
FROM (SELECT n, 113.9 + (n % 300) * 0.002 AS x, 22.4 + n / 300 * 0.004 AS y FROM generate_series(0, 59999) AS n) AS places
"""


@pytest.fixture(scope="module")
def town(city: City, client: Any) -> City:
    """60,000 buildings, a quarter of them offices."""
    city.buildings_sql(SEED)
    city.settle(client)
    return city


def numbers(answer: Any) -> dict[str, int]:
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in answer.json().items() if name.startswith("numberMatched")}


def test_a_number_that_would_cost_is_not_said_unless_asked_for(client: Any, town: City) -> None:
    assert numbers(client.get(ITEMS, params={"use": "office"})) == {}
    assert numbers(client.get(ITEMS)) == {"numberMatched": 60_000}


def test_an_exact_count_is_exact_on_every_page(client: Any, town: City) -> None:
    page = client.get(ITEMS, params={"use": "office", "count": "exact", "limit": 100})
    assert numbers(page) == {"numberMatched": 15_000}
    following = next(link["href"] for link in page.json()["links"] if link["rel"] == "next")
    assert numbers(client.get(following)) == {"numberMatched": 15_000}
    assert numbers(client.post(SEARCH, json={"properties": {"use": "office"}, "count": "exact"})) == {
        "numberMatched": 15_000
    }
    assert numbers(client.get(ITEMS, params={"count": "exact"})) == {"numberMatched": 60_000}


def test_an_estimate_has_a_name_of_its_own_and_is_near(client: Any, town: City) -> None:
    found = numbers(client.get(ITEMS, params={"use": "office", "count": "estimate"}))
    assert set(found) == {"numberMatchedEstimate"}
    assert found["numberMatchedEstimate"] == pytest.approx(15_000, rel=0.1)
    assert found["numberMatchedEstimate"] % 100 == 0
    again = numbers(client.get(ITEMS, params={"use": "office", "count": "estimate"}))
    assert again == found


def test_an_estimate_of_few_is_their_number(client: Any, town: City) -> None:
    found = numbers(client.get(ITEMS, params={"bbox": "113.9,22.4,114.0,22.5", "limit": 1, "count": "estimate"}))
    assert found == {"numberMatched": 51 * 26}


def test_a_count_past_its_deadline_is_cancelled_and_not_said(town: City, module_database_url: str) -> None:
    """A count of all pairs would take minutes; its deadline cancels it on the server, that of the sample too."""
    pairs = "(SELECT count(*) FROM cim.building AS one, cim.building AS other WHERE other.name = {}) = 0"
    query = FeatureQuery(filter=Sql.of(pairs, "x"))

    async def count() -> dict[str, int]:
        database = Database(Settings(DATABASE_URL=module_database_url))
        await database.open()
        try:
            registry = Registry(database)
            await registry.reload()
            return await count_matched(database, registry.get("buildings"), query, Scope(), "estimate")
        finally:
            await database.close()

    town.connection.execute("UPDATE cim.building SET name = 'x'")
    began = time.monotonic()
    assert asyncio.run(count()) == {}
    assert time.monotonic() - began < 8
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() "
        "AND query LIKE '%AS one, cim.building AS other%'"
    )
    row = town.connection.execute(running).fetchone()
    assert row is not None
    assert row[0] == 0


@pytest.mark.parametrize("value", ["", "yes", "EXACT", "exact,estimate"])
def test_other_words_are_refused(client: Any, town: City, value: str) -> None:
    assert_problem(client.get(ITEMS, params={"count": value}), status=400, code="invalid-parameter", parameter="count")
    answer = client.post(SEARCH, json={"count": value})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="count")
