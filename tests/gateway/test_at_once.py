"""Equal calls that come at once are one question to the upstream, where its answer may be shared; each is counted."""

import asyncio
import hashlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx2
import pytest

from tests.conftest import NO_TLS, Server
from tests.gateway.conftest import ADMIN, Shelf
from tests.gateway.upstream import Asked, Upstream, answer
from tests.problems import assert_problem

MANY = 20
SLOW_S = 0.4
TILE = b"\x89PNG\r\n\x1a\n" + bytes(30_000)
KEPT = {"content_type": "image/png", "cache_control": "max-age=60"}


@pytest.fixture(scope="module")
def slow(spares: list[Upstream]) -> Upstream:
    """An upstream of this file's own."""
    return spares.pop()


def slowly(made: bytes) -> Callable[[Asked], bytes]:
    def after_a_while(asked: Asked) -> bytes:
        time.sleep(SLOW_S)
        return made

    return after_a_while


def at_once(node: Server, path: str, *fields: dict[str, str], method: str = "GET") -> list[httpx2.Response]:
    """The answers to calls that are sent at the same time, one for each set of header fields."""

    async def all_of_them() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(base_url=node.url, timeout=30, verify=NO_TLS) as client:
            return list(await asyncio.gather(*(client.request(method, path, headers=one) for one in fields)))

    return asyncio.run(all_of_them())


def test_equal_misses_are_one_question_and_each_is_counted(
    shelf: Shelf, node: Server, anyone: httpx2.Client, slow: Upstream
) -> None:
    slow.on("/once.png", slowly(answer(TILE, **KEPT)))
    path = shelf.put("once", f"{slow.url}/once.png", "file")
    got = at_once(node, path, *[{}] * MANY)
    assert [(one.status_code, one.content) for one in got] == [(200, TILE)] * MANY
    assert len(slow.asked_for("/once.png")) == 1
    assert len({one.headers["x-request-id"] for one in got}) == MANY
    assert shelf.calls("once", MANY) == [("anonymous", 200, "answered", len(TILE))] * MANY
    assert anyone.get(path).content == TILE
    assert len(slow.asked_for("/once.png")) == 1


def test_a_document_is_made_ours_once_for_all(shelf: Shelf, node: Server, slow: Upstream) -> None:
    document = b'{"href": "%s/doc/next"}' % slow.url.encode()
    slow.on("/doc", slowly(answer(document, content_type="application/json", cache_control="max-age=60")))
    got = at_once(node, shelf.put("doc-once", f"{slow.url}/doc", "rest"), *[{}] * MANY)
    assert {one.content for one in got} == {b'{"href": "%s/services/doc-once/next"}' % node.url.encode()}
    assert len(slow.asked_for("/doc")) == 1
    shelf.calls("doc-once", MANY)


def test_a_stale_answer_is_asked_about_once(shelf: Shelf, node: Server, slow: Upstream) -> None:
    def revalidated(asked: Asked) -> bytes:
        time.sleep(SLOW_S)
        if "if-none-match" in asked.headers:
            return b'HTTP/1.1 304 Not Modified\r\nETag: "v"\r\nCache-Control: no-cache\r\n\r\n'
        return answer(TILE, content_type="image/png", cache_control="no-cache", etag='"v"')

    slow.on("/stale.png", revalidated)
    path = shelf.put("stale-once", f"{slow.url}/stale.png", "file")
    at_once(node, path, {})
    got = at_once(node, path, *[{}] * 5, *[{"If-None-Match": '"v"'}] * 5)
    assert Counter(one.status_code for one in got) == {200: 5, 304: 5}
    assert len(slow.asked_for("/stale.png")) == 2


@pytest.mark.parametrize("leaves_after_s", [SLOW_S / 2, SLOW_S * 2])
def test_the_others_get_their_answer_when_the_first_goes(
    shelf: Shelf, node: Server, slow: Upstream, leaves_after_s: float
) -> None:
    """The first goes before the answer begins, or in the middle of it."""
    name = f"left-{leaves_after_s > SLOW_S:d}"

    def halting(opened: socket.socket) -> None:
        time.sleep(SLOW_S)
        made = answer(TILE, **KEPT)
        opened.sendall(made[:20_000])
        time.sleep(SLOW_S * 2)
        opened.sendall(made[20_000:])

    slow.on(f"/{name}.png", halting)
    path = shelf.put(name, f"{slow.url}/{name}.png", "file")
    first = socket.create_connection(("127.0.0.1", httpx2.URL(node.url).port or 0))
    first.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    time.sleep(0.05)
    goes = threading.Timer(leaves_after_s, first.close)
    goes.start()
    with httpx2.Client(base_url=node.url, timeout=30, verify=NO_TLS) as client:
        del client.headers["accept"], client.headers["accept-encoding"]  # as the first asks
        got = [client.get(path)]
    goes.join()
    assert [(one.status_code, one.content) for one in got] == [(200, TILE)]
    assert len(slow.asked_for(f"/{name}.png")) == 1
    outcomes = sorted((row[1], row[2]) for row in shelf.calls(name, 2))
    assert outcomes in ([(200, "aborted"), (200, "answered")], [(200, "answered"), (499, "aborted")])


def test_the_upstream_is_left_when_nobody_waits_any_more(shelf: Shelf, node: Server, slow: Upstream) -> None:
    left = threading.Event()

    def endless(opened: socket.socket) -> None:
        opened.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nCache-Control: max-age=60\r\nContent-Length: 4000000\r\n\r\n"
        )
        try:
            for _ in range(50):
                opened.sendall(bytes(10_000))
                time.sleep(0.1)
        except OSError:
            left.set()

    slow.on("/left.png", endless)
    path = shelf.put("left-alone", f"{slow.url}/left.png", "file")
    with socket.create_connection(("127.0.0.1", httpx2.URL(node.url).port or 0)) as first:
        first.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        first.recv(100)
    assert left.wait(3)
    assert shelf.calls("left-alone", 1)[0][2] == "aborted"


def test_an_error_goes_to_all_and_is_not_kept(
    shelf: Shelf, node: Server, anyone: httpx2.Client, slow: Upstream
) -> None:
    slow.on("/ill", slowly(answer(b"ill", "500 Internal Server Error")))
    path = shelf.put("ill-once", f"{slow.url}/ill", "file")
    got = at_once(node, path, *[{}] * MANY)
    assert [(one.status_code, one.content) for one in got] == [(500, b"ill")] * MANY
    assert len(slow.asked_for("/ill")) == 1
    slow.on("/ill", answer(b"well", content_type="text/plain"))
    assert anyone.get(path).content == b"well"
    shelf.calls("ill-once", MANY + 1)

    def broken_off(opened: socket.socket) -> None:
        time.sleep(SLOW_S)
        opened.sendall(answer(TILE, **KEPT)[:9_000])

    slow.on("/torn", broken_off)
    torn = shelf.put("torn-once", f"{slow.url}/torn", "file")
    statuses = []

    async def ask(client: httpx2.AsyncClient) -> None:
        try:
            answered = await client.get(torn)
            statuses.append(answered.status_code)
            assert_problem(answered, status=502, code="upstream-unreachable")
        except httpx2.RemoteProtocolError:
            statuses.append(0)  # the first: its answer had begun

    async def all_of_them() -> None:
        async with httpx2.AsyncClient(base_url=node.url, timeout=30, verify=NO_TLS) as client:
            await asyncio.gather(*(ask(client) for _ in range(5)))

    asyncio.run(all_of_them())
    assert Counter(statuses) == {502: 4, 0: 1}
    assert len(slow.asked_for("/torn")) == 1
    assert {row[2] for row in shelf.calls("torn-once", 5)} == {"upstream-error"}
    slow.on("/torn", answer(TILE, **KEPT))
    assert anyone.get(torn).content == TILE


@pytest.mark.parametrize(
    "rule", [{"cache_control": "private, max-age=60"}, {"cache_control": "no-store"}, {}, {"set_cookie": "a=b", **KEPT}]
)
def test_what_may_not_be_shared_is_asked_for_by_each(
    shelf: Shelf, node: Server, slow: Upstream, rule: dict[str, str]
) -> None:
    name = hashlib.md5(repr(rule).encode(), usedforsecurity=False).hexdigest()
    slow.on(f"/{name}", lambda asked: slowly(answer(str(len(slow.asked)).encode(), **rule))(asked))
    path = shelf.put(name, f"{slow.url}/{name}", "file")
    for times in (1, 2):
        began = time.monotonic()
        assert [one.status_code for one in at_once(node, path, *[{}] * 6)] == [200] * 6
        assert len(slow.asked_for(f"/{name}")) == 6 * times
    assert time.monotonic() - began < SLOW_S * 2  # by now it is known that these do not wait for each other


def test_callers_who_ask_otherwise_are_answered_otherwise(shelf: Shelf, node: Server, slow: Upstream) -> None:
    def in_their_language(asked: Asked) -> bytes:
        time.sleep(SLOW_S)
        return answer(asked.headers.get("accept-language", "none").encode(), vary="Accept-Language", **KEPT)

    slow.on("/words", in_their_language)
    path = shelf.put("words", f"{slow.url}/words", "file")
    asked = [{"Accept-Language": one} for one in ("zh", "en", "zh", "en")]
    got = at_once(node, path, *asked, {"Accept-Language": "en", "Range": "bytes=0-1"}, {"Cache-Control": "no-cache"})
    assert [one.content for one in got] == [b"zh", b"en", b"zh", b"en", b"en", b"none"]
    assert len(slow.asked_for("/words")) == 4
    posted = at_once(node, path, *[{}] * 3, method="POST")
    assert len(slow.asked_for("/words")) == 7, posted


def test_what_was_asked_with_the_nodes_credential_is_shared_where_it_is_public(
    shelf: Shelf, node: Server, slow: Upstream
) -> None:
    for name, rule, expected in (("sec-1", "max-age=60", 5), ("sec-2", "public, max-age=60", 1)):
        slow.on(f"/{name}", slowly(answer(TILE, content_type="image/png", cache_control=rule)))
        path = shelf.put(name, f"{slow.url}/{name}", "file")
        set_it = httpx2.put(
            f"{node.url}/catalogue/items/{name}/credentials",
            json={"kind": "bearer", "token": "t"},
            headers={"Authorization": f"Bearer {ADMIN}"},
            verify=NO_TLS,
        )
        assert set_it.status_code == 204
        assert [one.status_code for one in at_once(node, path, *[{}] * 5)] == [200] * 5
        assert len(slow.asked_for(f"/{name}")) == expected


def test_an_answer_too_long_to_keep_reaches_everybody_whole(shelf: Shelf, node: Server, slow: Upstream) -> None:
    body = bytes(range(256)) * 4 * 6_000  # 6 MB, whose length is not told

    def in_chunks(opened: socket.socket) -> None:
        time.sleep(SLOW_S)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: image/tiff\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
        opened.sendall(head)
        for start in range(0, len(body), 100_000):
            piece = body[start : start + 100_000]
            opened.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        opened.sendall(b"0\r\n\r\n")

    slow.on("/long", in_chunks)
    got = at_once(node, shelf.put("long-once", f"{slow.url}/long", "file"), *[{}] * 4)
    assert [(one.status_code, one.content == body) for one in got] == [(200, True)] * 4
    assert shelf.calls("long-once", 4) == [("anonymous", 200, "answered", len(body))] * 4
