"""Keys: shown once, kept as digests, dead soon after their end (catalogue B38, B39)."""

import hashlib
import time
from datetime import UTC, datetime, timedelta

import httpx2
import psycopg
import pytest

from tests.catalogue import shared
from tests.catalogue.conftest import ADMIN
from tests.problems import assert_problem

running, module_database_url = shared.running, shared.module_database_url


def dies_within(client: httpx2.Client, key: str, seconds: float) -> bool:
    """True when the key is refused everywhere it was let in, in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if client.get("/collections/buildings/items", headers={"X-API-Key": key}).status_code == 401:
            return True
        time.sleep(0.1)
    return False


def test_B38_a_key_is_shown_once_and_kept_as_a_digest(admin, anyone, running, module_database_url):
    made = admin.post("/admin/keys", json={"role": "admin", "label": "数据处"})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    key, prefix = made.json()["key"], made.json()["prefix"]
    assert key.startswith(prefix)
    assert len(key) >= 32
    assert len(prefix) <= 12
    assert anyone.get("/admin/keys", headers={"Authorization": f"Bearer {key}"}).status_code == 200

    answers = [
        admin.get("/admin/keys"),
        anyone.get("/collections/buildings/items", params={"key": key}),
        anyone.get("/collections/buildings/items", params={"api_key": key}),
        anyone.get("/collections/buildings/items", params={"access_token": key}),
        anyone.get("/collections/buildings/items", headers={"Authorization": f"Basic {key}"}),
        anyone.get("/collections/buildings/items", headers={"Authorization": f"Bearer {key}x"}),
        anyone.get("/collections/buildings/items", headers={"Authorization": f"Bearer {key}", "X-API-Key": "another"}),
        anyone.get("/catalogue/items/none", headers={"X-API-Key": key}),
        anyone.post("/catalogue/items", json={"id": 1}, headers={"X-API-Key": key}),
    ]
    assert [a.status_code for a in answers] == [200, 400, 400, 400, 401, 401, 401, 404, 400]
    for refused in answers[1:4]:
        assert_problem(refused, status=400, code="unknown-parameter")
    for answer in (answers[0], *answers[4:]):
        assert key not in answer.text

    with psycopg.connect(module_database_url) as connection:
        dump = "".join(str(row[0]) for row in connection.execute("SELECT to_jsonb(k)::text FROM cim.api_key AS k"))
    assert key not in dump
    assert prefix in dump
    assert hashlib.sha256(key.encode()).hexdigest() in dump
    log = running.log.read_text(encoding="utf-8", errors="replace")
    assert "/admin/keys" in log
    assert key not in log
    assert ADMIN not in log


def test_B39_a_revoked_key_is_dead_within_five_seconds(admin, anyone):
    made = admin.post("/admin/keys", json={"role": "reader"}).json()
    key = made["key"]
    assert anyone.get("/collections/buildings/items", headers={"X-API-Key": key}).status_code == 200
    assert admin.delete(f"/admin/keys/{made['prefix']}").status_code == 204
    assert dies_within(anyone, key, 5)
    assert_problem(admin.delete(f"/admin/keys/{made['prefix']}"), status=404, code="not-found")
    (listed,) = [k for k in admin.get("/admin/keys").json()["keys"] if k["prefix"] == made["prefix"]]
    assert listed["revoked_at"]


def test_B39_an_expired_key_is_dead_within_five_seconds(admin, anyone):
    end = datetime.now(UTC) + timedelta(seconds=2)
    key = admin.post("/admin/keys", json={"role": "reader", "expires_at": end.isoformat()}).json()["key"]
    assert anyone.get("/collections/buildings/items", headers={"X-API-Key": key}).status_code == 200
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()))
    assert dies_within(anyone, key, 5)


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"role": "root"}, "role"), ({"role": None}, "role"), ({"role": ["admin"]}, "role"),
        ({"label": 5}, "label"), ({"label": "x" * 201}, "label"), ({"label": "nul \x00"}, "label"),
        ({"expires_at": "tomorrow"}, "expires_at"), ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": 5}, "expires_at"),
    ],
)  # fmt: skip
def test_a_key_with_wrong_members_is_not_made(admin, body, parameter):
    before = len(admin.get("/admin/keys").json()["keys"])
    response = admin.post("/admin/keys", json={"role": "reader", **body})
    assert_problem(response, status=400, code="invalid-parameter", parameter=parameter)
    assert len(admin.get("/admin/keys").json()["keys"]) == before


@pytest.mark.parametrize("value", ["Bearer", "Basic YTpi", "x", "Bearer " + "k" * 300])
def test_a_header_that_holds_no_key_is_refused(anyone, value):
    refused = anyone.get("/collections/buildings/items", headers={"Authorization": value})
    assert_problem(refused, status=401, code="unauthorized")
    assert refused.headers["www-authenticate"].startswith("Bearer")
