"""The desk's owner and caller from an application to a revoked grant; keys, people, prices, one's own page; without a script too."""

import re
import time
from contextlib import ExitStack
from datetime import UTC, datetime

import httpx2
import psycopg
import pytest

from api.portal.pages import PAGES
from cim.db import closes
from cim.metering.shipper import connected, ship
from cim.metering.spool import Spool
from cim.settings import Settings
from tests.metering.test_statements import DAYS, MONTH, at, calls

from . import office
from .test_accessibility import AXE, findings
from .test_language import CHINESE, texts

HOSTILE = "<img src=x onerror=alert(1)>\"'&"
SERVICE = "desk-story"


@pytest.fixture(scope="module")
def shelf(portal_url):
    """A service of the planning bureau, and sessions of both sides to set the scene with."""
    office.on_the_shelf(portal_url, SERVICE, title_zh=f"故事 {HOSTILE}", title_en=f"Story {HOSTILE}")
    with ExitStack() as stack:
        yield {login: office.session(portal_url, login, stack) for login in ("li.owner", "zhou.caller", "zhao.city")}


def made(answer):
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


def until(check):
    """Waits until `check()` gives something true: what workers keep in mind is two seconds old at most."""
    deadline = time.monotonic() + 6
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.2)
    return found


def refused(visitor, status):
    """The form came back with that status and its alert; the visit forgets that it met it."""
    assert visitor.errors[0].startswith(str(status)), visitor.errors
    assert visitor.page.locator("#alert").is_visible()
    visitor.errors.clear()


def sums(visitor, side):
    """Calls and denials of the service in the meters of one side, as the page has them."""
    visitor.open(f"/desk/meters?side={side}&service={SERVICE}")
    return int(visitor.value("calls")), int(visitor.value("denied"))


def test_a_grant_from_application_to_revocation_with_the_same_numbers_on_both_sides(visit, portal_url, shelf):
    body = {"service_id": SERVICE, "purpose": "洪水模拟", "wanted": {"quota_day": 5}}
    number = made(shelf["zhou.caller"].post("/applications", json=body))["id"]
    owner = visit(width=1280, height=900).log_in("li.owner")
    page = owner.page
    assert int(page.locator("[data-tile=applications] strong").inner_text()) >= 1
    page.click("[data-tile=applications]")
    page.click(f"a[href$='desk/applications/{number}']")
    assert page.input_value("#f-quota_day") == "5", "what was wanted is filled in"
    page.fill("#f-quota_day", "3")
    page.click("form[action$='/grant'] button")
    page.locator(".said").wait_for()
    assert page.locator(".page-head .badge").inner_text() == "已批准"

    caller = visit(width=1280, height=900).log_in("zhou.caller", f"/desk/grants?service={SERVICE}")
    caller.page.click("tbody th a")
    grant = int(caller.page.url.rpartition("/")[2])
    caller.page.click(f"a[href$='new/keys?grant={grant}']")
    caller.page.fill("#f-label", HOSTILE)
    with caller.page.expect_response(lambda answer: answer.request.method == "POST") as shown:
        caller.page.click("button[type=submit]")
    assert "no-store" in shown.value.headers["cache-control"]
    key = caller.page.locator("#key pre").inner_text()
    assert caller.page.locator("#key button").inner_text() == "复制"
    caller.open(f"/desk/keys?grant={grant}")
    assert key[:12] in caller.page.content()
    assert key not in caller.page.content(), "a key is shown once"
    assert HOSTILE in caller.page.locator("tbody").inner_text()

    with httpx2.Client(base_url=portal_url, headers={"X-API-Key": key}, timeout=30) as program:
        answers = [program.get(f"/services/{SERVICE}/items?limit=1").status_code for _ in range(5)]
        assert answers == [200, 200, 200, 429, 429]
        until(lambda: sums(owner, "owner") == (3, 2))
        assert sums(caller, "consumer") == (3, 2)
        assert caller.page.locator(f"[data-left='{grant}']").inner_text() == "0"
        caller.page.locator("figure .chart canvas").wait_for()
        table = caller.page.locator(".figure tbody tr td:nth-child(2)").all_text_contents()
        assert sum(map(int, table)) == 3, "the numbers stand under the chart"
        assert HOSTILE in caller.page.locator(".is-ranked").inner_text(), "B43"
        assert caller.page.locator("img[src=x]").count() == 0
        with caller.page.expect_download() as file:
            caller.page.click("a[href*='f=csv']")
        assert f"{SERVICE}," in file.value.path().read_text("utf-8-sig")

        owner.open(f"/desk/grants/{grant}")
        assert "3 / 3" in page.locator(".quota").inner_text()
        page.fill("#f-reason", "the project has ended")
        page.click("form[action$='/revoke'] button")
        page.locator(".said").wait_for()
        until(lambda: program.get(f"/services/{SERVICE}/items?limit=1").status_code == 403)
    caller.open(f"/desk/grants/{grant}")
    assert caller.page.locator(".page-head .badge").inner_text() == "已撤销"
    assert "the project has ended" in caller.page.locator(".facts").first.inner_text()


def test_an_application_is_refused_and_another_renews_without_a_script(visit, shelf):
    caller = shelf["zhou.caller"]
    made(caller.post("/scenarios", json={"id": "desk-plain", "title_zh": HOSTILE, "title_en": HOSTILE}))
    body = {"service_id": SERVICE, "scenario_id": "desk-plain", "purpose": HOSTILE, "wanted": {"hidden": ["use"]}}
    number = made(caller.post("/applications", json=body))["id"]
    visitor = visit(java_script_enabled=False, locale="en-GB").log_in("li.owner", f"/desk/applications/{number}")
    page = visitor.page
    assert page.locator(".is-prose").first.inner_text() == HOSTILE
    assert page.locator("img[src=x]").count() == 0
    page.fill("#f-rate_calls", "10")
    page.click("form[action$='/grant'] button")
    refused(visitor, 400)
    assert page.locator("#f-rate_calls").get_attribute("aria-invalid") == "true"
    assert (page.input_value("#f-rate_calls"), page.input_value("#f-hidden")) == ("10", "use"), "what was typed stays"
    page.fill("#f-rate_seconds", "1")
    page.fill("#f-expires_at", f"{datetime.now(UTC).year + 1}-06-30")
    page.click("form[action$='/grant'] button")
    assert page.locator(".page-head .badge").inner_text() == "Granted"
    grant = caller.get("/grants?scenario=desk-plain").json()["grants"][0]
    assert (grant["rate_calls"], grant["rate_seconds"], grant["hidden"]) == (10, 1, ["use"])
    assert grant["expires_at"].endswith("06-30T16:00:00Z"), "the end of that day in Shanghai"

    holder = visit(java_script_enabled=False, locale="en-GB").log_in("zhou.caller", f"/desk/grants/{grant['id']}")
    holder.page.fill("#f-purpose", "next season")
    holder.page.click("form[action$='/renew'] button")
    renewal = int(re.search(r"applications/(\d+)", holder.page.url)[1])
    visitor.open(f"/desk/applications/{renewal}")
    page.fill("#f-reason", "   ")
    page.click("form[action$='/refuse'] button")
    refused(visitor, 400)
    page.fill("#f-reason", "ask again next year")
    page.click("form[action$='/refuse'] button")
    holder.open(f"/desk/applications/{renewal}")
    assert "ask again next year" in holder.page.locator(".facts").first.inner_text()
    again = made(caller.post("/applications", json={"grant_id": grant["id"], "purpose": "once more"}))["id"]
    holder.open(f"/desk/applications/{again}")
    holder.page.click("form[action$='/withdraw'] button")
    assert holder.page.locator(".page-head .badge").inner_text() == "Withdrawn"
    holder.open("/desk/scenarios/desk-plain")
    assert holder.page.locator("h1").inner_text() == HOSTILE
    holder.page.click("form:has(input[name=is_public]) button")
    assert caller.get("/scenarios/desk-plain").json()["is_public"]
    holder.page.click("form:has(input[value=archived]) button")
    assert holder.page.locator(".page-head .badge").first.inner_text() == "Archived"


def test_a_key_is_rotated_and_revoked_and_nothing_is_done_without_the_token_of_the_page(visit, shelf):
    visitor = visit(java_script_enabled=False, locale="en-GB").log_in("zhou.caller", "/desk/new/keys")
    page = visitor.page
    page.fill("#f-label", "rotating")
    page.click("button:has-text('Make a key')")
    former = page.locator("#key pre").inner_text()
    visitor.open(f"/desk/keys/{former[:12]}")
    page.select_option("#f-overlap_s", "3600")
    page.click("form[action$='/rotate'] button")
    later = page.locator("#key pre").inner_text()
    assert later != former
    assert former[:12] in page.locator(".facts").inner_text()
    before = len(shelf["zhou.caller"].get("/keys").json()["keys"])
    for form in ({"label": "forged"}, {"label": "forged", "csrf": "0" * 64}):
        answer = visitor.context.request.post(visitor.base + "/desk/keys", form=form)
        assert answer.status == 403, "B44"
    headers = {"Origin": "https://elsewhere.example"}
    visitor.open("/desk/new/keys")
    token = page.locator("[name=csrf]").first.get_attribute("value")
    answer = visitor.context.request.post(visitor.base + "/desk/keys", form={"csrf": token}, headers=headers)
    assert answer.status == 403, "B44: the right token from another site"
    assert len(shelf["zhou.caller"].get("/keys").json()["keys"]) == before
    visitor.open(f"/desk/keys/{later[:12]}")
    page.click("form[action$='/revoke'] button")
    revoked = shelf["zhou.caller"].get(f"/keys/{later[:12]}").json()
    assert revoked["revoked_at"]
    assert not revoked["is_in_force"]


def test_B44_no_form_of_any_page_is_taken_without_the_token_of_its_session(portal_url, shelf):
    posts = [re.sub(r"{\w+}", "x", one.path) for one in PAGES if "POST" in one.methods]
    assert len(posts) > 30
    with ExitStack() as stack:
        client = office.session(portal_url, "zhao.city", stack)
        for path in posts:
            for form in ({"label": "forged"}, {"label": "forged", "csrf": client.headers["X-CSRF-Token"][::-1]}):
                answer = client.post(path, data=form)
                # a form with a file is another kind of body, refused before it is read
                is_other = answer.status_code == 400 and "sent as multipart/form-data" in answer.text
                is_refused = answer.status_code == 403 or is_other
                assert is_refused, (path, answer.status_code)


def test_somebody_is_invited_given_a_duty_and_suspended(visit, shelf):
    boss = visit(java_script_enabled=False, locale="en-GB").log_in("zhou.caller", "/desk/new/people")
    boss.page.fill("#f-login", "desk.newcomer")
    boss.page.fill("#f-name", HOSTILE)
    boss.page.check("[name=duties][value=publisher]")
    boss.page.click("button:has-text('Add')")
    invitation = boss.page.locator("#invitation pre").inner_text()
    newcomer = visit(java_script_enabled=False, locale="en-GB").open("/invitation")
    newcomer.page.fill("[name=token]", invitation)
    newcomer.page.fill("[name=password]", office.PASSWORD)
    newcomer.page.click("button[type=submit]")
    newcomer.open("/desk/me")
    assert newcomer.page.locator("h1").inner_text() == HOSTILE
    assert "Publisher" in newcomer.page.locator(".facts").inner_text()
    boss.page.click("a.button:has-text('Go on')")
    assert boss.page.locator("h1").inner_text() == HOSTILE
    assert boss.page.locator("img[src=x]").count() == 0
    boss.page.click("form:has(input[value=suspended]) button")
    assert boss.page.locator(".page-head .badge").inner_text() == "Suspended"
    until(lambda: newcomer.open("/desk/me").page.url.endswith("next=%2Fdesk%2Fme"))


def test_ones_own_page_tells_changes_and_ends(visit, portal_url, shelf):
    body = {"login": "desk.me", "organisation_id": "water", "duties": ["org_admin"], "password": office.PASSWORD}
    made(shelf["zhao.city"].post("/people", json=body))
    number = made(
        shelf["zhou.caller"].post(
            "/applications",
            json={"service_id": SERVICE, "purpose": "told", "scenario_id": _scenario(shelf, "desk-told")},
        )
    )["id"]
    made(shelf["li.owner"].post(f"/applications/{number}/grant", json={}))
    grant = shelf["li.owner"].get("/grants?scenario=desk-told").json()["grants"][0]["id"]
    made(shelf["li.owner"].post(f"/grants/{grant}/revoke", json={"reason": HOSTILE}))
    visitor = visit(java_script_enabled=False, locale="en-GB").log_in("desk.me", "/desk/me")
    page = visitor.page
    assert int(page.locator(".unread").inner_text().rstrip("+")) >= 1
    assert HOSTILE in page.locator(".notes").inner_text()
    page.click("button:has-text('Mark all as read')")
    assert page.locator(".unread").count() == 0
    with ExitStack() as stack:
        other = office.session(portal_url, "desk.me", stack)
        visitor.open("/desk/me")
        page.click("form[action*='/sessions/'] button")
        until(lambda: other.get("/sessions").status_code == 401)
    page.fill("#f-current_password", "wrong wrong wrong")
    page.fill("#f-password", office.PASSWORD + "!")
    page.click("form[action$='/password'] button")
    assert "not right" in page.locator("#alert").inner_text()
    refused(visitor, 401)
    page.fill("#f-current_password", office.PASSWORD)
    page.fill("#f-password", office.PASSWORD + "!")
    page.click("form[action$='/password'] button")
    assert page.locator(".said").is_visible()
    page.click("button:has-text('Log out')")
    assert page.locator(".account").inner_text() == "Log in"


def _scenario(shelf, key):
    made(shelf["zhou.caller"].post("/scenarios", json={"id": key, "title_en": key}))
    return key


def test_a_price_is_set_by_tiers_and_taken_back(visit, shelf):
    visitor = visit(java_script_enabled=False, locale="en-GB").log_in("li.owner", "/desk/prices")
    page = visitor.page
    page.fill("#f-service", SERVICE)
    page.click("button[type=submit]")
    month = f"{datetime.now(UTC).year + 1}-03"
    page.fill("#f-month", month)
    page.fill("#f-monthly_fee", "100.00")
    page.fill("[name='per_call.free']", "1000")
    rows = page.locator("[name='per_call.up_to']"), page.locator("[name='per_call.price']")
    rows[1].nth(0).fill("0.015")
    rows[1].nth(1).fill("0.0101")
    page.click("button:has-text('Set')")
    refused(visitor, 400)  # the first of two tiers needs an end
    assert page.locator("fieldset.is-bad").count() == 1
    assert rows[1].nth(1).input_value() == "0.0101"
    rows[0].nth(0).fill("300")
    page.click("button:has-text('Set')")
    plan = shelf["li.owner"].get(f"/prices/{SERVICE}").json()["prices"][0]
    tiers = [{"up_to": 300, "price": "0.015"}, {"up_to": None, "price": "0.0101"}]
    assert (plan["valid_from"], plan["per_call"]) == (month, {"free": 1000, "tiers": tiers})
    assert "up to 300: 0.015" in page.locator("tbody").first.inner_text()
    page.click("button:has-text('Withdraw')")
    assert shelf["li.owner"].get(f"/prices/{SERVICE}").json()["prices"] == []


def test_what_is_overdue_is_marked_and_counted_first(visit, portal_database, shelf):
    body = {"service_id": SERVICE, "scenario_id": _scenario(shelf, "desk-late"), "purpose": "late"}
    number = made(shelf["zhou.caller"].post("/applications", json=body))["id"]
    with psycopg.connect(portal_database, autocommit=True) as connection:
        connection.execute("UPDATE cim.application SET due_at = '2020-01-03T16:00:00Z' WHERE id = %s", [number])
    visitor = visit(java_script_enabled=False, locale="en-GB").log_in("li.owner")
    tile = visitor.page.locator("[data-tile]").first
    assert tile.get_attribute("data-tile") == "overdue"
    assert number == int(visitor.page.locator(".notes a").first.get_attribute("href").rpartition("/")[2])
    tile.click()
    row = visitor.page.locator("tbody tr", has=visitor.page.locator(f"a[href$='applications/{number}']"))
    assert row.locator(".is-bad").inner_text() == "Overdue"
    assert "2020-01-03" in row.inner_text(), "the last day, not the midnight after it"


def test_a_month_that_is_over_is_settled_with_the_digest_of_its_last_close(
    visit, portal_url, portal_database, shelf, tmp_path
):
    office.on_the_shelf(portal_url, "desk-priced", title_en="Priced")
    tiers = [{"up_to": 300, "price": "0.015"}, {"up_to": None, "price": "0.0101"}]
    plan = {"monthly_fee": "100.00", "per_call": {"free": 1000, "tiers": tiers}}
    made(shelf["li.owner"].put(f"/prices/desk-priced/{datetime.now(UTC):%Y-%m}", json=plan))
    spool = Spool(tmp_path, 10**8)
    spool.open()
    for line in calls(1500, "desk-priced", "water", at(MONTH)):
        spool.append(line)
    spool.seal()
    settings = Settings(database_url=portal_database, data_dir=tmp_path, meter_window_days=70)
    with connected(settings) as connection:
        ship(spool, connection, settings)
        closes.close_due(connection, DAYS, at(datetime.now(UTC).date().replace(day=1)))
    with psycopg.connect(portal_database, autocommit=True) as connection:
        connection.execute("UPDATE cim.price_plan SET valid_from = %s WHERE service_id = 'desk-priced'", [MONTH])
    path = f"/desk/settlements?month={MONTH:%Y-%m}&side="
    visitor = visit(java_script_enabled=False, locale="en-GB").log_in("li.owner")
    visitor.open(path + "owner")
    assert visitor.page.locator("#state").inner_text() == "The month is closed"
    digest = visitor.page.locator("dd.is-code").inner_text()
    line = visitor.page.locator("tbody tr", has_text="desk-priced")
    # a hundred a month, and of 500 calls beyond the free ones 300 at 0.015 and 200 at 0.0101
    assert line.locator("td").last.inner_text() == "106.52 CNY"
    payer = visit(java_script_enabled=False, locale="en-GB").log_in("zhou.caller")
    payer.open(path + "consumer")
    assert payer.page.locator("tbody tr", has_text="desk-priced").locator("td").last.inner_text() == "106.52 CNY"
    city = visit(java_script_enabled=False, locale="en-GB").log_in("zhao.city")
    city.open(f"/desk/settlements/closes?before={datetime.now(UTC):%Y-%m}-01")
    assert city.page.locator(".is-digest").first.inner_text() == digest


def test_an_organisation_is_made_changed_and_suspended_by_the_city(visit, shelf):
    visitor = visit(java_script_enabled=False, locale="en-GB").log_in("zhao.city", "/desk/new/organisations")
    page = visitor.page
    page.fill("#f-id", "desk-made")
    page.fill("#f-name_en", HOSTILE)
    page.click("button:has-text('Make')")
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("img[src=x]").count() == 0
    page.fill("#f-contact", "desk@made.example")
    page.click("button:has-text('Save')")
    assert "desk@made.example" in page.locator(".facts").inner_text()
    page.click("form:has(input[value=suspended]) button")
    assert shelf["zhao.city"].get("/organisations/desk-made").json()["state"] == "suspended"
    visitor.open("/desk/settlements/closes")
    assert page.locator("h1").inner_text() == "Closed days"
    page.goto(visitor.base + "/desk/organisations/desk-made")
    page.click("form[action$='/delete'] button")
    assert shelf["zhao.city"].get("/organisations/desk-made").status_code == 404


LOOKED_AT = {
    "li.owner": ("", "/applications?view=all", "/grants?view=given", "/prices", f"/prices/{SERVICE}", "/new/people"),
    "zhou.caller": ("/keys", "/new/keys", "/scenarios", "/new/scenarios", "/meters", "/settlements", "/me", "/people"),
    "zhao.city": ("", "/meters?by=day", "/organisations", "/settlements/closes", "/meters?from=2026-13-01"),
}


@pytest.mark.parametrize(("locale", "scheme", "width"), [("zh-CN", "light", 1280), ("en-GB", "dark", 390)])
def test_axe_finds_nothing_serious_and_no_page_scrolls_sideways(visit, shelf, locale, scheme, width):
    for login, paths in LOOKED_AT.items():
        visitor = visit(locale=locale, width=width, height=900)
        visitor.page.emulate_media(color_scheme=scheme)
        visitor.page.add_init_script(path=AXE)
        visitor.log_in(login)
        for path in paths:
            visitor.open(f"/desk{path}")
            assert findings(visitor) == [], path
            assert visitor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
            visitor.page.evaluate(
                "document.querySelectorAll('.notes, tbody td, tbody th').forEach((one) => one.remove())"
            )
            own = [text for text in texts(visitor.page) if CHINESE.search(text)]
            assert bool(own) == (locale == "zh-CN"), (path, own)
        visitor.errors = [error for error in visitor.errors if "400" not in error]
