"""The filter of the STAC API (STAC API Filter 1.0.0): its examples over scenes made for them, by GET and by POST."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from pystac_client import Client
from shapely.geometry import box, mapping

from tests.city import City, square
from tests.conftest import Server
from tests.problems import assert_problem

QUERYABLES = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
CQL2 = "http://www.opengis.net/spec/cql2/1.0/conf"


@pytest.fixture(scope="module")
def http(module_server: Server, module_database_url: str) -> Iterator[httpx2.Client]:
    """Four scenes: clear and cloudy, of a drone and of two satellites, the last without a cloud cover and with two ends."""
    city = City(module_database_url)
    rows: tuple[tuple[str, str, float, float | None, str | None, str], ...] = (
        ("clear", "landsat", 114.0, 5.0, "landsat-8", "2021-04-08T04:39:23Z"),
        ("cloudy", "landsat", 114.1, 60.0, "landsat-7", "2021-06-01T00:00:00Z"),
        ("hazy", "sentinel", 114.2, 15.0, "sentinel-2a", "2021-05-07T12:27:57Z"),
    )
    for key, collection, lon, cloud, platform, moment in rows:
        city.feature(
            "imagery", square(lon, 22.5, 0.01), source="s", key=key, stac_collection=collection, datetime=moment,
            cloud_cover_percent=cloud, platform=platform, gsd_m=10.0, title=f"Scène {key}", area_code="440305",
        )  # fmt: skip
    city.feature(
        "imagery", square(114.3, 22.5, 0.01), source="s", key="drone", stac_collection="drone", title="Drone",
        start_datetime="2021-01-01T00:00:00Z", end_datetime="2021-01-02T00:00:00Z", datetime="2021-01-01T00:00:00Z",
    )  # fmt: skip
    city.feature("areas", box(114.15, 22.4, 114.35, 22.6), code="440305", name="南山区", level="district", key="440305")
    city.settle(httpx2.Client(base_url=module_server.url, timeout=30))
    city.close()
    with httpx2.Client(base_url=f"{module_server.url}/stac", timeout=30) as opened:
        yield opened


def keys(answer: httpx2.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [f["id"].partition(".")[2] for f in answer.json()["features"]]


def found(http: httpx2.Client, text: str, tree: Any = None, **more: Any) -> list[str]:
    """What a filter finds by GET, and (the same) as CQL2-JSON by POST and by GET."""
    by_get = keys(http.get("/search", params={"filter": text, **more}))
    assert keys(http.post("/search", json={"filter": text, "filter-lang": "cql2-text", **more})) == by_get
    if tree is not None:
        assert keys(http.post("/search", json={"filter": tree, **more})) == by_get
        assert keys(http.post("/search", json={"filter": tree, "filter-lang": "cql2-json", **more})) == by_get
        asked = {"filter": json.dumps(tree), "filter-lang": "cql2-json", **more}
        assert keys(http.get("/search", params=asked)) == by_get
    return by_get


def _op(name: str, *args: Any) -> dict[str, Any]:
    return {"op": name, "args": list(args)}


def _of(name: str) -> dict[str, str]:
    return {"property": name}


CLOUD, PLACE = _of("eo:cloud_cover"), mapping(box(114.05, 22.4, 114.25, 22.6))
WKT_PLACE = "POLYGON((114.05 22.4,114.25 22.4,114.25 22.6,114.05 22.6,114.05 22.4))"

EXAMPLES: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "id='s.clear' AND collection='landsat'",
        _op("and", _op("=", _of("id"), "s.clear"), _op("=", _of("collection"), "landsat")),
        ["clear"],
    ),
    (
        "collection = 'landsat' AND eo:cloud_cover <= 10 AND datetime >= TIMESTAMP('2021-04-08T04:39:23Z') "
        "AND S_INTERSECTS(geometry, POLYGON((113 22,115 22,115 23,113 23,113 22)))",
        _op(
            "and",
            _op("=", _of("collection"), "landsat"),
            _op("<=", CLOUD, 10),
            _op(">=", _of("datetime"), {"timestamp": "2021-04-08T04:39:23Z"}),
            _op("s_intersects", _of("geometry"), mapping(box(113, 22, 115, 23))),
        ),
        ["clear"],
    ),
    (
        "eo:cloud_cover > 50 OR platform = 'sentinel-2a'",
        _op("or", _op(">", CLOUD, 50), _op("=", _of("platform"), "sentinel-2a")),
        ["cloudy", "hazy"],
    ),
    ("gsd < eo:cloud_cover", _op("<", _of("gsd"), CLOUD), ["cloudy", "hazy"]),
    (
        "T_INTERSECTS(datetime, INTERVAL('2021-04-30T00:00:00Z', '2021-05-31T00:00:00Z'))",
        _op("t_intersects", _of("datetime"), {"interval": ["2021-04-30T00:00:00Z", "2021-05-31T00:00:00Z"]}),
        ["hazy"],
    ),
    (
        f"S_INTERSECTS(geometry, {WKT_PLACE})",
        _op("s_intersects", _of("geometry"), PLACE),
        ["cloudy", "hazy"],
    ),
    ("eo:cloud_cover IS NULL", _op("isNull", CLOUD), ["drone"]),
    ("eo:cloud_cover BETWEEN 0 AND 20", _op("between", CLOUD, 0, 20), ["clear", "hazy"]),
    ("platform LIKE 'landsat-%'", _op("like", _of("platform"), "landsat-%"), ["clear", "cloudy"]),
    (
        "CASEI(platform) = CASEI('SENTINEL-2A')",
        _op("=", _op("casei", _of("platform")), _op("casei", "SENTINEL-2A")),
        ["hazy"],
    ),
    (
        "ACCENTI(title) = ACCENTI('Scene hazy')",
        _op("=", _op("accenti", _of("title")), _op("accenti", "Scene hazy")),
        ["hazy"],
    ),
    (
        "platform IN ('landsat-7', 'sentinel-2a', 'none')",
        _op("in", _of("platform"), ["landsat-7", "sentinel-2a", "none"]),
        ["cloudy", "hazy"],
    ),
    (
        "end_datetime < DATE('2021-01-03') AND NOT start_datetime IS NULL",
        _op(
            "and",
            _op("<", _of("end_datetime"), {"date": "2021-01-03"}),
            _op("not", _op("isNull", _of("start_datetime"))),
        ),
        ["drone"],
    ),
]


@pytest.mark.parametrize(("text", "tree", "wanted"), EXAMPLES, ids=[text[:30] for text, _, _ in EXAMPLES])
def test_item_search_filter_the_examples_of_the_extension_find_what_they_say(http, text, tree, wanted):
    assert found(http, text, tree) == wanted


def test_item_search_filter_the_classes_are_declared(http):
    declared = http.get("/conformance").json()["conformsTo"]
    for uri in ("https://api.stacspec.org/v1.0.0/item-search#filter", f"{CQL2}/basic-cql2", f"{CQL2}/cql2-json"):
        assert uri in declared
    assert {uri for uri in declared if uri.startswith(CQL2)} == {
        uri
        for uri in httpx2.get(str(http.base_url).replace("/stac/", "/conformance")).json()["conformsTo"]
        if uri.startswith(CQL2)
    }


def test_item_search_filter_stacs_own_client_filters(http):
    client = Client.open(str(http.base_url).rstrip("/"))
    by_post = client.search(filter=_op("<=", CLOUD, 20), limit=1)
    assert [item.id for item in by_post.items()] == ["s.clear", "s.hazy"]
    by_get = client.search(method="GET", filter="eo:cloud_cover <= 20", filter_lang="cql2-text", limit=1)
    assert [item.id for item in by_get.items()] == ["s.clear", "s.hazy"]
    assert set(client.get_queryables()["properties"]) >= {"id", "collection", "geometry", "datetime", "eo:cloud_cover"}


def test_the_other_conditions_hold_beside_a_filter(http):
    assert keys(http.get("/search", params={"filter": "eo:cloud_cover < 100", "collections": "landsat"})) == [
        "clear",
        "cloudy",
    ]
    assert keys(http.get("/search", params={"filter": "eo:cloud_cover < 100", "bbox": "114.15,22,115,23"})) == ["hazy"]


def test_conf_features_filter_items_of_a_collection_take_a_filter(http):
    page = http.get("/collections/landsat/items", params={"filter": "eo:cloud_cover >= 0", "limit": 1})
    assert keys(page) == ["clear"]
    (link,) = [link for link in page.json()["links"] if link["rel"] == "next"]
    assert keys(httpx2.get(link["href"])) == ["cloudy"]
    assert keys(http.get("/collections/drone/items", params={"filter": "eo:cloud_cover >= 0"})) == []


def test_a_token_belongs_to_its_filter(http):
    page = http.get("/search", params={"filter": "eo:cloud_cover < 100", "limit": 1}).json()
    (link,) = [link for link in page["links"] if link["rel"] == "next"]
    token = httpx2.URL(link["href"]).params["token"]
    refused = http.get("/search", params={"filter": "eo:cloud_cover < 99", "limit": 1, "token": token})
    assert_problem(refused, status=400, code="invalid-parameter", parameter="token")


def test_a_filter_may_refer_to_another_collection(http):
    inside = "S_INTERSECTS(geometry, features('areas', 'code = ''440305'''))"
    assert found(http, inside) == ["drone", "hazy"]


def test_conf_filter_queryables_are_linked_from_the_root_and_each_collection(http):
    for home, schema in (
        (str(http.base_url).rstrip("/"), f"{http.base_url}queryables"),
        (f"{http.base_url}collections/landsat", f"{http.base_url}collections/landsat/queryables"),
    ):
        (link,) = [link for link in httpx2.get(home).json()["links"] if link["rel"] == QUERYABLES]
        assert link["href"] == schema
        answer = httpx2.get(schema)
        assert answer.headers["content-type"] == link["type"] == "application/schema+json"
        document = answer.json()
        assert document["$id"] == schema
        assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert document["additionalProperties"] is False
        for name in document["properties"]:
            literal = "POINT(114 22)" if name == "geometry" else None
            text = f"S_DISJOINT({name}, {literal})" if literal else f'"{name}" IS NULL OR "{name}" IS NOT NULL'
            assert http.get("/search", params={"filter": text}).status_code == 200, name
    assert http.get("/collections/none/queryables").status_code == 404


@pytest.mark.parametrize("name", ["cloud_cover_percent", "stac_collection", "colour", "attributes", "geom"])
def test_conf_filter_what_is_no_queryable_is_refused_and_the_others_are_named(http, name):
    refused = http.get("/search", params={"filter": f"{name} IS NULL"})
    assert_problem(refused, status=400, code="unknown-property", parameter="filter")
    assert "eo:cloud_cover" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ({"filter": "eo:cloud_cover <"}, "filter"),
        ({"filter": "eo:cloud_cover = 'much'"}, "filter"),
        ({"filter": "id = 'a'", "filter-lang": "sql"}, "filter-lang"),
        ({"filter-lang": "sql"}, "filter-lang"),
        ({"filter": "id = 'a'", "filter-crs": "EPSG:99999"}, "filter-crs"),
        ({"filter": "{", "filter-lang": "cql2-json"}, "filter"),
        ({"filter": "S_INTERSECTS(geometry, POLYGON((0 0, 1 1, 1 0, 0 1, 0 0)))"}, "filter"),
    ],
)
def test_what_is_wrong_in_a_filter_is_named(http, asked, parameter):
    for answer in (http.get("/search", params=asked), http.get("/collections/landsat/items", params=asked)):
        assert_problem(answer, status=400, code="invalid-parameter", parameter=parameter)


def test_a_body_that_says_text_must_hold_text(http):
    refused = http.post("/search", json={"filter": _op("isNull", CLOUD), "filter-lang": "cql2-text"})
    assert_problem(refused, status=400, code="invalid-parameter", parameter="filter")


def test_filter_crs_turns_the_axes(http):
    asked = {"filter": "S_INTERSECTS(geometry, BBOX(22.4, 114.15, 22.6, 114.25))", "filter-crs": "EPSG:4326"}
    assert keys(http.get("/search", params=asked)) == ["hazy"]
