"""Calls of services: admitted, answered by this node or passed on, and counted."""

import gzip
import threading
from datetime import UTC, datetime

import httpx2
import pytest

from tests.city import City, square
from tests.conftest import NO_TLS, Server
from tests.gateway.conftest import Shelf
from tests.gateway.upstream import Asked, Upstream, answer
from tests.problems import assert_problem

PNG = b"\x89PNG\r\n\x1a\n" + bytes(2000)


@pytest.fixture(scope="module", autouse=True)
def town(city: City, node: Server, anyone: httpx2.Client) -> None:
    for number in range(5):
        city.building(
            square(114.05 + number / 1000, 22.54), height_m=10.0 + number, area_code="440304" if number else "440305"
        )
    city.settle(anyone)


def test_an_external_service_is_called_through_this_node(shelf: Shelf, anyone: httpx2.Client, maps: Upstream) -> None:
    maps.on(
        "/city/wms",
        answer(PNG, content_type="image/png", set_cookie="a=b", server="x", access_control_allow_origin="https://evil"),
    )
    path = shelf.put("ext-1", f"{maps.url}/city/wms?map=/city.map")
    got = anyone.get(
        path,
        params={"SERVICE": "WMS", "map": "/etc/passwd"},
        headers={"Cookie": "a=b", "X-Forwarded-For": "10.0.0.1", "Accept": "image/png", "X-Mine": "1"},
    )
    assert (got.status_code, got.content, got.headers["content-type"]) == (200, PNG, "image/png")
    assert not {"set-cookie", "server"} & set(got.headers)
    assert got.headers["access-control-allow-origin"] == "*"
    assert got.headers["content-security-policy"].startswith("sandbox")
    assert got.headers["x-content-type-options"] == "nosniff"
    asked = maps.asked[-1]
    assert asked.target == "/city/wms?map=/city.map&SERVICE=WMS"
    assert set(asked.headers) == {"host", "accept", "accept-encoding", "user-agent", "via", "forwarded", "x-request-id"}
    assert asked.headers["host"] == f"127.0.0.1:{maps.port}"
    assert shelf.calls("ext-1", 1) == [("anonymous", 200, "answered", len(PNG))]


def test_a_head_is_a_head_and_a_post_carries_its_body(shelf: Shelf, anyone: httpx2.Client, maps: Upstream) -> None:
    maps.on("/csw", answer(b"<x/>", content_type="application/xml"))
    path = shelf.put("ext-post", f"{maps.url}/csw", "rest")
    got = anyone.post(path, content=b"<GetRecords/>", headers={"Content-Type": "application/xml"})
    assert (got.status_code, got.content) == (200, b"<x/>")
    assert (maps.asked[-1].method, maps.asked[-1].body, maps.asked[-1].headers["content-type"]) == (
        "POST",
        b"<GetRecords/>",
        "application/xml",
    )
    maps.on(
        "/head.png",
        lambda opened: opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\n"),
    )
    head = anyone.head(shelf.put("ext-head", f"{maps.url}/head.png", "file"))
    assert (head.status_code, head.headers["content-length"], maps.asked[-1].method) == (200, "99", "HEAD")
    assert anyone.delete(path).status_code == 405
    assert shelf.calls("ext-head", 1) == [("anonymous", 200, "answered", 0)]


def test_capabilities_name_this_node(shelf: Shelf, anyone: httpx2.Client, maps: Upstream, node: Server) -> None:
    document = f'<C><O xlink:href="{maps.url}/ows?"/><P xlink:href="http://elsewhere.example/"/></C>'.encode()
    maps.on("/ows", answer(gzip.compress(document), content_type="text/xml", content_encoding="gzip", etag='"v1"'))
    path = shelf.put("ext-cap", f"{maps.url}/ows")
    got = anyone.get(path)
    assert got.content == document.replace(f"{maps.url}/ows".encode(), f"{node.url}{path}".encode())
    assert got.headers["etag"].startswith("W/")
    tiles = shelf.put("ext-xyz", f"{maps.url}/t/{{z}}/{{x}}/{{y}}.png", "xyz")
    assert anyone.get(tiles).json()["tiles"] == [f"{node.url}{tiles}/{{z}}/{{x}}/{{y}}.png"]
    maps.on("/t/1/2/3.png", answer(PNG, content_type="image/png"))
    assert anyone.get(f"{tiles}/1/2/3.png").content == PNG
    model = shelf.put("ext-3d", f"{maps.url}/model/tileset.json", "3dtiles")
    sent_on = anyone.get(model)
    assert (sent_on.status_code, sent_on.headers["location"]) == (307, f"{node.url}{model}/tileset.json")


@pytest.mark.parametrize("tail", ["/../x", "/a/%2e%2e/b", "/a%2fb", "/%252e%252e/", "//x", "/a/..;/b", "/a\\b"])
def test_a_path_that_could_climb_is_not_asked(
    shelf: Shelf, node: Server, anyone: httpx2.Client, maps: Upstream, tail: str
) -> None:
    if not shelf.run("SELECT 1 FROM cim.service WHERE id = 'ext-path'").fetchone():
        shelf.put("ext-path", f"{maps.url}/deep/folder", "rest")
    before = len(maps.asked)
    from tests.hostile.raw import exchange

    status, received = exchange(
        node.url, f"GET /services/ext-path{tail} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    assert status == 400
    assert b'"parameter":"path"' in received
    assert len(maps.asked) == before


def test_own_data_is_answered_here_with_links_of_the_service(shelf: Shelf, anyone: httpx2.Client, node: Server) -> None:
    path = shelf.put("own-items", "/collections/buildings/items", "features", collection_id="buildings")
    page = anyone.get(path, params={"limit": 2}).json()
    assert page["numberReturned"] == 2
    following = next(link["href"] for link in page["links"] if link["rel"] == "next")
    assert following.startswith(f"{node.url}{path}?")
    assert len(anyone.get(following).json()["features"]) == 2
    one = page["features"][0]["id"]
    assert anyone.get(f"{path}/{one}").json()["id"] == one
    assert_problem(anyone.get(f"{path}/nothing/more"), status=404, code="not-found")
    assert_problem(anyone.get(path, params={"hight": 1}), status=400, code="unknown-parameter")
    assert_problem(anyone.post(path, json={"type": "Feature"}), status=404, code="not-found")
    found = shelf.run("SELECT status, rows FROM cim.call WHERE service_id = 'own-items' ORDER BY received_at")
    shelf.calls("own-items", 6)
    found = shelf.run(
        "SELECT status, rows FROM cim.call WHERE service_id = 'own-items' ORDER BY received_at"
    ).fetchall()
    assert found == [(200, 2), (200, 2), (200, 0), (404, 0), (400, 0), (404, 0)]


def test_own_statistics_tiles_and_the_imagery_catalogue_are_called_too(
    shelf: Shelf, anyone: httpx2.Client, node: Server
) -> None:
    aggregate = shelf.put("own-stats", "/collections/buildings/aggregate", "statistics", collection_id="buildings")
    assert anyone.post(aggregate, json={}).status_code == 200
    tiles = shelf.put("own-tiles", "/collections/buildings/tiles", "tiles", collection_id="buildings")
    described = anyone.get(f"{tiles}/WebMercatorQuad", params={"f": "tilejson"}).json()
    assert described["tiles"][0].startswith(f"{node.url}{tiles}/")
    z, x, y = 14, 13383, 7137
    address = f"{tiles}/WebMercatorQuad/{z}/{y}/{x}"
    direct = anyone.get(address.replace(tiles, "/collections/buildings/tiles"))
    for _ in range(5):  # also where the node knows the answer by now, each call is counted
        got = anyone.get(address)
        assert (got.status_code, got.content) == (direct.status_code, direct.content)
    stac = shelf.put("own-stac", "/stac", "stac", collection_id="imagery")
    assert {link["href"].removeprefix(node.url).partition("?")[0] for link in anyone.get(stac).json()["links"]} >= {
        stac
    }
    assert len(shelf.calls("own-tiles", 6)) == 6
    for hidden in ("/admin/keys", "/catalogue/items", "/services/own-tiles"):
        bad = shelf.put(f"bad-{hidden.rpartition('/')[2]}", hidden, "rest")
        assert_problem(anyone.get(bad), status=404, code="not-found")


def test_share_classes_and_grants_decide_who_calls(shelf: Shelf, anyone: httpx2.Client, admin: httpx2.Client) -> None:
    items = "/collections/buildings/items"
    path = shelf.put("cond", items, "features", collection_id="buildings", share_class="conditional")
    closed = shelf.put("closed", items, "features", collection_id="buildings", share_class="not_shared")
    water, planning = shelf.key("water"), shelf.key("planning")
    assert_problem(anyone.get(path), status=401, code="unauthorized")
    assert_problem(anyone.get(path, headers=water), status=403, code="forbidden")
    assert anyone.get(path, headers=planning).status_code == 200
    assert anyone.get(closed, headers=planning).status_code == 200
    assert admin.get(closed).status_code == 200
    assert_problem(anyone.get(closed, headers=water), status=403, code="forbidden")
    shelf.grant("granted", "water", area_code="440304", hidden=["height_m"], quota_day=3)
    granted = shelf.put("granted", items, "features", collection_id="buildings", share_class="conditional")
    page = anyone.get(granted, headers=water).json()
    assert len(page["features"]) == 4
    assert not any("height_m" in one["properties"] for one in page["features"])
    assert_problem(anyone.get(granted, params={"height_m": 11}, headers=water), status=400, code="unknown-parameter")
    assert anyone.get(granted, headers=water).status_code == 200
    assert_problem(anyone.get(granted, headers=water), status=429, code="quota-exceeded")
    assert [row[:3] for row in shelf.calls("cond", 3)] == [
        ("anonymous", 401, "refused"),
        ("water", 403, "refused"),
        ("planning", 200, "answered"),
    ]
    assert [row[1:3] for row in shelf.calls("granted", 4)] == [
        (200, "answered"),
        (400, "answered"),
        (200, "answered"),
        (429, "quota"),
    ]


def test_a_grant_whose_conditions_cannot_be_kept_opens_no_external_service(
    shelf: Shelf, anyone: httpx2.Client, maps: Upstream
) -> None:
    maps.on("/masked", answer(b"all of it"))
    path = shelf.put("masked", f"{maps.url}/masked", "rest", share_class="conditional")
    shelf.grant("masked", "water", hidden=["height_m"])
    assert_problem(anyone.get(path, headers=shelf.key("water")), status=403, code="forbidden")
    assert not maps.asked_for("/masked")
    assert [row[:3] for row in shelf.calls("masked", 1)] == [("water", 403, "refused")]


def test_only_what_is_on_the_shelf_is_called(shelf: Shelf, anyone: httpx2.Client, admin: httpx2.Client) -> None:
    items = "/collections/buildings/items"
    assert_problem(anyone.get("/services/nothing-here"), status=404, code="not-found")
    for state, status, code in (
        ("draft", 404, "not-found"),
        ("suspended", 403, "forbidden"),
        ("withdrawn", 404, "not-found"),
    ):
        path = shelf.put(f"is-{state}", items, "features", state=state)
        assert_problem(anyone.get(path), status=status, code=code)
    assert_problem(admin.get("/services/is-draft"), status=409, code="conflict")


def test_an_answer_is_kept_as_long_as_its_upstream_says(shelf: Shelf, anyone: httpx2.Client, maps: Upstream) -> None:
    maps.on(
        "/kept/1.png",
        answer(PNG, content_type="image/png", cache_control="max-age=60", etag='"a"', vary="Accept-Language"),
    )
    path = shelf.put("kept", f"{maps.url}/kept", "rest") + "/1.png"
    first, second = anyone.get(path), anyone.get(path)
    assert (first.content, second.content, len(maps.asked_for("/kept/1.png"))) == (PNG, PNG, 1)
    assert "age" in second.headers
    assert anyone.get(path, headers={"If-None-Match": '"a"'}).status_code == 304
    assert len(maps.asked_for("/kept/1.png")) == 1
    anyone.get(path, headers={"Accept-Language": "zh"})
    anyone.get(path, headers={"Cache-Control": "no-cache"})
    anyone.get(path, headers={"Range": "bytes=0-1"})
    assert len(maps.asked_for("/kept/1.png")) == 4
    shelf.calls("kept", 6)


def test_a_stale_answer_is_asked_about(shelf: Shelf, anyone: httpx2.Client, maps: Upstream) -> None:
    def revalidated(asked: Asked) -> bytes:
        if asked.headers.get("if-none-match") == '"v1"':
            return b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\nCache-Control: no-cache\r\n\r\n'
        return answer(PNG, content_type="image/png", cache_control="no-cache", etag='"v1"')

    maps.on("/checked.png", revalidated)
    path = shelf.put("checked", f"{maps.url}/checked.png", "file")
    assert [anyone.get(path).content for _ in range(3)] == [PNG] * 3
    assert [one.headers.get("if-none-match") for one in maps.asked_for("/checked.png")] == [None, '"v1"', '"v1"']


@pytest.mark.parametrize("rule", ["private, max-age=60", "no-store", "", "max-age=0"])
def test_what_may_not_be_kept_is_asked_each_time(
    shelf: Shelf, anyone: httpx2.Client, maps: Upstream, rule: str
) -> None:
    name = f"unkept-{rule[:2].strip() or 'none'}-{len(rule)}"
    fields = {"cache_control": rule} if rule else {}
    maps.on(f"/{name}", answer(PNG, content_type="image/png", **fields))
    path = shelf.put(name, f"{maps.url}/{name}", "file")
    assert [anyone.get(path).status_code for _ in range(3)] == [200] * 3
    assert len(maps.asked_for(f"/{name}")) == 3


def test_many_callers_at_once_are_each_counted(shelf: Shelf, node: Server, maps: Upstream) -> None:
    maps.on("/many", answer(PNG, content_type="image/png"))
    path = shelf.put("many", f"{maps.url}/many", "file")
    statuses: list[int] = []

    def ask() -> None:
        with httpx2.Client(base_url=node.url, timeout=30, verify=NO_TLS) as client:
            statuses.extend(client.get(path).status_code for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 80
    shelf.calls("many", 80)
    assert shelf.run("SELECT max(received_at) FROM cim.call").fetchone()[0] <= datetime.now(UTC)
