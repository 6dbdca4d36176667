"""The shelf: a developer's whole story, the same without a script, facets, hostile names, both languages, axe."""

import re
import subprocess
import time
from contextlib import ExitStack

import httpx2
import pytest

from . import office, town
from .test_accessibility import AXE, findings
from .test_language import CHINESE, texts

BOX = [town.WEST, town.SOUTH, town.WEST + town.COLUMNS * town.STEP, town.SOUTH + town.ROWS * town.STEP]
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
SERVICES = {
    "shelf-flood": {
        "title_zh": "南山区积水点分布", "title_en": "Flooding spots of Nanshan", "themes": ["shelf-water", "防汛"], "bbox": BOX,
        "area_code": town.EAST_DISTRICT, "cim_level": 4, "update_cycle": "daily", "time_from": "2020-01-01",
    },
    "shelf-open": {
        "title_zh": "公开建筑", "title_en": "Open buildings", "themes": ["shelf-water"], "share_class": "unconditional",
        "endpoints": [{"url": "/collections/buildings/items"}], "area_code": town.WEST_DISTRICT,
    },
    "shelf-wms": {
        "kind": "wms", "title_zh": "历史影像", "title_en": "Historical imagery", "themes": ["shelf-water"], "collection_id": None,
        "share_class": "unconditional", "endpoints": [{"url": "https://maps.example/wms?layers=y1990"}], "bbox": BOX,
    },
    "shelf-hostile": {"title_zh": HOSTILE, "title_en": HOSTILE, "description_en": HOSTILE, "themes": [HOSTILE]},
}  # fmt: skip


@pytest.fixture(scope="module")
def shelf(portal_url):
    """The services of these tests, on the shelf; gives the node's address."""
    for key, more in SERVICES.items():
        office.on_the_shelf(portal_url, key, **more)
    return portal_url


def test_a_developer_finds_applies_calls_and_sees_the_count(visit, shelf):
    visitor = visit(locale="zh-CN", width=1280, height=900).open("/catalogue?f=html")
    page = visitor.page
    page.fill("[name=words]", "积水 南山")
    page.click(".shelf-search button")
    page.locator("#facets a", has_text="有条件共享").click()
    page.locator("#facets a", has_text="每日").click()
    assert "words=" in page.url
    assert "shareClass=conditional" in page.url
    assert "updateCycle=daily" in page.url
    assert "1" in page.locator("#found").inner_text()
    page.locator(".service a", has_text="南山区积水点分布").click()
    curl = page.locator("[data-way=curl] pre").inner_text()
    assert f'curl -fsSL -H "X-API-Key: $KEY" "{shelf}/services/shelf-flood/items?' in curl
    page.locator("[data-way=curl] .button").click()
    page.locator("#status", has_text="已复制").wait_for()
    page.click(".access .button")
    page.fill("[name=login]", "zhou.caller")
    page.fill("[name=password]", office.PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/apply/shelf-flood")
    page.fill("[name=purpose]", "内涝模拟")
    page.fill("[name=quota_day]", "50")
    page.click(".form button[type=submit]")
    page.wait_for_url(re.compile(r"/desk/applications/\d+\?said=application-sent"))
    assert page.locator(".said").count() == 1
    number = page.url.partition("?")[0].rpartition("/")[2]
    visitor.open("/catalogue/items/shelf-flood?f=html")
    assert f"申请 {number} 正在等待审批" in page.locator(".access").inner_text()
    with ExitStack() as stack:
        owner = office.session(shelf, "li.owner", stack)
        assert owner.post(f"/applications/{number}/grant", json={}).status_code == 200
    time.sleep(2.2)  # what a worker knows of a service's grants is that old at most
    page.reload()
    assert "已获授权" in page.locator(".access").inner_text()
    page.fill("#try-1", "2")
    page.click(".try button")
    answer = page.locator("#try-answer dl[data-status='200']")
    answer.wait_for()
    assert re.search(r"x-call-id\s+[0-9a-f-]{36}", answer.inner_text())
    assert 'limit="50"' in answer.inner_text() or "q=50" in answer.inner_text()
    assert '"FeatureCollection"' in page.locator("#try-answer pre").inner_text()
    until = time.monotonic() + 10
    while httpx2.get(f"{shelf}/catalogue/items/shelf-flood/usage").json()["calls"] < 1 and time.monotonic() < until:
        time.sleep(0.1)
    page.reload()
    assert page.locator("[data-figure=calls]").inner_text() == "1"
    page.locator("[data-chart=days] canvas").wait_for()
    assert "1 / 50" in page.locator(".access").inner_text()


def test_the_map_draws_the_extent_and_the_data(visit, shelf):
    visitor = visit(width=1280, height=1400).open("/catalogue/items/shelf-open?f=html")
    visitor.page.locator(".extent").scroll_into_view_if_needed()
    visitor.map_is_still()
    drawn = visitor.page.evaluate("window.cim.map.queryRenderedFeatures().map((one) => one.layer.id)")
    assert any(layer.startswith("data-buildings") for layer in drawn)
    assert "land" in drawn
    assert visitor.page.locator(".is-sample tbody tr").count() == 3
    assert "居住" in visitor.page.locator("#fields ~ div").inner_html()


def test_everything_works_without_a_script(visit, shelf):
    visitor = visit(java_script_enabled=False, locale="en-GB").log_in("zhou.caller", "/apply/shelf-hostile")
    page = visitor.page
    assert "<script>alert(1)" in page.locator(".trail").inner_text(), "shown as text (B43)"
    page.fill("[name=purpose]", "to test what is <b>hostile</b>")
    page.fill("[name=area_code]", "nowhere")
    page.click(".form button[type=submit]")
    assert page.locator("#alert").count() == 1
    assert page.locator("[name=area_code][aria-invalid=true]").input_value() == "nowhere"
    assert page.locator("[name=purpose]").input_value() == "to test what is <b>hostile</b>"
    visitor.errors.clear()  # the refused form is a 400
    visitor.open("/catalogue/items?f=html&theme=shelf-water&sortby=title")
    assert page.locator(".service").count() == 3
    page.select_option("#sortby", "id")
    page.locator(".found-sort button").click()
    assert "sortby=id" in page.url
    assert page.locator(".service").count() == 3
    page.locator("#facets a", has_text="WMS").click()
    page.locator(".chip.is-on", has_text="shelf-water").click()
    assert "theme" not in page.url
    visitor.open("/catalogue/items/shelf-open?f=html")
    page.click(".try button")
    assert page.url.startswith(f"{shelf}/services/shelf-open?limit=5")
    assert page.locator("tbody th a").count() == 5, "what a browser asks for is a page"


def test_pages_follow_and_what_is_not_there_is_useful(visit, shelf):
    page = visit(locale="en-GB").open("/catalogue/items?f=html&theme=shelf-water&limit=2").page
    seen = page.locator(".service h3").all_inner_texts()
    page.click("[rel=next]")
    seen += page.locator(".service h3").all_inner_texts()
    assert len(seen) == len(set(seen)) == 3
    page.goto(f"{shelf}/catalogue/items?f=html&words=nowhere&theme=shelf-water")
    page.locator(".nothing .chip", has_text="without “nowhere”").click()
    assert page.locator(".service").count() == 3
    with httpx2.Client(base_url=shelf) as client:
        refused = client.get("/catalogue/items?f=html&filter=nonsense(")
        assert refused.status_code == 400
        assert 'role="alert"' in refused.text
        assert 'name="words"' in refused.text
        assert client.get("/apply/shelf-open").status_code == 303
        assert client.get("/catalogue/items/none?f=html").status_code == 404
        exported = client.get("/catalogue/export?f=csv&theme=shelf-water")
        assert exported.text.count("shelf-") >= 3


def test_owners_see_the_version_in_work(visit, shelf):
    page = visit(locale="zh-CN").log_in("li.owner", "/catalogue/items/shelf-flood?f=html").page
    assert page.locator("#inside ~ p a").get_attribute("href").endswith("desk/services/shelf-flood")
    assert "不需要申请" in page.locator(".access").inner_text()
    assert page.locator(".is-sample tbody tr").count() == 3


def test_a_forged_form_applies_for_nothing(shelf):
    with ExitStack() as stack:
        caller = office.session(shelf, "zhou.caller", stack)
        del caller.headers["X-CSRF-Token"]
        before = caller.get("/applications?service=shelf-hostile").json()["applications"]
        forged = caller.post("/apply/shelf-hostile", data={"purpose": "forged", "csrf": "guessed"})
        assert forged.status_code == 403
        assert caller.get("/applications?service=shelf-hostile").json()["applications"] == before
        assert httpx2.post(f"{shelf}/apply/shelf-hostile", data={"purpose": "forged"}).status_code in (303, 403)


@pytest.mark.parametrize(("locale", "scheme", "width"), [("zh-CN", "light", 390), ("en-GB", "dark", 1280)])
def test_axe_finds_nothing_serious_and_english_is_complete(visit, shelf, locale, scheme, width):
    visitor = visit(locale=locale, width=width, height=900)
    visitor.page.emulate_media(color_scheme=scheme)
    visitor.page.add_init_script(path=AXE)
    items = ("?f=html&words=x&theme=y", "?f=html&theme=shelf-water", *(f"/{key}?f=html" for key in SERVICES))
    for path in ("/catalogue?f=html", *(f"/catalogue/items{one}" for one in items)):
        visitor.open(path)
        visitor.page.wait_for_load_state("networkidle")
        assert findings(visitor) == [], path
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert "alert(1)" not in visitor.page.evaluate("[...document.scripts].map((one) => one.textContent).join('')")
        if locale == "en-GB":
            said_by_others = "[lang=zh-CN], .chip, pre, #facets, .service-facts, .is-sample td"
            visitor.page.evaluate("(s) => document.querySelectorAll(s).forEach((one) => one.remove())", said_by_others)
            left = [text for text in texts(visitor.page) if CHINESE.search(text)]
            assert left == [], path


def test_the_copied_line_is_a_command(visit, shelf):
    page = visit().open("/catalogue/items/shelf-open?f=html").page
    text = page.locator("[data-way=curl] pre").inner_text()
    assert (
        '"FeatureCollection"' in subprocess.run(["bash", "-c", text], capture_output=True, check=True, text=True).stdout
    )
