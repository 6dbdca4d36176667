"""The imagery as a STAC API: real items in, the same items out, found and paged by STAC's own client."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pystac
import pytest
from pystac_client import Client

from cim.settings import Settings
from loaders.run import LoadRequest, load_source
from tests.conftest import ROOT, serving
from tests.problems import assert_problem
from tests.stac.schemas import faults

SAMPLE = ROOT / "sample_data" / "files" / "stac"
AWKWARD = "a/b?c=d&e #%é景.1"


def scene(identity: str, lon: float, moment: str, collection: str = "drone") -> dict[str, Any]:
    """A STAC item of a square kilometre."""
    ring = [[lon, 22.5], [lon + 0.01, 22.5], [lon + 0.01, 22.51], [lon, 22.51], [lon, 22.5]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": identity,
        "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [lon, 22.5, lon + 0.01, 22.51],
        "properties": {"datetime": moment, "title": f"scene {identity}", "eo:cloud_cover": 12.5},
        "links": [],
        "assets": {"visual": {"href": "https://imagery.example/visual.tif", "roles": ["data"]}},
    }


def put(connection: psycopg.Connection[Any], path: Path, source: str) -> None:
    account = load_source(connection, Settings(), LoadRequest("imagery", path, source=source))
    assert account.read
    assert account.read == account.inserted


@pytest.fixture(scope="module")
def url(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over the sample's scene with its collection, and four scenes of a drone, one awkwardly named."""
    made = [
        scene("north", 114.1, "2025-01-01T00:00:00Z"),
        scene("east", 114.2, "2025-06-01T12:30:00.5Z"),
        scene("south", 114.3, "2026-01-01T00:00:00Z"),
        scene(AWKWARD, 114.4, "2026-06-01T00:00:00Z", "drône/1"),
    ]
    path = tmp_path_factory.mktemp("scenes") / "scenes.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": made}), encoding="utf-8")
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        put(connection, path, "drone")
        put(connection, SAMPLE / "collection.json", "lanwan")
    with serving(module_database_url) as server:
        yield server.url


@pytest.fixture(scope="module")
def http(url: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"{url}/stac", timeout=30) as opened:
        yield opened


@pytest.fixture(scope="module")
def stac(url: str) -> Client:
    """STAC's own client."""
    return Client.open(f"{url}/stac")


def found(http: httpx2.Client, **query: Any) -> set[str]:
    """Short ids of what a search by GET gives; the same search by POST gives the same."""
    by_get = http.get("/search", params=query)
    assert by_get.status_code == 200, by_get.text
    ids = [f["id"] for f in by_get.json()["features"]]
    body = dict(query)
    for name in ("ids", "collections"):
        if name in body:
            body[name] = body[name].split(",")
    if "bbox" in body:
        body["bbox"] = [float(n) for n in body["bbox"].split(",")]
    if "intersects" in body:
        body["intersects"] = json.loads(body["intersects"])
    by_post = http.post("/search", json=body)
    assert by_post.status_code == 200, by_post.text
    assert [f["id"] for f in by_post.json()["features"]] == ids
    return {i.partition(".")[2] for i in ids}


def test_every_item_is_stac_and_keeps_its_facts(http):
    features = http.get("/search", params={"limit": 100}).json()["features"]
    assert len(features) == 5
    for feature in features:
        item = pystac.Item.from_dict(feature)
        assert item.datetime == datetime.fromisoformat(feature["properties"]["datetime"])
        again = item.to_dict(include_self_link=True, transform_hrefs=False)
        assert again["assets"] == feature["assets"]
        for properties in (again["properties"], feature["properties"]):
            properties.pop("datetime")  # compared as an instant
        assert again["properties"] == feature["properties"]
        assert again["geometry"] == feature["geometry"]
        assert item.bbox is not None
    cloudy = http.get("/collections/drone/items/drone.east").json()
    assert cloudy["properties"]["eo:cloud_cover"] == 12.5
    assert cloudy["properties"]["datetime"] == "2025-06-01T12:30:00.500000Z"
    assert any("/eo/" in e for e in cloudy["stac_extensions"])


def test_every_document_fits_the_schema_of_stac(http, url):
    for feature in http.get("/search", params={"limit": 100}).json()["features"]:
        assert faults(feature, "item") == [], feature["id"]
        assert faults({**feature, "properties": {}}, "item")
    for collection in http.get("/collections").json()["collections"]:
        assert faults(collection, "collection") == [], collection["id"]
    assert faults(httpx2.get(f"{url}/stac").json(), "catalog") == []


def test_the_sample_scene_comes_out_as_it_went_in(http):
    given = json.loads((SAMPLE / "centre_2026.json").read_text(encoding="utf-8"))
    served = http.get("/collections/lanwan-orthophoto/items/lanwan.centre_2026").json()
    assert served["bbox"] == pytest.approx(given["bbox"])
    assert served["assets"].keys() == given["assets"].keys()
    for name in ("title", "gsd", "platform", "proj:code", "proj:shape", "proj:transform"):
        assert served["properties"][name] == given["properties"][name]
    assert given["stac_extensions"][0] in served["stac_extensions"]


def test_real_items_are_served_as_they_were_published(shared_data, database_url, server):
    names = (
        "stac_example-sentinel2.json",
        "stac_LC80140332018166LGN00.json",
        "stac_classification_landsat_example.json",
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        for number, name in enumerate(names):
            put(connection, shared_data / "imagery" / name, f"real{number}")
    features = httpx2.get(f"{server(database_url).url}/stac/search").json()["features"]
    assert len(features) == len(names)
    for name, served in zip(names, features, strict=True):
        given = json.loads((shared_data / "imagery" / name).read_text(encoding="utf-8"))
        assert served["id"].endswith(given["id"])
        assert set(given["properties"]) - {"links"} <= set(served["properties"]), name
        assert set(served["assets"]) == set(given["assets"])
        assert served["stac_version"] == "1.0.0"
        assert faults(served, "item") == []
        item = pystac.Item.from_dict(served)
        assert item.get_self_href() == next(link["href"] for link in served["links"] if link["rel"] == "self")


def test_the_root_lists_its_classes_and_children(http, stac, url):
    root = httpx2.get(f"{url}/stac").json()
    for name in ("core", "collections", "ogcapi-features", "item-search"):
        assert f"https://api.stacspec.org/v1.0.0/{name}" in root["conformsTo"]
    assert http.get("/conformance").json()["conformsTo"] == root["conformsTo"]
    assert stac.id == root["id"]
    children = [link for link in root["links"] if link["rel"] == "child"]
    assert {link["title"] for link in children} == {"drone", "drône/1", "lanwan-orthophoto"}
    for link in root["links"]:
        if link.get("method", "GET") == "GET":
            assert httpx2.get(link["href"], headers={"Accept": f"{link['type']}, */*;q=0.1"}).status_code == 200, link


def test_a_collection_described_by_its_source_is_served(http, stac):
    given = json.loads((SAMPLE / "collection.json").read_text(encoding="utf-8"))
    served = http.get("/collections/lanwan-orthophoto").json()
    for name in ("title", "description", "license"):
        assert served[name] == given[name]
    assert served["extent"]["spatial"]["bbox"][0] == pytest.approx(given["extent"]["spatial"]["bbox"][0])
    assert {link["rel"] for link in served["links"]} == {
        *("self", "root", "parent", "items"),
        "http://www.opengis.net/def/rel/ogc/1.0/queryables",
    }
    collections = {collection.id: collection for collection in stac.get_collections()}
    assert set(collections) == {"drone", "drône/1", "lanwan-orthophoto"}
    assert [item.id for item in collections["lanwan-orthophoto"].get_items()] == ["lanwan.centre_2026"]
    drone = collections["drone"].extent
    assert drone.spatial.bboxes[0] == pytest.approx([114.1, 22.5, 114.31, 22.51])
    assert [moment.year for moment in drone.temporal.intervals[0]] == [2025, 2026]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_client_pages_to_the_end(stac, method):
    ids = [item.id for item in stac.search(method=method, limit=1).items()]
    assert len(ids) == len(set(ids)) == 5
    assert ids == sorted(ids)
    some = stac.search(method=method, limit=1, collections=["drone"], datetime="2025-01-01T00:00:00Z/..")
    assert [item.id for item in some.items()] == ["drone.east", "drone.north", "drone.south"]


def test_conditions_find_what_they_say(http):
    assert found(http, bbox="114.195,22.49,114.305,22.6") == {"east", "south"}
    assert found(http, datetime="2025-06-01T12:30:00.5Z") == {"east"}
    assert found(http, datetime="../2025-12-31T00:00:00Z", collections="drone") == {"north", "east"}
    assert found(http, ids="drone.north,drone.south,drone.none") == {"north", "south"}
    assert found(http, collections="drône/1,none") == {AWKWARD}
    assert found(http, ids="") == set()
    point = {"type": "Point", "coordinates": [114.305, 22.505]}
    assert found(http, intersects=json.dumps(point)) == {"south"}
    assert found(http, intersects=json.dumps(point), collections="lanwan-orthophoto") == set()


def test_items_of_a_collection_take_the_same_conditions(http):
    page = http.get("/collections/drone/items", params={"bbox": "114.15,22,114.5,23", "limit": 1}).json()
    (link,) = [link for link in page["links"] if link["rel"] == "next"]
    second = httpx2.get(link["href"]).json()
    assert [f["id"] for f in page["features"] + second["features"]] == ["drone.east", "drone.south"]
    assert not [link for link in second["links"] if link["rel"] == "next"]


def test_awkward_ids_are_escaped_in_every_link(stac, url):
    (item,) = stac.search(collections=["drône/1"]).items()
    assert item.id == f"drone.{AWKWARD}"
    href = item.get_self_href()
    assert href is not None
    assert not set(" ?#é景") & set(href)
    assert httpx2.get(href).json()["id"] == item.id
    for link in httpx2.get(href).json()["links"]:
        assert httpx2.get(link["href"]).status_code == 200, link
    for link in httpx2.get(f"{url}/stac").json()["links"]:
        if link["rel"] == "child":
            assert httpx2.get(link["href"]).json()["id"] == link["title"]


@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ({"colour": "red"}, "unknown-parameter", "colour"),
        ({"bbox": "1,2,3"}, "invalid-parameter", "bbox"),
        ({"bbox": "1,2,3,91"}, "invalid-parameter", "bbox"),
        ({"datetime": "yesterday"}, "invalid-parameter", "datetime"),
        ({"limit": "0"}, "invalid-parameter", "limit"),
        ({"token": "made-up"}, "invalid-parameter", "token"),
        ({"intersects": "{"}, "invalid-parameter", "intersects"),
        ({"bbox": "1,2,3,4", "intersects": '{"type":"Point","coordinates":[1,2]}'}, "invalid-parameter", "intersects"),
        ({"ids": ",".join(["a"] * 1001)}, "invalid-parameter", "ids"),
    ],
)
def test_what_is_wrong_in_a_search_is_named(http, query, code, parameter):
    assert_problem(http.get("/search", params=query), status=400, code=code, parameter=parameter)


@pytest.mark.parametrize(
    "body",
    [
        {"colour": 1},
        {"bbox": "1,2,3,4"},
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, "3", 4]},
        {"datetime": 2020},
        {"limit": "ten"},
        {"limit": 0},
        {"limit": True},
        {"token": 5},
        {"ids": "drone.north"},
        {"ids": [1]},
        {"ids": ["\x00"]},
        {"collections": {"a": 1}},
        {"intersects": "here"},
        {"intersects": {"type": "Point", "coordinates": ["a"]}},
    ],
)
def test_what_is_wrong_in_a_search_body_is_a_problem(http, body):
    response = http.post("/search", json=body)
    assert response.status_code == 400, response.text
    assert_problem(response, status=400, code=response.json()["type"].rpartition("/")[2])


def test_a_token_fits_its_own_search_only(http):
    page = http.post("/search", json={"limit": 1}).json()
    (link,) = [link for link in page["links"] if link["rel"] == "next"]
    assert link["method"] == "POST"
    token = link["body"]["token"]
    assert http.get("/search", params={"limit": 2, "token": token}).json()["numberReturned"] == 2
    for other in ({"collections": "drone"}, {"bbox": "1,2,3,4"}, {"ids": "drone.north"}):
        refused = http.get("/search", params={**other, "token": token})
        assert_problem(refused, status=400, code="invalid-parameter", parameter="token")


@pytest.mark.parametrize(
    "path", ["/collections/none", "/collections/none/items", "/collections/drone/items/drone.none"]
)
def test_what_is_not_there_is_not_found(http, path):
    assert_problem(http.get(path), status=404, code="not-found")


@pytest.mark.parametrize(
    "path", ["", "/conformance", "/collections", "/collections/drone", "/collections/drone/items", "/search"]
)
def test_a_representation_that_is_not_offered_is_refused(url, path):
    assert_problem(
        httpx2.get(f"{url}/stac{path}", params={"f": "xml"}), status=400, code="invalid-parameter", parameter="f"
    )
    assert_problem(httpx2.get(f"{url}/stac{path}", headers={"Accept": "text/csv"}), status=406, code="not-acceptable")
    for query, accept in (({"f": "json"}, "text/csv"), ({}, "application/json"), ({}, "application/geo+json")):
        assert httpx2.get(f"{url}/stac{path}", params=query, headers={"Accept": accept}).status_code == 200


def test_an_empty_node_has_a_valid_empty_catalogue(database_url, server):
    empty = Client.open(f"{server(database_url).url}/stac")
    assert list(empty.get_collections()) == []
    assert list(empty.search().items()) == []
