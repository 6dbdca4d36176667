"""The desk's services as their people see them: from the form to the shelf and off it, by a publisher, a reviewer and an owner."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from api.portal.desk_compare import IN_ORDER, marked
from api.portal.pages import PAGES
from cim.catalogue.service import MEMBERS

from . import office
from .test_accessibility import AXE, findings
from .test_language import CHINESE, texts
from .visit import Visit

HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


def act(visitor: Visit, event: str, why: str = "") -> None:
    """Do an event on the page of a service, by its button."""
    page = visitor.page
    form = page.locator(f"form[action$='/events/{event}']")
    details = page.locator("details", has=form)
    if details.count():
        details.locator("summary").click()
    if why:
        form.locator("[name=why]").fill(why)
    form.locator("button").click()
    page.wait_for_load_state()


def badge(visitor: Visit) -> str:
    return visitor.page.locator(".page-head .badge").first.inner_text()


def refused(visitor: Visit, status: int) -> str:
    """What the page says against it; the visit expected that."""
    for _ in range(100):  # the response and what the console says of it
        if len(visitor.errors) == 2:
            break
        visitor.page.wait_for_timeout(20)
    assert all(str(status) in one for one in visitor.errors), visitor.errors
    visitor.errors.clear()
    return visitor.page.locator("#alert").inner_text()


def test_from_the_form_to_the_shelf_and_off_it(visit, portal_url):
    publisher, reviewer, owner = (
        visit(width=1280, height=900).log_in(login) for login in ("qian.publisher", "sun.reviewer", "li.owner")
    )
    page = publisher.page
    page.get_by_role("link", name="服务登记").click()
    page.get_by_role("link", name="登记服务").click()
    page.fill("#f-id", "ds-story")
    page.fill("#f-title_zh", "测试：建筑高度服务")
    page.get_by_role("button", name="保存草稿").click()
    page.wait_for_url("**/desk/services/ds-story/edit?said=registered")
    asked = page.locator(".notice a").all_inner_texts()
    assert asked == ["英文名称", "中文说明", "英文说明", "主题词", "服务地址", "使用许可", "联系方式"]
    assert page.locator("#f-licence").get_attribute("data-missing") == "true"
    assert "上架前需填写" in page.locator("#h-licence").inner_text()

    page.fill("#f-title_en", "Heights of buildings")
    page.fill("#f-description_zh", "全市建筑高度，按月更新。")
    page.fill("#f-description_en", "Heights of the city's buildings.")
    page.fill("#f-themes", "建筑；高度")
    page.get_by_role("button", name="再加一行").click()
    assert page.locator(".row").count() == 3
    page.locator("[name=endpoint_url]").nth(2).fill("/collections/buildings")
    page.select_option("#f-collection_id", "buildings")
    page.fill("#f-licence", "CC-BY-4.0")
    page.fill("#f-bbox_west", "113.7")
    page.get_by_role("button", name="保存草稿").click()
    page.wait_for_load_state()
    assert "空间范围：须为四个经纬度" in refused(publisher, 400)
    assert page.locator("#f-bbox_west").get_attribute("aria-invalid") == "true"
    assert page.input_value("#f-description_zh") == "全市建筑高度，按月更新。", "what was typed is kept"
    for edge, value in (("west", "113.7"), ("south", "22.4"), ("east", "114.6"), ("north", "22.9")):
        page.fill(f"#f-bbox_{edge}", value)
    page.fill("#f-contact", "desk@planning.example")
    page.select_option("#f-cim_level", "3")
    page.get_by_role("button", name="保存草稿").click()
    page.wait_for_url("**/desk/services/ds-story?said=saved")
    stored = page.request.get(portal_url + "/catalogue/items/ds-story").json()["working"]["document"]
    assert stored["themes"] == ["建筑", "高度"]
    assert stored["endpoints"] == [{"url": "/collections/buildings"}]
    assert (stored["bbox"], stored["cim_level"]) == ([113.7, 22.4, 114.6, 22.9], 3)
    act(publisher, "submit")
    assert badge(publisher) == "审核中"
    assert page.locator(".way [aria-current=step] strong").inner_text() == "审核中"
    assert page.get_by_role("link", name="修改").count() == 0, "what is in review is not edited"

    reviewer.open("/desk/reviews")
    reviewer.page.locator("tr", has_text="ds-story").get_by_role("link", name="去审核").click()
    assert "CC-BY-4.0" in reviewer.page.locator(".facts").first.inner_text()
    reviewer.page.get_by_role("button", name="审核通过").click()
    reviewer.page.wait_for_url("**/desk/reviews?said=approve")

    owner.open("/desk/services/ds-story")
    act(owner, "publish")
    assert badge(owner) == "已上架"
    anyone = visit().open("/catalogue/items/ds-story?f=html")
    assert "建筑高度服务" in anyone.page.inner_text("body")

    keyboard = owner.page.keyboard
    owner.page.locator("summary", has_text="暂停服务").focus()
    keyboard.press("Enter")
    keyboard.press("Tab")
    keyboard.insert_text("坐标有误，正在核对")
    keyboard.press("Tab")
    keyboard.press("Enter")
    owner.page.wait_for_url("**?said=suspend")
    assert badge(owner) == "已暂停"
    assert "坐标有误，正在核对" in owner.page.locator(".notice").inner_text()
    assert "坐标有误" in owner.page.locator(".trace").inner_text()
    act(owner, "resume")
    assert badge(owner) == "已上架"
    act(owner, "withdraw", "由新服务代替")
    act(owner, "republish")
    act(owner, "withdraw", "由新服务代替")
    act(owner, "archive", "不再提供")
    assert badge(owner) == "已归档"
    assert owner.page.locator(".acts form").count() == 0, "nothing more can be done with it"


def test_of_two_editors_the_slower_sees_both_and_keeps_what_was_typed(visit, portal_url):
    office.on_the_shelf(portal_url, "ds-two", description_en="Footprints and heights, each month.")
    slower = visit(width=1280, height=900).log_in("qian.publisher", "/desk/services/ds-two/edit")
    page = slower.page
    page.fill("#f-description_en", "Footprints and floors, each month.")
    with ExitStack() as stack:
        faster = office.session(portal_url, "li.owner", stack)
        body = {"description_en": "Footprints and heights, each week.", "quality": "checked"}
        answer = faster.patch("/catalogue/items/ds-two", json=body, headers={"If-Match": "*"})
        assert answer.status_code == 200
    page.get_by_role("button", name="保存草稿").click()
    page.wait_for_load_state()
    refused(slower, 412)
    row = page.locator(".compare tr", has_text="英文说明")
    assert row.locator("del").all_inner_texts() == ["heights", "week"]
    assert row.locator("ins").all_inner_texts() == ["floors", "month"]
    assert "－ 删除" in page.locator(".compare tr", has_text="质量说明").inner_text()
    assert page.input_value("#f-description_en") == "Footprints and floors, each month."
    page.get_by_role("button", name="仍按我的内容保存").click()
    page.wait_for_url("**/desk/services/ds-two?said=saved")
    slower.open("/desk/services?words=ds-two")
    assert page.locator("tbody tr").inner_text().split("\t")[1].split("\n") == ["已上架", "另有新版本：草稿"]
    slower.open("/desk/services/ds-two/compare?a=1&b=3")
    assert page.locator(".compare tbody tr").count() == 1
    assert page.locator(".compare ins").all_inner_texts() == ["floors"]


def test_nobody_reviews_their_own_and_is_told_so(visit, portal_url):
    with ExitStack() as stack:
        city = office.session(portal_url, "zhao.city", stack)
        assert city.post("/catalogue/items", json=office.draft("ds-own")).status_code == 201
        assert city.post("/catalogue/items/ds-own/submit", json={}).status_code == 200
    visitor = visit(width=1280, height=900).log_in("zhao.city", "/desk/reviews")
    row = visitor.page.locator("tr", has_text="ds-own")
    assert "须由他人审核" in row.inner_text()
    visitor.open("/desk/reviews/ds-own")
    assert "须由他人审核" in visitor.page.locator(".notice").inner_text()
    assert visitor.page.get_by_role("button", name="审核通过").count() == 0
    token = visitor.page.evaluate("JSON.parse(document.getElementById('config').textContent).csrf")
    draft = visitor.page.request.get(portal_url + "/catalogue/items/ds-own/draft").json()
    form = {"csrf": token, "do": "approve", "content_hash": draft["contentHash"], "why": "看起来不错"}
    answer = visitor.page.request.post(portal_url + "/desk/reviews/ds-own", form=form)
    assert answer.status == 409
    assert "不能审核自己编辑或提交的内容" in answer.text(), "also of who sends the form all the same"


def test_a_review_is_of_what_was_read(visit, portal_url):
    with ExitStack() as stack:
        author = office.session(portal_url, "qian.publisher", stack)
        assert author.post("/catalogue/items", json=office.draft("ds-pinned")).status_code == 201
        assert author.post("/catalogue/items/ds-pinned/submit", json={}).status_code == 200
        reader = visit(width=1280, height=900).log_in("sun.reviewer", "/desk/reviews/ds-pinned")
        assert author.post("/catalogue/items/ds-pinned/recall", json={}).status_code == 200
        edit = {"licence": "all rights reserved"}
        assert author.patch("/catalogue/items/ds-pinned", json=edit, headers={"If-Match": "*"}).status_code == 200
        assert author.post("/catalogue/items/ds-pinned/submit", json={}).status_code == 200
    reader.page.fill("#f-why", "看起来不错")
    reader.page.get_by_role("button", name="审核通过").click()
    reader.page.wait_for_load_state()
    assert "内容已被他人修改" in refused(reader, 409)
    assert reader.page.input_value("#f-why") == "看起来不错"
    assert "all rights reserved" in reader.page.locator(".facts").first.inner_text(), "read again, it is another"


def test_the_whole_way_without_a_script(visit, portal_url):
    publisher = visit(java_script_enabled=False, locale="en-GB").log_in("qian.publisher", "/desk/new/services")
    page = publisher.page
    for name, value in office.draft("ds-plain").items():
        if name in ("themes", "endpoints"):
            continue
        if name in ("kind", "organisation_id", "collection_id", "share_class"):
            page.select_option(f"#f-{name}", value)
        else:
            page.fill(f"#f-{name}", value)
    page.fill("#f-themes", "buildings")
    page.get_by_role("button", name="Check").click()
    assert page.locator(".notice a").all_inner_texts() == ["Endpoints"]
    page.locator("[name=endpoint_url]").first.fill("/collections/buildings")
    page.get_by_role("button", name="Save as a draft").click()
    assert page.url.endswith("/desk/services/ds-plain?said=registered")
    act(publisher, "submit")
    reviewer = visit(java_script_enabled=False, locale="en-GB").log_in("sun.reviewer", "/desk/reviews/ds-plain")
    reviewer.page.get_by_role("button", name="Return for changes").click()
    assert "must be filled in" in refused(reviewer, 400)
    assert reviewer.page.locator("#f-why").get_attribute("aria-invalid") == "true"
    reviewer.page.fill("#f-why", "The licence is not ours to give")
    reviewer.page.get_by_role("button", name="Return for changes").click()
    assert reviewer.page.url.endswith("/desk/reviews?said=return")
    publisher.open("/desk/services/ds-plain")
    assert "The licence is not ours to give" in page.locator(".notice").inner_text()
    act(publisher, "discard")
    assert page.url.endswith("/desk/services?said=discarded")
    assert page.request.get(portal_url + "/catalogue/items/ds-plain").status == 404


def test_a_credential_is_set_and_never_shown(visit, portal_url):
    with ExitStack() as stack:
        author = office.session(portal_url, "qian.publisher", stack)
        body = office.draft("ds-secret", kind="wms", endpoints=[{"url": "https://maps.example.org/wms"}])
        assert author.post("/catalogue/items", json=body).status_code == 201
    visitor = visit(java_script_enabled=False).log_in("li.owner", "/desk/services/ds-secret")
    page = visitor.page
    page.get_by_text("设置凭证").click()
    page.fill("#f-bearer_token", "secret-of-the-upstream")
    page.locator("form", has=page.locator("#f-bearer_token")).get_by_role("button").click()
    assert page.url.endswith("?said=credential-set")
    assert "li.owner" in page.locator("#credential").inner_text()
    assert "secret-of-the-upstream" not in page.content()
    page.get_by_role("button", name="删除凭证").click()
    assert "未设置" in page.locator("#credential").inner_text()


def test_B43_a_hostile_name_is_text_on_every_page(visit, portal_url):
    texts = ("title_zh", "title_en", "description_zh", "description_en", "contact", "licence", "quality")
    members = dict.fromkeys(texts, HOSTILE)
    with ExitStack() as stack:
        author = office.session(portal_url, "qian.publisher", stack)
        body = office.draft("ds-hostile", **members, themes=[HOSTILE[:50]])
        assert author.post("/catalogue/items", json=body).status_code == 201
        edit = {"title_zh": f"再{HOSTILE}"}
        assert author.patch("/catalogue/items/ds-hostile", json=edit, headers={"If-Match": "*"}).status_code == 200
        assert author.post("/catalogue/items/ds-hostile/submit", json={}).status_code == 200
    visitor = visit(width=1280, height=900).log_in("zhao.city")
    one = "services/ds-hostile"
    for path in ("services?words=onerror", one, f"{one}/edit", f"{one}/compare", "reviews", "reviews/ds-hostile"):
        visitor.open(f"/desk/{path}")
        assert "taken" not in visitor.page.title() or "onerror" in visitor.page.title(), path
        assert visitor.page.locator("img[src=x]").count() == 0, path
        assert "onerror" in visitor.page.content(), path


@pytest.mark.parametrize(("locale", "scheme"), [("zh-CN", "light"), ("en-GB", "dark")])
def test_axe_finds_nothing_serious_and_each_language_is_whole(visit, portal_url, scheme, locale):
    key = f"ds-axe-{scheme}"
    chinese = "" if locale == "en-GB" else "影像"
    office.on_the_shelf(portal_url, key, title_zh=f"{chinese}x", description_zh=f"{chinese}y")
    with ExitStack() as stack:
        author = office.session(portal_url, "qian.publisher", stack)
        body = {"quality": "checked", "licence": None}
        assert author.patch(f"/catalogue/items/{key}", json=body, headers={"If-Match": "*"}).status_code == 200
    visitor = visit(locale=locale, width=1280, height=900)
    visitor.page.emulate_media(color_scheme=scheme)
    visitor.page.add_init_script(path=AXE)
    visitor.log_in("li.owner")
    one = f"services/{key}"
    for path in (f"services?words={key}", one, f"{one}/edit", f"{one}/compare", "new/services", "reviews"):
        visitor.open(f"/desk/{path}")
        visitor.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert findings(visitor) == [], path
        if locale == "en-GB" and path != "reviews":
            visitor.page.evaluate("document.querySelectorAll('datalist, #h-themes').forEach((one) => one.remove())")
            assert [text for text in texts(visitor.page) if CHINESE.search(text)] == [], path
    for width in (390, 1920):
        visitor.page.set_viewport_size({"width": width, "height": 900})
        for path in ("services", one, f"{one}/edit", f"{one}/compare", "reviews"):
            visitor.open(f"/desk/{path}")
            assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


@pytest.fixture(scope="module")
def archive(portal_url: str) -> str:
    """An organisation with 60 services, and one who sees them: its login."""
    with httpx2.Client(base_url=portal_url, timeout=60, headers={"Authorization": f"Bearer {office.ADMIN}"}) as admin:
        organisation = {"id": "ds-archive", "name_zh": "档案馆", "name_en": "Archive"}
        person = {
            "login": "ds.archivist",
            "organisation_id": "ds-archive",
            "duties": ["org_admin", "publisher"],
            "password": office.PASSWORD,
        }
        assert admin.post("/organisations", json=organisation).status_code == 201
        assert admin.post("/people", json=person).status_code == 201
        rows = "".join(f"ds-arch-{n},档案 {n},ds-archive,{'wms' if n % 2 else 'wfs'}\n" for n in range(60))
        sent = admin.post(
            "/catalogue/loads?filename=a.csv",
            content=f"id,title_zh,organisation_id,kind\n{rows}".encode(),
            headers={"Prefer": "wait=60"},
        )
        assert sent.json()["account"]["inserted"] == 60, sent.text
    return "ds.archivist"


def test_a_long_list_is_filtered_and_read_on(visit, archive):
    visitor = visit(java_script_enabled=False).log_in(archive, "/desk/services")
    page = visitor.page
    rows = page.locator(".list tbody tr")
    assert rows.count() == 50
    assert page.locator(".counts").inner_text().split() == ["60", "草稿"], "of others nothing is listed here"
    page.get_by_role("link", name="下一页").click()
    assert rows.count() == 10
    page.select_option("#f-kind", "wms")
    page.select_option("#f-state", "draft")
    page.get_by_role("button", name="查询").click()
    assert rows.count() == 30
    page.fill("#f-words", "ds-arch-59")
    page.get_by_role("button", name="查询").click()
    assert rows.count() == 1
    assert page.get_by_role("link", name="清除条件").count() == 1


def test_services_of_others_are_not_for_the_desk_of_strangers(visit, portal_url):
    office.on_the_shelf(portal_url, "ds-others")
    visitor = visit(locale="en-GB").log_in("zhou.caller")
    visitor.open("/desk/services/ds-others")
    assert "organisation that owns" in refused(visitor, 403)
    visitor.open("/desk/services?words=ds-others")
    assert visitor.page.locator(".empty").count() == 1


def posts() -> Iterator[str]:
    """The address of every form that a page sends."""
    for route in PAGES:
        if "POST" in (route.methods or ()):
            yield re.sub(r"\{\w+\}", "1", route.path)


@pytest.mark.parametrize("path", list(posts()))
def test_B44_a_form_that_is_forged_changes_nothing(portal_url, path):
    """Each form refuses a token that is not there or not this session's, and the right one from another site's page."""
    with ExitStack() as stack:
        client = office.session(portal_url, "zhao.city", stack)
        token = client.headers.pop("X-CSRF-Token")
        for sent, headers in (("", {}), ("0" * 64, {}), (token, {"Origin": "https://evil.example"})):
            plain = client.post(path, data={"csrf": sent}, headers=headers)
            with_file = client.post(path, files={"csrf": (None, sent), "file": ("a.csv", b"id")}, headers=headers)
            # a page takes either kind of form: the other is refused before anything is read
            assert sorted([plain.status_code, with_file.status_code]) == [400, 403], (path, sent, plain.text[:300])
        assert client.get("/sessions/current").status_code == 200, "still logged in: it was the token that was wrong"


def test_texts_are_marked_word_by_word_and_the_order_has_every_member():
    left, right = marked("高度与用途，按月更新", "高度、用途，按日更新")
    assert [text for is_marked, text in left if is_marked] == ["与", "月"]
    assert "".join(text for _, text in right) == "高度、用途，按日更新"
    long = "".join(f"第{n}句。" for n in range(900))
    left, right = marked(long, long.replace("第7句", "第七句", 1))
    assert [text for is_marked, text in right if is_marked] == ["第七句。"], "long texts by sentences"
    assert sorted(IN_ORDER) == sorted(MEMBERS)


def test_a_reader_without_a_duty_sees_no_sections_of_services(visit):
    visitor = visit(locale="en-GB").log_in("wu.reader")
    links: list[Any] = visitor.page.locator(".sections a").all_inner_texts()
    assert "Services" not in links
    visitor.open("/desk/services")
    assert visitor.page.locator(".empty").count() == 1
