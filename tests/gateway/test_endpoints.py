"""A service with several endpoints: each called, metered, made ours, probed and shown; addresses that are templates of tiles."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx2
import psycopg
import pytest
from orjson import dumps

from tests.city import City, square
from tests.conftest import NO_TLS, Server, free_port, serving
from tests.gateway.conftest import ADMIN, TTL_S, Shelf
from tests.gateway.upstream import Upstream, answer
from tests.problems import assert_problem

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def second(spares: list[Upstream]) -> Upstream:
    """Another host, of this file's own."""
    return spares.pop()


@pytest.fixture(scope="module")
def parcels(shelf: Shelf, maps: Upstream, second: Upstream, city: City, anyone: httpx2.Client) -> str:
    """A service of a WMS, a WFS of the same host, a file of another one, and our own data."""
    city.building(square(114.05, 22.54))
    city.settle(anyone)
    maps.on("/p/wms", answer(f'<C href="{maps.url}/p/wms?"/>'.encode(), content_type="text/xml"))
    maps.on("/p/wfs", answer(f'<C href="{maps.url}/p/wfs?x=1"/>'.encode(), content_type="text/xml"))
    maps.on("/p/wfs/more", answer(b"more"))
    second.on("/p.zip", answer(b"zip"))
    endpoints = [
        {"url": f"{maps.url}/p/wms", "kind": "wms"},
        {"url": f"{maps.url}/p/wfs", "kind": "wfs", "title": "Parcels as features"},
        {"url": f"{second.url}/p.zip", "kind": "file"},
        {"url": "/collections/buildings/items", "kind": "features"},
    ]

    return shelf.put("parcels", "", endpoints=dumps(endpoints).decode())


def test_each_endpoint_is_called_by_its_number_and_counted(
    parcels: str, shelf: Shelf, anyone: httpx2.Client, node: Server
) -> None:
    for path, expected in (
        (parcels, f'<C href="{node.url}{parcels}?"/>'),
        (f"{parcels}/endpoints/1", f'<C href="{node.url}{parcels}?"/>'),
        (f"{parcels}/endpoints/2", f'<C href="{node.url}{parcels}/endpoints/2?x=1"/>'),
        (f"{parcels}/endpoints/2/more", "more"),
        (f"{parcels}/endpoints/3", "zip"),
    ):
        assert anyone.get(path).text == expected, path
    page = anyone.get(f"{parcels}/endpoints/4", params={"limit": 1}).json()
    assert page["numberReturned"] == 1
    assert {link["href"].partition("?")[0] for link in page["links"] if link["rel"] == "self"} == {
        f"{node.url}{parcels}/endpoints/4"
    }
    assert_problem(anyone.get(f"{parcels}/endpoints/5"), status=404, code="not-found")
    assert len(shelf.calls("parcels", 7)) == 7


def test_a_service_of_one_endpoint_has_all_paths_to_itself(shelf: Shelf, anyone: httpx2.Client, maps: Upstream) -> None:
    maps.on("/one/endpoints/2", answer(b"its own"))
    assert anyone.get(shelf.put("only-one", f"{maps.url}/one", "rest") + "/endpoints/2").content == b"its own"


def test_a_credential_goes_to_the_host_that_it_was_set_for(
    shelf: Shelf, anyone: httpx2.Client, admin: httpx2.Client, maps: Upstream, second: Upstream
) -> None:

    urls = (f"{maps.url}/c/1", f"{maps.url}/c/2", f"{second.url}/c/3")
    for upstream, path in ((maps, "/c/1"), (maps, "/c/2"), (second, "/c/3")):
        upstream.on(path, answer(b"ok"))
    path = shelf.put("by-credential", "", "rest", endpoints=dumps([{"url": url} for url in urls]).decode())
    set_it = admin.put("/catalogue/items/by-credential/credentials", json={"kind": "bearer", "token": "t0"})
    assert set_it.status_code == 204
    assert [anyone.get(path + tail).status_code for tail in ("", "/endpoints/2", "/endpoints/3")] == [200] * 3
    sent = [maps.asked_for("/c/1"), maps.asked_for("/c/2"), second.asked_for("/c/3")]
    assert [one[-1].headers.get("authorization") for one in sent] == ["Bearer t0", "Bearer t0", None]


def test_a_grant_opens_all_endpoints_and_what_it_masks_is_masked(
    shelf: Shelf, anyone: httpx2.Client, maps: Upstream
) -> None:

    endpoints = dumps(
        [{"url": "/collections/buildings/items"}, {"url": "/collections/buildings/tiles"}, {"url": f"{maps.url}/p/wfs"}]
    ).decode()
    path = shelf.put(
        "granted-all", "", "features", endpoints=endpoints, collection_id="buildings", share_class="conditional"
    )
    key = shelf.key("water")
    assert_problem(anyone.get(f"{path}/endpoints/2"), status=401, code="unauthorized")
    shelf.grant("granted-all", "water", hidden=["height_m"])
    time.sleep(TTL_S)
    assert anyone.get(path, headers=key).status_code == 200
    assert anyone.get(f"{path}/endpoints/2/WebMercatorQuad", headers=key).status_code == 200
    assert_problem(anyone.get(f"{path}/endpoints/3", headers=key), status=403, code="forbidden")


def test_the_record_and_the_shelf_tell_every_endpoint(parcels: str, anyone: httpx2.Client, node: Server) -> None:
    record = anyone.get("/catalogue/items/parcels").json()
    called = [link["href"] for link in record["links"] if link["rel"] == "service"]
    assert called == [
        f"{node.url}{parcels}/",
        f"{node.url}{parcels}/endpoints/2/",
        f"{node.url}{parcels}/endpoints/3/",
        f"{node.url}/collections/buildings/items",
    ]
    page = anyone.get("/catalogue/items/parcels", params={"f": "html", "lang": "en"}).text
    assert "2 · WFS · Parcels as features" in page
    assert f"{node.url}{parcels}/endpoints/4?limit=5" in page.replace("&amp;", "&")


def test_addresses_that_are_not_told_keep_their_numbers(shelf: Shelf, anyone: httpx2.Client, maps: Upstream) -> None:

    endpoints = [{"url": f"{maps.url}/a"}, {"url": f"{maps.url}/b"}, {"url": f"{maps.url}/t/{{z}}/{{x}}/{{y}}.png"}]
    shelf.put("hidden-three", "", "rest", endpoints=dumps(endpoints).decode(), share_class="conditional")
    told = anyone.get("/catalogue/items/hidden-three").json()
    assert [one["url"] for one in told["properties"]["endpoints"]] == [
        "/services/hidden-three/",
        "/services/hidden-three/endpoints/2/",
        "/services/hidden-three/endpoints/3/{z}/{x}/{y}.png",
    ]


def test_a_rest_api_has_its_openapi_document(
    shelf: Shelf, anyone: httpx2.Client, node: Server, second: Upstream
) -> None:
    described = dumps({"openapi": "3.1.0", "servers": [{"url": f"{second.url}/api/v1"}], "paths": {}})
    second.on("/docs/openapi.json", answer(described, content_type="application/json"))
    second.on("/api/v1/trees", answer(b"[]", content_type="application/json"))
    endpoints = [{"url": f"{second.url}/api/v1"}, {"url": f"{second.url}/docs/openapi.json", "kind": "openapi"}]
    path = shelf.put("rest-api", "", "rest", endpoints=dumps(endpoints).decode())
    record = anyone.get("/catalogue/items/rest-api").json()
    (link,) = [link["href"] for link in record["links"] if link["rel"] == "service-desc"]
    (server,) = anyone.get(link).json()["servers"]
    assert server["url"] == f"{node.url}{path}"
    assert anyone.get(f"{server['url']}/trees").json() == []
    assert anyone.get("/catalogue/items/rest-api", params={"f": "html"}).status_code == 200


TILES = '''
"""Tiles of the city in a few zooms, as files on a server."""
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PNG = bytes.fromhex(sys.argv[2])


class Tiles(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        parts = path.removeprefix("/city/tile_").removesuffix(".png").replace("_", "/").split("/")
        is_one = len(parts) == 3 and all(part.isdigit() for part in parts) and 10 <= int(parts[0]) <= 18
        body = PNG if is_one and "token=t" in query else b"<html>none</html>"
        self.send_response(200 if is_one else 404)
        self.send_header("Content-Type", "image/png" if is_one else "text/html")
        self.send_header("Cache-Control", "max-age=60")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Tiles).serve_forever()
'''


@pytest.fixture(scope="module")
def tile_server() -> Iterator[str]:
    """A process that serves tiles."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", TILES, str(port), PNG.hex()], env={**os.environ}, cwd="/")
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                httpx2.get(url)
                break
            except httpx2.ConnectError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


def test_a_template_of_tiles_is_registered_called_shown_and_probed(module_database_url: str, tile_server: str) -> None:
    """The whole way: registered by the API as users write it, called tile by tile, its snippets run, its health is of a real tile."""
    with serving(
        module_database_url,
        CIM_ADMIN_KEY=ADMIN,
        CIM_ALLOWED_UPSTREAMS=tile_server.removeprefix("http://"),
        CIM_HEALTH_INTERVAL_S="0.5",
    ) as server:
        with httpx2.Client(base_url=server.url, timeout=30, verify=NO_TLS, headers={"X-API-Key": ADMIN}) as admin:
            body = {
                "id": "basemap",
                "kind": "xyz",
                "title_zh": "底图",
                "title_en": "Base map",
                "share_class": "unconditional",
                "endpoints": [{"url": f"{tile_server}/city/tile_{{z}}_{{x}}_{{y}}.png?token=t"}],
                "bbox": [114.0, 22.5, 114.1, 22.6],
            }
            assert admin.post("/catalogue/items", json=body).status_code == 201
            with psycopg.connect(module_database_url, autocommit=True) as connection:
                connection.execute(
                    "UPDATE cim.service SET state = 'published', published_at = now() - interval '1 hour' WHERE id = 'basemap'"
                )
        with httpx2.Client(base_url=server.url, timeout=30, verify=NO_TLS) as anyone:
            described = anyone.get("/services/basemap").json()
            assert described["tiles"] == [f"{server.url}/services/basemap/tile_{{z}}_{{x}}_{{y}}.png"]
            tile = anyone.get("/services/basemap/tile_11_1672_892.png")
            assert (tile.status_code, tile.headers["content-type"], tile.content) == (200, "image/png", PNG)
            assert "age" in anyone.get("/services/basemap/tile_11_1672_892.png").headers
            assert anyone.get("/services/basemap/tile_3_1_1.png").status_code == 404
            page = anyone.get("/catalogue/items/basemap", params={"f": "html"}).text
            for way in ("curl", "python", "qgis", "maplibre", "leaflet", "openlayers"):
                assert f'data-way="{way}"' in page, way
            assert f"{server.url}/services/basemap/tile_11_1672_892.png" in page
            deadline = time.monotonic() + 20
            health = {}
            while health.get("state") is None and time.monotonic() < deadline:
                time.sleep(0.2)
                health = anyone.get("/catalogue/items/basemap/health").json()
            assert (health["state"], health["detail"]) == ("up", None)
