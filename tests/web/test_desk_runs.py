"""Services in bulk, harvests, district nodes and the audit at the desk, as an organisation's people and the city's see them."""

import csv
import hashlib
import io
from contextlib import ExitStack
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import orjson
import pytest

from . import office
from .test_accessibility import AXE, findings
from .test_desk_services import HOSTILE, refused
from .test_language import CHINESE, texts

TABLE = (
    "服务编号,服务名称,服务类型,共享类型,服务地址\n"
    "dr-roads,道路中线,wfs,有条件共享,https://maps.example.org/wfs\n"
    "dr-rivers,河道,wxs,有条件,https://maps.example.org/x\n"
    f'dr-parks,绿地,wms,"{HOSTILE.replace(chr(34), chr(34) * 2)}",\n'
)
WAIT = {"Prefer": "wait=60"}
WMS = (
    '<WMS_Capabilities version="1.3.0"><Service><Title>s</Title></Service><Capability><Layer><Title>top</Title>'
    "<Layer><Name>zoning</Name><Title>Zoning</Title></Layer><Layer><Name>parks</Name><Title>Parks</Title></Layer>"
    "</Layer></Capability></WMS_Capabilities>"
)


def figures(page) -> list[str]:
    """The account of a run that has ended: a page of one that goes on reads itself again, also without scripts."""
    page.locator("[data-does=watch]").wait_for(state="detached", timeout=60_000)
    return page.locator(".account dd").all_inner_texts()


def test_a_table_is_tried_then_loaded_and_its_rejections_are_taken_away(visit):
    visitor = visit(java_script_enabled=False, width=1280, height=900).log_in("qian.publisher", "/desk/bulk")
    page = visitor.page
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").first.click()
    heads = next(csv.reader(io.StringIO(download.value.path().read_text(encoding="utf-8-sig"))))
    assert {"服务编号", "服务名称", "共享类型"} <= set(heads)

    file = {"name": "services.csv", "mimeType": "text/csv", "buffer": TABLE.encode("gb18030")}
    page.set_input_files("#f-file", file)
    page.select_option("#f-encoding", "gb18030")
    page.get_by_role("button", name="上传").click()
    assert figures(page) == ["3", "1", "0", "0", "2"]
    assert "没有写入" in page.locator(".notice").inner_text(), "a table is tried first"
    assert page.request.get(visitor.base + "/catalogue/items/dr-roads").status == 404

    visitor.open("/desk/bulk")
    page.set_input_files("#f-file", file)
    page.select_option("#f-encoding", "gb18030")
    page.select_option("#f-dry-run", "false")
    page.get_by_role("button", name="上传").click()
    assert figures(page) == ["3", "1", "0", "0", "2"]
    row = page.locator("tbody tr", has_text="dr-rivers")
    assert [row.locator("td").nth(place).inner_text() for place in (1, 2)] == ["服务类型", "wxs"]
    assert page.locator("tbody tr", has_text="dr-parks").locator("td").nth(2).inner_text() == HOSTILE
    with page.expect_download() as download:
        page.get_by_role("link", name="下载（CSV）").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8-sig"))))
    assert [(one["row"], one["field"]) for one in rows] == [("2", "kind"), ("3", "share_class")]
    visitor.open("/desk/services/dr-roads")
    assert visitor.page.locator(".page-head .badge").first.inner_text() == "草稿"
    visitor.open("/desk/bulk")
    assert visitor.page.locator("tbody tr").count() >= 2

    page.set_input_files("#f-file", {"name": "notes.exe", "mimeType": "text/plain", "buffer": b"x"})
    page.get_by_role("button", name="上传").click()
    assert "notes.exe" in refused(visitor, 415)


def test_a_long_table_is_followed_and_ended(visit):
    visitor = visit(width=1280, height=900).log_in("qian.publisher", "/desk/bulk")
    page = visitor.page
    rows = "".join(f"dr-long-{n},底图 {n},wms\n" for n in range(8_000))
    table = "服务编号,服务名称,服务类型\n" + rows
    page.set_input_files("#f-file", {"name": "long.csv", "mimeType": "text/csv", "buffer": table.encode()})
    page.select_option("#f-dry-run", "false")
    page.get_by_role("button", name="上传").click()
    page.locator("[data-rows]", has_text="8,000").wait_for(timeout=60_000)
    page.get_by_role("button", name="取消").click()
    page.locator(".said", has_text="已取消").wait_for()
    assert page.locator("[data-does=watch]").count() == 0
    assert "cancelled by" in page.locator(".alert").inner_text()
    assert page.request.get(visitor.base + "/catalogue/items/dr-long-1").status == 404


def test_a_source_is_declared_tried_run_paused_and_forgotten(visit, elsewhere):
    elsewhere.documents["/wms"] = (200, {"Content-Type": "text/xml"}, WMS.encode())
    visitor = visit(java_script_enabled=False, locale="en-GB").log_in("li.owner", "/desk/harvests")
    page = visitor.page
    page.fill("#f-url", "http://169.254.169.254/wms")
    page.fill("#f-id", "dr-wms")
    page.get_by_role("button", name="Declare a source").click()
    assert "169.254.169.254" in refused(visitor, 422)
    assert page.input_value("#f-id") == "dr-wms"
    page.fill("#f-url", f"{elsewhere.url}/wms")
    page.get_by_role("button", name="Declare a source").click()
    assert page.url.endswith("/desk/harvests/dr-wms?said=harvest-declared")
    page.get_by_role("button", name="Try it").click()
    assert figures(page) == ["2", "2", "0", "0", "0"]
    assert page.locator(".notice").count() == 1
    visitor.open("/desk/harvests/dr-wms")
    page.get_by_role("button", name="Run now").click()
    assert figures(page) == ["2", "2", "0", "0", "0"]
    visitor.open("/desk/harvests/dr-wms")
    page.get_by_role("button", name="Run now").click()
    assert figures(page) == ["2", "0", "0", "2", "0"], "a source that did not change changes nothing"
    visitor.open("/desk/harvests/dr-wms")
    assert page.locator("tbody tr").count() == 3
    page.fill("#f-interval_s", "5")
    page.get_by_role("button", name="Save").click()
    assert "interval_s" in refused(visitor, 400)
    assert page.locator("#f-interval_s").get_attribute("aria-invalid") == "true"
    page.fill("#f-interval_s", "86400")
    page.select_option("#f-state", "paused")
    page.get_by_role("button", name="Save").click()
    assert "every 1 d" in page.locator(".facts").inner_text()
    visitor.open("/desk/harvests")
    assert "Paused" in page.locator("tbody tr", has_text="dr-wms").inner_text()
    visitor.open("/desk/harvests/dr-wms")
    page.locator("summary", has_text="Delete the source").click()
    page.get_by_role("button", name="Delete the source").click()
    assert page.url.endswith("/desk/harvests?said=harvest-deleted")
    assert page.request.get(visitor.base + "/desk/services?words=dr-wms").status == 200


def test_a_district_is_declared_taken_in_and_its_calls_are_compared(visit, elsewhere):
    feed = {"node": "dr-nanshan", "changes": [], "more": False, "next": "1"}
    elsewhere.documents["/district/catalogue/changes"] = orjson.dumps(feed)
    elsewhere.documents["/district/catalogue/relayed"] = orjson.dumps({"rows": []})
    visitor = visit(java_script_enabled=False, width=1280, height=900).log_in("zhao.city", "/desk/nodes")
    page = visitor.page
    members = {
        "id": "dr-nanshan",
        "url": f"{elsewhere.url}/district",
        "title_zh": "测试南山",
        "title_en": "Nanshan",
        "area_code": "4403x",
        "key": "key-of-the-district",
    }
    for name, value in members.items():
        page.fill(f"#f-{name}", value)
    page.get_by_role("button", name="接入节点").click()
    assert "数字的行政区划代码" in refused(visitor, 400)
    assert page.input_value("#f-title_zh") == "测试南山"
    assert page.input_value("#f-key") == "", "a key is not sent back"
    page.fill("#f-area_code", "440305")
    page.fill("#f-key", members["key"])
    page.get_by_role("button", name="接入节点").click()
    assert page.url.endswith("/desk/nodes/dr-nanshan?said=node-declared")
    assert members["key"] not in page.content()
    page.get_by_role("button", name="立即同步").click()
    if "/runs/" in page.url:  # it takes longer than the page waits
        page.locator("[data-does=watch]").wait_for(state="detached", timeout=60_000)
        visitor.open("/desk/nodes/dr-nanshan")
    assert "完成" in page.locator("tbody tr").first.inner_text()
    assert elsewhere.headers[-1]["x-api-key"] == members["key"]

    page.fill("#f-day", "2026-11-24")
    page.get_by_role("button", name="对账").click()
    assert "两级账目一致" in page.locator(".notice").inner_text()
    call = hashlib.sha256(b"call").hexdigest()[:32]
    rows = {"": ("dr-nanshan.a", 1), "service": ("abc", 1), "bucket": (call, 1)}
    for asked, (name, calls) in rows.items():
        path = f"/district/catalogue/relayed?day=2026-11-24&node={asked_node(elsewhere)}"
        path += "&service=dr-nanshan.a" if asked else ""
        path += "&bucket=abc" if asked == "bucket" else ""
        row = {"name": name, "calls": calls, "digest": "1" * 64}
        elsewhere.documents[path] = orjson.dumps({"rows": [row]})
    page.get_by_role("button", name="对账").click()
    assert "不一致" in page.locator(".notice").inner_text()
    assert call in page.locator("tbody tr", has_text="dr-nanshan.a").inner_text()

    page.locator("summary", has_text="移除节点").click()
    page.get_by_role("button", name="移除节点").click()
    assert page.url.endswith("/desk/nodes?said=node-removed")
    assert page.locator("tbody tr", has_text="测试南山").count() == 0


def asked_node(elsewhere) -> str:
    """The id by which the city asked for its calls."""
    return next(path for path in reversed(elsewhere.asked) if "/relayed" in path).partition("node=")[2]


def test_the_audit_is_filtered_read_on_and_taken_away(visit, portal_url):
    with ExitStack() as stack:
        author = office.session(portal_url, "qian.publisher", stack)
        assert author.post("/catalogue/items", json=office.draft("dr-audit", title_zh=HOSTILE)).status_code == 201
        for number in range(55):
            body = {"quality": f"checked {number}"}
            answer = author.patch("/catalogue/items/dr-audit", json=body, headers={"If-Match": "*"})
            assert answer.status_code == 200
    today = f"{datetime.now(UTC).astimezone(ZoneInfo('Asia/Shanghai')):%Y-%m-%d}"
    visitor = visit(java_script_enabled=False, width=1280, height=900).log_in("li.owner", "/desk/audit")
    page = visitor.page
    page.select_option("#f-subject-kind", "service")
    page.fill("#f-subject", "dr-audit")
    page.fill("#f-actor", "qian.publisher")
    page.fill("#f-since", today)
    page.fill("#f-until", today)
    page.get_by_role("button", name="查询").click()
    assert page.locator("tbody tr").count() == 50
    page.get_by_role("link", name="下一页").click()
    assert page.locator("tbody tr").count() == 6
    assert page.locator("tbody tr").last.locator("td").nth(1).inner_text() == "登记"
    with page.expect_download() as download:
        page.get_by_role("link", name="下载（CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8-sig"))))
    assert len(rows) == 56
    assert {row["actor"] for row in rows} == {"person qian.publisher"}
    page.select_option("#f-event", "register")
    page.get_by_role("button", name="查询").click()
    assert page.locator("tbody tr").count() == 1
    assert page.get_by_text("记录链的末端").count() == 0, "the head is for the city"
    city = visit(java_script_enabled=False).log_in("zhao.city", "/desk/audit")
    head = city.page.request.get(portal_url + "/admin/audit/head").json()
    assert f"{head['number']}:{head['digest']}" in city.page.inner_text("main")


@pytest.mark.parametrize(("locale", "scheme"), [("zh-CN", "light"), ("en-GB", "dark")])
def test_axe_finds_nothing_serious_and_each_language_is_whole(visit, portal_url, elsewhere, locale, scheme):
    key = f"dr-axe-{scheme}"
    with ExitStack() as stack:
        owner, city = (office.session(portal_url, login, stack) for login in ("li.owner", "zhao.city"))
        sent = owner.post(
            "/catalogue/loads?filename=a.csv&dry-run=true", content=b"id,kind,title_en\nx y,wms,X\n", headers=WAIT
        )
        run = sent.json()["id"]
        url = f"{elsewhere.url}/none"
        body = {"id": key, "url": url, "organisation_id": "planning"}
        assert city.post("/catalogue/harvests", json=body).status_code == 201
        city.post(f"/catalogue/harvests/{key}/run", headers=WAIT)
        node = {"id": f"{key}-node", "url": url, "title_zh": "x", "title_en": "X", "area_code": "440305", "key": "key-of-x"}  # fmt: skip
        assert city.post("/admin/nodes", json=node).status_code == 201
        city.post(f"/admin/nodes/{key}-node/run", headers=WAIT)
    visitor = visit(locale=locale, width=1280, height=900)
    visitor.page.emulate_media(color_scheme=scheme)
    visitor.page.add_init_script(path=AXE)
    visitor.log_in("zhao.city")
    paths = ("bulk", f"bulk/{run}", "harvests", f"harvests/{key}", "nodes", f"nodes/{key}-node", "audit?event=node-register")  # fmt: skip
    for path in paths:
        visitor.page.set_viewport_size({"width": 1280, "height": 900})
        visitor.open(f"/desk/{path}")
        visitor.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert findings(visitor) == [], path
        if locale == "en-GB":
            visitor.page.evaluate("document.querySelectorAll('tbody td, tbody th').forEach((one) => one.remove())")
            assert [text for text in texts(visitor.page) if CHINESE.search(text)] == [], path
        visitor.page.set_viewport_size({"width": 390, "height": 900})
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 390, path
