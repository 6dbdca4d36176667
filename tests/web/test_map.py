"""What a visitor sees on the map page, in a real browser on a real server."""

import re
from pathlib import Path

import pytest

from . import town

MIDDLE = (town.WEST + town.COLUMNS * town.STEP / 2, town.SOUTH + town.ROWS * town.STEP / 2)


def centre_of(column: int, row: int) -> tuple[float, float]:
    west, south = town.block(column, row)
    return west + 0.0004, south + 0.0004


def test_the_city_is_drawn_extruded_with_everything_on_it(visit):
    visitor = visit().open()
    visitor.map_is_still()
    visitor.look_at(*MIDDLE, 15.6, pitch=45)
    buildings = visitor.drawn("buildings")
    assert len({one["id"] for one in buildings}) > 20
    assert max(one["height_m"] for one in buildings) > 30
    assert {one["use"] for one in buildings} == set(town.USES)
    assert {one["kind"] for one in visitor.drawn("sensors")} == {"air_quality", "noise"}
    assert len(visitor.drawn("cameras")) == 2
    communities = {"南社区", "北社区"}  # asked for once they can be seen
    assert visitor.drawn_in_time("areas-name-community", "label", communities) >= communities
    assert visitor.drawn("imagery")


def test_cameras_show_what_they_see(visit):
    visitor = visit().open()
    visitor.map_is_still()
    visitor.look_at(*town.block(5, 4), 16.5)
    visitor.map_is_still()
    assert len({one["id"] for one in visitor.drawn("wedges")}) == 2


def test_the_first_view_holds_the_whole_collection(visit):
    visitor = visit().open()
    visitor.map_is_still()
    corners = [centre_of(0, 0), centre_of(town.COLUMNS - 1, 0), centre_of(0, town.ROWS - 1)]
    for lon, lat in [*corners, centre_of(town.COLUMNS - 1, town.ROWS - 1)]:
        x, y = visitor.page.evaluate("(at) => { const p = window.cim.map.project(at); return [p.x, p.y]; }", [lon, lat])
        assert 360 < x < 900, "left of it is the panel"
        assert 46 < y < 540


def test_the_page_forbids_every_other_host_and_inline_script(visit):
    policy = visit().open().headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:", policy)


def test_a_click_on_a_building_shows_its_record(visit):
    visitor = visit().open()
    visitor.map_is_still()
    visitor.look_at(*centre_of(3, 3), 17)
    visitor.click(*centre_of(3, 3))
    record = visitor.page.locator("#record")
    record.wait_for()
    number = 3 * town.ROWS + 3
    assert visitor.page.locator("#record-title").inner_text() == f"科技大厦{number}号"
    facts = visitor.page.locator("#record-facts").inner_text()
    assert "高度" in facts
    assert f"{9 + number + 0.5:g} m" in facts
    assert "用途" in facts
    links = [link.get_attribute("href") for link in visitor.page.locator("#record-links a").all()]
    assert all(visitor.context.request.get(link).status == 200 for link in links)
    visitor.page.keyboard.press("Escape")
    assert not record.is_visible()


def test_a_click_on_a_camera_shows_the_camera_not_what_is_under_it(visit):
    visitor = visit().open()
    visitor.map_is_still()
    visitor.look_at(*town.block(5, 4), 17)
    visitor.click(*town.block(5, 4))
    visitor.page.locator("#record").wait_for()
    assert visitor.page.locator("#record-kind").inner_text() == "视频监控"
    assert visitor.page.locator("#record-title").inner_text() == "路口0"


def test_layers_can_be_hidden_and_tell_how_many_there_are(visit):
    visitor = visit().open()
    visitor.map_is_still()
    visitor.look_at(*MIDDLE, 15.6)
    assert visitor.page.locator("[data-count=buildings]").inner_text() == str(town.COLUMNS * town.ROWS)
    assert visitor.page.locator("[data-count=cameras]").inner_text() == "2"
    visitor.page.uncheck("#layer-buildings")
    visitor.map_is_still()
    assert visitor.drawn("buildings") == []
    visitor.page.check("#layer-buildings")
    visitor.map_is_still()
    assert visitor.drawn("buildings")


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_it_fits_the_screen(visit, width, tmp_path: Path):
    height = {390: 844, 1280: 800, 1920: 1080}[width]
    visitor = visit(width=width, height=height).open()
    visitor.map_is_still()
    page = visitor.page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.click("#tab-ask")
    for name in ("#tab-layers", "#tab-ask", "#tab-use", "#language", "#draw-polygon"):
        box = page.locator(name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= height
    picture = page.screenshot(path=tmp_path / f"map-{width}.png")
    assert len(picture) > 20_000


def test_without_webgl_areas_can_still_be_asked(visit):
    visitor = visit()
    visitor.page.add_init_script(
        "const given = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
        "  return String(kind).startsWith('webgl') ? null : given.call(this, kind, ...more); };"
    )
    visitor.open()
    visitor.page.locator("#map-missing").wait_for()
    visitor.page.click("#tab-ask")
    visitor.page.select_option("#area-district", town.EAST_DISTRICT)
    visitor.page.locator("[data-figure=count]").wait_for()
    assert visitor.figure("count") == str(town.COLUMNS // 2 * town.ROWS)
    visitor.errors = [error for error in visitor.errors if "WebGL" not in error]
