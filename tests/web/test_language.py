"""Chinese and English: the whole page, remembered, and nothing left in the other one."""

import json
import re

import pytest

from .conftest import REPOSITORY


def catalogue(lang: str) -> dict[str, str]:
    """Every message of a language: one file a part of the portal."""
    messages: dict[str, str] = {}
    for path in sorted((REPOSITORY / "web/i18n" / lang).glob("*.json")):
        part = json.loads(path.read_text(encoding="utf-8"))
        assert not messages.keys() & part.keys(), f"{path} says again what another file says"
        messages |= part
    return messages


CATALOGUES = {lang: catalogue(lang) for lang in ("zh-CN", "en")}
COMPUTED = re.compile(
    r"(level|draw|use|op|nav|group|problem|said|section|state|health|duty|event|outcome|share|kind|cycle|member|subject|facet|role|way|offered\.link|load|run|reject|rule|view|side|payer|by|step|measure|unit|overlap|wait|[a-z]+-state)\."
)
"""Messages that are chosen by a code word."""
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def test_both_catalogues_have_the_same_keys_in_the_same_order():
    assert list(CATALOGUES["zh-CN"]) == list(CATALOGUES["en"])


@pytest.mark.parametrize("lang", CATALOGUES)
def test_no_message_is_empty_and_placeholders_agree(lang):
    for key, message in CATALOGUES[lang].items():
        assert message.strip(), key
        assert set(re.findall(r"\{\w+\}", message)) == set(re.findall(r"\{\w+\}", CATALOGUES["en"][key])), key


def test_every_message_used_exists_and_every_message_is_used():
    sources = [*(REPOSITORY / "web/src").rglob("*.js"), *(REPOSITORY / "api/templates").rglob("*.html")]
    sources += (REPOSITORY / "api/portal").glob("*.py")
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    used = set(re.findall(r"""\bt(?:\(|\[)["']([\w.-]+)["']""", text))
    used |= set(re.findall(r"""BadPlace\("([\w.-]+)"\)""", text))
    computed = {key for key in CATALOGUES["en"] if COMPUTED.match(key) or key in ("yes", "no")}
    assert {key for key in used if not key.endswith(".")} <= set(CATALOGUES["en"])
    assert set(CATALOGUES["en"]) - computed <= used


def test_scripts_of_pages_find_their_messages_in_the_part_that_pages_send():
    sources = [
        *(REPOSITORY / "web/src/pages").glob("*.js"),
        REPOSITORY / "web/src/page.js",
        REPOSITORY / "web/src/chart.js",
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    sent = json.loads((REPOSITORY / "web/i18n/en/script.json").read_text(encoding="utf-8"))
    assert set(re.findall(r"""\bt\(["']([\w.-]+)["']""", text)) <= set(sent)


def texts(page):
    """Everything of the page's own that a person reads or a screen reader says, hidden panels as well."""
    return page.evaluate(
        """() => {
          const found = [document.title];
          for (const one of document.querySelectorAll("[aria-label]:not(#language)")) found.push(one.getAttribute("aria-label"));
          const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (walk.nextNode()) {
            const { parentElement } = walk.currentNode;
            if (!parentElement.closest("script, noscript, #language")) found.push(walk.currentNode.textContent);
          }
          return found.map((text) => text.trim()).filter(Boolean);
        }"""
    )


def test_the_english_page_has_no_chinese_of_its_own(visit):
    visitor = visit(locale="en-GB").open()
    visitor.map_is_still()
    visitor.page.click("#tab-ask")
    visitor.page.select_option("#area-district", "440305")
    visitor.page.locator("#charts figure").first.wait_for()
    visitor.page.click("#answer-tools [data-opens=table]")
    visitor.page.locator("#table-rows tbody button").first.click()
    visitor.page.locator("#record-links a").first.wait_for()
    # what is recorded of a Chinese city is Chinese: values, and names that have no English one
    visitor.page.evaluate(
        "document.querySelectorAll('#record-facts dd, #record-where, #table-rows td, .around .link').forEach((one) => one.remove())"
    )
    assert [text for text in texts(visitor.page) if CHINESE.search(text)] == []
    assert visitor.page.locator("html").get_attribute("lang") == "en"
    assert visitor.headers["content-language"] == "en"


def test_the_switch_is_complete_and_remembered(visit):
    visitor = visit(locale="zh-CN").open()
    visitor.map_is_still()
    assert visitor.page.locator("html").get_attribute("lang") == "zh-CN"
    view = visitor.page.evaluate("location.hash")
    visitor.page.click("#language")
    visitor.page.locator("html[lang=en]").wait_for()
    visitor.map_is_still()
    assert visitor.page.evaluate("location.hash") == view, "the map stays where it was"
    assert visitor.page.title() == CATALOGUES["en"]["title"]
    visitor.open("/")
    assert visitor.page.locator("html").get_attribute("lang") == "en"
    visitor.page.click("#language")
    visitor.page.locator("html[lang=zh-CN]").wait_for()
    assert visitor.page.get_by_role("tab").first.inner_text() == CATALOGUES["zh-CN"]["tab.layers"]


@pytest.mark.parametrize(
    ("accept", "lang"),
    [
        ("en-US,en;q=0.9,zh;q=0.5", "en"),
        ("zh;q=0.2, en;q=0.9", "en"),
        ("fr, zh-TW;q=0.8", "zh-CN"),
        ("en;q=0, zh;q=0.1", "zh-CN"),
        ("de", "zh-CN"),
        ("en;q=banana", "en"),
    ],
)
def test_the_browser_wish_decides_without_a_cookie(visit, accept, lang):
    visitor = visit()
    answer = visitor.context.request.get(visitor.base + "/", headers={"Accept": "text/html", "Accept-Language": accept})
    assert answer.headers["content-language"] == lang
    assert "accept-language" in answer.headers["vary"].lower()
