"""The order of a service's life: what may follow what, by whom, and that each step is told once (B42, separation of duties)."""

import json
from typing import Any

import httpx2
import psycopg
import pytest

from tests.catalogue import shared
from tests.catalogue.conftest import WAIT, Admin, keyed, service
from tests.conftest import Server
from tests.problems import assert_problem

running, module_database_url = shared.running, shared.module_database_url

STEPS: dict[str, tuple[str, ...]] = {
    "draft": (),
    "in_review": ("submit",),
    "approved": ("submit", "approve"),
    "published": ("submit", "approve", "publish"),
    "suspended": ("submit", "approve", "publish", "suspend"),
    "withdrawn": ("submit", "approve", "publish", "withdraw"),
    "archived": ("submit", "approve", "publish", "withdraw", "archive"),
}
"""State → the events that lead there from a registration."""

LEADS: dict[str, dict[str, str | None]] = {
    "draft": {"submit": "in_review", "discard": None},
    "in_review": {"recall": "draft", "return": "draft", "approve": "approved"},
    "approved": {"return": "draft", "publish": "published"},
    "published": {"suspend": "suspended", "withdraw": "withdrawn"},
    "suspended": {"resume": "published", "withdraw": "withdrawn"},
    "withdrawn": {"republish": "published", "archive": "archived"},
    "archived": {},
}
"""State → event → state that it leads to, written down here by hand; what is not here must be refused."""

EVENTS = sorted({event for leads in LEADS.values() for event in leads})


def send(admin: Admin, service_id: str, event: str, content_hash: str | None = None) -> httpx2.Response:
    """An event by somebody who may: reviews by another person."""
    home = f"/catalogue/items/{service_id}"
    client = admin.reviewer if event in ("approve", "return") else admin
    body: dict[str, Any] = {"why": "as the test says"}
    if event == "approve":
        told = admin.get(home).json().get("working") or {}
        body["content_hash"] = content_hash or told.get("contentHash")
    return client.post(f"{home}/{event}", json=body)


def bring(admin: Admin, service_id: str, state: str) -> None:
    """A new service in that state."""
    assert admin.post("/catalogue/items", json=service(service_id)).status_code == 201
    for event in STEPS[state]:
        answer = send(admin, service_id, event)
        assert answer.status_code == 200, (event, answer.text)


def told(url: str, service_id: str) -> tuple[str | None, list[str]]:
    """The state that counts, and the events of the audit, as the database has them."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT coalesce((SELECT state FROM cim.service_version WHERE service_id = s.id "
            "AND state IN ('draft', 'in_review', 'approved')), s.state) FROM cim.service AS s WHERE id = %s",
            [service_id],
        ).fetchone()
        events = connection.execute(
            "SELECT event FROM cim.audit WHERE subject_kind = 'service' AND subject_id = %s ORDER BY number",
            [service_id],
        ).fetchall()
    return (None if row is None else row[0]), [event for (event,) in events]


@pytest.mark.parametrize("state", STEPS)
def test_B42_every_event_in_every_state_is_taken_or_refused_with_those_allowed(
    admin: Admin, module_database_url: str, state: str
) -> None:
    for event in EVENTS:
        name = f"pair-{state}-{event}".replace("_", "-")
        bring(admin, name, state)
        before = told(module_database_url, name)
        assert before[0] == state
        answer = send(admin, name, event, "0" * 64 if state != "in_review" else None)
        after = told(module_database_url, name)
        if event in LEADS[state]:
            assert answer.status_code == (204 if event == "discard" else 200), (event, answer.text)
            assert after[0] == LEADS[state][event]
            assert after[1][len(before[1]) :] == [event]
        else:
            problem = assert_problem(answer, status=409, code="conflict")
            assert set(problem["allowed"]) == set(LEADS[state]), event
            assert after == before


def test_B42_the_states_of_the_database_are_those_of_the_table(module_database_url: str) -> None:
    with psycopg.connect(module_database_url) as connection:
        for table in ("service", "service_version"):
            row = connection.execute(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [f"{table}_state_check"]
            ).fetchone()
            assert row is not None
            assert {word for word in row[0].split("'")[1::2] if word.isidentifier()} == set(STEPS)


def test_nobody_approves_what_they_edited_or_submitted(admin: Admin, running: Server, module_database_url: str) -> None:
    everything = ("publisher", "reviewer", "org_admin")
    with (
        keyed(running, module_database_url, everything, "planning") as author,
        keyed(running, module_database_url, everything, "planning") as colleague,
    ):
        home = "/catalogue/items/own-work"
        assert author.post("/catalogue/items", json=service("own-work")).status_code == 201
        sent = author.post(f"{home}/submit").json()["working"]["contentHash"]
        refused = author.post(f"{home}/approve", json={"content_hash": sent})
        assert_problem(refused, status=409, code="conflict")
        assert_problem(colleague.post(f"{home}/approve", json={"content_hash": "0" * 64}), status=409, code="conflict")
        assert_problem(
            author.patch(home, json={"title_en": "Quietly changed"}, headers={"If-Match": "*"}),
            status=409,
            code="conflict",
        )
        assert colleague.post(f"{home}/approve", json={"content_hash": sent}).status_code == 200
        assert_problem(colleague.post(f"{home}/approve", json={"content_hash": sent}), status=409, code="conflict")
        assert author.post(f"{home}/publish").status_code == 200


def test_an_edit_waits_beside_what_is_on_the_shelf(admin: Admin, anyone: httpx2.Client) -> None:
    bring(admin, "two-faces", "published")
    home = "/catalogue/items/two-faces"
    assert admin.patch(home, json={"title_en": "The second"}, headers={"If-Match": "*"}).status_code == 200
    assert anyone.get(home).json()["properties"]["title"] != "The second"
    assert "working" not in anyone.get(home).json()
    for event in ("submit", "approve"):
        assert send(admin, "two-faces", event).status_code == 200
        assert "The second" not in anyone.get(home, params={"lang": "en"}).text
    assert send(admin, "two-faces", "publish").status_code == 200
    assert "The second" in anyone.get(home, params={"lang": "en"}).text
    versions = admin.get(f"{home}/versions").json()["versions"]
    states = {one["number"]: one["state"] for one in versions}
    former, later = min(states), max(states)
    assert (states[later], states[former]) == ("published", "archived")
    changed = admin.get(f"{home}/versions/{former}/compare/{later}").json()["members"]
    assert changed == {"title_en": {"from": "Historical imagery", "to": "The second"}}


def test_what_comes_in_bulk_by_http_is_reviewed_by_another(
    admin: Admin, running: Server, module_database_url: str
) -> None:
    row = service("in-bulk", state="published")
    with keyed(running, module_database_url, ("city_admin", "reviewer"), None) as city:
        sent = city.post("/catalogue/loads?filename=s.json", content=json.dumps([row]).encode(), headers=WAIT)
        assert sent.status_code == 200, sent.text
        assert sent.json()["account"]["inserted"] == 1
        home = "/catalogue/items/in-bulk"
        working = city.get(home).json()["working"]
        assert working["state"] == "draft"
        assert city.post(f"{home}/submit").status_code == 200
        own = city.post(f"{home}/approve", json={"content_hash": working["contentHash"]})
        assert_problem(own, status=409, code="conflict")
    assert send(admin, "in-bulk", "approve").status_code == 200
