"""Kept tiles that are called as services are sent again without being asked anew, and counted each time all the same."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

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


def short_ways(node: Server) -> int:
    """How many calls were answered without being parsed: their request id is their id in the ledger."""
    text = node.log.read_text()
    return sum(1 for one in re.findall(r"^request_id=(\S+) .*route=/services/\{", text, re.M) if one[14] == "7")


def ends_with(line: Line, request: bytes) -> int:
    """The first status other than 200 of a request that is sent again and again."""
    status, deadline = 200, time.monotonic() + TTL_S + 1
    while status == 200 and time.monotonic() < deadline:
        line.send(request)
        status = line.answer()[0]
    return status


def granted(shelf: Shelf, name: str, caller: str = "water", **more: object) -> tuple[str, str, str]:
    """The path of a tile of a service, a field with a key that may call it, the key's prefix."""
    path = shelf.put(name, TILES, "tiles", collection_id="buildings", share_class="conditional") + TILE
    shelf.grant(name, caller, **more)
    key = shelf.key(caller)["Authorization"]
    return path, f"Authorization: {key}\r\n", key[11:19]


def test_calls_by_key_and_grant_are_each_counted_as_whose_they_are(shelf: Shelf, node: Server) -> None:
    path, key, prefix = granted(shelf, "hot-granted", quota_day=100_000, rate_calls=50_000, rate_seconds=1)
    line, before = Line(node.url), short_ways(node)
    ids, left = set(), []
    for _ in range(300):
        line.send(asked(path, key))
        status, fields, body = line.answer()
        assert (status, fields["cache-control"]) == (200, "private, no-store")
        assert fields["ratelimit-policy"] == '"rate";q=50000;w=1, "day";q=100000;w=86400'
        ids.add(fields["x-call-id"])
        left.append(int(fields["ratelimit"].rpartition("r=")[2].partition(";")[0]))
    assert short_ways(node) - before > 200
    assert len(ids) == 300
    assert left == sorted(left, reverse=True)
    assert left[0] - left[-1] == 299
    assert set(shelf.calls("hot-granted", 300)) == {("water", 200, "answered", len(body))}
    rows = shelf.run("SELECT DISTINCT key_prefix, grant_id <> '' FROM cim.call WHERE service_id = 'hot-granted'")
    assert rows.fetchall() == [(prefix, True)]
    found = shelf.run("SELECT call_id::text FROM cim.call WHERE service_id = 'hot-granted'").fetchall()
    assert {row[0] for row in found} == ids


def test_a_quota_is_exact_for_calls_sent_again(shelf: Shelf, node: Server) -> None:
    path, key, _ = granted(shelf, "hot-quota", quota_day=2_000)
    lines = [Line(node.url) for _ in range(8)]
    found: list[int] = []
    for _ in range(260):
        for line in lines:
            line.send(asked(path, key))
        found += [line.answer()[0] for line in lines]
    assert (found.count(200), found.count(429)) == (2_000, 80)
    calls = shelf.calls("hot-quota", 2_080)
    assert [row[2] for row in calls].count("answered") == 2_000


_ENDS = {
    "UPDATE cim.api_key SET revoked_at = now() WHERE prefix = %s": 401,
    "UPDATE cim.api_key SET expires_at = now() WHERE prefix = %s": 401,
    "UPDATE cim.organisation SET state = 'suspended' WHERE id = %s": 401,
    "UPDATE cim.api_key SET services = '{}' WHERE prefix = %s": 403,
    "UPDATE cim.service_grant SET revoked_at = now() WHERE service_id = %s": 403,
    "UPDATE cim.service_grant SET expires_at = now() + interval '1 s' WHERE service_id = %s": 403,
    "UPDATE cim.service_grant SET quota_day = 7 WHERE service_id = %s": 429,
    "UPDATE cim.service SET state = 'suspended' WHERE id = %s": 403,
}
"""What is changed, by the one name that service, organisation and key have; and what calls get from then on."""


def test_what_ends_a_right_ends_it_for_calls_that_go_on(shelf: Shelf, node: Server) -> None:
    """B39: within five seconds, in every worker; here within the time that a worker knows a right for."""
    calls = []
    for number in range(len(_ENDS)):
        name = f"hot-end{number}"
        shelf.run("INSERT INTO cim.organisation (id, name_zh, name_en) VALUES (%s, '', '')", name)
        path, key, prefix = granted(shelf, name, name, quota_day=100_000)
        shelf.run("UPDATE cim.api_key SET prefix = %s WHERE prefix = %s", name, prefix)
        calls.append((Line(node.url), asked(path, key)))
    before = short_ways(node)
    for _ in range(20):
        for line, request in calls:
            line.send(request)
            assert line.answer()[0] == 200
    assert short_ways(node) - before > 100
    for number, change in enumerate(_ENDS):
        shelf.run(change, f"hot-end{number}")
    with ThreadPoolExecutor(len(calls)) as pool:
        found = list(pool.map(lambda call: ends_with(*call), calls))
    assert dict(zip(_ENDS, found, strict=True)) == _ENDS


def test_a_collections_tile_by_key_ends_with_the_key(shelf: Shelf, node: Server) -> None:
    key = shelf.key("water")["Authorization"]
    line, request = Line(node.url), asked(TILES + TILE, f"X-API-Key: {key[7:]}\r\n")
    for _ in range(20):
        line.send(request)
        assert line.answer()[0] == 200
    shelf.run("UPDATE cim.api_key SET revoked_at = now() WHERE prefix = %s", key[11:19])
    assert ends_with(line, request) == 401


def test_a_quota_of_three_is_three(shelf: Shelf, node: Server) -> None:
    tile = shelf.put("hot-key", TILES, "tiles", collection_id="buildings", share_class="conditional") + TILE
    shelf.grant("hot-key", "water", quota_day=3)
    key = f"Authorization: {shelf.key('water')['Authorization']}\r\n"
    line = Line(node.url)
    found = []
    for _ in range(5):
        line.send(asked(tile, key))
        found.append(line.answer()[0])
    assert found == [200, 200, 200, 429, 429]
    line.send(asked(tile))
    assert line.answer()[0] == 401
