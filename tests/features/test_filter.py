"""OGC API Features Part 3 (19-079r2): queryables, filter, features-filter; CQL2 by GET and POST on every answer."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cim.query.filter import parse_text
from tests.city import City, square
from tests.problems import assert_problem

BUILDINGS = "/collections/buildings"
ITEMS = f"{BUILDINGS}/items"
SEARCH = f"{BUILDINGS}/search"
PART_3 = "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/"
CQL2 = "http://www.opengis.net/spec/cql2/1.0/conf/"


@pytest.fixture(scope="module", autouse=True)
def town(city: City, client: Any) -> City:
    """Buildings a (office, 30 m), b (school, 12 m) and c (office, no height) side by side, and sensors."""
    city.building(square(114.00, 22.50), key="a", use="office", height_m=30.0, name="平安金融中心", area_code="440304001",
                  floors_above=9)  # fmt: skip
    city.building(
        square(114.01, 22.50), key="b", use="school", height_m=12.0, name="Shenzhen School", area_code="440305"
    )
    city.building(square(114.02, 22.50), key="c", use="office", valid_from="2020-01-01T00:00:00Z")
    city.settle(client)
    return city


def found(client: Any, text: str | None = None, **parameters: Any) -> str:
    """Keys of the features that a filter selects, written one after the other."""
    asked = {**({} if text is None else {"filter": text}), **parameters}
    answer = client.get(ITEMS, params=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/geo+json"
    return "".join(feature["id"].removeprefix("test.") for feature in answer.json()["features"])


def posted(client: Any, **body: Any) -> str:
    answer = client.post(SEARCH, json=body)
    assert answer.status_code == 200, answer.text
    return "".join(feature["id"].removeprefix("test.") for feature in answer.json()["features"])


def test_the_classes_are_declared(client: Any) -> None:
    declared = client.get("/conformance").json()["conformsTo"]
    for name in ("queryables", "queryables-query-parameters", "filter", "features-filter"):
        assert PART_3 + name in declared
    classes = (
        *("basic-cql2", "advanced-comparison-operators", "case-insensitive-comparison"),
        *("accent-insensitive-comparison", "basic-spatial-functions", "basic-spatial-functions-plus"),
        *("spatial-functions", "temporal-functions", "array-functions", "property-property", "functions"),
        *("arithmetic", "cql2-text", "cql2-json"),
    )
    assert {CQL2 + name for name in classes} == {uri for uri in declared if "cql2" in uri}


def test_req_queryables_every_collection_links_and_describes_what_it_can_be_asked_by(client: Any) -> None:
    """/req/queryables/get-queryables-op, get-queryables-response, queryables-link."""
    for collection in client.get("/collections").json()["collections"]:
        links = [link["href"] for link in collection["links"] if link["rel"].endswith("/queryables")]
        assert len(links) == 1
        answer = client.get(f"/collections/{collection['id']}/queryables")
        assert answer.headers["content-type"] == "application/schema+json"
        document = answer.json()
        Draft202012Validator.check_schema(document)
        assert document["$id"].endswith(f"/collections/{collection['id']}/queryables")
        assert document["type"] == "object"
        assert {"id", "geometry", "area_code", "valid_from", "valid_to"} <= set(document["properties"])
        for name, schema in document["properties"].items():
            assert "type" in schema or schema["format"].startswith("geometry-"), (collection["id"], name)


@pytest.mark.parametrize("collection", ["buildings", "areas", "sensors", "cameras", "imagery"])
def test_req_filter_expression_construction_every_queryable_filters(client: Any, collection: str) -> None:
    """/req/filter/filter-param with each queryable: /conf/basic-cql2/comparison and is-null in one."""
    values = {"string": "'foo'", "integer": "1", "number": "3.14", "boolean": "true"}
    formats = {"date": "DATE('2022-04-14')", "date-time": "TIMESTAMP('2022-04-14T14:48:46Z')"}
    properties = client.get(f"/collections/{collection}/queryables").json()["properties"]
    for name, schema in properties.items():
        tests = [f'"{name}" IS NULL', f'"{name}" is not null']
        value = formats.get(schema.get("format")) or values.get(schema.get("type"))
        if value is not None:
            tests += [f'"{name}" {operator} {value}' for operator in ("=", "<>", "<", ">", "<=", ">=")]
            tests += [f'"{name}" = "{name}" AND {value} <= "{name}"']
        if schema.get("type") == "array":
            tests += [f"A_OVERLAPS(\"{name}\", ('a'))"]
        text = " OR ".join(tests)
        answer = client.get(f"/collections/{collection}/items", params={"filter": text, "filter-lang": "cql2-text"})
        assert answer.status_code == 200, (name, answer.text)


def test_req_queryables_query_parameters_each_simple_queryable_is_a_parameter(client: Any) -> None:
    """/req/queryables-query-parameters/parameters."""
    operations = client.get("/api").json()["paths"][ITEMS]["get"]["parameters"]
    described = {one["name"] for one in operations if "name" in one}
    for name, schema in client.get(f"{BUILDINGS}/queryables").json()["properties"].items():
        if schema.get("type") in ("string", "integer", "number", "boolean"):
            assert name in described
    assert found(client, id="test.b") == "b"
    assert found(client, area_code="440305") == "b"
    assert found(client, valid_from="2020-01-01T00:00:00Z") == "c"
    assert found(client, height_m="30", use="office") == "a"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("use = 'office'", "ac"),
        ("height_m > 20", "a"),
        ("NOT height_m > 20", "b"),
        ("name LIKE '%金融%'", "a"),
        ("CASEI(name) LIKE casei('SHENZHEN%')", "b"),
        ("S_INTERSECTS(geometry, POINT(114.0101 22.5001))", "b"),
        ("S_WITHIN(geometry, BBOX(113.99,22.4,114.015,22.6)) AND height_m / 2 < 10", "b"),
        ("floors_above * 3.2 < height_m", "a"),
        ("height_m IS NULL", "c"),
        ("T_AFTER(valid_from, DATE('2019-12-31'))", "c"),
        ("id IN ('test.a', 'test.b')\n  AND\tarea_code < '440305'", "a"),
        ("distance_m(geometry, POINT(114.0301 22.5001)) < 1200", "c"),
    ],
)
def test_req_filter_filter_param_and_response(client: Any, text: str, keys: str) -> None:
    """/req/filter/filter-param, /req/filter/response: by GET, and as text and as JSON in a body."""
    tree = parse_text(text)
    assert found(client, text) == keys
    assert found(client, json.dumps(tree), **{"filter-lang": "cql2-json"}) == keys
    assert posted(client, filter=text) == keys
    assert posted(client, filter=tree) == keys
    assert posted(client, filter=tree, **{"filter-lang": "cql2-json"}) == keys


def test_req_filter_mixing_expressions_all_conditions_hold_at_once(client: Any) -> None:
    """/req/filter/mixing-expressions."""
    assert found(client, "height_m > 1 OR use = 'office'") == "abc"
    assert found(client, "height_m > 1 OR use = 'office'", bbox="114.005,22.4,114.1,22.6") == "bc"
    assert found(client, "height_m > 1 OR use = 'office'", use="office", bbox="114.005,22.4,114.1,22.6") == "c"
    assert posted(client, filter="TRUE", properties={"use": "office"}, area="440304") == "a"


def test_req_filter_filter_lang_param(client: Any) -> None:
    """/req/filter/filter-lang-param: text by default; another language is refused."""
    for parameters in ({"filter": "true", "filter-lang": "ecql"}, {"filter-lang": "cql"}):
        assert_problem(
            client.get(ITEMS, params=parameters), status=400, code="invalid-parameter", parameter="filter-lang"
        )
    for body in (
        {"filter": {"op": "isNull", "args": [{"property": "id"}]}, "filter-lang": "cql2-text"},
        {"filter": "true", "filter-lang": "cql2-json"},
    ):
        assert_problem(client.post(SEARCH, json=body), status=400, code="invalid-parameter", parameter="filter")
    assert_problem(
        client.get(ITEMS, params={"filter": '{"op":', "filter-lang": "cql2-json"}),
        status=400,
        code="invalid-parameter",
        parameter="filter",
    )


def test_req_filter_filter_crs_wgs84_and_filter_crs_param(client: Any) -> None:
    """/req/filter/filter-crs-wgs84, /req/filter/filter-crs-param: the axes of each system, and none that is not offered."""
    everything = "S_INTERSECTS(geometry,BBOX(113.9,22.4,114.1,22.6))"
    assert found(client, everything) == "abc"
    beyond = "S_INTERSECTS(geometry,BBOX(1000000,1000000,2000000,2000000))"
    assert_problem(
        client.get(ITEMS, params={"filter": beyond}), status=400, code="invalid-parameter", parameter="filter"
    )
    from pyproj import Transformer

    offered = client.get(BUILDINGS).json()["crs"]
    for code in ("OGC:CRS84", "EPSG:4326", "EPSG:4490", "EPSG:4547", "EPSG:3857"):
        uri = next(uri for uri in offered if uri.rsplit("/", 1)[1] == code.partition(":")[2])
        move = Transformer.from_crs("OGC:CRS84", code).transform
        x, y = move(114.0101, 22.5001)
        point = f"S_INTERSECTS(geometry,POINT({x} {y}))"
        assert found(client, point, **{"filter-crs": uri}) == "b", uri
        tree = {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Point", "coordinates": [x, y]}]}
        assert posted(client, filter=tree, **{"filter-crs": uri}) == "b", uri
    for parameters in ({"filter": "true"}, {}):
        answer = client.get(ITEMS, params={**parameters, "filter-crs": "EPSG:2000"})
        assert_problem(answer, status=400, code="invalid-parameter", parameter="filter-crs")


def test_req_filter_get_functions_lists_what_may_be_called(client: Any) -> None:
    """/req/filter/get-functions-operation, get-functions-response-json."""
    links = client.get("/", headers={"Accept": "application/json"}).json()["links"]
    assert any(link["rel"].endswith("/functions") and link["href"].endswith("/functions") for link in links)
    listed = client.get("/functions").json()["functions"]
    named = {one["name"]: one for one in listed}
    kinds = {"string", "number", "integer", "datetime", "geometry", "boolean"}
    assert all(set(a["type"]) <= kinds for one in listed for a in one["arguments"])
    assert all(set(one["returns"]) <= kinds for one in listed)
    assert named["year"]["arguments"] == [{"title": "instant", "type": ["datetime"]}]
    assert named["buffer"]["returns"] == ["geometry"]
    page = client.get("/functions", params={"f": "html"})
    assert "distance_m(first, second)" in page.text


def test_tiles_and_statistics_and_counts_take_the_filter_too(client: Any) -> None:
    office = {"filter": "use = 'office'"}
    assert client.get(f"{BUILDINGS}/aggregate", params=office).json()["total"]["count"] == 2
    body = {"filter": {"op": ">", "args": [{"property": "height_m"}, 20]}}
    assert client.post(f"{BUILDINGS}/aggregate", json=body).json()["total"]["count"] == 1
    tile = f"{BUILDINGS}/tiles/WebMercatorQuad/12/1785/3345"
    whole, part = client.get(tile), client.get(tile, params=office)
    assert whole.status_code == part.status_code == 200
    assert b"school" in whole.content
    assert b"school" not in part.content
    assert client.get(tile, params={"filter": "FALSE"}).status_code == 204
    assert client.get(ITEMS, params=office).json()["numberMatched"] == 2


def test_one_of_several_codes_is_asked_for_on_every_path(client: Any) -> None:
    """What the map's filter row sends: codes that queryables list, several of them."""
    codes = client.get(f"{BUILDINGS}/queryables").json()["properties"]["use"]["enum"]
    assert {"office", "residential"} <= set(codes)
    several = "use IN (" + ", ".join(f"'{one}'" for one in ("school", *codes) if one != "office") + ")"
    tree = {"op": "in", "args": [{"property": "use"}, ["school", "hotel"]]}
    assert found(client, several) == posted(client, filter=tree) == "b"
    tile = f"{BUILDINGS}/tiles/WebMercatorQuad/12/1785/3345"
    drawn = client.get(tile, params={"filter": several}).content
    assert b"school" in drawn
    assert b"office" not in drawn
    assert client.get(f"{BUILDINGS}/aggregate", params={"filter": several}).json()["total"]["count"] == 1
    assert client.post(f"{BUILDINGS}/aggregate", json={"filter": tree}).json()["total"]["count"] == 1
    table = client.get(f"{BUILDINGS}/export", params={"f": "csv", "filter": several}).text.splitlines()
    assert len(table) == 2
    assert client.get(ITEMS, params={"filter": f"NOT {several}"}).json()["numberMatched"] == 2


def test_paging_keeps_the_filter_and_a_cursor_belongs_to_it(client: Any) -> None:
    first = client.get(ITEMS, params={"filter": "use = 'office'", "limit": 1})
    following = next(link["href"] for link in first.json()["links"] if link["rel"] == "next")
    second = client.get(following).json()
    assert [feature["id"] for feature in second["features"]] == ["test.c"]
    cursor = following.split("cursor=")[1].split("&")[0]
    other = client.get(ITEMS, params={"filter": "use = 'school'", "cursor": cursor})
    assert_problem(other, status=400, code="invalid-parameter", parameter="cursor")
    answer = client.post(SEARCH, json={"filter": {"op": "=", "args": [{"property": "use"}, "office"]}, "limit": 1})
    link = next(link for link in answer.json()["links"] if link["rel"] == "next")
    assert client.post(SEARCH, json=link["body"]).json()["features"][0]["id"] == "test.c"


BOW_TIE = "POLYGON((114 22,115 23,115 22,114 23,114 22))"


@pytest.mark.parametrize("path", [ITEMS, f"{BUILDINGS}/aggregate", f"{BUILDINGS}/tiles/WebMercatorQuad/12/1785/3345"])
def test_an_area_that_crosses_itself_is_refused_everywhere(client: Any, path: str) -> None:
    answer = client.get(path, params={"filter": f"NOT S_WITHIN(geometry, buffer({BOW_TIE}, 10))"})
    problem = assert_problem(answer, status=400, code="invalid-parameter", parameter="filter")
    assert "Self-intersection" in problem["detail"]


def test_errors_say_where_and_what_is_allowed(client: Any) -> None:
    problem = assert_problem(
        client.get(ITEMS, params={"filter": "hight_m > 20"}), status=400, code="unknown-property", parameter="filter"
    )
    assert "height_m" in problem["detail"]
    problem = assert_problem(
        client.get(ITEMS, params={"filter": "areaa(geometry) > 20"}),
        status=400,
        code="unknown-function",
        parameter="filter",
    )
    assert "area_m2" in problem["detail"]
    problem = assert_problem(
        client.get(ITEMS, params={"filter": "THIS IS NOT A FILTER"}),
        status=400,
        code="invalid-parameter",
        parameter="filter",
    )
    assert "at character 13" in problem["detail"]
    assert_problem(
        client.post(SEARCH, json={"filter": {"op": ">", "args": [{"property": "height_m"}, "tall"]}}),
        status=400,
        code="invalid-parameter",
        parameter="filter",
    )
