"""Keys of an organisation: never more than their maker, shown once, dead soon after their end (B38, B39) in every worker."""

import hashlib
import time
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from tests.people.conftest import PASSWORD
from tests.problems import assert_problem

ASKED = "/collections/buildings/items?limit=1"


@pytest.fixture(scope="module")
def node(module_database_url, make_node):
    """A node of two workers: what ends must end in both."""
    return make_node(module_database_url, CIM_WORKERS="2")


def dies_everywhere_within(node, seconds, path=ASKED, **headers):
    """True when twenty fresh connections in a row are refused, before that many seconds are over."""
    deadline, refused = time.monotonic() + seconds, 0
    while refused < 20:
        if time.monotonic() > deadline:
            return False
        status = httpx2.get(f"{node.url}{path}", headers=headers, verify=False).status_code
        refused = refused + 1 if status in (401, 403) else 0
    return True


def made_by(maker, **members):
    answer = maker.post("/keys", json=members)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_member_makes_a_key_for_themself_and_an_org_admin_for_the_organisation(node):
    clerk, boss = node.session("clerk"), node.session("boss.water")
    own = made_by(clerk, label="notebook")
    assert (own["organisation_id"], own["person_id"]) == ("water", node.people["clerk"])
    shared = made_by(boss, **{"for": "organisation", "duties": ["org_admin"], "services": ["roads-wms"]})
    assert (shared["person_id"], shared["duties"], shared["services"]) == (None, ["org_admin"], ["roads-wms"])
    assert_problem(clerk.post("/keys", json={"for": "organisation"}), status=403, code="forbidden")
    assert {k["prefix"] for k in clerk.get("/keys").json()["keys"]} == {own["prefix"]}
    assert {own["prefix"], shared["prefix"]} <= {k["prefix"] for k in boss.get("/keys?limit=1000").json()["keys"]}
    assert node.session("boss.roads").get("/keys").json()["keys"] == []
    assert_problem(node.session("boss.roads").delete(f"/keys/{own['prefix']}"), status=404, code="not-found")
    assert node.client(**{"X-API-Key": own["key"]}).get("/sessions/current").json()["organisation_id"] == "water"


@pytest.mark.parametrize(
    "body",
    [{"role": "admin"}, {"role": "editor"}, {"duties": ["org_admin"]}, {"duties": ["city_admin"]},
     {"organisation_id": "planning", "for": "organisation"}, {"for": "organisation"}],
)  # fmt: skip
def test_B41_a_key_has_no_more_than_its_maker(node, connection, body):
    count = "SELECT count(*) FROM cim.api_key"
    before = connection.execute(count).fetchone()
    assert_problem(node.session("clerk").post("/keys", json=body), status=403, code="forbidden")
    assert connection.execute(count).fetchone() == before
    row = connection.execute(
        "SELECT actor, subject_kind FROM cim.audit WHERE event = 'refused' ORDER BY number DESC LIMIT 1"
    )
    assert row.fetchone() == ("person clerk", "key")


def test_a_limited_caller_makes_no_key_of_wider_limits(node):
    district = node.session("nanshan")
    wide = district.post("/keys", json={})
    assert "area_code" in assert_problem(wide, status=403, code="forbidden")["detail"]
    assert made_by(district, area_code="440305001")["area_code"] == "440305001"
    found = made_by(node.session("clerk"))
    stolen = node.client(**{"X-API-Key": found["key"]})
    assert_problem(stolen.post("/keys", json={}), status=403, code="forbidden")


def test_duties_that_somebody_lost_are_their_keys_no_longer(node):
    node.person("short.lived", "water", "publisher")
    key = made_by(node.session("short.lived"), duties=["publisher"])["key"]
    caller = node.client(**{"X-API-Key": key})
    assert "publisher" in caller.get("/sessions/current").json()["roles"]
    changed = node.session("boss.water").patch(f"/people/{node.people['short.lived']}", json={"duties": []})
    assert changed.status_code == 200
    deadline = time.monotonic() + 5
    while "publisher" in caller.get("/sessions/current").json()["roles"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_B38_a_key_is_nowhere_but_in_the_answer_that_made_it(node, connection):
    clerk = node.session("clerk")
    made = clerk.post("/keys", json={"label": "B38"})
    assert made.headers["cache-control"] == "no-store"
    key = made.json()["key"]
    caller = node.client(**{"X-API-Key": key})
    answers = [
        caller.get(ASKED), caller.get("/keys"), caller.get("/keys/none"), caller.post("/keys", json={"x": key[:8]}),
        caller.get("/people?limit=1"), caller.get("/organisations?limit=1"), clerk.get("/keys?limit=1"),
        node.client().get("/metrics"), node.client().get(f"/keys?api_key={key}"),
        node.client().get(f"/people?access_token={key}"), caller.post(f"/keys/{made.json()['prefix']}/rotate", json={"a": 1}),
    ]  # fmt: skip
    for answer in answers:
        assert key not in answer.text
        assert key not in str(answer.headers)
    assert [a.status_code for a in answers[-3:-1]] == [400, 400]
    dump = ""
    names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'cim'").fetchall()
    for (name,) in names:
        dump += "".join(
            str(r[0]) for r in connection.execute(f"SELECT to_jsonb(t)::text FROM cim.{name} AS t").fetchall()
        )
    assert key not in dump
    assert hashlib.sha256(key.encode()).hexdigest() in dump
    assert key not in node.server.log.read_text(encoding="utf-8", errors="replace")


def test_B39_a_revoked_key_is_dead_in_every_worker(node):
    clerk = node.session("clerk")
    made = made_by(clerk)
    assert httpx2.get(f"{node.url}{ASKED}", headers={"X-API-Key": made["key"]}).status_code == 200
    assert clerk.delete(f"/keys/{made['prefix']}").status_code == 204
    assert dies_everywhere_within(node, 5, **{"X-API-Key": made["key"]})
    assert_problem(clerk.delete(f"/keys/{made['prefix']}"), status=409, code="conflict")
    assert clerk.get(f"/keys/{made['prefix']}").json()["revoked_at"]


def test_B39_keys_and_sessions_of_a_suspended_organisation_are_refused(node):
    node.admin.post("/organisations", json={"id": "closed", "name_zh": "关"})
    node.person("closer", "closed", "org_admin")
    person = node.session("closer")
    key = made_by(person, **{"for": "organisation"})["key"]
    cookie = f"cim_session={person.cookies['cim_session']}"
    assert node.admin.patch("/organisations/closed", json={"state": "suspended"}).status_code == 200
    assert dies_everywhere_within(node, 5, **{"X-API-Key": key})
    assert dies_everywhere_within(node, 5, path="/sessions", Cookie=cookie)
    assert node.client().post("/login", json={"login": "closer", "password": PASSWORD}).status_code == 401
    assert "closed" not in node.client().get("/organisations").text


def test_B39_keys_of_somebody_who_is_suspended_are_refused(node):
    node.person("leaver", "water")
    key = made_by(node.session("leaver"))["key"]
    done = node.session("boss.water").patch(f"/people/{node.people['leaver']}", json={"state": "suspended"})
    assert done.status_code == 200
    assert dies_everywhere_within(node, 5, **{"X-API-Key": key})


def test_B39_a_rotated_key_goes_on_for_the_overlap_and_no_longer(node):
    clerk = node.session("clerk")
    old = made_by(clerk, label="rotating", services=["a"])
    answer = clerk.post(f"/keys/{old['prefix']}/rotate", json={"overlap_s": 1.5})
    assert answer.status_code == 201, answer.text
    new = answer.json()
    assert (new["label"], new["services"], new["replaces"]) == ("rotating", ["a"], old["prefix"])
    end = datetime.fromisoformat(new["former_ends_at"])
    assert timedelta(0) < end - datetime.now(UTC) <= timedelta(seconds=1.5)
    assert dies_everywhere_within(node, 7, **{"X-API-Key": old["key"]})
    assert httpx2.get(f"{node.url}{ASKED}", headers={"X-API-Key": new["key"]}).status_code == 200
    assert_problem(clerk.post(f"/keys/{old['prefix']}/rotate", json={}), status=409, code="conflict")


def test_a_key_that_is_used_says_on_which_day(node, connection):
    made = made_by(node.session("clerk"))
    assert made.get("last_used_on") is None
    caller = node.client(**{"X-API-Key": made["key"]})
    assert caller.get(ASKED).status_code == 200
    (day,) = connection.execute("SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date::text").fetchone()
    assert caller.get(f"/keys/{made['prefix']}").json()["last_used_on"] == day


def test_an_admin_lists_every_key_with_whose_it_is(node):
    listed = node.admin.get("/admin/keys").json()["keys"]
    assert any(one["organisation_id"] == "water" and one["person_id"] == node.people["clerk"] for one in listed)
