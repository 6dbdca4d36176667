"""Pages put together from texts that are kept beside the features say what the features say, whoever wrote them last."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from cim.bbox import parse_bbox
from cim.query.feature_query import FeatureQuery
from cim.query.kept import MIN_FEATURES
from tests.city import City
from tests.conftest import serving
from tests.features.test_plans import plan

ADMIN = "an-admin-key-of-the-tests"
PAGE = "/collections/buildings/items?limit=10000"
IN_A_BOX = "/collections/buildings/items?bbox=113.9,22.4,114.0,22.5&limit=500"


def until(true: Callable[[], bool]) -> None:
    """Wait until it is true, half a minute at most."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Town:
    """A city large enough that texts are kept, and the client of its server."""

    city: City
    client: httpx2.Client

    def value(self, statement: str) -> Any:
        """The one value of a statement."""
        return self.city.run_text(statement).fetchone()[0]

    def features(self, address: str, **headers: str) -> list[dict[str, Any]]:
        """The features of a page."""
        answer = self.client.get(address, headers=headers)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["features"]
        return found

    def reads_kept(self) -> bool:
        """True where pages come from the texts that are kept: one of them is changed for a moment, and seen."""
        of_first = (
            "WHERE id = 'test.00001' AND form = (SELECT form FROM cim.kept_form WHERE collection_id = 'buildings')"
        )
        body = self.city.run_text(f"SELECT body FROM cim.kept_text {of_first}").fetchone()[0]
        self.city.run_text(f'UPDATE cim.kept_text SET body = \'{{"id":"kept"}}\' {of_first}')
        try:
            return self.features(IN_A_BOX)[0]["id"] == "kept"
        finally:
            self.city.connection.execute(f"UPDATE cim.kept_text SET body = %s {of_first}".encode(), [body])


@pytest.fixture(scope="module")
def town(city: City, module_database_url: str) -> Iterator[Town]:
    """12,000 buildings, their texts kept."""
    city.buildings_sql(
        "INSERT INTO cim.building (id, source, source_id, name, use, height_m, area_code, valid_from, geom) "
        "SELECT 'test.' || lpad(n::text, 5, '0'), 'test', lpad(n::text, 5, '0'), '楼 \"' || n || E'\"\\n\\\\', 'residential', "
        "n / 7.0, '440304', '2001-02-03T04:05:06+08', ST_Multi(ST_MakeEnvelope(x, y, x + 0.0004, y + 0.0004, 4326)) FROM "
        "(SELECT n, 113.9 + n % 100 * 0.001 AS x, 22.4 + n / 100 * 0.001 AS y FROM generate_series(1, 12000) AS n) AS placed"
    )
    with (
        serving(module_database_url, CIM_ADMIN_KEY=ADMIN) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        town = Town(city, client)
        until(lambda: town.value("SELECT count(*) FROM cim.kept_form WHERE collection_id = 'buildings'") == 1)
        until(town.reads_kept)
        yield town


def live(town: Town, address: str) -> list[str]:
    """The features of a page as text that is made for it: a text sequence is not kept."""
    answer = town.client.get(address + "&f=geojsonl")
    return [line.strip("\x1e\n") for line in answer.text.split("\n") if line]


def test_a_page_of_kept_texts_is_the_page_that_is_made(town):
    for address in (PAGE, IN_A_BOX, IN_A_BOX + "&use=residential", PAGE + "&filter=height_m<100"):
        made = live(town, address)
        assert len(made) > 100
        assert f'"features":[{",".join(made)}]' in town.client.get(address).text
    assert town.value("SELECT count(*) FROM cim.kept_text") == 12_000


def test_features_and_their_texts_are_found_by_indexes(town, module_database_url):
    town.city.run_text("ANALYZE cim.building")
    box = FeatureQuery(bbox=parse_bbox("113.95,22.45,113.96,22.46"))
    for query, index in ((box, "building_geom_idx"), (FeatureQuery(after="test.06000"), "building_pkey")):
        shown = plan(module_database_url, query)
        assert index in shown
        assert "kept_text_pkey" in shown
        assert "Seq Scan" not in shown


def test_a_walk_meets_every_feature_once(town):
    seen = []
    address: str | None = "/collections/buildings/items?limit=5000"
    while address:
        page = town.client.get(address).json()
        seen += [one["id"] for one in page["features"]]
        address = next(
            (link["href"].partition("//")[2].partition("/")[2] for link in page["links"] if link["rel"] == "next"), None
        )
        address = address and "/" + address
    assert len(seen) == len(set(seen)) == town.city.count("buildings")
    assert seen == sorted(seen)


def test_an_edit_is_seen_by_the_next_request_and_kept_afterwards(town):
    address = "/collections/buildings/items/test.00001"
    keyed = {"X-API-Key": ADMIN, "Content-Type": "application/merge-patch+json"}
    for height in (11.0, 12.0):
        etag = town.client.get(address).headers["ETag"]
        patch = json.dumps({"properties": {"height_m": height}})
        assert town.client.patch(address, content=patch, headers={**keyed, "If-Match": etag}).status_code in (200, 204)
        assert town.features(IN_A_BOX)[0]["properties"]["height_m"] == height
    until(
        lambda: (
            "12"
            in town.value(
                "SELECT convert_from(body, 'UTF8')::json #>> '{properties,height_m}' FROM cim.kept_text WHERE id = 'test.00001'"
            )
        )
    )
    assert town.features(IN_A_BOX)[0]["properties"]["height_m"] == 12.0


def test_a_row_written_past_us_is_seen_too(town):
    town.city.run_text("UPDATE cim.building SET name = 'by hand' WHERE id = 'test.00002'")
    assert town.features(IN_A_BOX)[1]["properties"]["name"] == "by hand"


def test_the_text_of_another_version_of_the_same_transaction_number_is_not_taken(town):
    """As after a restore into another server, where transactions are counted anew."""
    town.city.run_text("UPDATE cim.building SET name = 'restored', recorded_at = now() WHERE id = 'test.00003'")
    town.city.run_text(
        "UPDATE cim.kept_text AS k SET version = b.xmin FROM cim.building AS b WHERE b.id = k.id AND k.id = 'test.00003'"
    )
    assert town.features(IN_A_BOX)[2]["properties"]["name"] == "restored"


def test_who_may_not_see_everything_gets_nothing_that_is_kept(town):
    keyed = {"X-API-Key": ADMIN}
    for limits in ({"hidden": ["name"]}, {"precision_m": 500}, {"area_code": "440305"}):
        made = town.client.post("/admin/keys", json={"role": "reader", "label": "t", **limits}, headers=keyed)
        reader = {"X-API-Key": made.json()["key"]}
        found = town.features(IN_A_BOX, **reader)
        if "area_code" in limits:
            assert found == []
        else:
            assert found
            assert "name" not in found[4]["properties"] or found[4]["geometry"]["type"] == "Point"


def test_what_is_shown_otherwise_is_made(town):
    first = town.features(IN_A_BOX + "&properties=use")[0]
    assert first["properties"] == {"use": "residential"}
    assert town.features(IN_A_BOX + "&skipGeometry=true")[0]["geometry"] is None
    moved = town.features(IN_A_BOX + "&crs=http://www.opengis.net/def/crs/EPSG/0/3857")[5]
    assert moved["geometry"]["coordinates"][0][0][0][0] > 12_000_000


def test_texts_of_deleted_features_go(town):
    keyed = {"X-API-Key": ADMIN}
    etag = town.client.get("/collections/buildings/items/test.00009").headers["ETag"]
    answer = town.client.delete("/collections/buildings/items/test.00009", headers={**keyed, "If-Match": etag})
    assert answer.status_code in (200, 204)
    assert "test.00009" not in [one["id"] for one in town.features(IN_A_BOX)]
    until(lambda: town.value("SELECT count(*) FROM cim.kept_text WHERE id = 'test.00009'") == 0)


def test_nothing_is_kept_of_a_collection_that_became_small(town):
    town.city.buildings_sql(f"DELETE FROM cim.building WHERE id > 'test.0{MIN_FEATURES // 2}'")
    until(lambda: town.value("SELECT count(*) FROM cim.kept_text") == 0)
    assert len(town.features(IN_A_BOX)) == 500
    assert f'"features":[{",".join(live(town, IN_A_BOX))}]' in town.client.get(IN_A_BOX).text
