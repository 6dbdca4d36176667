"""Streams of everything that matches: slow readers, cut ones, clients that go away, features that are huge (F09, B23)."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest

from cim.model import Kind, Property
from tests.city import City
from tests.conftest import Server
from tests.hostile.test_large import _ONE_OF_50_000_VERTICES, Peak

READERS = 20
ROWS = 20_000
HELD_S = 2.0
"""Longest time that a statement of an export may run here; the stated limit is CIM_STATEMENT_TIMEOUT_S."""


@pytest.fixture(scope="module")
def wide(city: City, client: Any) -> int:
    """Rows of about a kilobyte each: 20 MB as GeoJSON."""
    city.dataset("wide", Property("text", Kind.TEXT, "文", "text"), geometry_type="Point")
    city.connection.execute(
        "INSERT INTO dataset.wide (id, source, source_id, geom, text) SELECT 'test.' || lpad(n::text, 7, '0'), 'test', n::text, "
        f"ST_SetSRID(ST_Point(114 + n / 1e6, 22.5), 4326), repeat(md5(n::text), 28) FROM generate_series(1, {ROWS}) AS n"
    )
    city.refresh("wide")
    city.settle(client)
    return ROWS


def asked(server: Server, path: str) -> socket.socket:
    """A connection with a small buffer that has asked for something."""
    address = urlsplit(server.url)
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.settimeout(30)
    opened.connect((address.hostname, address.port))
    opened.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
    return opened


def longest_statement_s(city: City) -> float:
    """Age of the oldest statement or transaction of the API's sessions."""
    row = city.connection.execute(
        "SELECT COALESCE(max(EXTRACT(EPOCH FROM clock_timestamp() - COALESCE(xact_start, query_start))), 0) FROM pg_stat_activity "
        "WHERE application_name = 'opencim-api' AND datname = current_database() AND state <> 'idle'"
    ).fetchone()
    return float(row[0])


def crawl(city: City, client: Any, server: Server, path: str, seconds: float) -> None:
    """Twenty readers at a kilobyte a second: memory stays, no connection is held, others are answered."""
    with ExitStack() as stack:
        readers = [stack.enter_context(asked(server, path)) for _ in range(READERS)]
        for reader in readers:
            assert reader.recv(1024).startswith(b"HTTP/1.1 200")
        before = psutil.Process(server.process.pid).memory_info().rss
        until, probes = time.monotonic() + seconds, []
        while time.monotonic() < until:
            started = time.monotonic()
            for reader in readers:
                assert reader.recv(1024)
            assert client.get("/collections/wide/items?limit=10").status_code == 200
            probes.append(time.monotonic() - started)
            assert longest_statement_s(city) < HELD_S
            assert psutil.Process(server.process.pid).memory_info().rss - before <= 64 * 1024 * 1024
            time.sleep(max(0.0, 1 - (time.monotonic() - started)))
        assert sorted(probes)[len(probes) // 2] < 1


def test_F09_slow_readers_hold_no_connection_and_little_memory(
    city: City, client: Any, module_server: Server, wide: int
) -> None:
    with Peak(module_server.process.pid) as peak:
        crawl(city, client, module_server, "/collections/wide/export?f=json", 3)
    assert peak.bytes <= 64 * 1024 * 1024
    assert client.get("/collections/wide/export?f=csv").text.count("\r\n") == wide + 1


@pytest.mark.soak
def test_F09_slow_readers_for_ten_minutes(city: City, client: Any, module_server: Server, wide: int) -> None:
    """200 MB of features."""
    city.connection.execute(
        "INSERT INTO dataset.wide (id, source, source_id, geom, text) SELECT 'more.' || id || k, 'more', id || k, geom, text "
        "FROM dataset.wide, generate_series(1, 9) AS k"
    )
    city.refresh("wide")
    with Peak(module_server.process.pid) as peak:
        crawl(city, client, module_server, "/collections/wide/export?f=csv", 600)
    assert peak.bytes <= 64 * 1024 * 1024
    city.connection.execute("DELETE FROM dataset.wide WHERE source = 'more'")
    city.refresh("wide")


@contextmanager
def away(city: City) -> Iterator[None]:
    """The table of `wide` is not there while the block runs."""
    city.connection.execute("ALTER TABLE dataset.wide RENAME TO away")
    try:
        yield
    finally:
        city.connection.execute("ALTER TABLE dataset.away RENAME TO wide")


@pytest.mark.parametrize("f", ["csv", "json", "geojsonl"])
def test_F09_an_export_that_fails_in_the_middle_is_cut_and_never_looks_whole(
    city: City, client: Any, module_server: Server, wide: int, f: str
) -> None:
    address = f"/collections/wide/export?f={f}"
    with asked(module_server, address) as reader:
        received = reader.recv(4096)
        assert b"transfer-encoding: chunked" in received.lower()
        with away(city):
            try:
                while piece := reader.recv(65536):
                    received = received[-64:] + piece
            except ConnectionError:
                pass
    assert not received.endswith(b"0\r\n\r\n")
    with client.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as answer:
        pieces = answer.iter_raw(1024)
        next(pieces)
        with away(city), pytest.raises(httpx2.RemoteProtocolError):
            list(pieces)


def test_an_export_whose_reader_has_gone_is_given_up(city: City, client: Any, module_server: Server, wide: int) -> None:
    readers = [asked(module_server, "/collections/wide/export?f=csv") for _ in range(10)]
    for reader in readers:
        reader.recv(1024)
        reader.close()
    deadline = time.monotonic() + 5
    process = psutil.Process(module_server.process.pid)
    while time.monotonic() < deadline and len(process.net_connections("tcp")) > 6:
        time.sleep(0.05)
    established = [one for one in process.net_connections("tcp") if one.status == psutil.CONN_ESTABLISHED]
    assert len(established) <= 5
    assert longest_statement_s(city) < HELD_S


@pytest.mark.parametrize(("f", "suffix"), [("csv", "csv"), ("gpkg", "gpkg"), ("shp", "shp.zip")])
def test_a_head_makes_nothing(city: City, client: Any, wide: int, f: str, suffix: str) -> None:
    answer = client.head(f"/collections/wide/export?f={f}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="wide.{suffix}"')
    assert city.connection.execute("SELECT count(*) FROM cim.export").fetchone() == (0,)


def test_B23_an_export_of_huge_features_keeps_to_its_memory(city: City, client: Any, module_server: Server) -> None:
    """12 features of 50,000 vertices, about 16 MB of GeoJSON."""
    city.dataset("huge")
    city.connection.execute(_ONE_OF_50_000_VERTICES)
    city.connection.execute(
        "INSERT INTO dataset.huge (id, source, source_id, geom) SELECT 'test.' || lpad(n::text, 4, '0'), 'test', n::text, "
        "ST_Translate(geom, n * 0.001, 0) FROM one, generate_series(1, 12) AS n"
    )
    city.refresh("huge")
    city.settle(client)
    size, lines = 0, 0
    with (
        Peak(module_server.process.pid) as peak,
        client.stream("GET", "/collections/huge/export?f=geojsonl", headers={"Accept-Encoding": "identity"}) as answer,
    ):
        for piece in answer.iter_raw():
            size += len(piece)
            lines += piece.count(b"\x1e")
    assert lines == 12
    assert size > 12_000_000
    assert peak.bytes <= 64 * 1024 * 1024
