"""Organisations and services out of files: an account that adds up, and a reason for each row not taken."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cim.catalogue.load import ServicesAccount, load_organisations, load_services, read_rows
from cim.errors import InvalidParameter
from tests.catalogue.conftest import service
from tests.catalogue.test_seed import ORGANISATIONS, SERVICES, shelf

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as opened:
        load_organisations(opened, [{"id": "planning", "name_zh": "规划局", "name_en": "Planning Bureau"}])
        yield opened


def counts(account: ServicesAccount) -> tuple[int, int, int, int, int]:
    assert account.read == account.inserted + account.updated + account.unchanged + account.rejected
    return account.read, account.inserted, account.updated, account.unchanged, account.rejected


def states(connection: Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT id, state FROM cim.service ORDER BY id").fetchall())


def test_the_sample_catalogue_loads_whole_and_again_changes_nothing(connection):
    load_organisations(connection, read_rows(ORGANISATIONS, "organisations"))
    rows = read_rows(SERVICES, "services")
    assert counts(load_services(connection, rows)) == (30, 30, 0, 0, 0)
    before = shelf(connection)
    assert len(before) == 30
    assert counts(load_services(connection, rows)) == (30, 0, 0, 30, 0)
    assert shelf(connection) == before


def test_only_what_differs_is_edited(connection):
    rows = [service(name, state="published", bbox=[113, 22, 114, 23], cim_level=2) for name in ("a", "b", "c")]
    load_services(connection, rows)
    before = {row[0]: row for row in shelf(connection)}
    rows[0]["bbox"] = [113, 22, 114, 23.5]
    rows[1]["themes"] = ["other"]
    assert counts(load_services(connection, rows)) == (3, 0, 2, 1, 0)
    after = {row[0]: row for row in shelf(connection)}
    assert {key for key in after if after[key] != before[key]} == {"a", "b"}


def test_a_wrong_row_is_rejected_with_its_reason_and_the_others_are_taken(connection):
    rows = [
        service("first"),
        service("lost", colour="red"),
        service("kindless", kind="wmx"),
        {"title_zh": "no id", "kind": "wms"},
        service("orphan", organisation_id="nobody"),
        service("first", title_en="again"),
        service("bare", state="published", licence=None, contact=""),
        service("stateless", state="archived"),
        service("last", state="published"),
    ]
    account = load_services(connection, rows)
    assert counts(account) == (9, 2, 0, 0, 7)
    assert states(connection) == {"first": "draft", "last": "published"}
    found = {(r.row, r.id, r.code) for r in account.rejections}
    assert found == {
        (2, "lost", "unknown-parameter"), (3, "kindless", "invalid-parameter"), (4, "", "invalid-parameter"),
        (5, "orphan", "invalid-parameter"), (6, "first", "invalid-parameter"), (7, "bare", "incomplete"),
        (8, "stateless", "invalid-parameter"),
    }  # fmt: skip
    by_row = {r.row: r for r in account.rejections}
    assert by_row[7].missing == ("licence", "contact")
    assert "nobody" in by_row[5].reason
    assert "twice" in by_row[6].reason


def test_a_published_service_loses_nothing_that_the_shelf_asks_for(connection):
    load_services(connection, [service("shown", state="published")])
    before = shelf(connection)
    account = load_services(connection, [service("shown", licence=None)])
    assert counts(account) == (1, 0, 0, 0, 1)
    assert account.rejections[0].missing == ("licence",)
    assert shelf(connection) == before


def test_a_withdrawn_service_stays_withdrawn_and_a_draft_goes_up(connection):
    load_services(connection, [service("old", state="published"), service("new")])
    connection.execute("UPDATE cim.service SET state = 'withdrawn' WHERE id = 'old'")
    again = [service("old", state="published"), service("new", state="published")]
    assert counts(load_services(connection, again)) == (2, 0, 1, 1, 0)
    assert states(connection) == {"new": "published", "old": "withdrawn"}


def test_the_same_rows_come_out_of_yaml_json_and_csv(tmp_path: Path, connection: Connection) -> None:
    rows = [
        {
            **service("table", cim_level=3, bbox=[113.5, 22.0, 114.0, 23.0]),
            "endpoints": [{"url": "https://maps.example/wms", "kind": "wms"}],
        }
    ]
    (tmp_path / "s.json").write_text(json.dumps({"services": rows}, ensure_ascii=False), encoding="utf-8")
    (tmp_path / "s.yaml").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    cells = {
        **{name: value for name, value in rows[0].items() if isinstance(value, str)},
        "endpoint": "https://maps.example/wms",
        "themes": "imagery; 规划",
        "bbox": "113.5, 22, 114, 23",
        "cim_level": "3",
        "share_class": "",
    }
    with (tmp_path / "s.csv").open("w", encoding="utf-8-sig", newline="") as sink:
        writer = csv.DictWriter(sink, list(cells))
        writer.writeheader()
        writer.writerow(cells)
    assert load_services(connection, read_rows(tmp_path / "s.json", "services")).inserted == 1
    for name in ("s.yaml", "s.csv"):
        assert counts(load_services(connection, read_rows(tmp_path / name, "services"))) == (1, 0, 0, 1, 0), name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.yaml", b"services: 5"), ("a.yaml", b"- 1\n- 2"), ("a.yaml", b"a: [unclosed"), ("a.yaml", b"\xff\xfe\x00"),
        ("a.json", b"{"), ("a.json", b'{"others": []}'), ("a.csv", b'id,kind\n"a,b'),
        ("a.yaml", b"!!python/object/apply:os.getcwd []"),
    ],
)  # fmt: skip
def test_a_file_without_rows_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidParameter) as caught:
        read_rows(path, "services")
    assert caught.value.parameter == name


def test_a_row_of_csv_with_too_many_cells_is_rejected(tmp_path: Path, connection: Connection) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,kind,title_zh\nlong,wms,x,more\nshort,wms\nfine,wms,图\n", encoding="utf-8")
    account = load_services(connection, read_rows(path, "services"))
    assert (account.inserted, [r.id for r in account.rejections]) == (1, ["long", "short"])


@pytest.mark.parametrize(
    "row",
    [
        {"name_zh": "x"},
        {"id": "a"},
        {"id": "../x", "name_zh": "x"},
        {"id": 5, "name_zh": "x"},
        {"id": "a", "name_zh": 5},
        {"id": "a", "name_en": "x", "contact": {}},
    ],
)
def test_an_organisation_needs_an_id_and_a_name(connection: Connection, row: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        load_organisations(connection, [row])
