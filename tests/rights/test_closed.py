"""A node that closes itself to callers without a key, by its settings."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.city import feature_collections
from tests.conftest import serving
from tests.problems import assert_problem
from tests.rights.conftest import ADMIN
from tests.rights.town import build

CLOSED = {
    "CIM_ANONYMOUS_COLLECTIONS": "buildings, areas",
    "CIM_ANONYMOUS_HIDDEN": "height_m, buildings.hight",
    "CIM_ANONYMOUS_PRECISION_M": "1000",
}


@pytest.fixture(scope="module")
def clients(city, module_database_url: str) -> Iterator[tuple[httpx2.Client, httpx2.Client]]:
    """Anyone, and the admin, at a closed node."""
    build(city)
    with (
        serving(module_database_url, CIM_ADMIN_KEY=ADMIN, **CLOSED) as server,
        httpx2.Client(base_url=server.url, timeout=30) as anyone,
        httpx2.Client(base_url=server.url, timeout=30, headers={"X-API-Key": ADMIN}) as admin,
    ):
        assert "buildings.hight" in server.log.read_text()  # a slip in the settings hides nothing
        yield anyone, admin


def test_anyone_sees_what_the_settings_say_and_a_key_what_it_says(clients):
    anyone, admin = clients
    assert {c["id"] for c in feature_collections(anyone)} == {"areas", "buildings"}
    assert len(feature_collections(admin)) == 5
    assert_problem(anyone.get("/collections/cameras/items"), status=404, code="not-found")
    assert_problem(anyone.get("/collections/buildings/items?height_m=12"), status=400, code="unknown-parameter")
    kinds = {
        f["geometry"]["type"] for f in anyone.get("/collections/buildings/items").json()["features"] if f["geometry"]
    }
    assert kinds == {"Point"}
    key = admin.post("/admin/keys", json={}).json()["key"]
    reader = anyone.get("/collections/buildings/items", headers={"X-API-Key": key}).json()
    assert any("height_m" in f["properties"] and f["geometry"]["type"] == "MultiPolygon" for f in reader["features"])


def test_the_map_page_and_the_description_work_at_a_closed_node(clients):
    anyone, _ = clients
    assert anyone.get("/", headers={"Accept": "text/html"}).status_code in (200, 503)
    paths = anyone.get("/api").json()["paths"]
    assert "/collections/buildings/items" in paths
    assert "/collections/cameras/items" not in paths
    assert anyone.get("/stac").status_code == 200
