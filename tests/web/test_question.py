"""Asking about an area: what the page says is what the API says, and what the town was built to be."""

import json
import subprocess
from statistics import fmean

import pytest

from . import town

DISTRICT = [one["properties"] for one in town.buildings() if int(one["id"].split("-")[1]) >= town.COLUMNS // 2]


def asked(visitor, body):
    """What the API answers to the same question."""
    answer = visitor.context.request.post(f"{visitor.base}/collections/buildings/aggregate", data=body)
    assert answer.status == 200, answer.text()
    return answer.json()


def plain(text):
    """A written number as one: `1,462` or `33.2 m`."""
    return float(text.replace(",", "").split()[0])


def assert_figures(visitor, total):
    assert plain(visitor.figure("count")) == total["count"]
    assert visitor.value("footprint") == pytest.approx(total["footprint_area_m2"]["sum"])
    assert visitor.value("floor") == pytest.approx(total["floor_area_m2"]["sum"])
    assert visitor.figure("floor").endswith("m²")
    assert plain(visitor.figure("height-avg")) == pytest.approx(total["height_m"]["avg"], abs=0.06)
    assert plain(visitor.figure("height-max")) == pytest.approx(total["height_m"]["max"], abs=0.06)


def test_a_district_shows_the_numbers_of_the_api(visit):
    visitor = visit().open()
    visitor.map_is_still()
    visitor.page.click("#tab-ask")
    visitor.page.select_option("#area-district", town.EAST_DISTRICT)
    visitor.page.locator("[data-figure=count]").wait_for()
    heights = [one["height_m"] for one in DISTRICT]
    assert plain(visitor.figure("count")) == len(DISTRICT)
    assert plain(visitor.figure("height-max")) == max(heights)
    assert plain(visitor.figure("height-avg")) == pytest.approx(fmean(heights), abs=0.06)
    assert_figures(visitor, asked(visitor, {"area": town.EAST_DISTRICT})["total"])
    for use in town.USES:
        row = visitor.page.locator(f"tr[data-use={use}] td").first
        assert int(row.inner_text()) == sum(one["use"] == use for one in DISTRICT)


def test_streets_and_communities_are_offered_below_their_district(visit):
    visitor = visit().open()
    visitor.page.click("#tab-ask")
    visitor.page.select_option("#area-district", town.WEST_DISTRICT)
    visitor.page.select_option("#area-street", f"{town.WEST_DISTRICT}001")
    visitor.page.select_option("#area-community", f"{town.WEST_DISTRICT}001002")
    visitor.page.get_by_role("heading", name="北社区").wait_for()
    assert plain(visitor.figure("count")) == town.COLUMNS // 2 * town.ROWS // 2
    assert "place=area:440304001002" in visitor.page.url
    visitor.page.select_option("#area-community", "")
    visitor.page.get_by_role("heading", name="西门街道").wait_for()
    assert plain(visitor.figure("count")) == town.COLUMNS // 2 * town.ROWS


def test_a_shared_address_opens_with_its_area(visit):
    visitor = visit().open(f"/#map=14/{town.SOUTH}/{town.WEST}&area={town.EAST_DISTRICT}")
    visitor.page.get_by_role("heading", name="东区").wait_for()
    assert plain(visitor.figure("count")) == len(DISTRICT)


def test_a_drawn_polygon_shows_the_numbers_of_the_api(visit):
    visitor = visit().open()
    visitor.map_is_still()
    visitor.look_at(*town.block(5, 3), 15.6)
    visitor.page.click("#tab-ask")
    visitor.page.click("#draw-polygon")
    # cuts through the streets around columns 4 and 5, rows 2 and 3: four whole buildings
    (west, south), (east, north) = town.block(4, 2), town.block(6, 4)
    visitor.click(west, south)
    visitor.click(east, south)
    visitor.click(east, north)
    visitor.click(west, north, count=2)
    visitor.page.locator("[data-figure=count]").wait_for()
    assert visitor.figure("count") == "4"
    question = visitor.page.evaluate("window.cim.map.getSource('question').getData()")
    assert question["type"] == "Polygon"
    assert len(question["coordinates"][0]) == 5
    assert_figures(visitor, asked(visitor, {"geometry": question})["total"])
    assert not visitor.page.locator("#sketch-bar").is_visible()
    assert not visitor.page.locator("#record").is_visible(), "the clicks belonged to the drawing"


def test_a_rectangle_is_two_corners(visit):
    visitor = visit().open()
    visitor.map_is_still()
    visitor.look_at(*town.block(5, 3), 15.6)
    visitor.page.click("#tab-ask")
    visitor.page.click("#draw-rectangle")
    visitor.click(*town.block(4, 2))
    visitor.click(*town.block(6, 3))
    visitor.page.locator("[data-figure=count]").wait_for()
    assert visitor.figure("count") == "2"


def test_drawing_works_by_keyboard_alone(visit):
    visitor = visit(width=800, height=480).open()
    visitor.map_is_still()
    visitor.look_at(*town.block(5, 3), 16)
    visitor.page.focus("#tab-ask")
    visitor.page.keyboard.press("Enter")
    visitor.page.focus("#draw-polygon")
    visitor.page.keyboard.press("Enter")
    corners = [town.block(4, 2), town.block(6, 2), town.block(6, 4)]
    for corner in corners:
        visitor.page.evaluate("(center) => { window.cim.map.jumpTo({center}); }", corner)
        visitor.page.keyboard.press("Space")
    assert visitor.page.locator("#sketch-count").inner_text().startswith("3")
    visitor.page.keyboard.press("Backspace")
    assert visitor.page.locator("#sketch-count").inner_text().startswith("2")
    visitor.page.keyboard.press("Enter")
    assert "至少" in visitor.page.locator("#status").inner_text()
    visitor.page.evaluate("(center) => { window.cim.map.jumpTo({center}); }", corners[2])
    visitor.page.keyboard.press("Space")
    visitor.page.keyboard.press("Enter")
    visitor.page.locator("[data-figure=count]").wait_for()
    assert plain(visitor.figure("count")) > 0


def test_escape_cancels_a_drawing(visit):
    visitor = visit().open()
    visitor.map_is_still()
    visitor.page.click("#tab-ask")
    visitor.page.click("#draw-rectangle")
    visitor.click(*town.block(4, 2))
    visitor.page.keyboard.press("Escape")
    assert not visitor.page.locator("#sketch-bar").is_visible()
    assert not visitor.page.locator("#answer").is_visible()
    assert visitor.drawn("sketch-corners") == []


def test_an_outline_that_crosses_itself_is_not_sent(visit):
    visitor = visit().open()
    visitor.map_is_still()
    visitor.look_at(*town.block(5, 3), 15.6)
    visitor.page.click("#tab-ask")
    visitor.page.click("#draw-polygon")
    for column, row in ((4, 2), (6, 4), (6, 2), (4, 4)):
        visitor.click(*town.block(column, row))
    visitor.page.click("#sketch-finish")
    assert "交叉" in visitor.page.locator("#status").inner_text()
    assert visitor.page.locator("#sketch-bar").is_visible()
    assert not visitor.page.locator("#answer").is_visible()


def test_the_table_goes_on_as_one_scrolls_and_opens_a_record(visit):
    visitor = visit().open(f"/#tab=ask&place=area:{town.CITY}&table=1&sort=-height_m")
    rows = visitor.page.locator("#table-rows tbody tr:not(.space)")
    rows.first.wait_for()
    seen = {}
    for _ in range(30):
        seen |= dict.fromkeys(rows.locator("th button").all_inner_texts())
        visitor.page.evaluate("document.getElementById('table-scroll').scrollTop += 200")
        visitor.page.wait_for_timeout(20)
    assert next(iter(seen)) == f"town.{town.TALLEST}", "the highest first, as the address asks"
    assert len(seen) == town.COLUMNS * town.ROWS, "each building once, none left out"
    assert rows.count() < 60, "only rows in sight are in the page"
    rows.locator("th button").last.click()
    visitor.page.locator("#record").wait_for()
    assert "科技大厦" in visitor.page.locator("#record-title").inner_text()


def test_the_copied_command_gives_the_same_numbers(visit):
    visitor = visit()
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.open()
    visitor.page.click("#tab-ask")
    visitor.page.select_option("#area-district", town.EAST_DISTRICT)
    visitor.page.get_by_role("button", name="复制统计").click()
    command = visitor.page.evaluate("navigator.clipboard.readText()")
    answer = subprocess.run(["bash", "-c", command], capture_output=True, check=True, timeout=60).stdout
    assert json.loads(answer)["total"]["count"] == len(DISTRICT)
