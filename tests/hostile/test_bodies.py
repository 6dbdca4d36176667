"""Bodies that no client should send: too deep, too long, too many parts (B05, B28, B29, B30)."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.city import City
from tests.conftest import Server
from tests.hostile.raw import connect, read_all
from tests.problems import assert_problem

SEARCH = "/collections/buildings/search"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module", autouse=True)
def town(city: City, client: Any) -> City:
    """One building."""
    city.building()
    city.settle(client)
    return city


def nested(depth: int) -> bytes:
    return (
        b'{"type":"GeometryCollection","geometries":[' * depth + b'{"type":"Point","coordinates":[1,1]}' + b"]}" * depth
    )


@pytest.mark.parametrize("depth", [9, 100, 10_000])
@pytest.mark.parametrize("path", [SEARCH, "/collections/buildings/aggregate"])
def test_B05_nested_collections_are_refused_and_no_worker_is_lost(
    client: Any, module_server: Server, depth: int, path: str
) -> None:
    answer = client.post(path, content=b'{"geometry":' + nested(depth) + b"}", headers=JSON)
    assert_problem(answer, status=400, code="nesting")
    assert module_server.process.poll() is None
    assert client.get("/health/ready").status_code == 200


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[1, 2], [3, 4]]},
        {"type": "Point", "coordinates": [181, 0]},
        {"type": "Point", "coordinates": [1, 1, 1, 1]},
        {"type": "Point", "coordinates": ["1", "1"]},
        {"type": "Point", "coordinates": [True, False]},
        {"type": "LineString", "coordinates": [[1, 1]]},
        {"type": "Circle", "coordinates": [1, 1]},
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}},
        {"type": ["Point"], "coordinates": [1, 1]},
        {"coordinates": [1, 1]},
        {},
        [],
        "POINT(1 1)",
        7,
    ],
)
def test_geometries_that_are_none_are_refused(client: Any, geometry: Any) -> None:
    assert_problem(
        client.post(SEARCH, json={"geometry": geometry}), status=400, code="invalid-body", parameter="geometry"
    )


def test_a_geometry_of_too_many_vertices_is_refused(client: Any) -> None:
    ring = [[n / 1000, 0] for n in range(10_001)]
    answer = client.post(SEARCH, json={"geometry": {"type": "LineString", "coordinates": ring}})
    assert_problem(answer, status=413, code="too-large")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"limit":' + b"9" * 100_000 + b"}",
        *(b"", b"null", b"[]", b"3", b"{"),
        "{}".encode("utf-16"),
        b"\xef\xbb\xbf{}",
    ],
)
def test_B28_bodies_that_are_no_json_object(client: Any, body: bytes) -> None:
    started = time.monotonic()
    answer = client.post(SEARCH, content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert time.monotonic() - started < 2


def pour(opened: socket.socket, pieces: Iterator[bytes]) -> int:
    """Send until the server answers or closes; bytes sent."""
    sent = 0
    opened.settimeout(0.0)
    try:
        for piece in pieces:
            try:
                if opened.recv(1, socket.MSG_PEEK):
                    break
            except BlockingIOError:
                pass
            opened.settimeout(20)
            opened.sendall(piece)
            opened.settimeout(0.0)
            sent += len(piece)
    except OSError:
        pass
    return sent


def test_B28_fifty_megabytes_without_a_length_are_cut_by_counting(module_server: Server) -> None:
    chunk = b"%x\r\n%b\r\n" % (65536, b" " * 65536)
    memory = psutil.Process(module_server.process.pid).memory_info().rss
    with connect(module_server.url) as opened:
        opened.sendall(
            b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            % SEARCH.encode()
        )
        sent = pour(opened, (chunk for _ in range(800)))
        status, received = read_all(opened)
    assert status == 413, received[:300]
    assert sent < 20 * 1024 * 1024
    assert psutil.Process(module_server.process.pid).memory_info().rss - memory < 64 * 1024 * 1024


def test_B28_a_length_beyond_the_limit_is_refused_before_the_body(module_server: Server) -> None:
    with connect(module_server.url) as opened:
        opened.sendall(
            b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
            % SEARCH.encode()
        )
        status, _ = read_all(opened, 10)
    assert status == 413


def forms() -> dict[str, tuple[bytes, Iterator[bytes]]]:
    def fields() -> Iterator[bytes]:
        for n in range(10_000):
            yield b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n' % n
        yield b"--b--\r\n"

    def huge() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n'
        for _ in range(16_384):
            yield b"x" * 65536

    def headers() -> Iterator[bytes]:
        yield b"--b\r\n"
        for n in range(5_000):
            yield b"X-%d: y\r\n" % n

    def encoded() -> Iterator[bytes]:
        for n in range(10_000):
            yield b"f%d=x&" % n

    multipart = b"multipart/form-data; boundary=b"
    return {
        "10,000 fields": (multipart, fields()),
        "a gigabyte without a file name": (multipart, huge()),
        "5,000 part headers": (multipart, headers()),
        "urlencoded": (b"application/x-www-form-urlencoded", encoded()),
    }


@pytest.mark.parametrize("name", list(forms()))
def test_B29_forms_are_not_taken_and_not_read(module_server: Server, name: str) -> None:
    content_type, pieces = forms()[name]
    with connect(module_server.url) as opened:
        opened.sendall(
            b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
            % (SEARCH.encode(), content_type)
        )
        sent = pour(opened, (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces))
        status, received = read_all(opened, 10)
    assert status in (0, 413, 415), received[:200]
    assert sent < 64 * 1024 * 1024


def test_B30_five_thousand_ranges_cost_nothing(client: Any, module_server: Server) -> None:
    ranges = "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 10_000, 2))
    process = psutil.Process(module_server.process.pid)
    for path in ("/static/icon.svg", "/collections/buildings/items", "/api"):
        before = process.cpu_times()
        answer = client.get(path, headers={"Range": ranges})
        after = process.cpu_times()
        assert answer.status_code in (200, 400, 404, 416, 431), path
        assert (after.user + after.system) - (before.user + before.system) <= 0.2
