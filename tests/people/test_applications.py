"""From an application to a grant and its end: who hands in, who decides, who is told (catalogue B40, B41)."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from cim.catalogue.grant import Grants
from cim.db.pool import Database
from cim.errors import Forbidden
from cim.model import Scope
from cim.settings import Settings
from tests.problems import assert_problem


@dataclass(frozen=True)
class Face:
    id: str
    organisation_id: str = "planning"
    share_class: str = "conditional"
    state: str = "published"


@pytest.fixture(scope="module")
def node(module_database_url, make_node):
    made = make_node(module_database_url, CIM_REMINDER_EVERY_S="0.3")
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        for service_id, owner, share_class, state in (
            ("roads-wms", "planning", "conditional", "published"), ("rivers", "planning", "conditional", "published"),
            ("bridges", "planning", "conditional", "published"), ("tunnels", "planning", "conditional", "published"),
            ("open-map", "planning", "unconditional", "published"), ("secrets", "planning", "not_shared", "published"),
            ("piers", "planning", "conditional", "published"), ("weirs", "planning", "conditional", "published"),
            ("drafted", "planning", "conditional", "draft"), ("lamps", "roads", "conditional", "published"),
        ):  # fmt: skip
            connection.execute(
                "INSERT INTO cim.service (id, kind, organisation_id, title_zh, title_en, share_class, state) "
                "VALUES (%s, 'wms', %s, '', '', %s, %s)",
                [service_id, owner, share_class, state],
            )
    return made


def apply(client, service_id, **more):
    answer = client.post("/applications", json={"service_id": service_id, "purpose": "洪水模拟", **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def told(client, event):
    return [n for n in client.get("/notifications?limit=1000").json()["notifications"] if n["event"] == event]


def admitted(url, service_id, scope):
    async def ask():
        database = Database(Settings(DATABASE_URL=url))
        await database.open()
        try:
            return await Grants(database).admitted(Face(service_id), scope)
        finally:
            await database.close()

    return asyncio.run(ask())


OF_WATER = Scope(roles=frozenset({"reader"}), organisation_id="water")


def test_apply_grant_call_revoke(node, connection, module_database_url):
    clerk, publisher = node.session("clerk"), node.session("publisher")
    wanted = {"quota_day": 1000, "area_code": "440305", "precision_m": 50}
    applied = apply(clerk, "roads-wms", wanted=wanted)
    assert (applied["state"], applied["owner_id"], applied["wanted"]) == ("submitted", "planning", wanted)
    due, now = datetime.fromisoformat(applied["due_at"]), datetime.now(UTC)
    assert timedelta(days=13) < due - now < timedelta(days=16)  # ten working days hold two weekends
    with pytest.raises(Forbidden):
        admitted(module_database_url, "roads-wms", OF_WATER)
    assert [n["subject_id"] for n in told(publisher, "applied")] == [str(applied["id"])]

    body = {"note": "for the flood season", "conditions": {"quota_day": 500, "rate_calls": 10, "rate_seconds": 1}}
    decided = publisher.post(f"/applications/{applied['id']}/grant", json=body)
    assert decided.status_code == 200, decided.text
    assert (decided.json()["state"], decided.json()["decided_by"]) == ("granted", "person publisher")
    grant = clerk.get(f"/grants/{decided.json()['grant_id']}").json()
    assert [grant[n] for n in ("quota_day", "rate_calls", "rate_seconds", "area_code", "precision_m", "state")] == [
        500, 10, 1, "440305", 50, "in_force",
    ]  # fmt: skip
    assert admitted(module_database_url, "roads-wms", OF_WATER).quota_day == 500
    assert "已批准" in told(clerk, "granted")[0]["text_zh"]
    assert_problem(
        publisher.post(f"/applications/{applied['id']}/refuse", json={"reason": "x"}), status=409, code="conflict"
    )

    assert_problem(clerk.post(f"/grants/{grant['id']}/revoke", json={"reason": "x"}), status=403, code="forbidden")
    assert publisher.post(f"/grants/{grant['id']}/revoke", json={}).status_code == 400
    gone = publisher.post(f"/grants/{grant['id']}/revoke", json={"reason": "the project has ended"})
    assert (gone.json()["state"], gone.json()["revoked_why"]) == ("revoked", "the project has ended")
    with pytest.raises(Forbidden):
        admitted(module_database_url, "roads-wms", OF_WATER)
    assert "the project has ended" in told(clerk, "grant revoked")[0]["text_en"]
    events = connection.execute(
        "SELECT event, actor FROM cim.audit WHERE subject_kind IN ('application', 'grant') AND event <> 'refused' ORDER BY number"
    ).fetchall()
    assert [tuple(row) for row in events] == [
        ("applied", "person clerk"), ("granted", "person publisher"), ("grant revoked", "person publisher"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("login", "service", "status"),
    [("clerk", "open-map", 409), ("clerk", "secrets", 403), ("clerk", "drafted", 404), ("clerk", "none", 404),
     ("publisher", "rivers", 409)],
)  # fmt: skip
def test_what_needs_no_application_has_none(node, login, service, status):
    refused = node.session(login).post("/applications", json={"service_id": service, "purpose": "x"})
    assert refused.status_code == status, refused.text


@pytest.mark.parametrize(
    ("body", "parameter"),
    [({"purpose": ""}, "purpose"), ({"wanted": {"quota_day": 0}}, "quota_day"), ({"wanted": {"quota": 5}}, "wanted"),
     ({"wanted": {"expires_at": "2020-01-01T00:00:00Z"}}, "expires_at"), ({"wanted": {"hidden": ["no_such"]}}, "hidden"),
     ({"wanted": {"area_code": "x"}}, "area_code"), ({"scenario_id": "none"}, "scenario_id"), ({"grant_id": 1}, "grant_id")],
)  # fmt: skip
def test_an_application_with_wrong_members_names_them(node, body, parameter):
    asked = {"service_id": "rivers", "purpose": "x", **body}
    assert_problem(
        node.session("clerk").post("/applications", json=asked),
        status=400,
        code="invalid-parameter",
        parameter=parameter,
    )


def test_B41_nobody_decides_on_their_own_application(node, connection):
    node.person("both.hats", "water", "publisher", "org_admin")
    person = node.session("both.hats")
    applied = apply(person, "rivers")
    assert_problem(person.post(f"/applications/{applied['id']}/grant", json={}), status=403, code="forbidden")
    assert_problem(
        node.session("clerk").post(f"/applications/{applied['id']}/grant", json={}), status=403, code="forbidden"
    )
    moved = node.admin.patch(f"/people/{node.people['both.hats']}", json={"organisation_id": "planning"})
    assert moved.status_code == 200
    again = node.session("both.hats")
    refused = again.post(f"/applications/{applied['id']}/grant", json={})
    assert "own application" in assert_problem(refused, status=403, code="forbidden")["detail"]
    key = node.key(again, duties=["publisher"])
    assert key.post(f"/applications/{applied['id']}/grant", json={}).status_code == 403
    state = connection.execute("SELECT state FROM cim.application WHERE id = %s", [applied["id"]]).fetchone()
    assert state == ("submitted",)
    assert_problem(again.post(f"/applications/{applied['id']}/withdraw"), status=403, code="forbidden")
    assert node.session("clerk").post(f"/applications/{applied['id']}/withdraw").json()["state"] == "withdrawn"


def test_B40_applications_and_grants_of_others_do_not_exist(node):
    applied = apply(node.session("clerk"), "bridges")
    outsider, reader = node.session("boss.roads"), node.client(**{"X-API-Key": "none"})
    for method, path in (("GET", ""), ("POST", "/grant"), ("POST", "/refuse"), ("POST", "/withdraw")):
        answer = outsider.request(method, f"/applications/{applied['id']}{path}", json={})
        assert_problem(answer, status=404, code="not-found")
    assert outsider.get("/applications").json()["applications"] == []
    assert reader.get("/applications").status_code == 401
    assert_problem(node.client().get("/grants"), status=401, code="unauthorized")
    assert applied["id"] in {
        a["id"] for a in node.session("nanshan").get("/applications?limit=1000").json()["applications"]
    }
    granted = node.session("boss.planning").post(f"/applications/{applied['id']}/grant", json={}).json()
    assert outsider.get(f"/grants/{granted['grant_id']}").status_code == 404
    assert outsider.post(f"/grants/{granted['grant_id']}/revoke", json={"reason": "x"}).status_code == 404
    assert outsider.get("/grants").json()["grants"] == []


def test_a_refusal_has_a_reason_that_the_applicant_is_told(node):
    clerk, publisher = node.session("clerk"), node.session("publisher")
    applied = apply(clerk, "tunnels")
    address = f"/applications/{applied['id']}/refuse"
    assert publisher.post(address, json={}).status_code == 400
    assert publisher.post(address, json={"reason": "too wide"}).json()["note"] == "too wide"
    assert "too wide" in told(clerk, "refused")[0]["text_en"]
    unread = clerk.get("/notifications?unread=true").json()["notifications"]
    assert clerk.post(f"/notifications/{unread[0]['id']}/read").status_code == 204
    left = {n["id"] for n in clerk.get("/notifications?unread=true").json()["notifications"]}
    assert left == {n["id"] for n in unread[1:]}
    assert node.session("boss.roads").post(f"/notifications/{unread[0]['id']}/read").status_code == 404


def test_the_same_is_not_applied_for_twice_nor_granted_twice(node):
    clerk, publisher = node.session("clerk"), node.session("publisher")
    first = apply(clerk, "tunnels")
    twice = clerk.post("/applications", json={"service_id": "tunnels", "purpose": "x"})
    assert_problem(twice, status=409, code="conflict")
    assert publisher.post(f"/applications/{first['id']}/grant", json={}).status_code == 200
    second = apply(clerk, "tunnels")
    assert_problem(publisher.post(f"/applications/{second['id']}/grant", json={}), status=409, code="conflict")


def test_a_grant_is_renewed_by_an_application_and_by_its_owner(node, connection):
    clerk, publisher = node.session("clerk"), node.session("publisher")
    scenario = clerk.post("/scenarios", json={"title_zh": "防汛", "url": "https://flood.example"}).json()
    soon = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    applied = apply(clerk, "rivers", scenario_id=scenario["id"], wanted={"quota_day": 7, "expires_at": soon})
    grant_id = publisher.post(f"/applications/{applied['id']}/grant", json={}).json()["grant_id"]
    assert clerk.get(f"/scenarios/{scenario['id']}").json()["grants"] == [grant_id]
    deadline = time.monotonic() + 10
    while not [n for n in told(clerk, "expires") if n["subject_id"] == str(grant_id)]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    connection.execute("UPDATE cim.service_grant SET expires_at = now() - interval '1 day' WHERE id = %s", [grant_id])
    assert clerk.get(f"/grants/{grant_id}").json()["state"] == "expired"
    assert clerk.get(f"/scenarios/{scenario['id']}").json()["grants"] == []
    later = (datetime.now(UTC) + timedelta(days=90)).isoformat()
    renewal = clerk.post(
        "/applications", json={"grant_id": grant_id, "purpose": "next season", "wanted": {"expires_at": later}}
    )
    assert renewal.status_code == 201, renewal.text
    done = publisher.post(f"/applications/{renewal.json()['id']}/grant", json={}).json()
    assert done["grant_id"] == grant_id
    grant = clerk.get(f"/grants/{grant_id}").json()
    assert (grant["state"], grant["quota_day"], grant["scenario_id"]) == ("in_force", 7, scenario["id"])
    assert publisher.patch(f"/grants/{grant_id}", json={"quota_day": None}).json()["quota_day"] is None
    assert clerk.patch(f"/grants/{grant_id}", json={"quota_day": 9}).status_code == 403
    assert_problem(
        publisher.patch(f"/grants/{grant_id}", json={"rate_calls": 1}),
        status=400,
        code="invalid-parameter",
        parameter="rate_calls",
    )


def test_an_application_that_waits_is_reminded_of_once_and_told_of_when_overdue(node, connection):
    boss_of_roads = node.session("boss.roads")
    applied = apply(node.session("clerk"), "lamps")
    subject = str(applied["id"])

    def reminded(event):
        return [n for n in told(boss_of_roads, event) if n["subject_id"] == subject]

    connection.execute("UPDATE cim.application SET due_at = now() + interval '1 hour' WHERE id = %s", [applied["id"]])
    deadline = time.monotonic() + 10
    while not reminded("due"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert reminded("overdue") == []
    connection.execute(
        "UPDATE cim.application SET due_at = now(), reminded_at = now() - interval '1 hour' WHERE id = %s",
        [applied["id"]],
    )
    while not reminded("overdue"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(1)
    assert len(reminded("due")) == len(reminded("overdue")) == 1
    overdue = boss_of_roads.get("/applications?overdue=true").json()["applications"]
    assert [a["id"] for a in overdue] == [applied["id"]]
    log = node.server.log.read_text(encoding="utf-8", errors="replace")
    assert "application overdue" in log


def test_scenarios_are_their_organisations(node):
    clerk = node.session("clerk")
    made = clerk.post(
        "/scenarios", json={"id": "lake-watch", "title_en": "Lake watch", "contact": "desk@water.example"}
    )
    assert made.status_code == 201, made.text
    assert made.json()["organisation_id"] == "water"
    assert clerk.post("/scenarios", json={"id": "lake-watch", "title_en": "x"}).status_code == 409
    outsider = node.session("boss.roads")
    assert outsider.get("/scenarios/lake-watch").status_code == 404
    assert outsider.patch("/scenarios/lake-watch", json={"title_en": "mine"}).status_code == 404
    assert outsider.get("/scenarios").json()["scenarios"] == []
    assert clerk.patch("/scenarios/lake-watch", json={"state": "archived"}).json()["state"] == "archived"
    refused = clerk.post("/applications", json={"service_id": "rivers", "purpose": "x", "scenario_id": "lake-watch"})
    assert_problem(refused, status=400, code="invalid-parameter", parameter="scenario_id")
    bad = clerk.post("/scenarios", json={"title_en": "x", "url": "javascript:alert(1)"})
    assert_problem(bad, status=400, code="invalid-parameter", parameter="url")


def test_a_key_of_a_grant_calls_its_service_only(node, module_database_url):
    clerk, publisher = node.session("clerk"), node.session("publisher")
    applied = apply(clerk, "roads-wms", wanted={"quota_day": 3})
    grant_id = publisher.post(f"/applications/{applied['id']}/grant", json={}).json()["grant_id"]
    made = clerk.post("/keys", json={"grant_id": grant_id, "label": "of the grant"})
    assert made.status_code == 201, made.text
    assert made.json()["services"] == ["roads-wms"]
    of_key = Scope(
        roles=frozenset({"reader"}), organisation_id="water", grant_id=grant_id, services=frozenset({"roads-wms"})
    )
    assert admitted(module_database_url, "roads-wms", of_key).quota_day == 3
    with pytest.raises(Forbidden):
        admitted(module_database_url, "rivers", of_key)
    refused = node.session("boss.roads").post("/keys", json={"grant_id": grant_id})
    assert_problem(refused, status=400, code="invalid-parameter", parameter="grant_id")


def test_what_one_may_do_is_said_and_lists_are_asked_by_owner(node):
    clerk, publisher, mayor = node.session("clerk"), node.session("publisher"), node.session("mayor")
    key = apply(clerk, "piers", wanted={"quota_day": 5})["id"]
    assert clerk.get(f"/applications/{key}").json()["may"] == ["withdraw"]
    assert publisher.get(f"/applications/{key}").json()["may"] == ["grant", "refuse"]
    waiting = publisher.get("/applications?owner=planning&state=submitted").json()["applications"]
    assert key in [one["id"] for one in waiting]
    assert mayor.get("/applications?owner=roads&service=piers").json()["applications"] == []
    publisher.post(f"/applications/{key}/grant", json={})
    grant = clerk.get("/grants?owner=planning&service=piers").json()["grants"][0]
    assert (grant["used_today"], grant["may"]) == (0, ["renew"])
    assert publisher.get(f"/grants/{grant['id']}").json()["may"] == ["edit", "revoke"]
    ends = datetime.now(UTC) + timedelta(days=3)
    publisher.patch(f"/grants/{grant['id']}", json={"expires_at": ends.isoformat()})
    ending = clerk.get("/grants?state=expiring").json()["grants"]
    assert [one["id"] for one in ending] == [grant["id"]]
    publisher.post(f"/grants/{grant['id']}/revoke", json={"reason": "the test is over"})
    assert clerk.get(f"/grants/{grant['id']}").json()["may"] == []


def test_unread_notifications_are_counted_and_read_up_to_one(node):
    publisher, clerk = node.session("publisher"), node.session("clerk")
    apply(clerk, "weirs")
    told_of = publisher.get("/notifications?unread=true&limit=1000").json()["notifications"]
    assert publisher.get("/notifications/unread").json() == {"unread": len(told_of)}
    assert_problem(
        publisher.post("/notifications/read", json={}), status=400, code="invalid-parameter", parameter="through"
    )
    assert publisher.post("/notifications/read", json={"through": told_of[1]["id"]}).status_code == 204
    assert publisher.get("/notifications/unread").json() == {"unread": 1}
    assert publisher.post("/notifications/read", json={"through": told_of[0]["id"]}).status_code == 204
    assert publisher.get("/notifications/unread").json() == {"unread": 0}
