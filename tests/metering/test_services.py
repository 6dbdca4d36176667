"""Calls through `/services/{id}/…` of a real server with four workers: counted, limited, and told to both sides alike."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psycopg
import pytest

from cim.db.keys import create_key
from cim.db.rights import Rights
from tests.city import City, square
from tests.conftest import NO_TLS
from tests.metering.conftest import Door, check_sums, rows, settled
from tests.problems import assert_problem

ITEMS = "/services/parcels/items"


@dataclass(frozen=True, slots=True)
class Town:
    """A server, its database, where it spools, and keys of two organisations."""

    url: str
    database_url: str
    folder: Path
    owner: str
    caller: str

    def ask(self, path: str, key: str | None = None, **asked: object) -> httpx2.Response:
        """One request on a connection of its own, so that workers share them out."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with httpx2.Client(base_url=self.url, timeout=30, verify=NO_TLS) as client:
            return client.get(path, params=asked, headers=headers)


@pytest.fixture(scope="module")
def town(door: Door, url: str) -> Town:
    """Two buildings, offered by one organisation as two services; another has a grant of 100 calls a day for one of them."""
    city = City(url)
    city.building(square(114, 22.5))
    city.building(square(114.1, 22.5))
    city.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO cim.organisation (id, name_zh, name_en) VALUES ('owner', '甲', 'Owner'), ('caller', '乙', 'Caller')"
        )
        for service in ("parcels", "limited"):
            connection.execute(
                "INSERT INTO cim.service (id, state, kind, organisation_id, title_zh, title_en, collection_id, share_class, "
                "endpoints) VALUES (%s, 'published', 'collection', 'owner', '建筑', 'Buildings', 'buildings', 'conditional', "
                """'[{"url": "/collections/buildings"}]')""",
                (service,),
            )
        connection.execute(
            "INSERT INTO cim.service_grant (service_id, organisation_id, granted_by, quota_day) "
            "VALUES ('parcels', 'caller', 'the tests', NULL), ('limited', 'caller', 'the tests', 100)"
        )
        keys = {name: create_key(connection, Rights("reader"), label=name) for name in ("owner", "caller")}
        connection.execute("UPDATE cim.api_key SET organisation_id = label")
    return Town(door.url, url, door.folder, keys["owner"], keys["caller"])


def test_a_call_has_its_rows_bytes_grant_and_key_in_the_ledger(town: Town) -> None:
    whole = town.ask(ITEMS, town.caller)
    assert whole.status_code == 200
    assert len(whole.json()["features"]) == 2
    wrong = town.ask(ITEMS, town.caller, colour="red")
    assert_problem(wrong, status=400, code="unknown-parameter")
    settled(town.database_url, town.folder)
    found = rows(
        town.database_url,
        "SELECT call_id::text, organisation_id, status, outcome, rows, bytes > 100, grant_id <> '', origin, length(key_prefix) "
        "FROM cim.call WHERE service_id = 'parcels' AND organisation_id = 'caller' ORDER BY received_at",
    )
    assert found == [
        (whole.headers["x-call-id"], "caller", 200, "answered", 2, True, True, "here", 12),
        (wrong.headers["x-call-id"], "caller", 400, "answered", 0, True, True, "here", 12),
    ]


def test_calls_without_a_right_are_counted_apart(town: Town) -> None:
    before = rows(town.database_url, "SELECT count(*) FROM cim.call WHERE outcome = 'refused'")[0][0]
    assert_problem(town.ask(ITEMS), status=401, code="unauthorized")
    assert_problem(town.ask(ITEMS, "cim_0123456789abcdef0123456789abcdef"), status=401, code="unauthorized")
    assert_problem(
        town.ask("/services/none/items", "cim_0123456789abcdef0123456789abcdef"), status=401, code="unauthorized"
    )
    assert town.ask("/services/none/items").status_code == 404
    assert town.ask("/collections/buildings/items").status_code == 200  # the node's own address is not metered
    settled(town.database_url, town.folder)
    assert rows(town.database_url, "SELECT count(*) FROM cim.call WHERE outcome = 'refused'") == [(before + 2,)]
    assert rows(
        town.database_url,
        "SELECT calls, denied FROM cim.call_day WHERE organisation_id = 'anonymous' AND service_id = 'parcels'",
    ) == [(0, 2)]


def test_F06_a_quota_through_the_gateway_and_both_sides_read_the_same(town: Town) -> None:
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: town.ask("/services/limited/items", town.caller, limit=1), range(200)))
    assert Counter(one.status_code for one in answers) == {200: 100, 429: 100}
    refused = next(one for one in answers if one.status_code == 429)
    document = assert_problem(refused, status=429, code="quota-exceeded")
    assert (document["limit"], document["violated-policies"]) == (100, ["day"])
    assert int(refused.headers["retry-after"]) > 0
    passed = next(one for one in answers if one.status_code == 200)
    assert passed.headers["ratelimit-policy"] == '"day";q=100;w=86400'
    settled(town.database_url, town.folder)
    consumer = town.ask("/statements", town.caller, service="limited").json()
    owner = town.ask("/statements", town.owner, side="owner", service="limited").json()
    assert consumer["total"] == owner["total"]
    assert (consumer["total"]["calls"], consumer["total"]["denied"], consumer["total"]["rows"]) == (100, 100, 100)
    check_sums(town.database_url)
    assert "cim_meter_spooled_bytes" in town.ask("/metrics").text
