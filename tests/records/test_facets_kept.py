"""Counts that a worker keeps are those of the catalogue as it is when they are asked for."""

from typing import Any

import httpx2
import psycopg
import pytest

from tests.catalogue.conftest import keyed
from tests.records.conftest import write_service

HOME = "/collections/catalogue/items"


def kinds(client: httpx2.Client, **query: Any) -> dict[str, int]:
    answer = client.get(HOME, params={"facets": "kind", "limit": 1, **query})
    assert answer.status_code == 200, answer.text
    return {one["value"]: one["count"] for one in answer.json()["facets"]["kind"]["buckets"]}


@pytest.fixture
def connection(module_database_url):
    with psycopg.connect(module_database_url, autocommit=True) as opened:
        yield opened


def test_a_change_is_counted_by_the_next_question(anyone, admin, connection):
    before = kinds(anyone)
    assert kinds(anyone) == before
    write_service(connection, "new-one", kind="i3s", title_zh="新", title_en="New")
    assert kinds(anyone) == {**before, "i3s": 1}
    home = "/catalogue/items/brought"
    draft = {"id": "brought", "kind": "s3m", "title_en": "Brought", "organisation_id": "planning"}
    drafts = kinds(admin, state="draft")
    assert admin.post("/catalogue/items", json=draft).status_code == 201
    assert kinds(anyone) == {**before, "i3s": 1}
    assert kinds(admin, state="draft") == {**drafts, "s3m": 1}
    assert admin.delete(home).status_code == 204
    assert kinds(admin, state="draft") == drafts


def test_the_name_of_an_organisation_is_part_of_what_words_find(anyone, admin):
    assert kinds(anyone, q="Meteorology") == {}
    was = {"name_zh": "水务局", "name_en": "Water Authority"}
    admin.put("/catalogue/organisations/water", json={**was, "name_en": "Meteorology"}).raise_for_status()
    assert kinds(anyone, q="Meteorology") == {"wfs": 1}
    admin.put("/catalogue/organisations/water", json=was).raise_for_status()
    assert kinds(anyone, q="Meteorology") == {}


def test_nobody_is_told_the_counts_of_another(anyone, admin, running, module_database_url):
    with keyed(running, module_database_url, ("publisher",), "planning") as publisher:
        for _ in range(2):
            seen = [sum(kinds(client).values()) for client in (admin, publisher, anyone)]
            listed = [len(client.get(f"{HOME}?limit=100").json()["features"]) for client in (admin, publisher, anyone)]
            assert seen == listed
            assert seen[0] >= seen[1] > seen[2]


def test_what_is_asked_of_other_tables_is_counted_each_time(anyone, connection):
    assert kinds(anyone, health="up") == {}
    connection.execute(
        "INSERT INTO cim.service_health (service_id, state, checked_at, since, next_at) VALUES ('tiles', 'up', now(), now(), now())"
    )
    assert kinds(anyone, health="up") == {"xyz": 1}
    assert kinds(anyone, area="无名区") == {}
    assert kinds(anyone, filter="cimLevel = 4") == {"wfs": 1}


@pytest.mark.parametrize("text", ["100%", "a_b", "c\\d", "%%", "__"])
def test_signs_that_patterns_have_stand_for_themselves(anyone, connection, text):
    assert kinds(anyone, q=text) == {}
    connection.execute(
        "UPDATE cim.service SET description_en = %s, updated_at = now() WHERE id = 'own'", [f"it is {text} x"]
    )
    assert kinds(anyone, q=text) == {"features": 1}
    for other in ("1000", "axb", "cd", "xx y"):
        assert kinds(anyone, q=other) == {}
    connection.execute("UPDATE cim.service SET description_en = 'Buildings', updated_at = now() WHERE id = 'own'")
