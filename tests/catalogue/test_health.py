"""Health of services: probed by a real question, suspended after failures in a row, resumed; never where nothing is called (B32)."""

import threading
import time
from collections.abc import Callable, Iterator
from socketserver import StreamRequestHandler, TCPServer
from typing import Any

import httpx2
import psycopg
import pytest

from cim.catalogue.health import Answer, Probe, Verdict, is_reserved, probes_of, verdict, wrong_with
from cim.catalogue.load import Intake, load_organisations, load_services
from cim.gateway.policy import parse_allowed
from tests.catalogue.conftest import service
from tests.catalogue.sources import Source, serving_source
from tests.conftest import Server, free_port, serving

CAPABILITIES = b"<WMS_Capabilities/>"
PICTURE = (200, {"Content-Type": "image/png"}, b"\x89PNG")


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with serving_source() as opened:
        opened.documents["/wms"] = PICTURE
        for path in (
            "/wms?layers=a&SERVICE=WMS&REQUEST=GetCapabilities",
            "/half?layers=a&SERVICE=WMS&REQUEST=GetCapabilities",
        ):
            opened.documents[path] = CAPABILITIES
        opened.documents["/half"] = b"<ServiceExceptionReport/>"
        opened.documents["/file.zip"] = b"x"
        yield opened


@pytest.fixture(scope="module")
def hits() -> list[str]:
    return []


@pytest.fixture(scope="module")
def closed(hits: list[str]) -> Iterator[int]:
    """A port that nothing may be called at, listened on."""

    class Listener(StreamRequestHandler):
        def handle(self) -> None:
            hits.append(self.client_address[0])

    port = free_port() + 60
    with TCPServer(("127.0.0.1", port), Listener) as listener:
        threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        yield port
        listener.shutdown()


@pytest.fixture(scope="module")
def connection(module_database_url: str, source: Source, closed: int) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(module_database_url, autocommit=True) as opened:
        load_organisations(opened, [{"id": "planning", "name_zh": "规划局"}])
        allowed = Intake(allowed_upstreams=parse_allowed(f"{source.pair}, 127.0.0.1:{closed}"))

        def at(name: str, path: str, kind: str = "wms") -> dict[str, Any]:
            url = path if "://" in path else f"{source.url}{path}"
            return service(
                name,
                kind=kind,
                share_class="unconditional",
                endpoints=[{"url": url, "kind": kind}],
                state="published",
                bbox=[113, 22, 114, 23],
            )

        rows = [
            at("good", "/wms?layers=a"), at("half", "/half?layers=a"), at("gone", "/gone", "file"), at("file", "/file.zip", "file"),
            at("inwards", f"http://127.0.0.1:{closed}/x", "file"), at("invented", "https://maps.example/wms"),
            service("both", kind="wms", share_class="unconditional", state="published", endpoints=[
                {"url": f"{source.url}/wms?layers=a", "kind": "wms"}, {"url": f"{source.url}/file.zip", "kind": "file"},
                {"url": f"{source.url}/none.zip", "kind": "file"}]),
            service("own", kind="features", endpoints=[{"url": "/collections/buildings/items", "kind": "features"}],
                    collection_id="buildings", state="published"),
        ]  # fmt: skip
        assert load_services(opened, rows, allowed).rejected == 0
        opened.execute(
            "UPDATE cim.service SET published_at = now() - interval '1 hour' WHERE organisation_id = 'planning'"
        )
        opened.execute(
            "INSERT INTO cim.service_health_day (service_id, day, probes, up) "
            "SELECT id, current_date - n, 1, 1 FROM cim.service, unnest(ARRAY[380, 420]) AS n WHERE id = 'inwards'"
        )
        yield opened


@pytest.fixture(scope="module")
def running(module_database_url: str, connection: psycopg.Connection[Any], source: Source) -> Iterator[Server]:
    rule = {
        "CIM_HEALTH_INTERVAL_S": "0.5",
        "CIM_HEALTH_FAILURES": "2",
        "CIM_HEALTH_FAILING_S": "0",
        "CIM_HEALTH_SUCCESSES": "2",
    }
    with serving(module_database_url, CIM_ALLOWED_UPSTREAMS=source.pair, **rule) as server:
        yield server


@pytest.fixture(scope="module")
def told(running: Server) -> Callable[[str], dict[str, Any]]:
    def health(name: str) -> dict[str, Any]:
        answer = httpx2.get(f"{running.url}/catalogue/items/{name}/health")
        return dict(answer.json()) if answer.status_code == 200 else {"status": answer.status_code}

    return health


def eventually(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.2)


def state(connection: psycopg.Connection[Any], name: str) -> tuple[Any, ...] | None:
    return connection.execute("SELECT state, state_reason FROM cim.service WHERE id = %s", [name]).fetchone()


def test_services_are_asked_a_real_question_and_what_they_are_like_is_told(connection, told, source):
    eventually(lambda: told("own").get("state") is not None and told("file").get("state") is not None)
    eventually(lambda: told("half").get("state") is not None and told("good").get("state") is not None)
    good = told("good")
    assert (good["state"], good["detail"], good["availability30Days"]) == ("up", None, 1.0)
    assert good["days"][0]["probes"] >= 1
    assert told("file")["state"] == told("own")["state"] == "up"
    half = told("half")
    assert (half["state"], half["detail"]) == ("degraded", "the service answers by an exception")
    assert any(
        path.startswith("/wms?layers=a&") and "REQUEST=GetMap" in path and "BBOX=113.0,22.0,114.0,23.0" in path
        for path in source.asked
    )
    assert told("invented")["state"] is None
    eventually(lambda: told("both").get("state") is not None)
    both = told("both")  # every endpoint is asked; the first says whether the service is down
    assert (both["state"], both["detail"]) == ("degraded", "endpoint 3: the service answers 404")


def test_one_that_fails_is_suspended_with_the_reason_audited_and_resumed_when_it_is_back(connection, told, source):
    eventually(lambda: (state(connection, "gone") or ("",))[0] == "suspended")
    why = state(connection, "gone")
    assert why is not None
    assert "404" in why[1]
    source.documents["/gone"] = b"back"
    eventually(lambda: (state(connection, "gone") or ("",))[0] == "published")
    events = connection.execute(
        "SELECT event, actor FROM cim.audit WHERE subject_id = 'gone' AND event IN ('suspend', 'resume') ORDER BY number"
    ).fetchall()
    assert events == [("suspend", "node"), ("resume", "node")]
    assert not told("gone")["suspendedByHealth"]


def test_b32_an_address_that_is_closed_is_down_without_a_connection(connection, told, hits):
    """B32: refused at probe time; the listener has 0 hits."""
    eventually(lambda: (state(connection, "inwards") or ("",))[0] == "suspended")
    row = connection.execute("SELECT state, detail FROM cim.service_health WHERE service_id = 'inwards'").fetchone()
    assert row is not None
    assert row[0] == "down"
    assert "does not call" in row[1]
    assert hits == []


def test_days_of_more_than_a_year_ago_are_forgotten(connection, told):
    kept = "SELECT array_agg(current_date - day) FROM cim.service_health_day WHERE day < current_date - 30"
    eventually(lambda: connection.execute(kept).fetchone() == ([380],))


def test_what_a_person_suspended_is_not_resumed_by_the_rule(connection, told):
    connection.execute("UPDATE cim.service SET state = 'suspended', state_reason = 'by hand' WHERE id = 'file'")
    time.sleep(2)
    assert state(connection, "file") == ("suspended", "by hand")


@pytest.mark.parametrize(
    ("kind", "path", "query", "facts", "expected"),
    [
        ("wfs", "/wfs", "", {"layer": "a:b", "version": "1.1.0"}, "TYPENAME=a:b&MAXFEATURES=1"),
        ("wfs", "/wfs", "", {"layer": "a:b", "version": "2.0.0"}, "TYPENAMES=a:b&COUNT=1"),
        ("ogcapi", "/collections/a", "", {}, "limit=1"),
        ("ogcapi", "/collections/a/items", "", {}, "limit=1"),
        ("arcgis", "/rest/services/A/MapServer/3", "", {}, "resultRecordCount=1"),
        ("xyz", "/t/{z}/{x}/{y}.png", "", {}, "11/1672/892.png?"),
        ("xyz", "/t/tile_{z}_{x}_{-y}", "", {}, "tile_11_1672_1155?"),
        ("xyz", "/t", "key=1&z={z}&x={x}&y={y}", {}, "?z=11&x=1672&y=892"),
        ("tiles", "/vector/{z}/{x}/{y}.pbf", "", {}, "11/1672/892.pbf?"),
        ("xyz", "/plain", "", {}, "11/1672/892?"),
        ("xyz", "/plain/tiles.json", "", {}, "?"),
        (
            "wmts",
            "/wmts",
            "",
            {"layer": "city", "tile": "EPSG:4490:3/2/5", "tileMatrixSets": ["c"], "formats": ["image/jpeg"]},
            "LAYER=city&STYLE=&TILEMATRIXSET=c&TILEMATRIX=EPSG%3A4490%3A3&TILEROW=2&TILECOL=5&FORMAT=image/jpeg",
        ),
        ("wmts", "/wmts", "", {"layer": "city"}, "REQUEST=GetCapabilities"),
    ],
)
def test_each_kind_is_asked_for_a_piece_of_its_data(kind, path, query, facts, expected):
    """The tile by hand: 114.05 E, 22.55 N at zoom 11 is x = (114.05 + 180) / 360 * 2048 = 1672.8, y = 892.3, 1155 from the south."""
    url = f"{path}?{query}" if query else path
    last = probes_of(kind, url=url, facts=facts, box=[114.0, 22.5, 114.1, 22.6])[-1]
    asked = f"{last.tail}?{last.query}"
    assert (asked == expected) if kind in ("xyz", "tiles") else (expected in last.query)


@pytest.mark.parametrize(
    ("probe", "answer", "is_wrong"),
    [
        (Probe(expects="json"), Answer(200, "application/json", b'{"a": 1}'), False),
        (Probe(expects="json"), Answer(200, "text/html", b"<html>"), True),
        (Probe(expects="json"), Answer(200, "application/json", b'{"error": {"code": 499}}'), True),
        (Probe(expects="xml"), Answer(200, "text/xml", b"\xef\xbb\xbf<a/>"), False),
        (Probe(expects="xml"), Answer(200, "text/xml", b"<ows:ExceptionReport/>"), True),
        (Probe(expects="image"), Answer(200, "image/png", b"x"), False),
        (Probe(expects="tile"), Answer(200, "image/png", b"\x89PNG"), False),
        (Probe(expects="tile"), Answer(204), False),
        (Probe(expects="tile"), Answer(200, "text/html", b"<html>"), True),
        (Probe(expects="tile"), Answer(200, "", b"<ows:Exception/>"), True),
        (Probe(), Answer(403), True),
        (Probe(), Answer(301), True),
        (Probe(), Answer(0, trouble="late"), True),
    ],
)
def test_what_is_wrong_with_an_answer(probe, answer, is_wrong):
    assert (wrong_with(probe, answer) is not None) == is_wrong


def test_a_verdict_of_several_probes():
    assert verdict([(None, 10), (None, 30)]) == Verdict("up", 30)
    assert verdict([("a", 10)]).state == "down"
    assert verdict([(None, 10), ("b", 20)]) == Verdict("degraded", 20, "b")
    assert verdict([(None, 9_000)]).state == "degraded"
    assert is_reserved("maps.example")
    assert not is_reserved("example.cn")
