"""A planner's whole story on the map page: search, choose, filter, read, compare, take away, come back by the link."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyogrio

from . import town

BUILDINGS = [one["properties"] for one in town.buildings()]
COLUMN = {id(one): number // town.ROWS for number, one in enumerate(BUILDINGS)}
EAST = [one for one in BUILDINGS if COLUMN[id(one)] >= town.COLUMNS // 2]
WEST = [one for one in BUILDINGS if COLUMN[id(one)] < town.COLUMNS // 2]


def high(buildings: list[dict[str, Any]], height_m: float) -> list[dict[str, Any]]:
    return [one for one in buildings if one["height_m"] >= height_m]


def await_count(visitor, count):
    visitor.page.locator(f"[data-figure=count][data-value='{count}']").wait_for()


def test_search_choose_filter_compare_export_and_share(visit, tmp_path: Path):
    visitor = visit(width=1280, height=800).open()
    page = visitor.page
    visitor.map_is_still()
    page.fill("#search", "东区")
    page.locator("#search-list [role=option]").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    await_count(visitor, len(EAST))
    page.select_option("#area-street", f"{town.EAST_DISTRICT}001")
    page.get_by_role("heading", name="东门街道").wait_for()

    page.click("#filter-add")
    page.fill("#filter-rows input[type=number]", "70")
    page.keyboard.press("Tab")
    await_count(visitor, len(high(EAST, 70)))
    visitor.map_is_still()
    assert min(one["height_m"] for one in visitor.drawn("buildings")) >= 70, "the map is filtered as the numbers are"
    assert page.locator("#filter-text").input_value() == "height_m >= 70"

    page.select_option("#group-by", "status")
    page.locator("tr[data-use=completed] td").first.wait_for()
    assert page.locator("tr[data-use=completed] td").first.inner_text() == str(len(high(EAST, 70)))
    page.locator("[data-chart=spread] canvas").wait_for()
    page.locator("[data-chart=spread] summary").click()
    counts = page.locator("[data-chart=spread] tbody td").all_inner_texts()
    assert sum(int(count) for count in counts) == len(high(EAST, 70))

    page.click("#compare > summary")
    page.select_option("#compare-district", town.WEST_DISTRICT)
    row = page.locator("tr[data-compare=count] td")
    row.first.wait_for()
    assert row.all_inner_texts()[:2] == [str(len(high(EAST, 70))), str(len(high(WEST, 70)))]
    page.locator("#map-b canvas").wait_for()

    page.click("#export > summary")
    page.select_option("#export-format", "csv")
    with page.expect_download() as streamed:
        page.click("#export-form button")
    rows = list(csv.DictReader(io.StringIO(streamed.value.path().read_text(encoding="utf-8"))))
    assert {row["id"] for row in rows} == {
        f"town.b-{COLUMN[id(one)]}-{i % town.ROWS}" for i, one in enumerate(BUILDINGS) if one in high(EAST, 70)
    }
    page.select_option("#export-format", "gpkg")
    with page.expect_download() as made:
        page.click("#export-form button")
    made.value.save_as(tmp_path / "street.gpkg")
    assert pyogrio.read_info(tmp_path / "street.gpkg")["features"] == len(high(EAST, 70))

    shared = page.url
    page.go_back()
    page.locator("#compare-answer table").wait_for(state="detached")
    page.goto("about:blank")
    visitor.open(shared.removeprefix(visitor.base))
    await_count(visitor, len(high(EAST, 70)))
    page.locator("tr[data-compare=count]").wait_for()
    assert page.locator("#area-street").input_value() == f"{town.EAST_DISTRICT}001"
    assert page.locator("#filter-rows input[type=number]").input_value() == "70"
    assert page.locator("#group-by").input_value() == "status"


def test_a_filter_by_hand_is_refused_beside_the_field_and_then_mended(visit):
    visitor = visit().open(f"/#tab=ask&place=area:{town.CITY}")
    page = visitor.page
    await_count(visitor, len(BUILDINGS))
    page.click("#filter-expert > summary")
    page.fill("#filter-text", "hight_m > 80")
    page.click("#filter-expert-form button")
    page.locator("#filter-error:not(:empty)").wait_for()
    assert "height_m" in page.locator("#filter-error").inner_text()
    page.fill("#filter-text", "height_m > 80 AND use = 'office'")
    page.click("#filter-expert-form button")
    await_count(visitor, sum(one["height_m"] > 80 and one["use"] == "office" for one in BUILDINGS))
    assert page.locator("#filter-error").inner_text() == ""
    visitor.errors = [error for error in visitor.errors if "400" not in error]


def test_one_of_several_codes_is_asked_for_and_the_link_brings_it_back(visit):
    visitor = visit().open(
        f"/#tab=ask&place=area:{town.CITY}&rows=%5B%5B%22use%22,%22%3D%22,%22office%22%5D%5D&filter=use%20%3D%20'office'"
    )
    page = visitor.page
    await_count(visitor, sum(one["use"] == "office" for one in BUILDINGS))
    page.select_option("#filter-rows select >> nth=1", "in")
    page.check("#filter-rows [value=education]")
    await_count(visitor, sum(one["use"] in ("office", "education") for one in BUILDINGS))
    assert page.locator("#filter-text").input_value() == "use IN ('office', 'education')"
    page.reload()
    await_count(visitor, sum(one["use"] in ("office", "education") for one in BUILDINGS))
    ticked = page.locator("#filter-rows :checked[type=checkbox]").evaluate_all("(all) => all.map((one) => one.value)")
    assert sorted(ticked) == ["education", "office"]


def test_a_pasted_place_is_asked_about_or_refused_with_the_reason(visit):
    visitor = visit().open("/#tab=ask")
    box = town.square(*town.block(4, 2), 2 * town.STEP, town.STEP)
    tried = {
        f"{town.WEST},{town.SOUTH},{town.WEST + 3 * town.STEP},{town.SOUTH + town.STEP}": 3,
        json.dumps({"type": "Feature", "properties": {}, "geometry": box}): 2,
        "POLYGON((22.53 114.05, 22.53 114.06, 22.54 114.06, 22.53 114.05))": "纬度",
        "福田区": "WKT",
        "POLYGON((114.05 22.53, 114.0508 22.53, 114.0508 22.5308, 114.05 22.5308, 114.05 22.53))": 1,
    }
    visitor.page.click("#paste")
    for text, expected in tried.items():
        visitor.page.fill("#paste-text", text)
        visitor.page.click("#paste-form button")
        if isinstance(expected, int):
            await_count(visitor, expected)
        else:
            assert expected in visitor.page.locator("#paste-error").inner_text()


def test_a_click_picks_the_area_that_is_there(visit):
    visitor = visit().open("/#tab=ask")
    visitor.map_is_still()
    visitor.look_at(*town.block(7, 6), 15)
    visitor.page.click("#pick")
    visitor.click(*town.block(7, 6))
    visitor.page.get_by_role("heading", name="北社区").wait_for()
    await_count(visitor, town.COLUMNS // 2 * town.ROWS // 2)
    assert not visitor.page.locator("#record").is_visible()


def test_the_city_of_a_day_holds_what_was_there_then(visit):
    visitor = visit().open(f"/#tab=ask&place=area:{town.CITY}&date=2009-12-31")
    then = [one for one in BUILDINGS if one["year_built"] <= 2009]
    await_count(visitor, len(then))
    visitor.map_is_still()
    middle = (town.WEST + town.COLUMNS * town.STEP / 2, town.SOUTH + town.ROWS * town.STEP / 2)
    visitor.look_at(*middle, 15.4)
    assert {one["height_m"] for one in visitor.drawn("buildings")} == {one["height_m"] for one in then}
    visitor.page.click("#tab-time")
    assert visitor.page.locator("#time-slider").input_value() == "2009"
    visitor.page.click("#time-now")
    visitor.page.click("#tab-ask")
    await_count(visitor, len(BUILDINGS))


def test_a_dataset_is_a_layer_with_its_own_style_and_its_names_are_text(visit):
    visitor = visit().open()
    visitor.map_is_still()
    box = visitor.page.locator("#layer-trees")
    assert not box.is_checked()
    box.check()
    visitor.look_at(*town.block(3, 5), 16.5)
    drawn = visitor.page.evaluate(
        "window.cim.map.queryRenderedFeatures().filter((one) => one.source === 'trees').map((one) => one.properties.id)"
    )
    assert {"town.t-0", "town.t-1", "town.t-2"} <= set(drawn)
    visitor.click(*town.block(3, 5))
    visitor.page.locator("#record").wait_for()
    assert visitor.page.locator("#record-title").inner_text() == "<img src=x onerror=alert(1)>"
    assert "record=trees/town.t-0" in visitor.page.url


def test_a_building_tells_what_is_in_and_around_it(visit):
    visitor = visit().open("/#record=buildings/town.b-5-4")
    page = visitor.page
    page.locator("[data-around=cameras] [data-record='cameras/town.c-0']").first.wait_for()
    assert page.locator("#record-title").inner_text() == "科技大厦44号"
    assert "东区" in page.locator("#record-where").inner_text()
    page.locator("[data-record='cameras/town.c-0']").first.click()
    page.locator("#record-title", has_text="路口0").wait_for()
    page.go_back()
    page.locator("#record-title", has_text="科技大厦44号").wait_for()


def test_the_printed_sheet_has_map_scale_north_legend_numbers_and_source(visit):
    visitor = visit().open(f"/#tab=ask&place=area:{town.EAST_DISTRICT}")
    visitor.map_is_still()
    visitor.page.locator("#charts figure").first.wait_for()
    visitor.page.evaluate("window.print = () => { dispatchEvent(new Event('beforeprint')); }")
    visitor.page.click("#tab-layers")
    visitor.page.click("#print-button")
    sheet = visitor.page.locator("#print")
    sheet.locator(".print-map img").wait_for(state="attached")
    painted = visitor.page.evaluate(
        """async () => {
          const image = document.querySelector(".print-map img");
          await image.decode();
          const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
          const context = canvas.getContext("2d");
          context.drawImage(image, 0, 0);
          const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
          const colours = new Set();
          for (let i = 0; i < data.length; i += 400) colours.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
          return colours.size;
        }"""
    )
    assert painted > 30, "a picture of the map, not an empty buffer"
    visitor.page.emulate_media(media="print")
    text = sheet.inner_text()
    for part in ("东区", "北", "居住", "建筑物", str(len(EAST)), visitor.base, " m"):
        assert part in text
    assert not visitor.page.locator("#panel").is_visible()
