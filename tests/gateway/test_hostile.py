"""Upstreams and callers that mean harm: catalogue B32 to B36."""

import asyncio
import gzip
import re
import socket
import threading
import time
import zlib
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest

from tests.conftest import Server
from tests.gateway.conftest import TTL_S, Shelf
from tests.gateway.upstream import Asked, Upstream, answer
from tests.hostile.raw import exchange
from tests.problems import assert_problem

MIB = 1024**2
SECRET = "opensesame-of-the-upstream"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_B32_a_service_at_a_closed_address_is_blocked_when_called(
    shelf: Shelf, anyone: httpx2.Client, closed: Upstream, host: str
) -> None:
    name = f"closed-{host.strip('[]').replace(':', 'c')}"
    path = shelf.put(name, f"http://{host}:{closed.port}/wms")  # as if it had come by a way that does not check
    for _ in range(2):
        document = assert_problem(anyone.get(path), status=502, code="upstream-blocked")
        assert str(closed.port) not in document["detail"]
    assert closed.connections == 0
    assert [row[1:3] for row in shelf.calls(name, 2)] == [(502, "upstream-error")] * 2
    told = shelf.run("SELECT event, actor FROM cim.audit WHERE subject_id = %s", name).fetchall()
    assert told == [("call-blocked", "anonymous")]


@pytest.mark.parametrize("scheme", ["file:///etc/passwd", "gopher://127.0.0.1:70/", "ftp://127.0.0.1/"])
def test_B32_other_schemes_are_blocked_when_called(shelf: Shelf, anyone: httpx2.Client, scheme: str) -> None:
    assert_problem(anyone.get(shelf.put(f"scheme-{scheme[:3]}", scheme)), status=502, code="upstream-blocked")


def test_B32_a_redirect_to_a_closed_address_is_not_followed(
    shelf: Shelf, anyone: httpx2.Client, maps: Upstream, closed: Upstream
) -> None:
    path = shelf.put("led-away", f"{maps.url}/away", "rest")
    for target in (
        f"{closed.url}/",
        "file:///etc/passwd",
        "gopher://x/",
        "//127.0.0.1:1/",
        "http://169.254.169.254/",
        "",
        "/elsewhere",
    ):
        maps.on("/away", answer(b"", "302 Found", location=target))
        assert_problem(anyone.get(path, follow_redirects=True), status=502, code="upstream-blocked")
    assert closed.connections == 0


def test_B33_credentials_go_to_the_registered_address_and_nowhere_else(
    shelf: Shelf, anyone: httpx2.Client, admin: httpx2.Client, maps: Upstream, other: Upstream
) -> None:
    path = shelf.put("sealed", f"{maps.url}/sealed", "rest")
    credentials = "/catalogue/items/sealed/credentials"
    assert admin.put(credentials, json={"kind": "bearer", "token": SECRET}).status_code == 204
    time.sleep(TTL_S if len(maps.asked_for("/sealed")) else 0)
    maps.on("/sealed", answer(b"yes"))
    assert anyone.get(path, headers={"X-API-Key": ""}).status_code in (200, 401)
    assert anyone.get(path).content == b"yes"
    assert maps.asked_for("/sealed")[-1].headers["authorization"] == f"Bearer {SECRET}"
    maps.on("/sealed", answer(b"", "302 Found", location=f"{other.url}/sealed"))
    assert_problem(anyone.get(path, follow_redirects=True), status=502, code="upstream-blocked")
    maps.on("/sealed", answer(b"", "307 Temporary Redirect", location="/sealed/next?x=1"))
    passed = anyone.get(path)
    assert (passed.status_code, urlsplit(passed.headers["location"]).path) == (307, "/services/sealed/next")
    assert other.connections == 0
    shelf.run("UPDATE cim.service SET endpoints = %s WHERE id = 'sealed'", f'[{{"url": "{other.url}/sealed"}}]')
    time.sleep(TTL_S)
    other.on("/sealed", answer(b"mine now"))
    assert_problem(anyone.get(path), status=503, code="service-unavailable")
    assert other.connections == 0  # the address was changed behind the credential: it stays where it was


def test_credentials_are_written_by_the_owner_and_shown_to_nobody(
    shelf: Shelf, anyone: httpx2.Client, admin: httpx2.Client, node: Server, maps: Upstream
) -> None:
    maps.on("/q", lambda asked: answer(asked.target.encode() if "f=echo" not in asked.target else b"x"))
    path = shelf.put("quiet", f"{maps.url}/q", "rest")
    credentials = "/catalogue/items/quiet/credentials"
    owner, reader, stranger = (
        shelf.key("planning", duties=("publisher",)),
        shelf.key("planning"),
        shelf.key("water", duties=("publisher",)),
    )
    body = {"kind": "query", "name": "token", "value": SECRET}
    assert_problem(anyone.put(credentials, json=body), status=401, code="unauthorized")
    for key in (reader, stranger):
        assert_problem(anyone.put(credentials, json=body, headers=key), status=403, code="forbidden")
        assert_problem(anyone.get(credentials, headers=key), status=403, code="forbidden")
    assert anyone.get(credentials, headers=owner).json()["is_set"] is False
    assert anyone.put(credentials, json=body, headers=owner).status_code == 204
    shown = anyone.get(credentials, headers=owner)
    assert (shown.json()["is_set"], set(shown.json())) == (True, {"service_id", "is_set", "set_at", "set_by"})
    refused = anyone.put(credentials, json={**body, "name": SECRET + " "}, headers=owner)
    assert refused.status_code == 400
    anyone.get(path, params={"token": "mine", "f": "json"})
    assert maps.asked_for("/q")[-1].target == f"/q?token={SECRET}&f=json"
    assert_problem(anyone.get(path, params={"api_key": "cim_0123456789"}), status=400, code="unknown-parameter")
    stored = shelf.run("SELECT sealed FROM cim.service_secret WHERE service_id = 'quiet'").fetchone()[0]
    audits = shelf.run(
        "SELECT event, detail::text FROM cim.audit WHERE subject_id = 'quiet' ORDER BY number"
    ).fetchall()
    assert [event for event, _ in audits] == ["credential-set"]
    for text in (stored, repr(audits).encode(), node.log.read_bytes(), shown.content):
        assert SECRET.encode() not in bytes(text)
    maps.on("/q", answer(b"no", "401 Unauthorized", www_authenticate="Basic"))
    failed = anyone.get(path)
    assert_problem(failed, status=502, code="upstream-unreachable")
    assert "www-authenticate" not in failed.headers
    assert admin.delete(credentials).status_code == 204
    assert_problem(admin.delete(credentials), status=404, code="not-found")
    assert_problem(admin.put(credentials, json={"kind": "bearer"}), status=400, code="invalid-body")


def bomb(unpacked: int) -> bytes:
    """A gzip body that holds that many zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = packer.compress(bytes(MIB))
    pieces = [block] + [packer.compress(bytes(MIB)) for _ in range(unpacked // MIB - 1)]
    return b"".join([*pieces, packer.flush()])


@pytest.mark.parametrize("media_type", ["image/png", "application/json", "text/xml"])
def test_B34_a_gzip_bomb_is_passed_on_as_it_is_or_cut(
    shelf: Shelf, anyone: httpx2.Client, node: Server, maps: Upstream, media_type: str
) -> None:
    packed = bomb(256 * MIB)
    name = f"bomb-{media_type[-4:].strip('/')}"
    maps.on(f"/{name}", answer(packed, content_type=media_type, content_encoding="gzip"))
    path = shelf.put(name, f"{maps.url}/{name}", "ogcapi")
    process = psutil.Process(node.process.pid)
    before, peak, done = process.memory_info().rss, 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with anyone.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as got:
        size = sum(len(piece) for piece in got.iter_raw())
    done.set()
    watcher.join()
    assert got.status_code == 200
    assert (size, got.headers["content-encoding"]) == (len(packed), "gzip")
    assert peak - before < 64 * MIB


def silent(opened: socket.socket) -> None:
    opened.settimeout(20)
    opened.recv(1)


def trickling(opened: socket.socket) -> None:
    opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(200):
        opened.sendall(b"x")
        time.sleep(0.1)


def broken_off(opened: socket.socket) -> None:
    opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000000\r\n\r\n" + bytes(70_000))


def broken_chunks(opened: socket.socket) -> None:
    opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")


def no_http(opened: socket.socket) -> None:
    opened.sendall(b"\x00\x01\x02 this is no answer\r\n\r\n")


def test_B35_upstreams_that_do_not_answer_hold_up_nobody(
    shelf: Shelf, node: Server, fresh: Upstream, other: Upstream
) -> None:
    fresh.on("/silent", silent)
    other.on("/well", answer(b"well"))
    path, well = shelf.put("silent", f"{fresh.url}/silent", "file"), shelf.put("well", f"{other.url}/well", "file")

    async def ask(client: httpx2.AsyncClient, one: str) -> tuple[int, float]:
        began = time.monotonic()
        return (await client.get(one)).status_code, time.monotonic() - began

    async def all_at_once() -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
        async with httpx2.AsyncClient(base_url=node.url, timeout=30, limits=httpx2.Limits()) as client:
            dead = [asyncio.create_task(ask(client, f"{path}?n={n}")) for n in range(50)]  # equal ones would be one
            await asyncio.sleep(0.3)
            others = [await ask(client, well) for _ in range(5)]
            return await asyncio.gather(*dead), others

    ended, others = asyncio.run(all_at_once())
    assert all(status == 504 and seconds < 5 for status, seconds in ended), ended
    assert all(status == 200 and seconds < 1 for status, seconds in others), others
    assert {row[1:3] for row in shelf.calls("silent", 50)} == {(504, "upstream-timeout")}
    left_alone = httpx2.get(node.url + path)
    assert_problem(left_alone, status=503, code="service-unavailable")
    assert 1 <= int(left_alone.headers["retry-after"]) <= 60
    deadline = time.monotonic() + 12
    fresh.on("/silent", answer(b"back"))
    while (status := httpx2.get(node.url + path).status_code) != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert status == 200


@pytest.mark.parametrize("way", [trickling, broken_off, broken_chunks])
def test_B35_an_answer_that_breaks_off_has_no_made_up_end(
    shelf: Shelf, anyone: httpx2.Client, fresh: Upstream, way: object
) -> None:
    name = way.__name__.replace("_", "-")  # type: ignore[attr-defined]
    fresh.on(f"/{name}", way)  # type: ignore[arg-type]
    path = shelf.put(name, f"{fresh.url}/{name}", "file")
    began = time.monotonic()
    with anyone.stream("GET", path) as got:
        assert got.status_code == 200
        with pytest.raises(httpx2.RemoteProtocolError):
            got.read()
    assert time.monotonic() - began < 5
    outcome = "upstream-timeout" if way is trickling else "upstream-error"
    assert [row[1:3] for row in shelf.calls(name, 1)] == [(200, outcome)]


def test_B35_what_is_no_answer_is_no_answer(shelf: Shelf, anyone: httpx2.Client, fresh: Upstream) -> None:
    fresh.on("/no-http", no_http)
    path = shelf.put("no-http", f"{fresh.url}/no-http", "file")
    assert_problem(anyone.get(path), status=502, code="upstream-unreachable")
    assert [row[1:3] for row in shelf.calls("no-http", 1)] == [(502, "upstream-error")]


def test_a_caller_who_goes_lets_the_upstream_go_and_is_counted(shelf: Shelf, node: Server, fresh: Upstream) -> None:
    gone = threading.Event()

    def endless(opened: socket.socket) -> None:
        opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                opened.sendall(b"8000\r\n" + bytes(0x8000) + b"\r\n")
        except OSError:
            gone.set()

    fresh.on("/endless", endless)
    path = shelf.put("endless", f"{fresh.url}/endless", "file")
    with httpx2.Client(base_url=node.url, timeout=30) as client, client.stream("GET", path) as got:
        next(got.iter_raw())
    assert gone.wait(5)
    assert [row[:3] for row in shelf.calls("endless", 1)] == [("anonymous", 200, "aborted")]


def test_a_caller_who_goes_before_the_answer_begins_is_counted(shelf: Shelf, node: Server, fresh: Upstream) -> None:
    fresh.on("/waiting", silent)
    path = shelf.put("waiting", f"{fresh.url}/waiting", "file")
    with httpx2.Client(base_url=node.url, timeout=0.5) as client, pytest.raises(httpx2.ReadTimeout):
        client.get(path)
    assert [row[:3] for row in shelf.calls("waiting", 1)] == [("anonymous", 499, "aborted")]


SMUGGLED = b"GET /smuggled/second HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLING = {
    "length and chunks": b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + SMUGGLED,
    "lengths in one": b"Content-Length: 0, 44\r\n\r\n" + SMUGGLED,
    "signed length": b"Content-Length: +0\r\n\r\n" + SMUGGLED,
    "bad terminator": b"Transfer-Encoding: chunked\r\n\r\n2\r\nabXX0\r\n\r\n" + SMUGGLED,
    "bad size": b"Transfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n" + SMUGGLED,
    "negative size": b"Transfer-Encoding: chunked\r\n\r\n-1\r\nab\r\n0\r\n\r\n" + SMUGGLED,
    "space before colon": b"Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n" + SMUGGLED,
    "odd coding": b"Transfer-Encoding: xchunked\r\n\r\n" + SMUGGLED,
    "two codings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "tab coding": b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n\r\n" + SMUGGLED,
    "folded": b"X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "bare line feed": b"Content-Length: 3\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_B36_what_can_be_read_as_two_requests_is_none(shelf: Shelf, node: Server, maps: Upstream, name: str) -> None:
    if not shelf.run("SELECT 1 FROM cim.service WHERE id = 'smuggled'").fetchone():
        shelf.put("smuggled", f"{maps.url}/smuggled", "rest")
    maps.on("/smuggled", answer(b"first"))
    maps.on("/smuggled/second", answer(b"second"))
    before = len(maps.asked)
    status, received = exchange(node.url, b"POST /services/smuggled HTTP/1.1\r\nHost: x\r\n" + SMUGGLING[name])
    assert status == 400
    assert len(re.findall(rb"HTTP/1\.1 \d", received)) == 1  # and the connection is closed
    assert len(maps.asked) - before <= 1
    assert not any("second" in one.target or b"GET /smuggled" in one.body for one in maps.asked[before:])


def test_services_that_point_at_each_other_end(
    shelf: Shelf, anyone: httpx2.Client, node: Server, fresh: Upstream
) -> None:
    def again(asked: Asked) -> bytes:
        got = httpx2.get(f"{node.url}/services/loop", headers={"Via": asked.headers["via"]})
        return answer(got.content, f"{got.status_code} x")

    fresh.on("/loop", again)
    got = anyone.get(shelf.put("loop", f"{fresh.url}/loop", "rest"))
    assert got.status_code == 502
    assert len(fresh.asked_for("/loop")) == 3


def test_a_long_document_passes_as_it_is(shelf: Shelf, anyone: httpx2.Client, fresh: Upstream) -> None:
    body = b'{"href":"' + fresh.url.encode() + b'/long","x":"' + b"x" * (9 * MIB) + b'"}'
    fresh.on("/long", answer(gzip.compress(body, 1), content_type="application/json", content_encoding="gzip"))
    assert anyone.get(shelf.put("long", f"{fresh.url}/long", "rest")).content == body
