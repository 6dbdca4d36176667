"""The admin's load from log-in to result: a file is dropped, watched, accounted for, looked at; a refusal is mended in words."""

import json
import re

import httpx2
import pytest

from . import office, town
from .test_accessibility import AXE, findings

HOSTILE = "<img src=x onerror=alert(1)>"
BEYOND = town.square(town.WEST + 9 * town.STEP + 0.0062, town.SOUTH, 0.0004, 0.0004)


def bow_tie(west: float, south: float) -> dict:
    """A polygon that crosses itself in such a way that nothing is left of it: a line there and back."""
    ring = [[west, south], [west + 0.0003, south + 0.0003], [west, south]]
    return {"type": "Polygon", "coordinates": [[*ring, [west, south]]]}


def ugly(key: str) -> bytes:
    """Twelve rows: eight good ones, and one each that has no area, is empty, lies outside the world, or comes twice."""
    west, south = BEYOND["coordinates"][0][0]
    rows = [
        town.feature(
            town.square(west + i * 0.0006, south, 0.0004, 0.0004), id=f"{key}-{i}", name=f"新楼{i}", height_m=20 + i
        )
        for i in range(8)
    ]
    rows += [
        town.feature(bow_tie(west, south + 0.001), id=f"{key}-flat", name=HOSTILE, height_m=5),
        town.feature({"type": "Polygon", "coordinates": []}, id=f"{key}-empty", name="空"),
        town.feature(town.square(214.0, 22.5, 0.001, 0.001), id=f"{key}-far", name="远"),
        town.feature(town.square(west, south + 0.002, 0.0004, 0.0004), id=f"{key}-0", name="重"),
    ]
    return json.dumps({"type": "FeatureCollection", "features": rows}, ensure_ascii=False).encode()


def drop(page, name: str, content: bytes) -> None:
    """Drops a file on the form, as a person does from the desktop."""
    page.locator(".chosen").wait_for(state="attached")
    page.evaluate(
        """([name, text]) => {
          const data = new DataTransfer();
          data.items.add(new File([text], name));
          for (const kind of ["dragenter", "dragover", "drop"])
            document.querySelector(".drop").dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        [name, content.decode()],
    )


def account(page) -> dict[str, int]:
    """The numbers of the account."""
    return {
        cell.get_attribute("data-account"): int(cell.inner_text().replace(",", ""))
        for cell in page.locator("[data-account]").all()
    }


@pytest.mark.parametrize(("locale", "scheme"), [("zh-CN", "light"), ("en-GB", "dark")])
def test_a_dropped_file_is_watched_accounted_for_and_its_rejections_are_seen(visit, locale, scheme):
    key = f"drop-{locale[:2]}"
    visitor = visit(locale=locale, width=1280, height=900)
    page = visitor.page
    page.emulate_media(color_scheme=scheme)
    page.add_init_script(path=AXE)
    visitor.log_in("zhao.city", "/desk/loads")
    drop(page, f"{HOSTILE}.geojson", ugly(key))
    assert HOSTILE in page.locator(".chosen").inner_text()
    page.select_option("#f-kind", "buildings")
    page.fill("#f-source", key)
    assert findings(visitor) == []
    page.click("form[data-does=upload] [type=submit]")
    page.wait_for_url(re.compile(r"/desk/loads/\d+$"))
    page.locator(".badge.is-run-completed").wait_for()
    told = account(page)
    assert told == {"read": 12, "inserted": 8, "updated": 0, "unchanged": 0, "rejected": 4}
    assert page.locator("#rejected-rows tbody tr").count() == 4
    assert page.locator("#rejected-rows img").count() == 0
    assert HOSTILE in page.locator(".facts").inner_text()

    page.locator(".where-map canvas").wait_for()
    visitor.map_is_still()
    marks = visitor.drawn("rejections")
    assert sorted(mark["row"] for mark in marks) == [9, 12], (
        "those outside of the world and without a place are not drawn"
    )
    west, south = BEYOND["coordinates"][0][0]
    at = page.evaluate("(at) => window.cim.map.project(at)", [west + 0.0002, south + 0.0022])
    page.locator(".where-map canvas").click(position={"x": at["x"], "y": at["y"]})
    assert page.locator("#rejected-rows tr.is-chosen").get_attribute("data-key") == "12/duplicate-id"
    page.locator("#rejected-rows tr[data-key^='9/'] button").click()
    assert page.locator("#rejected-rows tr.is-chosen").get_attribute("data-key").startswith("9/")
    visitor.map_is_still()
    assert findings(visitor) == []

    with page.expect_download() as download:
        page.click("a[download]:has-text('GeoJSON')")
    mended = json.loads(download.value.path().read_bytes())
    assert [one["properties"]["cim_row"] for one in mended["features"]] == [9, 10, 11, 12]

    page.click("#account-title ~ p a")
    visitor.map_is_still()
    new = {one["id"] for one in visitor.drawn("buildings")}
    assert {f"{key}.{key}-{i}" for i in range(8)} <= new


def test_a_refusal_is_said_in_words_and_mended_without_sending_the_file_again(visit):
    visitor = visit(java_script_enabled=False, locale="zh-CN")
    page = visitor.page
    visitor.log_in("zhao.city", "/desk/loads")
    table = "编号,东坐标,北坐标\nx1,505000,2493000\nx2,505100,2493100\n".encode()
    page.select_option("#f-kind", "sensors")
    page.fill("#f-source", "mended-crs")
    page.set_input_files("#f-file", {"name": "点位.csv", "mimeType": "text/csv", "buffer": table})
    page.click("form[data-does=upload] [type=submit]")
    page.wait_for_url(re.compile(r"/desk/loads/\d+$"))
    ended(visitor)
    assert "坐标系不明确" in page.locator("#why").inner_text()
    assert page.locator("#f-crs[aria-invalid=true]").is_visible(), "the choice is open before the reader"
    assert page.locator("#f-source").input_value() == "mended-crs"
    page.fill("#f-crs", "EPSG:4547")
    page.click("form[action$=again] [type=submit]")
    page.wait_for_url(re.compile(r"/desk/loads/\d+$"))
    ended(visitor)
    assert account(page) == {"read": 2, "inserted": 2, "updated": 0, "unchanged": 0, "rejected": 0}
    assert page.locator("html").get_attribute("lang") == "zh-CN"


def test_columns_are_offered_where_a_table_names_no_place(visit):
    visitor = visit(java_script_enabled=False, locale="en-GB")
    page = visitor.page
    visitor.log_in("zhao.city", "/desk/loads")
    table = f"id,{HOSTILE},b\nx1,114.051,22.531\n".encode()
    page.select_option("#f-kind", "cameras")
    page.set_input_files("#f-file", {"name": "no-place.csv", "mimeType": "text/csv", "buffer": table})
    page.click("form[data-does=upload] [type=submit]")
    ended(visitor)
    assert page.locator("img:not(.brand img)").count() == 0
    page.select_option("#f-lon", HOSTILE)
    page.select_option("#f-lat", "b")
    page.click("form[action$=again] [type=submit]")
    ended(visitor)
    assert account(page)["inserted"] == 1


def ended(visitor) -> None:
    """Reads the page again until its load is over, as the page does by itself."""
    for _ in range(100):
        visitor.page.wait_for_timeout(300)
        if not visitor.page.locator("progress").count():
            return
        visitor.page.reload()
    raise AssertionError("the load does not end")


def test_a_form_that_lacks_something_comes_back_with_what_was_typed(visit):
    visitor = visit(java_script_enabled=False, locale="en-GB")
    page = visitor.page
    visitor.log_in("zhao.city", "/desk/loads")
    page.select_option("#f-kind", "dataset")
    page.fill("#f-source", "Not A Key!")
    page.locator("details.more summary").click()
    page.fill("#f-licence", "CC-BY-4.0")
    page.set_input_files("#f-file", {"name": "a.geojson", "mimeType": "application/json", "buffer": b"{}"})
    page.click("form[data-does=upload] [type=submit]")
    page.locator("#alert").wait_for()
    assert page.locator("#f-licence").input_value() == "CC-BY-4.0"
    assert page.locator("#f-kind").input_value() == "dataset"
    assert page.locator("#f-collection[aria-invalid=true]").count() == 1
    visitor.errors.clear()


def test_with_a_script_a_refused_form_keeps_the_file_that_was_chosen(visit):
    visitor = visit(locale="zh-CN")
    page = visitor.log_in("zhao.city", "/desk/loads").page
    drop(page, "a.geojson", ugly("kept"))
    page.select_option("#f-kind", "dataset")
    page.click("form[data-does=upload] [type=submit]")
    page.locator("#alert:focus").wait_for()
    assert "不正确" in page.locator("#alert").inner_text()
    assert page.locator("#f-collection[aria-invalid=true]").count() == 1
    assert page.locator("#f-file").evaluate("(field) => field.files[0].name") == "a.geojson"
    assert page.url == visitor.base + "/desk/loads"
    visitor.errors.clear()


def test_who_forges_a_form_or_is_no_admin_sends_nothing(portal_url):
    form = {"kind": "buildings", "source": "forged"}
    file = {"file": ("forged.geojson", ugly("forged"))}
    with httpx2.Client(base_url=portal_url, timeout=30) as client:
        csrf = client.post("/login", json={"login": "zhao.city", "password": office.PASSWORD}).json()["csrf"]
        for token in ({}, {"csrf": "x"}):
            assert client.post("/desk/loads", data={**token, **form}, files=file).status_code == 403
        late = client.post("/desk/loads", data={**form, "csrf": csrf}, files=file)
        assert late.status_code == 403, "the token is the first field: nothing is read before it"
        elsewhere = {"Sec-Fetch-Site": "cross-site"}
        assert client.post("/desk/loads", data={"csrf": csrf, **form}, files=file, headers=elsewhere).status_code == 403
        assert client.get("/admin/loads", params={"source": "forged"}).json()["loads"] == []
    with httpx2.Client(base_url=portal_url, timeout=30) as reader:
        csrf = reader.post("/login", json={"login": "wu.reader", "password": office.PASSWORD}).json()["csrf"]
        assert reader.get("/desk/loads").status_code == 403
        assert "/desk/loads" not in reader.get("/desk").text
        assert reader.post("/desk/loads", data={"csrf": csrf, **form}, files=file).status_code == 403


def test_runs_are_listed_and_filtered(visit):
    visitor = visit(java_script_enabled=False, locale="en-GB", width=390, height=800)
    page = visitor.log_in("zhao.city", "/desk/loads").page
    page.select_option("#a-kind", "areas")
    page.click("form.filters [type=submit]")
    assert page.locator("table.list tbody tr").count() == 1
    assert "town_areas.geojson" in page.locator("table.list tbody tr").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
