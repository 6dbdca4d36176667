"""Every snippet of the "use it" panel runs as it is shown."""

import json
import subprocess
import sys

import pytest

from . import town


@pytest.fixture
def snippets(visit):
    visitor = visit().open()
    visitor.page.click("#tab-use")
    visitor.page.locator(".snippet").first.wait_for()
    return {
        one.get_attribute("data-way"): one.locator("pre").inner_text() for one in visitor.page.locator(".snippet").all()
    }


def run(*command):
    return subprocess.run(command, capture_output=True, check=True, timeout=120, text=True).stdout


def test_curl(snippets):
    assert len(json.loads(run("bash", "-c", snippets["curl"]))["features"]) == 5


def test_python_with_geopandas_reads_every_row(snippets):
    counted = snippets["python"] + '\nprint("rows", len(frame), frame.crs.to_authority(), "height_m" in frame)'
    assert f"rows {town.COLUMNS * town.ROWS} ('OGC', 'CRS84') True" in run(sys.executable, "-c", counted)


def test_javascript(snippets):
    answer = run("node", "--input-type=module", "-e", snippets["javascript"])
    assert answer.startswith(str(town.COLUMNS * town.ROWS))


def test_the_address_for_qgis_is_a_landing_page(snippets):
    landing = json.loads(run("curl", "-s", "-H", "Accept: application/json", snippets["qgis"]))
    relations = {link["rel"] for link in landing["links"]}
    assert {"conformance", "data", "service-desc"} <= relations
