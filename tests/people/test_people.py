"""Organisations and people: who makes whom, who changes what (catalogue B40, B41)."""

import time

import pytest

from tests.people.conftest import PASSWORD
from tests.problems import assert_problem


def audited(connection, event, subject):
    rows = connection.execute(
        "SELECT actor, why, detail FROM cim.audit WHERE event = %s AND subject_id = %s ORDER BY number",
        [event, subject],
    ).fetchall()
    return [tuple(row) for row in rows]


def test_a_city_admin_makes_changes_and_deletes_organisations(node, connection):
    mayor = node.session("mayor")
    made = mayor.post("/organisations", json={"id": "parks", "name_zh": "公园处"})
    assert made.status_code == 201, made.text
    assert made.json()["state"] == "active"
    assert mayor.post("/organisations", json={"id": "parks", "name_zh": "公园处"}).status_code == 409
    changed = mayor.patch("/organisations/parks", json={"name_en": "Parks", "area_code": "440300"})
    assert (changed.json()["name_en"], changed.json()["area_code"]) == ("Parks", "4403")
    assert [actor for actor, _, _ in audited(connection, "organisation changed", "parks")] == ["person mayor"]
    assert mayor.delete("/organisations/parks").status_code == 204
    assert mayor.get("/organisations/parks").status_code == 404
    assert_problem(mayor.delete("/organisations/water"), status=409, code="conflict")


def test_an_org_admin_changes_the_contact_of_the_own_organisation_only(node, connection):
    boss = node.session("boss.water")
    assert (
        boss.patch("/organisations/water", json={"contact": "desk@water.example"}).json()["contact"]
        == "desk@water.example"
    )
    assert_problem(boss.patch("/organisations/water", json={"name_en": "The Ocean"}), status=403, code="forbidden")
    assert_problem(boss.patch("/organisations/planning", json={"contact": "x"}), status=403, code="forbidden")
    assert_problem(boss.post("/organisations", json={"id": "mine", "name_zh": "我"}), status=403, code="forbidden")
    assert boss.get("/organisations/planning").json()["contact"] is None
    assert audited(connection, "refused", "water")
    assert audited(connection, "refused", "planning")


def test_anyone_lists_organisations_page_by_page(node):
    anyone = node.client()
    found, url = [], "/organisations?limit=2"
    while url:
        page = anyone.get(url).json()
        assert len(page["organisations"]) <= 2
        found += [one["id"] for one in page["organisations"]]
        url = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
    assert found == sorted(found)
    assert {"planning", "roads", "water"} <= set(found)
    assert {o["id"] for o in anyone.get("/organisations?area=440304").json()["organisations"]} == {"roads"}


def test_an_org_admin_makes_people_of_the_own_organisation(node):
    boss = node.session("boss.water")
    made = boss.post("/people", json={"login": "Reviewer.Water", "duties": ["reviewer", "publisher"]})
    assert made.status_code == 201, made.text
    assert (made.json()["login"], made.json()["organisation_id"]) == ("reviewer.water", "water")
    assert made.json()["invitation"].startswith("inv_")
    assert "password" not in made.text.replace("has_password", "")
    assert_problem(boss.post("/people", json={"login": "reviewer.water"}), status=409, code="conflict")
    assert_problem(
        boss.post("/people", json={"login": "spy", "organisation_id": "planning"}), status=403, code="forbidden"
    )
    for duty in ("city_admin", "district_admin"):
        refused = boss.post("/people", json={"login": "king", "duties": [duty], "area_code": "440305"})
        assert_problem(refused, status=403, code="forbidden")
    assert "king" not in boss.get("/people").text


def test_a_district_admin_makes_people_in_the_district_only(node):
    district = node.session("nanshan")
    assert district.post("/people", json={"login": "of.water", "organisation_id": "water"}).status_code == 201
    assert_problem(
        district.post("/people", json={"login": "of.roads", "organisation_id": "roads"}), status=403, code="forbidden"
    )
    listed = {p["organisation_id"] for p in district.get("/people?limit=1000").json()["people"]}
    assert listed == {"planning", "water"}
    assert district.get(f"/people/{node.people['boss.roads']}").status_code == 404
    mayor = node.people["mayor"]
    assert_problem(district.patch(f"/people/{mayor}", json={"state": "suspended"}), status=403, code="forbidden")


@pytest.mark.parametrize(
    "body",
    [{"duties": ["org_admin"]}, {"duties": ["city_admin"]}, {"organisation_id": "planning"}, {"state": "suspended"},
     {"area_code": "4403"}, {"name": "me", "duties": ["publisher"]}],
)  # fmt: skip
def test_B41_nobody_raises_their_own_duties(node, connection, body):
    person_id = node.people["clerk"]
    before = connection.execute("SELECT to_jsonb(p) FROM cim.person AS p WHERE id = %s", [person_id]).fetchone()
    count = len(audited(connection, "refused", person_id))
    assert_problem(node.session("clerk").patch(f"/people/{person_id}", json=body), status=403, code="forbidden")
    assert connection.execute("SELECT to_jsonb(p) FROM cim.person AS p WHERE id = %s", [person_id]).fetchone() == before
    assert len(audited(connection, "refused", person_id)) == count + 1


@pytest.mark.parametrize("body", [{"id": "p-1"}, {"password_hash": "x"}, {"is_admin": True}, {"role": "admin"}])
def test_B41_unknown_members_change_nothing(node, body):
    clerk = node.session("clerk")
    refused = clerk.patch(f"/people/{node.people['clerk']}", json=body)
    assert (refused.status_code, refused.json()["title"]) == (400, "Unknown query parameter")


def test_an_org_admin_does_not_raise_themself_nor_take_an_admin_of_the_city_down(node):
    boss = node.session("boss.planning")
    for login, body in (("boss.planning", {"duties": ["org_admin", "publisher"]}), ("mayor", {"duties": []})):
        refused = boss.patch(f"/people/{node.people[login]}", json=body)
        assert_problem(refused, status=403, code="forbidden")
    assert_problem(boss.post(f"/people/{node.people['mayor']}/invitation"), status=403, code="forbidden")
    given = boss.patch(f"/people/{node.people['publisher']}", json={"duties": ["publisher", "reviewer"]})
    assert given.json()["duties"] == ["publisher", "reviewer"]


def test_B40_people_of_another_organisation_do_not_exist(node):
    boss, clerk = node.session("boss.water"), node.session("clerk")
    other = node.people["boss.planning"]
    for answer in (
        boss.get(f"/people/{other}"),
        boss.patch(f"/people/{other}", json={"name": "x"}),
        boss.post(f"/people/{other}/invitation"),
        clerk.get(f"/people/{node.people['boss.water']}"),
    ):
        assert_problem(answer, status=404, code="not-found")
    assert {p["login"] for p in clerk.get("/people").json()["people"]} == {"clerk"}
    assert "boss.planning" not in {p["login"] for p in boss.get("/people?limit=1000").json()["people"]}
    assert_problem(node.client().get("/people"), status=401, code="unauthorized")


def test_an_invitation_sets_a_password_once(node):
    boss = node.session("boss.water")
    made = boss.post("/people", json={"login": "invited"}).json()
    anyone = node.client()
    weak = anyone.post("/invitation", json={"token": made["invitation"], "password": "short"})
    assert (weak.status_code, weak.json()["parameter"]) == (400, "password")
    accepted = anyone.post("/invitation", json={"token": made["invitation"], "password": PASSWORD})
    assert accepted.status_code == 200, accepted.text
    assert node.session("invited").get("/sessions/current").json()["person_id"] == made["id"]
    again = anyone.post(
        "/invitation", json={"token": made["invitation"], "password": PASSWORD}, headers={"X-CSRF-Token": "x"}
    )
    assert_problem(again, status=403, code="forbidden")


def test_a_new_password_needs_the_present_one_and_ends_the_other_sessions(node):
    node.person("changer", "water")
    here, there = node.session("changer"), node.session("changer")
    address = f"/people/{node.people['changer']}"
    wrong = here.patch(address, json={"password": "another password 2", "current_password": "no"})
    assert wrong.status_code == 401
    done = here.patch(address, json={"password": "another password 2", "current_password": PASSWORD})
    assert done.status_code == 200, done.text
    assert here.get("/sessions").status_code == 200
    deadline = time.monotonic() + 5
    while there.get("/sessions").status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    answer = node.client().post("/login", json={"login": "changer", "password": "another password 2"})
    assert answer.status_code == 200


def test_the_database_holds_no_password_and_no_token(node, connection):
    token = node.admin.post("/people", json={"login": "dumped", "organisation_id": "water"}).json()["invitation"]
    tables = ("person", "session", "invitation", "audit", "login_guess")
    dump = "".join(
        str(row[0])
        for table in tables
        for row in connection.execute(f"SELECT to_jsonb(t)::text FROM cim.{table} AS t").fetchall()
    )
    assert PASSWORD not in dump
    assert token not in dump
    assert "$argon2id$" in dump
    log = node.server.log.read_text(encoding="utf-8", errors="replace")
    assert PASSWORD not in log
    assert token not in log
