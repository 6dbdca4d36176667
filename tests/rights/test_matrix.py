"""Every operation of the OpenAPI description by every kind of caller: what one may not see is nowhere (catalogue B40)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pyogrio
import pytest

from tests.catalogue.conftest import service
from tests.city import City, feature_collections
from tests.problems import assert_problem
from tests.rights.conftest import Caller
from tests.rights.town import FUTIAN, Town

HIDDEN = ("height_m", "use", "operator", "title")
DRAFT = "draft-of-the-planning-bureau"
_READ = ("GET", "POST")


@pytest.fixture(scope="module")
def callers(caller: Caller, anyone: httpx2.Client, admin: httpx2.Client, town: Town) -> dict[str, httpx2.Client]:
    """Somebody of each kind."""
    return {
        "anonymous": anyone,
        "admin": admin,
        "reader of another district": caller(area_code=FUTIAN),
        "editor of another district": caller(role="editor", area_code=FUTIAN),
        "reader of cameras": caller(collections=["cameras"]),
        "reader of less": caller(hidden=list(HIDDEN)),
        "masked reader": caller(precision_m=1000),
        "nobody": caller(collections=[]),
    }


@pytest.fixture(scope="module")
def operations(admin: httpx2.Client, town: Town) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, address with ids of Nanshan's features, operation)."""
    assert admin.put("/catalogue/organisations/planning", json={"name_zh": "规划局"}).status_code == 204
    assert admin.post("/catalogue/items", json=service(DRAFT)).status_code == 201
    prefix = admin.post("/admin/keys", json={"label": "not to be revoked"}).json()["prefix"]
    document = admin.get("/api?f=openapi31").json()
    listed = []
    for template, methods in document["paths"].items():
        collection = re.match(r"/collections/([^/]+)", template)
        feature = {
            "buildings": town.nanshan[0], "cameras": town.camera, "sensors": town.sensor, "imagery": town.scene,
        }.get(collection[1] if collection else "imagery", "none")  # fmt: skip
        known = {
            "featureId": feature,
            "collectionId": "drone",
            "itemId": town.scene,
            "zoom": "10",
            "row": "446",
            "col": "836",
        }
        known |= {"serviceId": DRAFT, "prefix": prefix, "organisationId": "planning", "month": "2026-01"}
        address = re.sub(r"\{(\w+)\}", lambda part, known=known: known.get(part[1], "none"), template)
        listed += [(method.upper(), address, one) for method, one in methods.items()]
    return listed


def send(client: httpx2.Client, method: str, address: str, operation: dict[str, Any]) -> httpx2.Response:
    media = list(operation.get("requestBody", {}).get("content", {}))
    if not media:
        return client.request(method, address)
    return client.request(method, address, content=b"{}", headers={"Content-Type": media[0]})


def is_guarded(operation: dict[str, Any]) -> bool:
    """True for an operation that needs a key by its own description."""
    return bool(operation.get("security"))


def rows_of_everything(city: City) -> dict[str, int]:
    keys = city.connection.execute("SELECT count(*) FROM cim.api_key WHERE revoked_at IS NULL").fetchone()[0]
    tables = ("building", "camera", "sensor", "imagery", "area", "api_key", "service", "organisation", "load_run")
    count = "SELECT count(*) FROM cim."
    return {"keys": keys, **{name: city.connection.execute((count + name).encode()).fetchone()[0] for name in tables}}


def test_B40_what_needs_a_key_is_refused_to_everyone_without_that_right(callers, operations, city):
    guarded = [one for one in operations if is_guarded(one[2])]
    assert len(guarded) >= 12
    before = rows_of_everything(city)
    for name, client in callers.items():
        if name == "admin":
            continue
        for method, address, operation in guarded:
            if "editor" in name and address.startswith("/collections/"):
                continue  # what an editor may change has tests of its own
            answer = send(client, method, address, operation)
            allowed = (401,) if name == "anonymous" else (403, 404)
            hidden = name == "anonymous" and answer.status_code == 404
            assert answer.status_code in allowed or hidden, (
                name,
                method,
                address,
                answer.status_code,
                answer.text[:200],
            )
    assert rows_of_everything(city) == before


def test_B40_a_draft_is_not_there_for_others_than_admins(callers, operations):
    for name, client in callers.items():
        expected = 200 if name == "admin" else 404
        assert client.get(f"/catalogue/items/{DRAFT}").status_code == expected
        for asked in ({}, {"q": "historical"}, {"state": "draft"}, {"organisation": "planning"}, {"kind": "wms"}):
            found = {record["id"] for record in client.get("/catalogue/items", params=asked).json()["features"]}
            assert (DRAFT in found) == (name == "admin"), (name, asked)


def test_B40_what_needs_no_key_is_answered(callers, operations):
    for method, address, operation in operations:
        if not is_guarded(operation) and method in _READ:
            for name in ("anonymous", "admin", "masked reader"):
                answer = send(callers[name], method, address, operation)
                assert answer.status_code not in (401, 403), (name, method, address)
                assert answer.status_code < 500, (name, method, address, answer.text[:300])


def test_B40_a_district_never_tells_another_what_it_has(callers, operations, town):
    """No answer to a reader of Futian holds an id, name or address of Nanshan."""
    foreign = [*town.nanshan, town.sensor, town.scene, town.nowhere, town.placeless]
    words = [*foreign, "深南大道", "南头站", "南头街道"]
    words = [word for word in words if not any(word in own for own in (*town.futian, town.camera, town.foreign_scene))]
    for name in ("reader of another district", "editor of another district"):
        for method, address, operation in operations:
            if is_guarded(operation) or method not in _READ or not address.startswith(("/collections", "/stac")):
                continue
            answer = send(
                callers[name], method, f"{address}?limit=100" if address.endswith("/items") else address, operation
            )
            asked = address.split("/")
            for word in words:
                if word not in asked:  # a 404 says what was asked
                    assert word not in answer.text, (name, method, address, word)
            if not set(asked).isdisjoint(foreign):
                assert_problem(answer, status=404, code="not-found")


def test_B40_a_collection_that_is_hidden_is_not_there_at_all(callers, operations):
    for name, seen in (("reader of cameras", {"cameras"}), ("nobody", set())):
        client = callers[name]
        assert {c["id"] for c in feature_collections(client)} == seen
        described = client.get("/api").json()["paths"]
        assert {match[1] for match in map(re.compile("/collections/([^/]+)").match, described) if match} == seen | {
            "catalogue"
        }
        for method, address, operation in operations:
            collection = re.match(r"/collections/([^/]+)", address)
            if collection and collection[1] not in seen | {"catalogue"}:
                problem = assert_problem(send(client, method, address, operation), status=404, code="not-found")
                assert not ({"buildings", "sensors", "imagery", "areas"} - {collection[1]}) & set(
                    re.findall(r"\w+", problem["detail"])
                )
        assert client.get("/stac/search").json()["features"] == []
        assert client.get("/stac/collections").json()["collections"] == []
        assert client.get("/stac").status_code == 200
        assert_problem(client.get("/stac/collections/drone"), status=404, code="not-found")
    assert callers["nobody"].get("/", headers={"Accept": "text/html"}).status_code in (200, 503)


def test_B40_a_property_that_is_hidden_is_not_there_at_all(callers, operations, admin):
    """Every operation, by name and in the answer: buildings' height and use, scenes' title, anyone's operator."""
    client = callers["reader of less"]
    for method, address, operation in operations:
        if is_guarded(operation) or method not in _READ or not address.startswith(("/collections", "/stac")):
            continue
        if address.startswith("/collections/catalogue"):
            continue  # what is on the shelf is public
        answer = send(client, method, address, operation)
        if not answer.headers.get("content-type", "").endswith("json"):
            continue
        for name in (*HIDDEN, "attributes"):
            if name in ("title",) and not address.endswith(("/items", "/search")):
                continue  # a word of every document
            assert f'"{name}"' not in answer.text.replace('"title":"', ""), (method, address, name)
    described = client.get("/api?f=openapi31").json()
    whole = admin.get("/api?f=openapi31").json()
    names = [
        {p.get("name") for p in document["paths"]["/collections/buildings/items"]["get"]["parameters"]}
        for document in (described, whole)
    ]
    assert names[1] - names[0] == {"height_m", "use"} & names[1]


@pytest.mark.parametrize(
    ("address", "parameter"),
    [
        ("items?height_m=10", "height_m"), ("items?use=office", "use"), ("aggregate?use=office", None),
        ("aggregate?group-by=use", None), ("aggregate?measures=avg(height_m)", None),
        ("aggregate?group-by=bin(height_m,10)", None), ("tiles/WebMercatorQuad/10/446/836?use=office", None),
        ("items?filter=height_m>5", None), ("items?sortby=height_m", None), ("items?properties=height_m", None),
    ],
)  # fmt: skip
def test_B40_asking_by_a_hidden_property_is_asking_by_one_that_does_not_exist(callers, address, parameter):
    client = callers["reader of less"]
    refused = client.get(f"/collections/buildings/{address}")
    invented = client.get(f"/collections/buildings/{address.replace('height_m', 'no_such').replace('use', 'no_such')}")
    assert refused.status_code == invented.status_code == 400
    assert refused.json()["type"] == invented.json()["type"]
    detail = re.sub(r"\b(height_m|use)\b", "no_such", refused.json()["detail"], count=1)
    assert not re.search(r"\b(height_m|use)\b", detail), detail


def test_B40_hidden_properties_are_not_in_tiles_nor_bodies(callers, tmp_path: Path):
    client = callers["reader of less"]
    tile = client.get("/collections/buildings/tiles/WebMercatorQuad/10/446/836")
    assert tile.status_code == 200
    path = tmp_path / "836.mvt"
    path.write_bytes(tile.content)
    frame = pyogrio.read_dataframe(path, layer="buildings", X=836, Y=446, Z=10)
    assert {"height_m", "use"}.isdisjoint(frame.columns)
    assert "floors_above" in frame.columns
    refused = client.post("/collections/buildings/search", json={"properties": {"use": "office"}})
    assert refused.status_code == 400
    assert "height_m" not in refused.text


def seen_buildings(client: httpx2.Client, town: Town, tmp_path: Path) -> Iterator[tuple[str, set[str]]]:
    """The ids of buildings that each way to ask gives."""
    home = "/collections/buildings"
    yield "list", {f["id"] for f in client.get(f"{home}/items?limit=100").json()["features"]}
    yield "search", {f["id"] for f in client.post(f"{home}/search", json={"limit": 100}).json()["features"]}
    yield "item", {key for key in town.all if client.get(f"{home}/items/{key}").status_code == 200}
    walked, address = set(), f"{home}/items?limit=3"
    while address:
        page = client.get(address).json()
        walked |= {f["id"] for f in page["features"]}
        address = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
    yield "pages", walked
    zoom = min(9, client.get(f"{home}/tiles/WebMercatorQuad?f=tilejson").json()["maxzoom"])
    row, col = 223 >> (9 - zoom), 418 >> (9 - zoom)
    path = tmp_path / f"{col}.mvt"
    path.write_bytes(client.get(f"{home}/tiles/WebMercatorQuad/{zoom}/{row}/{col}").content)
    on_tile = set(pyogrio.read_dataframe(path, layer="buildings", X=col, Y=row, Z=zoom)["id"])
    yield "tile", on_tile | ({town.placeless} & walked)


@pytest.mark.parametrize(
    "name",
    [
        "anonymous",
        "admin",
        "reader of another district",
        "editor of another district",
        "masked reader",
        "reader of less",
    ],
)
def test_B40_list_search_item_pages_tile_and_counts_agree(callers, town, tmp_path, name):
    client = callers[name]
    expected = {*town.futian} if "another" in name else town.all
    for way, found in seen_buildings(client, town, tmp_path):
        assert found == expected, way
    assert client.get("/collections/buildings/aggregate").json()["total"]["count"] == len(expected)
    assert client.get("/collections/buildings/items?limit=100").json()["numberMatched"] == len(expected)
    by_district = client.get("/collections/buildings/aggregate?group-by=district").json()["groups"]
    assert sum(group["count"] for group in by_district) == len(expected)
    assert json.dumps(by_district).count("440305") == (0 if "another" in name else 1)
