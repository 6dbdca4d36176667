"""Harvests of live sources on loopback: inserted, unchanged, updated, gone and back; by the command, by HTTP, on schedule."""

import json
import re
import threading
import time
from collections.abc import Iterator
from socketserver import StreamRequestHandler, TCPServer
from typing import Any

import httpx2
import psycopg
import pytest

from cim.catalogue.harvest.run import Harvest, run_harvest
from cim.catalogue.load import Intake, load_organisations, load_services
from cim.db.intake import Run
from cim.gateway.policy import parse_allowed
from tests.catalogue.conftest import ADMIN, WAIT
from tests.catalogue.sources import Source, catalogues, serving_source
from tests.catalogue.test_harvest_documents import EXPECTED
from tests.conftest import Server, free_port, serving
from tests.problems import assert_problem


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with serving_source() as opened:
        yield opened


@pytest.fixture(scope="module")
def running(module_database_url: str, source: Source) -> Iterator[Server]:
    with serving(module_database_url, CIM_ADMIN_KEY=ADMIN, CIM_ALLOWED_UPSTREAMS=source.pair) as server:
        yield server


@pytest.fixture(scope="module")
def connection(module_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(module_database_url, autocommit=True) as opened:
        load_organisations(opened, [{"id": "planning", "name_zh": "规划局", "name_en": "Planning Bureau"}])
        yield opened


@pytest.fixture(scope="module")
def admin(running: Server, connection: psycopg.Connection[Any]) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=running.url, timeout=120, headers={"X-API-Key": ADMIN}) as client:
        yield client


RECORDS = {
    "type": "FeatureCollection",
    "features": [
        {
            "id": "r1",
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[4, 51], [6, 51], [6, 53], [4, 51]]]},
            "properties": {"title": "Kadaster", "description": "d", "license": "CC0-1.0"},
            "links": [{"rel": "service", "href": "https://pdok.example/wms"}],
        }
    ],
}
"""A page of OGC API Records, as the collection of records in a real document leads to."""


def layers(**titles: str) -> bytes:
    """Capabilities of a WMS with these layers."""
    inner = "".join(
        f"<Layer><Name>{name}</Name><Title>{title}</Title><Abstract>About {name}</Abstract></Layer>"
        for name, title in titles.items()
    )
    return (
        '<WMS_Capabilities version="1.3.0"><Service><Title>s</Title><AccessConstraints>CC-BY-4.0</AccessConstraints>'
        "<ContactInformation><ContactElectronicMailAddress>a@b.example</ContactElectronicMailAddress></ContactInformation></Service>"
        f"<Capability><Layer><Title>top</Title>{inner}</Layer></Capability></WMS_Capabilities>"
    ).encode()


def run(admin: httpx2.Client, harvest: str, **query: str) -> dict[str, int]:
    """The account of one run, which adds up."""
    answer = admin.post(f"/catalogue/harvests/{harvest}/run", params=query, headers=WAIT)
    assert answer.status_code == 200, answer.text
    account: dict[str, int] = answer.json()["account"]
    assert account["read"] == account["inserted"] + account["updated"] + account["unchanged"] + account["rejected"]
    return account


def told(account: dict[str, int]) -> tuple[int, ...]:
    return tuple(account[name] for name in ("inserted", "updated", "unchanged", "rejected", "withdrawn"))


def services(connection: psycopg.Connection[Any], harvest: str) -> dict[str, tuple[Any, ...]]:
    rows = connection.execute(
        "SELECT remote_id, state, title_en, state_reason, provenance FROM cim.service WHERE harvest_id = %s", [harvest]
    )
    return {row[0]: row[1:] for row in rows}


def test_a_source_is_harvested_again_and_again(admin, connection, source):
    source.documents["/wms"] = layers(roads="Roads", water="Water", parks="Parks")
    made = admin.post(
        "/catalogue/harvests",
        json={
            "id": "city-wms",
            "url": f"{source.url}/wms",
            "kind": "wms",
            "organisation_id": "planning",
            "share_class": "unconditional",
        },
    )
    assert made.status_code == 201, made.text
    assert run(admin, "city-wms", **{"dry-run": "true"})["inserted"] == 3
    assert services(connection, "city-wms") == {}
    assert told(run(admin, "city-wms")) == (3, 0, 0, 0, 0)
    assert source.asked[-1] == "/wms?service=WMS&request=GetCapabilities"
    state, title, _, provenance = services(connection, "city-wms")["roads"]
    assert (state, title, provenance["source"], provenance["facts"]["layer"]) == (
        "draft",
        "Roads",
        f"{source.url}/wms",
        "roads",
    )
    assert len(provenance["digest"]) == 64
    before = connection.execute("SELECT * FROM cim.service ORDER BY id").fetchall()
    assert told(run(admin, "city-wms")) == (0, 0, 3, 0, 0)
    assert connection.execute("SELECT * FROM cim.service ORDER BY id").fetchall() == before
    source.documents["/wms"] = layers(roads="Streets", water="Water", trees="Trees")
    assert told(run(admin, "city-wms")) == (1, 1, 1, 0, 1)
    after = services(connection, "city-wms")
    assert after["roads"][1] == "Streets"
    assert "gone from its source" in after["parks"][2]
    assert "gone_at" in after["parks"][3]
    source.documents["/wms"] = layers(roads="Streets", water="Water", trees="Trees", parks="Parks")
    assert told(run(admin, "city-wms")) == (0, 1, 3, 0, 0)
    assert "gone_at" not in services(connection, "city-wms")["parks"][3]


def test_what_is_on_the_shelf_is_withdrawn_with_its_reason_and_comes_back_and_edits_here_stay(
    admin, connection, source
):
    source.documents["/shelf"] = layers(a="A", b="B")
    admin.post("/catalogue/harvests", json={"id": "shelf", "url": f"{source.url}/shelf", "organisation_id": "planning"})
    run(admin, "shelf")
    complete = {"title_zh": "甲", "description_zh": "甲图层", "themes": ["planning"]}
    record = admin.get("/catalogue/items/shelf.a")
    edited = admin.patch("/catalogue/items/shelf.a", json=complete, headers={"If-Match": record.headers["etag"]})
    assert edited.status_code == 200, edited.text
    with_shelf = connection.execute(
        "SELECT document FROM cim.service_version WHERE service_id = 'shelf.a' AND state = 'draft'"
    ).fetchone()
    assert with_shelf is not None
    intake = Intake(allowed_upstreams=parse_allowed(source.pair))
    assert load_services(connection, [{**with_shelf[0], "state": "published"}], intake).rejected == 0
    assert services(connection, "shelf")["a"][0] == "published"
    assert told(run(admin, "shelf")) == (0, 0, 2, 0, 0)
    source.documents["/shelf"] = layers(b="B")
    assert told(run(admin, "shelf")) == (0, 0, 1, 0, 1)
    state, _, reason, _ = services(connection, "shelf")["a"]
    assert (state, "gone from its source" in reason) == ("withdrawn", True)
    assert told(run(admin, "shelf")) == (0, 0, 1, 0, 0)
    source.documents["/shelf"] = layers(a="A", b="B")
    assert told(run(admin, "shelf")) == (0, 1, 1, 0, 0)
    assert services(connection, "shelf")["a"][0] == "published"
    shown = connection.execute("SELECT title_zh FROM cim.service WHERE id = 'shelf.a'").fetchone()
    assert shown == ("甲",)
    source.documents["/shelf"] = layers(a="A new title", b="B")
    assert told(run(admin, "shelf")) == (0, 1, 1, 0, 0)
    assert services(connection, "shelf")["a"][:2] == ("published", "A")
    draft = connection.execute(
        "SELECT document FROM cim.service_version WHERE service_id = 'shelf.a' AND state = 'draft'"
    ).fetchone()
    assert draft is not None
    assert (draft[0]["title_en"], draft[0]["title_zh"]) == ("A new title", "甲")


def test_every_real_document_is_harvested_over_http(connection, source, shared_data):
    counts: dict[str, list[tuple[int, int, int]]] = {}
    allowed = parse_allowed(source.pair)
    for path in catalogues(shared_data):
        source.documents[f"/real/{path.name}"] = path.read_bytes().replace(
            b"https://my.server.org", source.url.encode() + b"/os"
        )
    source.documents["/os/collections/dutch-metadata/items"] = json.dumps(RECORDS).encode()
    for folder in ("AGP", "Elevation"):
        source.documents[f"/real/arcgis_sampleserver6_services.json/{folder}"] = (
            b'{"currentVersion": 10.7, "services": []}'
        )
    source.documents["/os/collections"] = source.documents["/real/ogcapi_collections.json"]
    for number, path in enumerate(catalogues(shared_data)):
        harvest = Harvest(f"real-{number}", f"{source.url}/real/{path.name}", "planning")
        for _ in range(2):
            ran = Run(0)
            run_harvest(connection, harvest, ran, allowed=allowed)
            counts.setdefault(path.name, []).append(
                (ran.counts["inserted"], ran.counts["updated"], ran.counts["rejected"])
            )
    expected = {name: count for name, (_, count) in EXPECTED.items()} | {"ogcapi_landing.json": 23}
    rejected = {
        "arcgis_sampleserver6_services.json": 1,
        "csw_pycsw_apiso_capabilities.xml": 1,
        "wms_BOM_geofabric_130.xml": 1,
    }
    assert counts == {
        name: [(count, 0, rejected.get(name, 0)), (0, 0, rejected.get(name, 0))] for name, count in expected.items()
    }
    stored = connection.execute("SELECT count(*) FROM cim.service WHERE harvest_id LIKE 'real-%'").fetchone()
    assert stored == (sum(expected.values()),)


def test_pages_are_followed_and_records_of_a_csw_are_read(admin, connection, source, shared_data):
    record = (shared_data / "catalogues" / "csw_geobretagne_mdmetadata.xml").read_bytes().partition(b"?>")[2]
    other = record.replace(b"<gco:CharacterString>Cadastre 2018", b"<gco:CharacterString>Cadastre 2019")
    capabilities = (shared_data / "catalogues" / "csw_pycsw_apiso_capabilities.xml").read_bytes()
    capabilities = capabilities.replace(
        b"http://localhost/pycsw/csw.py?config=tests/functionaltests/suites/apiso/default.yml",
        source.url.encode() + b"/csw",
    )
    source.documents["/csw"] = capabilities
    frame = (
        b'<csw:GetRecordsResponse xmlns:csw="http://www.opengis.net/cat/csw/2.0.2">'
        b'<csw:SearchResults nextRecord="%d">%s</csw:SearchResults></csw:GetRecordsResponse>'
    )
    identity = re.search(rb"<gmd:fileIdentifier>.*?<gco:CharacterString[^>]*>([^<]+)<", record, re.S)
    assert identity is not None
    asks = (
        "/csw?service=CSW&version=2.0.2&request=GetRecords&typeNames=gmd%3AMD_Metadata&resultType=results&elementSetName=full"
        "&outputSchema=http%3A%2F%2Fwww.isotc211.org%2F2005%2Fgmd&startPosition={}&maxRecords=50"
        "&namespace=xmlns%28gmd%3Dhttp%3A%2F%2Fwww.isotc211.org%2F2005%2Fgmd%29"
    )
    source.documents[asks.format(1)] = frame % (2, record)
    source.documents[asks.format(2)] = frame % (0, other.replace(identity[1], b"another-id"))
    admin.post(
        "/catalogue/harvests",
        json={"id": "csw", "url": f"{source.url}/csw", "kind": "csw", "organisation_id": "planning"},
    )
    assert run(admin, "csw")["inserted"] == 3
    assert {"csw", "another-id"} < set(services(connection, "csw"))


def test_another_node_of_our_own_kind_is_harvested(admin, connection, source, running):
    landing = admin.get("/").json()
    collections = httpx2.get(f"{running.url}/collections").json()
    source.documents["/node/"] = json.dumps(landing).replace(running.url, f"{source.url}/node").encode()
    source.documents["/node/collections"] = json.dumps(collections).replace(running.url, f"{source.url}/node").encode()
    admin.post("/catalogue/harvests", json={"id": "node", "url": f"{source.url}/node/", "organisation_id": "planning"})
    records = httpx2.get(f"{running.url}/collections/catalogue/items", params={"limit": 1000}).json()
    source.documents["/node/collections/catalogue/items"] = (
        json.dumps(records).replace(running.url, f"{source.url}/node").encode()
    )
    account = run(admin, "node")
    assert account["read"] == len(collections["collections"]) - 1 + len(records["features"])
    assert account["inserted"] >= len(collections["collections"]) - 1


def test_b32_a_source_at_a_closed_address_is_refused_and_never_reached(admin, source):
    """B32: registration 422; a redirect inwards is refused at run time; the listener has 0 hits."""
    hits: list[str] = []

    class Listener(StreamRequestHandler):
        def handle(self) -> None:
            hits.append(self.client_address[0])

    port = free_port() + 40
    with TCPServer(("127.0.0.1", port), Listener) as listener:
        threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        for url in (
            f"http://127.0.0.1:{port}/",
            f"http://localhost:{port}/",
            f"http://[::1]:{port}/",
            "file:///etc/passwd",
            "gopher://x.example/",
        ):
            answer = admin.post("/catalogue/harvests", json={"url": url, "organisation_id": "planning"})
            assert_problem(answer, status=422, code="upstream-refused")
        source.documents["/inwards"] = (302, {"Location": f"http://127.0.0.1:{port}/x"}, b"")
        admin.post(
            "/catalogue/harvests", json={"id": "inwards", "url": f"{source.url}/inwards", "organisation_id": "planning"}
        )
        assert_problem(admin.post("/catalogue/harvests/inwards/run", headers=WAIT), status=502, code="upstream-blocked")
        listener.shutdown()
    assert hits == []
    runs = admin.get("/catalogue/harvests/inwards/runs").json()["runs"]
    assert (runs[0]["state"], runs[0]["error"]["code"]) == ("failed", "upstream-blocked")
    assert admin.get("/catalogue/harvests/inwards").json()["failures"] == 1


def test_a_source_that_lists_nothing_now_withdraws_nothing(admin, connection, source):
    source.documents["/empty"] = layers(a="A")
    admin.post("/catalogue/harvests", json={"id": "empty", "url": f"{source.url}/empty", "organisation_id": "planning"})
    run(admin, "empty")
    source.documents["/empty"] = layers()
    assert_problem(admin.post("/catalogue/harvests/empty/run", headers=WAIT), status=400, code="source-refused")
    source.documents["/empty"] = (500, {}, b"")
    assert_problem(admin.post("/catalogue/harvests/empty/run", headers=WAIT), status=502, code="upstream-unreachable")
    assert "gone_at" not in services(connection, "empty")["a"][3]


def test_a_scheduled_harvest_runs_by_itself(admin, connection, source):
    source.documents["/timed"] = layers(a="A")
    admin.post(
        "/catalogue/harvests",
        json={"id": "timed", "url": f"{source.url}/timed", "organisation_id": "planning", "interval_s": 3600},
    )
    until = time.monotonic() + 40
    while not services(connection, "timed") and time.monotonic() < until:
        time.sleep(0.3)
    assert set(services(connection, "timed")) == {"a"}
    runs = admin.get("/catalogue/harvests/timed/runs").json()["runs"]
    assert [(one["startedBy"], one["account"]["inserted"]) for one in runs] == [("schedule", 1)]
    while (
        row := connection.execute(
            "SELECT extract(epoch FROM next_at - now()) FROM cim.harvest WHERE id = 'timed'"
        ).fetchone()
    ) and row[0] < 60:
        time.sleep(0.1)
    assert row is not None
    assert 3600 * 0.89 < row[0] < 3600 * 1.11


@pytest.mark.parametrize(
    ("document", "parameter"),
    [
        ({"url": "https://a.example/"}, "organisation_id"),
        ({"organisation_id": "planning"}, "url"),
        ({"url": "https://a.example/", "organisation_id": "nobody"}, "organisation_id"),
        ({"url": "https://a.example/", "organisation_id": "planning", "kind": "soap"}, "kind"),
        ({"url": "https://a.example/", "organisation_id": "planning", "interval_s": 5}, "interval_s"),
        ({"url": "https://a.example/", "organisation_id": "planning", "id": "Ä"}, "id"),
        ({"url": "https://a.example/", "organisation_id": "planning", "speed": 1}, "speed"),
    ],
)
def test_a_wrong_declaration_names_its_member(admin, document, parameter):
    answer = admin.post("/catalogue/harvests", json=document)
    assert answer.status_code == 400, answer.text
    assert answer.json()["parameter"] == parameter


def test_who_may_harvest(admin, connection, running, source):
    made = admin.post("/admin/keys", json={"role": "reader", "label": "x"}).json()
    with httpx2.Client(base_url=running.url, headers={"X-API-Key": made["key"]}) as other:
        assert_problem(other.get("/catalogue/harvests"), status=403, code="forbidden")
        assert_problem(other.post("/catalogue/harvests/shelf/run"), status=403, code="forbidden")
    assert_problem(httpx2.get(f"{running.url}/catalogue/harvests"), status=401, code="unauthorized")
    connection.execute(
        "INSERT INTO cim.organisation (id, name_zh, name_en) VALUES ('water', '水务局', 'Water') ON CONFLICT DO NOTHING"
    )
    made = admin.post("/admin/keys", json={"role": "reader", "label": "w"}).json()
    connection.execute(
        "UPDATE cim.api_key SET organisation_id = 'water', duties = '{org_admin}' WHERE prefix = %s", [made["prefix"]]
    )
    with httpx2.Client(base_url=running.url, headers={"X-API-Key": made["key"]}) as water:
        assert water.get("/catalogue/harvests").json() == {"harvests": []}
        for path in ("", "/runs"):
            assert_problem(water.get(f"/catalogue/harvests/shelf{path}"), status=404, code="not-found")
        assert_problem(water.post("/catalogue/harvests/shelf/run"), status=404, code="not-found")
        wrong = {"url": f"{source.url}/shelf", "organisation_id": "planning"}
        assert_problem(water.post("/catalogue/harvests", json=wrong), status=403, code="forbidden")
        mine = water.post("/catalogue/harvests", json={"id": "waters", "url": f"{source.url}/shelf"})
        assert mine.json()["organisation_id"] == "water"
        assert_problem(
            water.patch("/catalogue/harvests/waters", json={"organisation_id": "planning"}),
            status=403,
            code="forbidden",
        )
        assert (
            water.patch("/catalogue/harvests/waters", json={"interval_s": None, "state": "paused"}).json()["state"]
            == "paused"
        )
        assert water.delete("/catalogue/harvests/waters").status_code == 204


def test_the_command_harvests_a_document_that_is_given(cim, database_url, tmp_path, shared_data):
    with psycopg.connect(database_url, autocommit=True) as opened:
        load_organisations(opened, [{"id": "planning", "name_zh": "规划局"}])
    path = shared_data / "catalogues" / "wms_dov_getcapabilities_130.xml"
    words = (
        "catalogue",
        "harvest",
        "https://maps.example/wms",
        "--id",
        "dov",
        "--organisation",
        "planning",
        "--document",
        path,
        "--json",
    )
    ran = cim(*words)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["account"]["inserted"] == 1
    assert json.loads(cim(*words).out)["account"]["unchanged"] == 1
