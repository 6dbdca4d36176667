"""The audit: who may read it, and that a change of it is found out (B46)."""

import csv
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import psycopg
import pytest

from tests.catalogue.conftest import Admin, keyed, service
from tests.conftest import Server, environment
from tests.problems import assert_problem


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def append(url: str, count: int, actor: str) -> None:
    entry = {"actor": actor, "event": "test", "subject_kind": "none", "subject_id": "1", "why": "=1+1", "detail": {}}
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(count):
            connection.execute("SELECT cim.audit_append(%s)", [json.dumps([entry])])


def test_the_chain_has_no_gap_however_many_write_at_once(database_url: str, cim) -> None:
    threads = [threading.Thread(target=append, args=(database_url, 25, f"writer {n}")) for n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with psycopg.connect(database_url) as connection:
        numbers = [n for (n,) in connection.execute("SELECT number FROM cim.audit ORDER BY number").fetchall()]
    assert len(numbers) >= 200
    assert numbers == list(range(1, len(numbers) + 1))
    ran = cim("audit", "verify", "--json")
    assert (ran.code, json.loads(ran.out)) == (0, {"holds": True})


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE cim.audit SET actor = 'somebody else' WHERE number = 5", 5),
        ("UPDATE cim.audit SET recorded_at = recorded_at - interval '1 day' WHERE number = 5", 5),
        ("DELETE FROM cim.audit WHERE number = 4", 5),
        ("DELETE FROM cim.audit WHERE number <= 3", 4),
        ("DELETE FROM cim.audit WHERE number >= 8", 8),
        ("DELETE FROM cim.audit", 1),
        (
            "INSERT INTO cim.audit SELECT 11, recorded_at, event, actor, organisation_id, subject_kind, subject_id, why, detail, "
            "previous, digest FROM cim.audit WHERE number = 2",
            11,
        ),
    ],
)
def test_B46_the_first_row_that_is_not_as_it_was_written_is_named(
    database_url: str, cim, statement: str, row: int
) -> None:
    execute(database_url, "DELETE FROM cim.audit; UPDATE cim.audit_head SET number = 0, digest = ''")
    append(database_url, 10, "clerk")
    execute(database_url, statement)
    ran = cim("audit", "verify", "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["holds"], found["row"]) == (1, False, row), found


def test_B46_a_chain_that_was_written_anew_is_found_by_a_row_noted_elsewhere(database_url: str, cim) -> None:
    append(database_url, 3, "clerk")
    noted = json.loads(cim("audit", "head", "--json").out)
    anchor = f"{noted['number']}:{noted['digest']}"
    assert noted["guarded"] is True
    assert cim("audit", "verify", "--anchor", anchor).code == 0
    execute(database_url, "DELETE FROM cim.audit; UPDATE cim.audit_head SET number = 0, digest = ''")
    append(database_url, noted["number"] + 2, "forger")
    assert cim("audit", "verify").code == 0
    assert cim("audit", "verify", "--anchor", anchor).code == 1
    assert cim("audit", "verify", "--anchor", "nonsense").code == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cim.audit SET actor = 'x'",
        "DELETE FROM cim.audit",
        "TRUNCATE cim.audit",
        "INSERT INTO cim.audit SELECT * FROM cim.audit",
        "UPDATE cim.audit_head SET number = 0",
        "DELETE FROM cim.audit_head",
        "ALTER TABLE cim.audit DISABLE TRIGGER ALL",
        "DROP TABLE cim.audit",
    ],
)
def test_B46_the_role_of_the_api_s_sessions_cannot_change_the_audit(database_url: str, statement: str) -> None:
    append(database_url, 2, "clerk")
    with psycopg.connect(database_url, options="-c role=cim_app") as connection:
        assert connection.execute("SELECT count(*) > 0 FROM cim.audit").fetchone() == (True,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_B46_the_api_runs_as_that_role(admin: Admin, module_database_url: str) -> None:
    assert admin.get("/admin/audit").status_code == 200
    execute(module_database_url, "REVOKE SELECT ON cim.audit FROM cim_app")
    try:
        assert admin.get("/admin/audit").status_code >= 500
    finally:
        execute(module_database_url, "GRANT SELECT ON cim.audit TO cim_app")
    hostile = admin.get("/admin/audit", params={"actor": "x'; DELETE FROM cim.audit; --"})
    assert hostile.json()["rows"] == []


def test_the_audit_is_read_by_the_city_and_by_an_organisation_s_own_admin(
    admin: Admin, anyone: httpx2.Client, running: Server, module_database_url: str
) -> None:
    for name, owner in (("of-planning", "planning"), ("of-water", "water")):
        assert admin.post("/catalogue/items", json=service(name, organisation_id=owner)).status_code == 201
    rows = admin.get("/admin/audit", params={"subject-kind": "service", "event": "register"}).json()["rows"]
    assert {row["subject_id"] for row in rows} >= {"of-planning", "of-water"}
    assert [row["number"] for row in rows] == sorted((row["number"] for row in rows), reverse=True)
    with (
        keyed(running, module_database_url, ("org_admin",), "water") as water,
        keyed(running, module_database_url, ("publisher",), "water") as publisher,
    ):
        own = water.get("/admin/audit").json()["rows"]
        assert {row["organisation_id"] for row in own} == {"water"}
        assert_problem(water.get("/admin/audit", params={"organisation": "planning"}), status=403, code="forbidden")
        assert_problem(publisher.get("/admin/audit"), status=403, code="forbidden")
        assert_problem(water.get("/admin/audit/head"), status=403, code="forbidden")
    assert_problem(anyone.get("/admin/audit"), status=401, code="unauthorized")
    for query, name in (({"since": "yesterday"}, "since"), ({"limit": "0"}, "limit"), ({"cursor": "x"}, "cursor")):
        assert_problem(admin.get("/admin/audit", params=query), status=400, code="invalid-parameter", parameter=name)


def test_the_audit_pages_and_is_a_table_whose_cells_are_inert(admin: Admin, module_database_url: str) -> None:
    append(module_database_url, 12, "paging clerk")
    asked: str | None = "/admin/audit?actor=paging%20clerk&limit=5"
    seen: list[int] = []
    while asked:
        page = admin.get(asked).json()
        seen += [row["number"] for row in page["rows"]]
        asked = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
    assert len(seen) == len(set(seen)) == 12
    answer = admin.get("/admin/audit", params={"actor": "paging clerk", "f": "csv"})
    cells = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(cells) == 12
    assert {row["why"] for row in cells} == {"'=1+1"}


def test_B46_the_head_is_noted_every_day_and_a_tail_cut_with_its_head_is_found(
    database_url: str, tmp_path: Path, server: Callable[..., Server]
) -> None:
    append(database_url, 5, "clerk")
    folder = str(tmp_path / "data")
    running = server(database_url, CIM_DATA_DIR=folder, CIM_LOG_JSON="true")
    heads = tmp_path / "data" / "audit-heads.jsonl"
    until = time.monotonic() + 20
    while not heads.exists() or not heads.read_bytes().endswith(b"\n"):
        assert time.monotonic() < until
        time.sleep(0.1)
    (noted,) = [json.loads(line) for line in heads.read_text().splitlines()]
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT number, encode(digest, 'hex') FROM cim.audit_head").fetchone()
    assert (noted["number"], noted["digest"]) == found
    logged = [json.loads(line) for line in running.log.read_text().splitlines() if '"audit head"' in line]
    assert [(one["number"], one["digest"]) for one in logged] == [found]

    def verified() -> tuple[int, dict[str, object]]:
        words = [sys.executable, "-m", "cim.cli.main", "audit", "verify", "--json"]
        env = environment(DATABASE_URL=database_url, CIM_DATA_DIR=folder)
        ran = subprocess.run(words, env=env, capture_output=True, check=False)
        return ran.returncode, json.loads(ran.stdout)

    append(database_url, 3, "clerk")
    assert verified() == (0, {"holds": True})
    execute(
        database_url,
        f"DELETE FROM cim.audit WHERE number >= {noted['number']}; UPDATE cim.audit_head SET (number, digest) = "
        f"(SELECT number, digest FROM cim.audit ORDER BY number DESC LIMIT 1)",
    )
    code, told = verified()
    assert (code, told["row"]) == (1, noted["number"])
    assert noted["day"] in str(told["why"])


def test_an_attempt_at_more_than_one_has_is_in_the_audit(
    admin: Admin, running: Server, module_database_url: str, anyone: httpx2.Client
) -> None:
    """B41: refusals of services, whoever tries: a member that is not theirs to set, another's service, an event."""
    admin.post("/catalogue/items", json=service("guarded")).raise_for_status()
    home = "/catalogue/items/guarded"
    with keyed(running, module_database_url, ("publisher",), "planning") as publisher:
        tried = (
            (publisher.post("/catalogue/items", json=service("mine", state="published")), 400, "unknown-parameter"),
            (
                publisher.patch(home, json={"content_hash": "0" * 64}, headers={"If-Match": "*"}),
                400,
                "unknown-parameter",
            ),
            (publisher.post(f"{home}/approve", json={"content_hash": "0" * 64}), 403, "forbidden"),
            (publisher.post("/catalogue/items", json=service("theirs", organisation_id="water")), 403, "forbidden"),
        )
    for answer, status, code in tried:
        assert_problem(answer, status=status, code=code)
    rows = admin.get("/admin/audit", params={"event": "refused", "subject-kind": "service"}).json()["rows"]
    assert [row["detail"]["code"] for row in rows[:4]] == [code for _, _, code in reversed(tried)]
    assert {row["actor"] for row in rows[:4]} == {rows[0]["actor"]}
    assert rows[1]["subject_id"] == "guarded"
    assert_problem(anyone.post(f"{home}/approve", json={}), status=401, code="unauthorized")
