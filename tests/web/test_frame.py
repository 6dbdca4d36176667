"""The frame of every page: log-in and back, refusals in words, forms that need no script, nothing for who forges one."""

import re

from . import office


def test_the_desk_asks_for_a_log_in_and_goes_on_where_one_wanted_to_be(visit):
    visitor = visit(java_script_enabled=False, locale="en-GB").open("/desk")
    assert "/login?next=%2Fdesk" in visitor.page.url
    visitor.page.fill("[name=login]", "li.owner")
    visitor.page.fill("[name=password]", office.PASSWORD)
    visitor.page.click("button[type=submit]")
    assert visitor.page.url == visitor.base + "/desk"
    assert visitor.page.locator(".account").inner_text() == "li.owner"
    assert "no-store" in visitor.page.request.get(visitor.base + "/desk").headers["cache-control"]


def test_log_in_is_in_the_head_of_the_map_and_leads_back_to_it(visit):
    visitor = visit(locale="zh-CN").open("/")
    visitor.page.click(".account")
    visitor.page.fill("[name=login]", "wu.reader")
    visitor.page.fill("[name=password]", office.PASSWORD)
    visitor.page.click("button[type=submit]")
    visitor.page.wait_for_url(re.compile(r"/(#.*)?$"))
    assert visitor.page.locator(".account").inner_text() == "wu.reader"
    visitor.page.click(".account")
    visitor.page.click("button[type=submit]")
    visitor.page.wait_for_url("**/login")
    assert visitor.page.locator(".account").inner_text() == "登录"


def test_the_language_switch_keeps_what_the_address_asks(visit):
    visitor = visit(locale="zh-CN").open("/login?next=/desk")
    visitor.page.click("#language")
    visitor.page.locator("html[lang=en]").wait_for()
    assert "next=%2Fdesk" in visitor.page.url
