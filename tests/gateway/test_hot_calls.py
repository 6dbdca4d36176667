"""Kept tiles that are called as services are sent again without being asked anew, and counted each time all the same."""

import time

import httpx2
import pytest

from tests.city import City, square
from tests.conftest import Server
from tests.gateway.conftest import TTL_S, Shelf
from tests.tiles.places import tile_at
from tests.tiles.test_hot import Line

TILE = tile_at("WebMercatorQuad", 14, 114.01, 22.51).path("buildings").removeprefix("/collections/buildings/tiles")
TILES = "/collections/buildings/tiles"


@pytest.fixture(scope="module", autouse=True)
def town(city: City, node: Server, anyone: httpx2.Client) -> None:
    for n in range(40):
        city.building(square(114.0 + n % 8 * 0.002, 22.5 + n // 8 * 0.002, 0.001), height_m=3.0 * n)
    city.settle(anyone)


def asked(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: here\r\nAccept-Encoding: gzip\r\n{more}\r\n".encode()


def of_route(node: Server, route: str) -> int:
    """How often the log names a route."""
    return node.log.read_text().count(f"route={route} ")


def test_each_of_many_equal_calls_is_counted(shelf: Shelf, node: Server) -> None:
    path = shelf.put("hot", TILES, "tiles", collection_id="buildings") + TILE
    line = Line(node.url)
    bodies = set()
    for _ in range(500):
        line.send(asked(path))
        status, fields, body = line.answer()
        assert (status, fields["content-type"]) == (200, "application/vnd.mapbox-vector-tile")
        bodies.add(body)
    (body,) = bodies
    found = shelf.calls("hot", 500)
    assert set(found) == {("anonymous", 200, "answered", len(body))}
    assert of_route(node, "/services/{service_id}/{path}") > 400  # most went the short way


def test_an_edit_is_seen_by_the_next_call(shelf: Shelf, node: Server, city: City, anyone: httpx2.Client) -> None:
    path = shelf.put("hot-edit", TILES, "tiles", collection_id="buildings") + TILE
    line = Line(node.url)
    sent = []
    for n in range(6):
        line.send(asked(path))
        sent.append(line.answer()[2])
        if n == 3:
            city.building(square(114.011, 22.511, 0.0001), height_m=99.0)
            city.settle(anyone)
    assert len(set(sent[:4])) == 1
    assert sent[4] != sent[3]
    assert sent[5] == sent[4]


def test_a_service_that_is_suspended_is_shut_for_those_who_have_just_called_it(shelf: Shelf, node: Server) -> None:
    path = shelf.put("hot-shut", TILES, "tiles", collection_id="buildings") + TILE
    line = Line(node.url)
    for _ in range(5):
        line.send(asked(path))
        assert line.answer()[0] == 200
    shelf.run("UPDATE cim.service SET share_class = 'conditional' WHERE id = 'hot-shut'")
    deadline, status, answered = time.monotonic() + TTL_S + 1, 200, 5
    while status == 200 and time.monotonic() < deadline:
        line.send(asked(path))
        status = line.answer()[0]
        answered += 1
    assert status == 401
    line.send(asked(path))
    assert line.answer()[0] == 401
    assert [row[1] for row in shelf.calls("hot-shut", answered + 1)] == [200] * (answered - 1) + [401] * 2


def test_a_caller_with_a_key_or_a_quota_is_asked_each_time(shelf: Shelf, node: Server) -> None:
    tile = shelf.put("hot-key", TILES, "tiles", collection_id="buildings", share_class="conditional") + TILE
    shelf.grant("hot-key", "water", quota_day=3)
    key = f"Authorization: {shelf.key('water')['Authorization']}\r\n"
    line = Line(node.url)
    statuses = []
    for _ in range(5):
        line.send(asked(tile, key))
        statuses.append(line.answer()[0])
    assert statuses == [200, 200, 200, 429, 429]
    line.send(asked(tile))
    assert line.answer()[0] == 401
