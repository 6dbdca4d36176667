"""Services in bulk: real headings, spreadsheets, cells like formulas, whose rows are whose, an account that adds up."""

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook

from cim.catalogue.load import Intake, load_organisations, load_services, read_rows
from cim.catalogue.template import EXAMPLE, csv_template, xlsx_template
from sample_data.areas import found_communities, tree
from sample_data.offers import organisations, services
from sample_data.plan import plan_city
from tests.catalogue.conftest import ADMIN, WAIT, service
from tests.conftest import Server, serving
from tests.problems import assert_problem

HEADINGS = (
    "服务编号",
    "服务名称",
    "服务类型",
    "提供单位",
    "服务描述",
    "主题",
    "服务地址",
    "共享类型",
    "CIM级别",
    "行政区划代码",
    "更新周期",
    "联系方式",
)
ROW = (
    "landuse-1", "土地利用现状图", "OGC WMS服务", "规划局", "年度变更调查成果。", "规划；国土", "https://maps.example/wms",
    "有条件共享", "CIM2", "440305", "每年", "0755-1234567",
)  # fmt: skip
MEANT = {
    "id": "landuse-1",
    "title_zh": "土地利用现状图",
    "kind": "wms",
    "organisation_id": "规划局",
    "description_zh": "年度变更调查成果。",
    "themes": ["规划", "国土"],
    "endpoints": [{"url": "https://maps.example/wms", "kind": "wms"}],
    "share_class": "conditional",
    "cim_level": 2,
    "area_code": "440305",
    "update_cycle": "yearly",
    "contact": "0755-1234567",
}


@pytest.fixture
def connection(module_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(module_database_url, autocommit=True) as opened:
        load_organisations(opened, [{"id": "planning", "name_zh": "规划局", "name_en": "Planning Bureau"}])
        yield opened


@pytest.fixture(scope="module")
def running(module_database_url: str) -> Iterator[Server]:
    with serving(module_database_url, CIM_ADMIN_KEY=ADMIN) as server:
        yield server


def key(connection: psycopg.Connection[Any], running: Server, organisation: str, *duties: str) -> httpx2.Client:
    """A client of the organisation, with duties."""
    made = httpx2.post(
        f"{running.url}/admin/keys", json={"role": "reader", "label": "bulk"}, headers={"X-API-Key": ADMIN}
    ).json()
    connection.execute(
        "UPDATE cim.api_key SET organisation_id = %s, duties = %s WHERE prefix = %s",
        [organisation, list(duties), made["prefix"]],
    )
    return httpx2.Client(base_url=running.url, timeout=60, headers={"X-API-Key": made["key"]})


def test_chinese_headings_and_words_are_read_as_members_and_codes(tmp_path):
    path = tmp_path / "s.csv"
    text = io.StringIO()
    csv.writer(text).writerows([HEADINGS, ROW])
    path.write_text(text.getvalue(), encoding="gb18030")
    assert read_rows(path, "services", encoding="gb18030") == [MEANT]


def test_a_sheet_with_a_title_above_its_headings_is_read_with_its_numbers(tmp_path):
    path = tmp_path / "s.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        workbook.add_worksheet("封面").write(0, 0, "目录")
        sheet = workbook.add_worksheet("服务")
        sheet.write(0, 0, "政务地理信息服务目录")
        sheet.write_row(2, 0, HEADINGS)
        sheet.write_row(
            3, 0, [440305 if name == "行政区划代码" else cell for name, cell in zip(HEADINGS, ROW, strict=True)]
        )
    assert read_rows(path, "services") == [MEANT]


@pytest.mark.parametrize("mark", ["=1+1", "+86 755", "-5 m", "@home", "'=already", "''=twice", "plain", "'quoted'"])
def test_b45_a_cell_like_a_formula_is_inert_in_the_table_and_whole_after_import(tmp_path, mark):
    """B45 (CWE-1236)."""
    whole = {**EXAMPLE, "title_zh": mark, "themes": [mark, "b"], "contact": mark}
    for name, make in (("t.csv", csv_template), ("t.xlsx", xlsx_template)):
        path = tmp_path / name
        path.write_bytes(make([whole]))
        if name == "t.csv":
            cells = [cell for row in csv.reader(path.read_text("utf-8-sig").splitlines()) for cell in row]
        else:
            cells = [
                str(cell)
                for row in CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
                for cell in row
            ]
        assert not [cell for cell in cells if cell[:1] in "=+-@\t\r" and cell]
        assert read_rows(path, "services") == [whole]


def test_endpoints_of_several_kinds_come_back_out_of_a_table(tmp_path):
    mixed = [
        {"url": "https://maps.example/wms", "kind": "wms"},
        {"url": "https://maps.example/wfs", "kind": "wfs", "title": "x"},
    ]
    several = [{"url": f"https://maps.example/{n}", "kind": "wms"} for n in "ab"]
    (tmp_path / "t.csv").write_bytes(csv_template([{**EXAMPLE, "endpoints": one} for one in (mixed, several)]))
    assert [row["endpoints"] for row in read_rows(tmp_path / "t.csv", "services")] == [mixed, several]


def test_yaml_aliases_are_refused(tmp_path):
    (tmp_path / "bomb.yaml").write_text("a: &a [x, x]\nservices: [*a, *a]\n", encoding="utf-8")
    with pytest.raises(Exception, match="not a UTF-8 YAML"):
        read_rows(tmp_path / "bomb.yaml", "services")


def test_the_reference_catalogue_of_4512_loads_in_seconds_and_again_changes_nothing(database_url):
    plan = plan_city(1_000_000)
    areas = tree(found_communities(plan, 1000.0))
    owners = organisations(plan, areas)
    rows = services(plan, areas, owners)
    with psycopg.connect(database_url, autocommit=True) as opened:
        load_organisations(opened, owners)
        started = time.monotonic()
        first = load_services(opened, rows)
        seconds = time.monotonic() - started
        again = load_services(opened, rows)
    assert (first.read, first.inserted, first.rejected) == (4512, 4512, 0)
    assert (again.read, again.unchanged) == (4512, 4512)
    assert seconds < 30, f"{seconds:.1f} s"


def test_a_publisher_sends_a_table_of_their_own_organisation_only(connection, running):
    connection.execute(
        "INSERT INTO cim.organisation (id, name_zh, name_en) VALUES ('water', '水务局', 'Water') ON CONFLICT DO NOTHING"
    )
    load_services(connection, [service("taken-by-water", organisation_id="water")])
    rows = [
        service("mine-1", state="published"),
        {**service("mine-2"), "organisation_id": None},
        service("theirs", organisation_id="water"),
        service("taken-by-water"),
        service("mine-3", kind="wmx"),
        service("mine-4", endpoints=[{"url": "http://127.0.0.1:5432/", "kind": "wms"}]),
    ]
    body = json.dumps({"services": rows}, ensure_ascii=False).encode()
    with key(connection, running, "planning", "publisher") as publisher:
        sent = publisher.post("/catalogue/loads", files={"file": ("s.json", body)}, headers=WAIT)
        assert sent.status_code == 200, sent.text
        report = sent.json()
        account = report["account"]
        assert account == {"read": 6, "inserted": 2, "updated": 0, "unchanged": 0, "rejected": 4, "withdrawn": 0}
        listed = publisher.get(sent.headers["location"] + "/rejections").json()
        assert [(one["row"], one["field"], one["code"]) for one in listed] == [
            (3, "organisation_id", "forbidden"), (4, "id", "conflict"), (5, "kind", "invalid-parameter"),
            (6, "endpoints", "upstream-refused"),
        ]  # fmt: skip
        assert listed[2]["value"] == "wmx"
        table = list(
            csv.DictReader(
                publisher.get(sent.headers["location"] + "/rejections?f=csv").text.lstrip("\ufeff").splitlines()
            )
        )
        assert [row["id"] for row in table] == ["theirs", "taken-by-water", "mine-3", "mine-4"]
        assert report["id"] in {one["id"] for one in publisher.get("/catalogue/loads").json()["loads"]}
        again = publisher.post("/catalogue/loads?filename=s.json", content=body, headers=WAIT).json()["account"]
        assert (again["inserted"], again["updated"], again["unchanged"]) == (0, 0, 2)
        filled = publisher.get("/catalogue/loads/template?f=csv&filled=true").text
        assert "mine-1" in filled
        assert "taken-by-water" not in filled
    states = dict(connection.execute("SELECT id, state FROM cim.service WHERE id LIKE 'mine%'").fetchall())
    assert states == {"mine-1": "draft", "mine-2": "draft"}
    with key(connection, running, "water", "publisher") as other, key(connection, running, "planning") as reader:
        assert_problem(other.get(f"/catalogue/loads/{report['id']}"), status=404, code="not-found")
        assert_problem(other.get(f"/catalogue/loads/{report['id']}/rejections"), status=404, code="not-found")
        assert report["id"] not in {one["id"] for one in other.get("/catalogue/loads").json()["loads"]}
        assert_problem(reader.post("/catalogue/loads?filename=s.json", content=body), status=403, code="forbidden")
    assert_problem(
        httpx2.post(f"{running.url}/catalogue/loads?filename=s.json", content=body), status=401, code="unauthorized"
    )


def test_a_dry_run_tells_the_account_and_keeps_nothing(connection, running):
    with httpx2.Client(base_url=running.url, headers={"X-API-Key": ADMIN}, timeout=60) as admin:
        sent = admin.post(
            "/catalogue/loads",
            data={"dry-run": "true"},
            files={"file": ("s.csv", csv_template([{**EXAMPLE, "organisation_id": "planning"}]))},
            headers=WAIT,
        )
        assert sent.json()["account"]["inserted"] == 1, sent.text
        assert sent.json()["isDry"]
    assert connection.execute("SELECT count(*) FROM cim.service WHERE id = %s", [EXAMPLE["id"]]).fetchone() == (0,)


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("a.txt", b"x", 415, "unsupported-media-type"),
        ("a.csv", b"", 400, "source-refused"),
        ("a.json", b"{", 400, "invalid-parameter"),
        ("a.xlsx", b"PK\x03\x04nonsense", 400, "source-refused"),
        ("a.xlsx", b"no sheet", 400, "invalid-parameter"),
    ],
)
def test_a_file_that_is_no_table_is_the_callers_mistake(running, name, content, status, code):
    address, asked = f"{running.url}/catalogue/loads?filename={name}", {"X-API-Key": ADMIN, **WAIT}
    answer = httpx2.post(address, content=content, headers=asked, timeout=60)
    assert_problem(answer, status=status, code=code)


def test_the_command_loads_services_and_shows_what_it_did_not_take(cim, tmp_path: Path):
    (tmp_path / "o.json").write_text(json.dumps([{"id": "planning", "name_zh": "规划局"}]), encoding="utf-8")
    assert cim("load", "organisations", tmp_path / "o.json").code == 0
    (tmp_path / "s.csv").write_bytes(
        csv_template([{**EXAMPLE, "organisation_id": "planning"}, {**EXAMPLE, "id": "b", "kind": "x"}])
    )
    ran = cim("load", "services", tmp_path / "s.csv", "--json")
    assert ran.code == 3, ran.err
    told = json.loads(ran.out)
    assert (told["inserted"], told["rejected"]) == (1, 1)
    assert "kind" in ran.err
    assert "b,kind,x" in cim("catalogue", "rejections", told["sources"][0]["run"]).out
    out = tmp_path / "t.xlsx"
    assert cim("catalogue", "template", out, "--filled").code == 0
    assert [row["id"] for row in read_rows(out, "services")] == [EXAMPLE["id"]]


def test_rows_of_an_intake_that_may_not_publish_are_drafts(connection):
    account = load_services(
        connection, [service("waits", state="published")], Intake("p", "planning", may_publish=False)
    )
    assert account.inserted == 1
    assert connection.execute("SELECT state FROM cim.service WHERE id = 'waits'").fetchone() == ("draft",)
