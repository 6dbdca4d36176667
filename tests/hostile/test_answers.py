"""Answers as bytes on a connection: whole, in order, and the connection as the client asked for it."""

import socket

from tests.conftest import Server
from tests.hostile.raw import connect, exchange

ITEMS = b"/collections/buildings/items?limit=2"


def request(path: bytes, *, method: bytes = b"GET", version: bytes = b"1.1", more: bytes = b"") -> bytes:
    return b"%b %b HTTP/%b\r\nHost: here\r\n%b\r\n" % (method, path, version, more)


def answers(opened: socket.socket, methods: tuple[str, ...]) -> list[tuple[int, dict[str, str], bytes]]:
    """Status, fields and body of one answer after another."""
    found = []
    stream = opened.makefile("rb")
    for method in methods:
        status = int(stream.readline().split(b" ")[1])
        fields = {}
        while (line := stream.readline()) != b"\r\n":
            name, _, value = line.decode().partition(":")
            fields[name.lower()] = value.strip()
        body = b"" if method == "HEAD" else stream.read(int(fields["content-length"]))
        found.append((status, fields, body))
    return found


def test_answers_to_requests_sent_at_once_come_in_their_order(module_server: Server) -> None:
    with connect(module_server.url) as opened:
        opened.sendall(request(ITEMS) + request(b"/health/live") + request(b"/nothing") + request(ITEMS))
        first, second, third, fourth = answers(opened, ("GET",) * 4)
    assert [first[0], second[0], third[0], fourth[0]] == [200, 200, 404, 200]
    assert first[2].startswith(b'{"type":"FeatureCollection"')
    assert len(first[2]) == len(fourth[2])
    assert "date" in first[1]


def test_a_head_is_answered_without_a_body_and_the_connection_goes_on(module_server: Server) -> None:
    with connect(module_server.url) as opened:
        opened.sendall(request(ITEMS, method=b"HEAD"))
        head = answers(opened, ("HEAD",))[0]
        opened.sendall(request(ITEMS))
        get = answers(opened, ("GET",))[0]
    assert (head[0], get[0]) == (200, 200)
    assert head[1]["content-length"] == get[1]["content-length"]
    assert head[1]["etag"] == get[1]["etag"]


def test_a_connection_is_closed_behind_the_answer_where_the_client_wants_that(module_server: Server) -> None:
    for asked in (request(ITEMS, more=b"Connection: close\r\n"), request(ITEMS, version=b"1.0")):
        status, received = exchange(module_server.url, asked)  # read to the end of the connection
        head, _, body = received.partition(b"\r\n\r\n")
        assert status == 200
        assert b"connection: close" in head.lower()
        assert body.endswith(b"]}")


def test_a_long_answer_is_whole_for_a_slow_reader(module_server: Server) -> None:
    with connect(module_server.url) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.sendall(request(b"/api"))
        status, fields, body = answers(opened, ("GET",))[0]
        assert (status, len(body)) == (200, int(fields["content-length"]))
        assert len(body) > 65_536
        assert body.endswith(b"}")
        opened.sendall(request(b"/health/live"))
        assert answers(opened, ("GET",))[0][0] == 200
