"""OGC API Features Part 5 (23-058r2): schemas, roles, returnables, queryables, by requirement."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cim.collections import BUILTIN
from tests.city import City, square
from tests.problems import assert_problem

RELS = {name: f"http://www.opengis.net/def/rel/ogc/1.0/{name}" for name in ("schema", "queryables", "sortables")}
GEOMETRIES = {f"geometry-{kind}" for kind in ("any", "point", "linestring", "polygon", "multipolygon")}


@pytest.fixture(scope="module", autouse=True)
def town(city: City, client: Any) -> City:
    """One building."""
    city.building(square(114.0, 22.5), name="楼", height_m=7.0, use="office", valid_from="2010-01-01T00:00:00Z")
    city.settle(client)
    return city


@pytest.fixture(params=[(one.id, what) for one in BUILTIN for what in RELS], ids=lambda pair: "/".join(pair))
def document(request: Any, client: Any) -> dict[str, Any]:
    """Each schema of each collection, found by its link (/req/<class>/link, op, response A)."""
    collection_id, what = request.param
    links = client.get(f"/collections/{collection_id}").json()["links"]
    found = [link for link in links if link["rel"] == RELS[what]]
    assert len(found) == 1
    answer = client.get(found[0]["href"], headers={"Accept": "application/schema+json"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/schema+json"
    schema: dict[str, Any] = answer.json()
    assert schema["$id"] == found[0]["href"]
    return schema


def test_req_schemas_json_schema(document: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(document)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "?" not in document["$id"]
    assert document["type"] == "object"


def test_req_schemas_properties(document: dict[str, Any]) -> None:
    """/req/schemas/properties A to D, /rec/schemas/properties A."""
    for name, schema in document["properties"].items():
        if schema.get("format", "").startswith("geometry-"):
            assert schema["format"] in GEOMETRIES
            assert not {"type", "$ref"} & set(schema)
        else:
            assert schema["type"], name
            assert schema["title"]
        if schema.get("format") in ("date", "date-time"):
            assert schema["type"] == "string"


def test_req_schemas_additional_keywords_role_and_unit(document: dict[str, Any]) -> None:
    """/req/schemas/additional-keywords, role, role-id, unit."""
    known = {"title", "type", "format", "enum", "oneOf", "minimum", "maximum", "readOnly"}
    roles = []
    for schema in document["properties"].values():
        assert all(keyword in known or keyword.startswith("x-ogc-") for keyword in schema)
        assert isinstance(schema.get("x-ogc-unit", ""), str)
        if "x-ogc-role" in schema:
            roles.append(schema["x-ogc-role"])
    assert len(roles) == len(set(roles))
    identified = [s for s in document["properties"].values() if s.get("x-ogc-role") == "id"]
    assert all(schema["type"] == "string" for schema in identified)


def test_req_core_roles_features(document: dict[str, Any]) -> None:
    """role-primary-geometry, -interval-start, -interval-end, primary-temporal-constraints, role-type."""
    by_role = {s["x-ogc-role"]: s for s in document["properties"].values() if "x-ogc-role" in s}
    assert set(by_role) <= {"id", "primary-geometry", "primary-interval-start", "primary-interval-end"}
    if "primary-geometry" in by_role:
        assert by_role["primary-geometry"]["format"] in GEOMETRIES
    ends = [by_role[name]["format"] for name in by_role if name.startswith("primary-interval")]
    assert set(ends) <= {"date-time"}


def test_req_returnables_response_describes_the_features(client: Any) -> None:
    schema = client.get("/collections/buildings/schema").json()
    feature = client.get("/collections/buildings/items/test.000001").json()
    assert {"id", "geometry", *feature["properties"]} == set(schema["properties"])
    roles = {s.get("x-ogc-role"): name for name, s in schema["properties"].items()}
    assert roles["id"] == "id"
    assert (roles["primary-interval-start"], roles["primary-interval-end"]) == ("valid_from", "valid_to")
    flat = {"id": feature["id"], **{k: v for k, v in feature["properties"].items() if v is not None}}
    assert not list(Draft202012Validator(schema).iter_errors(flat))


def test_req_queryables_response_c(client: Any) -> None:
    """`additionalProperties` is false: what is not declared is refused, what is declared is taken."""
    for collection in BUILTIN:
        for what, parameter in (("queryables", None), ("sortables", "sortby")):
            document = client.get(f"/collections/{collection.id}/{what}").json()
            assert document["additionalProperties"] is False
            path = f"/collections/{collection.id}/items"
            if parameter is None:
                answer = client.get(path, params={"no_such_property": "1"})
                assert_problem(answer, status=400, code="unknown-parameter", parameter="no_such_property")
                continue
            assert "geometry" not in document["properties"]
            assert not any(s["type"] in ("object", "array") for s in document["properties"].values())
            answer = client.get(path, params={parameter: "no_such_property"})
            assert_problem(answer, status=400, code="unknown-property", parameter=parameter)


def test_the_classes_are_declared(client: Any) -> None:
    conforms = client.get("/conformance").json()["conformsTo"]
    for name in ("schemas", "core-roles-features", "returnables-and-receivables", "queryables", "sortables"):
        assert f"http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/{name}" in conforms
