"""A file is sent, its load followed to the end, and what was rejected read and mended."""

import csv
import io
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import psycopg
import pytest

from tests.loading.conftest import feature
from tests.problems import assert_problem
from tests.uploads.conftest import Sender


def collection_of(*features: dict[str, Any]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False).encode()


def hostile_ring(seed: int, vertices: int) -> dict[str, Any]:
    """A building whose ring crosses itself at random."""
    chance = random.Random(seed)
    ring = [[114 + chance.random() / 100, 22 + chance.random() / 100] for _ in range(vertices)]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": {"id": f"ring-{seed}"},
    }


def adds_up(account: dict[str, int]) -> bool:
    parts = ("inserted", "updated", "unchanged", "rejected")
    return account["read"] == sum(account[name] for name in parts)


@pytest.fixture(scope="module")
def partly(sender: Sender) -> dict[str, Any]:
    """A load of four buildings, two of one id that a spreadsheet would take for a formula."""
    body = collection_of(
        feature("a", name="湾区大厦"),
        feature("=1+1", 114.06, name="first"),
        feature("=1+1", 114.07, name="second"),
        feature("b", 114.08),
    )
    response = sender.form("南山.geojson", body, kind="buildings", map="id=id", licence="CC-BY-4.0", source="nanshan")
    assert response.headers["location"].startswith(f"{sender.server.url}/admin/loads/")
    assert response.json()["state"] in ("queued", "running")
    return sender.ended(response)


def test_a_form_is_loaded_and_its_account_adds_up(sender, partly):
    assert partly["state"] == "completed", partly["error"]
    assert partly["account"]["read"] == 4
    assert partly["account"]["inserted"] == 3
    assert partly["account"]["rejected"] == 1
    assert adds_up(partly["account"])
    assert (partly["origin"], partly["source"], partly["licence"]) == ("南山.geojson", "nanshan", "CC-BY-4.0")
    assert sender.is_clear()
    assert not sender.files("quarantine")
    stored = sender.http.get("/collections/buildings/items", params={"limit": 10}).json()["features"]
    assert {"nanshan.a", "nanshan.b", "nanshan.=1+1"} <= {f["id"] for f in stored}


def test_rejections_as_csv_hold_no_formula(sender, partly):
    response = sender.http.get(f"/admin/loads/{partly['id']}/rejections", params={"f": "csv"})
    assert response.headers["content-type"].startswith("text/csv")
    assert "attachment" in response.headers["content-disposition"]
    (row,) = csv.DictReader(io.StringIO(response.content.decode("utf-8-sig")))
    assert row["cim_code"] == "duplicate-id"
    assert row["cim_value"] == row["id"] == "'=1+1"
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())
    assert row["cim_wkt"].startswith("SRID=4326;POLYGON ((")


def test_rejections_as_geojson_can_be_mended_and_sent_again(sender, partly):
    response = sender.http.get(f"/admin/loads/{partly['id']}/rejections", params={"f": "geojson"})
    (rejected,) = response.json()["features"]
    assert rejected["properties"]["cim_code"] == "duplicate-id"
    assert rejected["properties"]["cim_row"] == 3
    rejected["properties"]["id"] = "c"
    again = sender.ended(
        sender.form("mended.json", collection_of(rejected), kind="buildings", map="id=id", source="nanshan")
    )
    assert (again["state"], again["account"]["inserted"]) == ("completed", 1)


def test_rejections_as_json_and_what_is_no_form(sender, partly):
    address = f"/admin/loads/{partly['id']}/rejections"
    (row,) = sender.http.get(address).json()
    assert (row["row"], row["code"], row["rejected"]) == (3, "duplicate-id", True)
    assert row["original"]["type"] == "Feature"
    assert_problem(sender.http.get(address, params={"f": "xml"}), status=400, code="invalid-parameter", parameter="f")


def test_the_body_itself_is_a_file_too_and_becomes_a_dataset(sender):
    query = {"kind": "dataset", "collection": "benches", "filename": "benches.csv"}
    body = "id,lon,lat,material\n1,114.05,22.54,木\n2,114.06,22.55,石\n".encode()
    load = sender.ended(sender.http.post("/admin/loads", params=query, content=body))
    assert (load["state"], load["account"]["inserted"], load["collection"]) == ("completed", 2, "benches"), load
    deadline = time.monotonic() + 5  # every worker serves a new collection within a second
    while sender.http.get("/collections/benches").status_code == 404 and time.monotonic() < deadline:
        time.sleep(0.05)
    found = sender.http.get("/collections/benches/items").json()["features"]
    assert {f["properties"]["material"] for f in found} == {"木", "石"}


def test_a_load_begins_at_once(sender):
    response = sender.form("soon.geojson", collection_of(feature("soon", 114.2)), kind="buildings")
    address, deadline = response.headers["location"], time.monotonic() + 3
    while sender.http.get(address).json()["state"] == "queued":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert sender.ended(response)["state"] == "completed"


@pytest.mark.parametrize("name", ["request.json", "lock.json"])
def test_a_file_may_have_any_plain_name(sender, name):
    key = name.partition(".")[0]
    load = sender.ended(sender.form(name, collection_of(feature(key, 114.3)), kind="buildings", source=key))
    assert (load["state"], load["account"]["inserted"]) == ("completed", 1), load["error"]


def test_loads_are_listed_the_latest_first_and_paged(sender, partly):
    seen, address = [], "/admin/loads?limit=1"
    while address:
        page = sender.http.get(address).json()
        assert len(page["loads"]) <= 1
        seen += [load["id"] for load in page["loads"]]
        address = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
    assert seen == sorted(set(seen), reverse=True)
    assert partly["id"] in seen


def test_loads_are_for_admins(sender):
    key = sender.http.post("/admin/keys", json={"role": "reader"}).json()["key"]
    for method, path in (("POST", "/admin/loads"), ("GET", "/admin/loads"), ("GET", "/admin/loads/1")):
        address = sender.server.url + path
        refused = httpx2.request(method, address)
        assert_problem(refused, status=401, code="unauthorized")
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert_problem(httpx2.request(method, address, headers={"X-API-Key": key}), status=403, code="forbidden")


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"kind": "houses"}, "kind"),
        ({"kind": "dataset"}, "collection"),
        ({"kind": "buildings", "source": "../up"}, "source"),
        ({"kind": "buildings", "source": "--dry-run "}, "source"),
        ({"kind": "buildings", "replace": "perhaps"}, "replace"),
    ],
)
def test_a_field_that_is_not_allowed_is_named(sender, fields, parameter):
    response = sender.form("a.geojson", b"{}", **fields)
    assert_problem(response, status=400, code="invalid-parameter", parameter=parameter)
    unknown = sender.form("a.geojson", b"{}", kind="buildings", colour="red")
    assert_problem(unknown, status=400, code="unknown-parameter", parameter="colour")
    assert sender.is_clear()


def test_loads_that_are_none_are_not_found(sender):
    for run_id in ("0", "99999999", "9" * 30, "x", "1%00"):
        assert sender.http.get(f"/admin/loads/{run_id}").status_code in (400, 404)
        assert sender.http.get(f"/admin/loads/{run_id}/rejections").status_code in (400, 404)


def test_an_option_that_does_not_fit_fails_with_its_reason(sender):
    load = sender.ended(
        sender.form("one.geojson", collection_of(feature("x")), kind="buildings", map="height_m=nowhere")
    )
    assert load["state"] == "failed"
    assert "nowhere" in load["error"]["detail"]


def test_B01_B02_hostile_rings_are_rejected_or_repaired_and_the_database_lives(sender, module_database_url):
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        before = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
        bodies = [collection_of(hostile_ring(n, vertices)) for n, vertices in enumerate((500, 4000, 4000))]
        with ThreadPoolExecutor(3) as pool:
            sent = list(pool.map(lambda n: sender.form(f"ring-{n}.geojson", bodies[n], kind="buildings"), range(3)))
        for number, response in enumerate(sent):
            load = sender.ended(response)
            account = load["account"]
            assert load["state"] == "completed", load["error"]
            assert account["read"] == 1
            assert account["repaired"] + account["rejected"] >= 1
            if account["rejected"]:
                (row,) = sender.http.get(f"/admin/loads/{load['id']}/rejections").json()
                assert row["code"].endswith("too-complex"), row["code"]
            assert number == 0 or account["rejected"] == 1
        assert connection.execute("SELECT pg_postmaster_start_time()").fetchone() == before


@pytest.fixture
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """An address on the loopback, and what asked for it."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        is_over = threading.Event()

        def listen() -> None:
            while not is_over.is_set():
                try:
                    caller, _ = listening.accept()
                except TimeoutError:
                    continue
                with caller:
                    asked.append(caller.recv(1000))

        thread = threading.Thread(target=listen)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        is_over.set()
        thread.join()


@pytest.mark.parametrize("name", ["roads.geojson", "scene.tif", "plain.csv"])
def test_B11_a_vrt_is_refused_under_any_name_and_asks_no_address(sender, listener, name):
    address, asked = listener
    vector = (
        f'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/vsicurl/{address}/a</SrcDataSource></OGRVRTLayer>'
    )
    raster = f'<VRTDataset rasterXSize="1" rasterYSize="1"><SourceFilename>/vsicurl/{address}/a</SourceFilename>'
    for text in (vector, raster, "<?xml version='1.0'?>\n<!-- " + "x" * 3000 + " -->\n" + vector):
        refused = sender.form(name, text.encode(), kind="imagery" if name.endswith("tif") else "buildings")
        assert_problem(refused, status=415, code="driver-not-allowed")
    assert sender.is_clear()
    assert asked == []


def test_B12_a_truncated_file_says_where_and_the_whole_one_completes_it(sender):
    body = collection_of(*[feature(f"t{n}", 114 + n / 1000, 22.6) for n in range(40)])
    first = sender.ended(sender.form("cut.geojson", body[: len(body) // 2], kind="buildings", source="cut"))
    told = json.dumps([first["error"], first["notes"]]) + sender.http.get(f"/admin/loads/{first['id']}/rejections").text
    assert any(word in told for word in ("byte", "row", "line", "offset")), told
    assert first["account"]["inserted"] < 40
    assert adds_up(first["account"])
    second = sender.ended(sender.form("cut.geojson", body, kind="buildings", source="cut"))
    assert (second["state"], second["account"]["read"]) == ("completed", 40)
    assert second["account"]["inserted"] + second["account"]["unchanged"] == 40


def test_B16_a_malformed_model_fails_with_its_reason_and_is_kept(sender):
    header = b"ISO-10303-21;\nHEADER;\nFILE_SCHEMA(('IFC4'));\nENDSEC;\nDATA;\n#1=IFCPROJECT('x',#1,"
    load = sender.ended(sender.form("model.ifc", header, kind="buildings"))
    assert load["state"] == "failed"
    assert load["error"]["code"]
    assert load["error"]["detail"]
    assert "Traceback" not in load["error"]["detail"]
    kept, deadline = sender.data / "quarantine" / str(load["id"]) / "model.ifc", time.monotonic() + 5
    while not kept.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert kept.read_bytes() == header
    assert sender.http.get("/health/ready").status_code == 200
