"""Log-in, sessions, and changes that another site's page would make (catalogue B44)."""

import time

import httpx2
import pytest

from tests.conftest import free_port
from tests.people.conftest import PASSWORD
from tests.problems import assert_problem


def test_a_log_in_gives_a_cookie_that_scripts_do_not_read(node, connection):
    answer = node.client().post("/login", json={"login": "Clerk", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert answer.headers["cache-control"] == "no-store"
    token = answer.cookies["cim_session"]
    dump = connection.execute("SELECT string_agg(to_jsonb(s)::text, '') FROM cim.session AS s").fetchone()[0]
    assert token not in dump
    assert token not in node.server.log.read_text(encoding="utf-8", errors="replace")


def test_a_session_is_who_logged_in(node):
    node.person("sessions.publisher", "planning", "publisher")
    me = node.session("sessions.publisher").get("/sessions/current").json()
    assert (me["person_id"], me["organisation_id"]) == (node.people["sessions.publisher"], "planning")
    assert set(me["roles"]) == {"reader", "publisher"}
    assert "admin" in node.session("mayor").get("/sessions/current").json()["roles"]
    assert node.session("nanshan").get("/sessions/current").json()["area_code"] == "440305"
    assert node.client().get("/sessions/current").json()["caller"] is None


def test_answers_in_a_session_are_kept_by_no_cache(node):
    answer = node.session("clerk").get("/collections/buildings/items")
    assert answer.headers["cache-control"] == "private, no-store"
    assert "cookie" in ",".join(node.client().get("/collections/buildings/items").headers.get_list("vary")).lower()


def test_a_log_in_rotates_the_session_of_the_browser(node):
    client = node.session("clerk")
    former = client.cookies["cim_session"]
    assert client.post("/login", json={"login": "clerk", "password": PASSWORD}).status_code == 200
    assert client.cookies["cim_session"] != former
    time.sleep(0)
    stale = httpx2.get(f"{node.url}/sessions", headers={"Cookie": f"cim_session={former}"})
    assert_problem(stale, status=401, code="unauthorized")


def test_a_log_out_ends_the_session(node):
    client = node.session("clerk")
    token = client.cookies["cim_session"]
    assert client.post("/logout").status_code == 204
    stale = httpx2.get(f"{node.url}/sessions", headers={"Cookie": f"cim_session={token}"})
    assert stale.status_code == 401
    assert node.client().post("/logout").status_code == 204


def test_one_lists_and_ends_ones_own_sessions_only(node):
    node.person("sessions.boss", "roads", "org_admin")
    here, there, other = node.session("sessions.boss"), node.session("sessions.boss"), node.session("clerk")
    listed = here.get("/sessions").json()["sessions"]
    assert [one["is_current"] for one in listed] == [False, True]
    assert_problem(other.delete(f"/sessions/{listed[0]['id']}"), status=404, code="not-found")
    assert here.delete(f"/sessions/{listed[0]['id']}").status_code == 204
    assert there.get("/sessions").status_code == 401


def test_sessions_end_when_they_are_idle_and_when_they_are_old(node, connection):
    for column, value in (("seen_at", "now() - interval '3 hours'"), ("expires_at", "now() - interval '1 second'")):
        client = node.session("clerk")
        connection.execute(f"UPDATE cim.session SET {column} = {value} WHERE id = (SELECT max(id) FROM cim.session)")
        deadline = time.monotonic() + 5
        while client.get("/sessions").status_code != 401:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64},
    ],
)  # fmt: skip
def test_B44_a_change_from_elsewhere_or_without_the_token_is_refused(node, connection, headers):
    client = node.session("boss.water")
    count = (
        "SELECT (SELECT count(*) FROM cim.api_key), (SELECT count(*) FROM cim.person), (SELECT count(*) FROM cim.audit)"
    )
    before = connection.execute(count).fetchone()
    for method, path, body in (
        ("POST", "/keys", {}),
        ("POST", "/people", {"login": "forged"}),
        ("PATCH", "/organisations/water", {"contact": "forged"}),
        ("POST", "/logout", None),
        ("POST", "/collections/buildings/items", {}),
    ):
        assert_problem(client.request(method, path, json=body, headers=headers), status=403, code="forbidden")
    assert connection.execute(count).fetchone() == before
    assert client.get("/sessions").status_code == 200


def test_B44_a_form_of_another_site_changes_nothing(node, connection):
    client = node.session("boss.water")
    del client.headers["X-CSRF-Token"]
    before = connection.execute("SELECT count(*) FROM cim.session").fetchone()
    forged = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert client.post("/logout", data={"csrf": "x"}, headers=forged).status_code == 403
    body = {"login": "clerk", "password": PASSWORD}
    assert client.post("/login", data=body, headers=forged).status_code == 403
    assert connection.execute("SELECT count(*) FROM cim.session").fetchone() == before
    for path in ("/logout", "/keys/none/rotate", "/invitation?token=x", "/login?login=clerk"):
        assert client.get(path).status_code in (400, 404, 405)
    assert client.get("/sessions").status_code == 200


def test_our_own_pages_change_with_the_token_and_ask_without(node):
    client = node.session("clerk")
    own = {"Origin": node.url, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/keys", json={"label": "of the page"}, headers=own).status_code == 201
    del client.headers["X-CSRF-Token"]
    assert client.post("/collections/buildings/search", json={}, headers=own).status_code == 200


def test_people_without_javascript_log_in_and_out_by_forms(node):
    client = node.client(Accept="text/html")
    page = client.get("/login?next=/collections")
    assert page.headers["content-type"].startswith("text/html")
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert "script-src 'self'" in page.headers["content-security-policy"]
    wrong = client.post("/login", data={"login": "clerk", "password": "<script>", "next": "/"})
    assert wrong.status_code == 401
    assert "<script>" not in wrong.text
    done = client.post("/login", data={"login": "clerk", "password": PASSWORD, "next": "/collections"})
    assert (done.status_code, done.headers["location"]) == (303, "/collections")
    inside = client.get("/login")
    csrf = inside.text.split('name="csrf" value="')[1].split('"')[0]
    gone = client.post("/logout", data={"csrf": csrf})
    assert (gone.status_code, gone.headers["location"]) == (303, "/login")
    assert client.get("/sessions").status_code == 401


@pytest.mark.parametrize(
    "onward", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_a_log_in_leads_to_no_other_site(node, onward):
    done = node.client().post("/login", data={"login": "clerk", "password": PASSWORD, "next": onward})
    assert (done.status_code, done.headers["location"]) == (303, "/")


def test_guessing_is_slowed_down_and_does_not_tell_who_there_is(node, connection):
    node.person("guessed", "water")
    anyone = node.client()
    texts = set()
    for login in ("guessed", "nobody.at.all"):
        for _ in range(5):
            answer = anyone.post("/login", json={"login": login, "password": "wrong"})
            assert answer.status_code == 401
            texts.add(answer.json()["detail"])
    assert len(texts) == 1
    late = anyone.post("/login", json={"login": "guessed", "password": PASSWORD})
    assert late.status_code == 429
    assert 1 <= int(late.headers["retry-after"]) <= 900
    connection.execute("UPDATE cim.login_guess SET failed_at = now() - interval '20 minutes'")
    assert anyone.post("/login", json={"login": "guessed", "password": PASSWORD}).status_code == 200
    assert anyone.post("/login", json={"login": "guessed", "password": "wrong"}).status_code == 401


def test_a_node_without_an_issuer_has_no_such_log_in(node):
    assert_problem(node.client().get("/oidc/login"), status=404, code="not-found")
    assert node.client(Authorization="Bearer a.b.c").get("/sessions/current").status_code == 401


def test_behind_https_the_cookie_is_of_this_host_only_and_an_issuer_that_is_away_is_told_of(database_url, make_node):
    settings = {"CIM_OIDC_ISSUER": f"http://127.0.0.1:{free_port()}", "CIM_OIDC_AUDIENCE": "https://cim.example"}
    node = make_node(database_url, is_populated=False, CIM_BASE_URL="https://cim.example", **settings)
    node.admin.post("/organisations", json={"id": "water", "name_zh": "水"})
    node.person("clerk", "water")
    cookie = node.client().post("/login", json={"login": "clerk", "password": PASSWORD}).headers["set-cookie"]
    assert cookie.startswith("__Host-cim_session=")
    assert "Secure" in cookie
    assert "Domain" not in cookie
    began = time.monotonic()
    assert_problem(node.client().get("/oidc/login"), status=503, code="unavailable")
    assert node.client(Authorization="Bearer a.b.c").get("/sessions/current").status_code == 503
    assert time.monotonic() - began < 5
