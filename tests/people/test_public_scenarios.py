"""The register of scenarios: what their organisations made public, for everybody."""

from typing import Any

import pytest

from tests.people.conftest import Node
from tests.problems import assert_problem

REGISTER = "/catalogue/scenarios"


@pytest.fixture(scope="module")
def told(node: Node, connection: Any) -> Node:
    """Two scenarios of water that are public, one with a grant for a service; one of roads that is not; a service off the shelf."""
    for service_id, state in (("maps", "published"), ("old", "withdrawn")):
        connection.execute(
            "INSERT INTO cim.service (id, state, kind, organisation_id, title_zh, title_en) "
            "VALUES (%s, %s, 'wms', 'planning', '地图', 'Maps')",
            [service_id, state],
        )
    water, roads = node.session("boss.water"), node.session("boss.roads")
    flood = {"id": "flood", "title_zh": "城市内涝模拟", "title_en": "Flooding", "contact": "Ms Wang", "is_public": True}
    assert water.post("/scenarios", json={**flood, "description": "100%_ of the sewers"}).status_code == 201
    assert water.post("/scenarios", json={"id": "pumps", "title_en": "Pumps"}).json()["is_public"] is False
    assert water.patch("/scenarios/pumps", json={"is_public": True}).json()["is_public"] is True
    assert roads.post("/scenarios", json={"id": "kept", "title_en": "Kept to ourselves"}).status_code == 201
    for service_id, scenario_id, organisation_id in (
        ("maps", "flood", "water"),
        ("old", "flood", "water"),
        ("maps", "kept", "roads"),
    ):
        connection.execute(
            "INSERT INTO cim.service_grant (service_id, organisation_id, scenario_id, granted_by) VALUES (%s, %s, %s, 'x')",
            [service_id, organisation_id, scenario_id],
        )
    return node


def ids(node: Node, **query: object) -> list[str]:
    answer = node.client().get(REGISTER, params=query)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["scenarios"]]


def test_everybody_finds_what_is_public_and_nothing_else(told: Node) -> None:
    assert ids(told) == ["flood", "pumps"]
    (flood,) = told.client().get(f"{REGISTER}?q=内涝").json()["scenarios"]
    assert flood["services"] == [{"id": "maps", "title_zh": "地图", "title_en": "Maps"}]
    assert (flood["organisation"], flood["organisation_en"]) == ("water", "water")
    assert not {"contact", "created_by", "grants"} & set(flood)
    assert told.client().get(f"{REGISTER}/flood").json() == flood
    assert_problem(told.client().get(f"{REGISTER}/kept"), status=404, code="not-found")


def test_they_are_found_by_words_services_and_organisations(told: Node) -> None:
    for query, wanted in (
        ({"q": "FLOOD"}, ["flood"]),
        ({"q": "pump,flooding"}, ["flood", "pumps"]),
        ({"q": "100%_"}, ["flood"]),
        ({"q": "100x"}, []),
        ({"q": "ourselves"}, []),
        ({"q": "water"}, ["flood", "pumps"]),
        ({"service": "maps"}, ["flood"]),
        ({"service": "old"}, []),
        ({"organisation": "roads"}, []),
        ({"organisation": "water", "q": "pumps"}, ["pumps"]),
    ):
        assert ids(told, **query) == wanted, query
    page = told.client().get(f"{REGISTER}?limit=1").json()
    (following,) = [link["href"] for link in page["links"] if link["rel"] == "next"]
    assert [one["id"] for one in told.client().get(following).json()["scenarios"]] == ["pumps"]
    assert_problem(told.client().get(f"{REGISTER}?q=x"), status=400, code="invalid-parameter", parameter="q")
    assert_problem(
        told.client().get(f"{REGISTER}?state=active"), status=400, code="unknown-parameter", parameter="state"
    )


def test_only_those_with_a_duty_make_one_public(told: Node) -> None:
    clerk = told.session("clerk")
    assert clerk.post("/scenarios", json={"id": "idea", "title_en": "An idea"}).status_code == 201
    assert_problem(clerk.patch("/scenarios/idea", json={"is_public": True}), status=403, code="forbidden")
    assert_problem(clerk.post("/scenarios", json={"title_en": "b", "is_public": True}), status=403, code="forbidden")
    assert_problem(
        told.session("boss.water").patch("/scenarios/idea", json={"is_public": "yes"}),
        status=400,
        code="invalid-parameter",
        parameter="is_public",
    )
    assert "idea" not in ids(told)


def test_it_ends_with_the_scenario_or_the_organisation(told: Node) -> None:
    water = told.session("boss.water")
    water.patch("/scenarios/pumps", json={"state": "archived"}).raise_for_status()
    assert ids(told) == ["flood"]
    water.patch("/scenarios/pumps", json={"state": "active"}).raise_for_status()
    told.admin.patch("/organisations/water", json={"state": "suspended"}).raise_for_status()
    assert ids(told) == []
    told.admin.patch("/organisations/water", json={"state": "active"}).raise_for_status()
    assert ids(told) == ["flood", "pumps"]
