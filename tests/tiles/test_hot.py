"""Tiles that are sent again before the request is parsed: the same answers, never a stale one, whatever the connection does."""

import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from api.hot import is_plain
from tests.city import City, square
from tests.conftest import serving
from tests.tiles.mvt import read
from tests.tiles.places import tile_at

URL = tile_at("WebMercatorQuad", 14, 114.01, 22.51).path("buildings")
EMPTY = tile_at("WebMercatorQuad", 14, 110.0, 20.0).path("buildings")


@pytest.fixture(scope="module")
def town(city: City, client: Any) -> City:
    for n in range(40):
        city.building(square(114.0 + n % 8 * 0.002, 22.5 + n // 8 * 0.002, 0.001), use="office", height_m=3.0 * n)
    city.settle(client)
    return city


class Line:
    """One connection, raw: what goes out and what comes in."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)
        self.received = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, fields, body."""
        while b"\r\n\r\n" not in self.received:
            self._more()
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        size = int(fields.get("content-length", "0"))
        while len(self.received) < size:
            self._more()
        body, self.received = self.received[:size], self.received[size:]
        return int(first.split()[1]), fields, body

    def _more(self) -> None:
        got = self.socket.recv(65536)
        assert got, "the connection was closed"
        self.received += got


@pytest.fixture
def line(client: Any, town: City) -> Iterator[Line]:
    made = Line(str(client.base_url))
    yield made
    made.socket.close()


def request_of(url: str, *fields: str) -> bytes:
    return "\r\n".join((f"GET {url} HTTP/1.1", "Host: 127.0.0.1", *fields, "", "")).encode()


def test_the_same_request_has_the_same_answer_again(line: Line) -> None:
    answers = []
    for _ in range(4):
        line.send(request_of(URL))
        answers.append(line.answer())
    ids = [fields.pop("x-request-id") for _, fields, _ in answers]
    assert len(set(ids)) == 4
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", one) for one in ids)
    for _, fields, _ in answers:
        fields.pop("date")
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert answers[0][0] == 200
    assert len(read(answers[0][2])["buildings"]) == 40


def test_an_edit_is_seen_by_the_same_bytes(line: Line, town: City) -> None:
    key = town.building(square(114.01, 22.512, 0.0005), use="office", height_m=0.5)
    for n in range(10):
        with town.connection.transaction():
            town.connection.execute("UPDATE cim.building SET height_m = %s WHERE id = %s", [float(n), key])
            town.connection.execute(
                "UPDATE cim.collection_stats SET version = version + 1 WHERE collection_id = 'buildings'"
            )
        for _ in range(3):
            line.send(request_of(URL))
            heights = {one.properties["id"]: one.properties["height_m"] for one in read(line.answer()[2])["buildings"]}
            assert heights[key] == n


def test_many_requests_sent_at_once_are_answered_in_order(line: Line) -> None:
    line.send(request_of(URL))
    whole = line.answer()[2]
    other = request_of("/health/live")
    line.send(request_of(URL) + request_of(URL))
    for _ in range(20):
        line.send(request_of(URL))
        line.send(other)
    bodies = [line.answer()[2] for _ in range(42)]
    assert bodies[:2] == [whole, whole]
    assert bodies[2::2] == [whole] * 20
    assert all(body != whole for body in bodies[3::2])


def test_other_fields_take_the_ordinary_way(line: Line) -> None:
    for _ in range(3):
        line.send(request_of(URL))
        tag = line.answer()[1]["etag"]
    for _ in range(2):
        line.send(request_of(URL, f"If-None-Match: {tag}"))
        assert line.answer()[0] == 304
        line.send(request_of(URL, "X-API-Key: nobody-has-this-one"))
        assert line.answer()[0] == 401
        line.send(request_of(URL, "X-Request-Id: 0f1e2d3c-4b5a-4978-8697-a5b4c3d2e1f0"))
        assert line.answer()[1]["x-request-id"] == "0f1e2d3c-4b5a-4978-8697-a5b4c3d2e1f0"
        line.send(request_of(URL, "Accept-Encoding: gzip"))
        assert line.answer()[1]["content-encoding"] == "gzip"
        line.send(request_of(EMPTY))
        assert line.answer()[0] == 204
    line.send(request_of(URL).replace(b"GET", b"HEAD"))
    line.send(request_of(URL))
    while b"\r\n\r\n" not in line.received:
        line._more()
    assert line.received.startswith(b"HTTP/1.1 200")


def test_a_connection_that_is_told_to_end_ends(line: Line) -> None:
    for _ in range(2):
        line.send(request_of(URL))
        line.answer()
    line.send(request_of(URL, "Connection: close"))
    assert line.answer()[0] == 200
    assert line.socket.recv(1) == b""


def test_they_are_counted(line: Line, client: Any) -> None:
    def counted() -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(
            float(one.split()[-1]) for one in lines if one.startswith("cim_http_requests_total") and "{col}" in one
        )

    line.send(request_of(URL))
    line.answer()
    before = counted()
    for _ in range(5):
        line.send(request_of(URL))
        line.answer()
    assert counted() == before + 5


def test_a_server_that_stops_ends_the_connections(module_database_url: str) -> None:
    with serving(module_database_url) as running:
        held = Line(running.url)
        for _ in range(3):
            held.send(request_of(URL))
            assert held.answer()[0] == 200
    assert held.socket.recv(1) == b""


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (request_of("/collections/a"), True),
        (request_of("/collections/a", "Connection: keep-alive", "User-Agent: x", "Accept: */*"), True),
        (request_of("/services/a"), False),
        (request_of("/collections/a", "Connection: close"), False),
        (request_of("/collections/a", "Cookie: session=1"), False),
        (request_of("/collections/a", "Authorization: Bearer x"), True),
        (request_of("/collections/a", "X-API-Key: x", "X-Scenario: flood"), True),
        (request_of("/collections/a", "AUTHORIZATION : Bearer x"), False),
        (request_of("/collections/a", "Range: bytes=0-1"), False),
        (request_of("/collections/a", "Content-Length: 0"), False),
        (request_of("/collections/a", "Transfer-Encoding: chunked"), False),
        (request_of("/collections/a") + request_of("/collections/a"), False),
        (request_of("/collections/a")[:-2], False),
        (request_of("/collections/a").replace(b"GET", b"HEAD"), False),
        (request_of("/collections/a").replace(b"1.1", b"1.0"), False),
        (request_of("/collections/" + "a" * 5000), False),
    ],
)
def test_which_requests_may_be_known_by_their_bytes(data: bytes, expected: bool) -> None:
    assert is_plain(data, below=b"/collections/") is expected
