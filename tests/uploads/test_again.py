"""A load is ended, or begun again from the kept file with other options; a shapefile comes in parts; rejections have pages and places."""

import os
import signal
import time

import geopandas
import pytest
from shapely import Point

from tests.loading.conftest import feature
from tests.problems import assert_problem

from .test_restart import loading
from .test_sending import adds_up, collection_of

TABLE = "编号,东坐标,北坐标\nx1,505000,2493000\nx2,505100,2493100\n".encode()


def test_a_refused_file_tells_the_field_at_fault_and_is_loaded_again_without_being_sent(sender):
    failed = sender.ended(sender.form("点位.csv", TABLE, kind="sensors", source="again"))
    assert (failed["state"], failed["error"]["parameter"], failed["isKept"]) == ("failed", "crs", True)
    answer = sender.http.post(f"/admin/loads/{failed['id']}/again", json={"crs": "EPSG:4547"})
    load = sender.ended(answer)
    assert (load["state"], load["source"], load["account"]["inserted"]) == ("completed", "again", 2), load["error"]
    assert load["options"]["crs"] == "EPSG:4547"
    west, south, east, north = load["extent"]
    assert 114.0 < west < east < 114.1, "easting 505,000 is 5 km east of the meridian 114"
    assert 22.5 < south < north < 22.6
    gone = sender.http.post(f"/admin/loads/{failed['id']}/again", json={})
    assert_problem(gone, status=409, code="conflict")
    assert not sender.http.get(f"/admin/loads/{failed['id']}").json()["isKept"]
    ended = sender.http.post(f"/admin/loads/{load['id']}/cancel")
    assert_problem(ended, status=409, code="conflict")


def test_columns_to_choose_from_are_told(sender):
    failed = sender.ended(sender.form("t.csv", b"id,a,b\n1,114,22.5\n", kind="cameras"))
    assert (failed["error"]["parameter"], failed["error"]["choices"]) == ("lon", ["id", "a", "b"])


@pytest.mark.parametrize("body", [{"crs": 4547}, {"colour": "red"}, {"kind": "houses"}])
def test_what_is_no_option_leaves_the_file_where_it_is(sender, body):
    failed = sender.ended(sender.form("点位.csv", TABLE, kind="sensors", source="kept"))
    assert sender.http.post(f"/admin/loads/{failed['id']}/again", json=body).status_code == 400
    again = sender.http.post(f"/admin/loads/{failed['id']}/again", json={"crs": "EPSG:4547"})
    assert sender.ended(again)["state"] == "completed"


def test_a_running_load_is_cancelled_and_can_go_on(sender):
    run_id = sender.form("a.geojson", collection_of(feature("slow")), kind="buildings", source="slow").json()["id"]
    deadline = time.monotonic() + 20
    while len(running := loading(sender.data, run_id)) != 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    (process,) = running
    os.kill(process, signal.SIGSTOP)
    told = sender.http.post(f"/admin/loads/{run_id}/cancel").json()
    assert (told["state"], told["error"]["code"]) == ("failed", "cancelled")
    # its process has not ended yet, nor is its file where it is kept
    again = sender.ended(sender.http.post(f"/admin/loads/{run_id}/again", json={}))
    assert (again["state"], again["account"]["read"]) == ("completed", 1)


def shapefile_parts(folder) -> dict[str, bytes]:
    frame = geopandas.GeoDataFrame({"name": ["tree"]}, geometry=[Point(114.05, 22.53)], crs=4490)
    frame.to_file(folder / "树.shp")
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


def test_the_parts_of_a_shapefile_come_together(sender, tmp_path):
    parts = shapefile_parts(tmp_path)
    files = [("file", (f"树{suffix}", parts[suffix])) for suffix in (".dbf", ".shx", ".prj", ".shp")]
    fields = {"kind": "dataset", "collection": "trees-in-parts"}
    load = sender.ended(sender.http.post("/admin/loads", data=fields, files=files))
    assert (load["state"], load["origin"], load["account"]["inserted"]) == ("completed", "树.shp", 1), load["error"]
    for others in ([files[0], ("file", ("b.shp", b"x"))], [files[0], files[0]], [("file", ("a.csv", b"x")), files[0]]):
        refused = sender.http.post("/admin/loads", data=fields, files=others)
        assert_problem(refused, status=400, code="invalid-body")
    assert sender.is_clear()


def test_rejections_have_pages_counts_and_places(sender):
    rows = [feature("twice", 114.05 + i / 100) for i in range(5)] + [feature("far", 214.0)]
    load = sender.ended(sender.form("b.geojson", collection_of(*rows), kind="buildings", source="paged", map="id=id"))
    assert adds_up(load["account"])
    assert load["expected"] == 6
    assert load["reasons"] == [
        {"code": "duplicate-id", "rejected": True, "count": 4, "placed": 4},
        {"code": "geometry/out-of-range", "rejected": True, "count": 1, "placed": 0},
    ]
    address: str | None = f"/admin/loads/{load['id']}/rejections?limit=2&code=duplicate-id"
    seen = []
    while address:
        answer = sender.http.get(address)
        seen += [row["row"] for row in answer.json()]
        address = answer.links.get("next", {}).get("url")
    assert seen == [2, 3, 4, 5]
    places = sender.http.get(f"/admin/loads/{load['id']}/rejections?f=places").json()["features"]
    assert [place["properties"]["row"] for place in places] == [2, 3, 4, 5]
    west, _, east, _ = places[0]["bbox"]
    assert west <= places[0]["geometry"]["coordinates"][0] <= east
    assert 114.05 < west < 114.07
    one = sender.http.get(f"/admin/loads/{load['id']}/rejections?f=places&limit=1").json()["features"]
    assert len(one) == 1
    wrong = sender.http.get(f"/admin/loads/{load['id']}/rejections?f=csv&limit=1")
    assert_problem(wrong, status=400, code="invalid-parameter", parameter="limit")
