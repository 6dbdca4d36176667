"""No serious finding by axe on any state of the map page, in either language, by day and by night; and by keyboard alone."""

import pytest

from . import town
from .conftest import REPOSITORY

AXE = REPOSITORY / "web/node_modules/axe-core/axe.min.js"
FULL = (
    f"/#tab=ask&place=area:{town.EAST_DISTRICT}&rows=%5B%5B%22height_m%22,%22%3E%3D%22,%2220%22%5D%5D&filter=height_m%20%3E%3D%2020"
    f"&table=1&record=buildings/town.b-5-4&vs=area:{town.WEST_DISTRICT}"
)


def findings(visitor) -> list[str]:
    found = visitor.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [
        f"{one['id']}: {one['help']} {[node['target'] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("locale", "scheme"), [("zh-CN", "light"), ("en-GB", "dark")])
def test_axe_finds_nothing_serious(visit, locale, scheme):
    visitor = visit(locale=locale, width=1280, height=800)
    visitor.page.emulate_media(color_scheme=scheme)
    visitor.page.add_init_script(path=AXE)
    visitor.open(FULL)
    page = visitor.page
    page.locator("#compare-answer table").wait_for()
    page.locator("#charts figure").first.wait_for()
    page.locator("#table-rows tbody button").first.wait_for()
    page.locator("[data-part=around]").wait_for()
    page.click("#paste")
    page.click("#export > summary")
    page.fill("#search", "大厦")
    page.locator("#search-list [role=option]").first.wait_for()
    page.locator("#status").evaluate("(line) => { line.hidden = true; }")
    assert findings(visitor) == []
    page.keyboard.press("Escape")
    for tab in ("layers", "time", "use"):
        page.click(f"#tab-{tab}")
        assert findings(visitor) == [], tab


def test_a_building_is_found_and_left_by_keyboard_alone(visit):
    visitor = visit(width=1280, height=800).open()
    page = visitor.page
    visitor.map_is_still()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "panel"
    page.locator("#search").focus()
    page.keyboard.type("科技大厦79号")
    page.locator("#search-list [role=option]").first.wait_for()
    assert page.locator("#search").get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowDown")
    assert page.locator("#search").get_attribute("aria-activedescendant") == "search-0"
    page.keyboard.press("Enter")
    page.locator("#record-title", has_text="科技大厦79号").wait_for()
    assert page.evaluate("document.activeElement.id") == "record"
    page.keyboard.press("Escape")
    assert not page.locator("#record").is_visible()
    assert page.evaluate("document.activeElement.id") == "search", "back where one came from"
