"""OGC API Features 1.0.1 (17-069r4): the requirements of the classes that /conformance declares, by their ids."""

import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.city import City, square
from tests.problems import assert_problem

ITEMS = "/collections/buildings/items"


@pytest.fixture(scope="module", autouse=True)
def town(city: City, client: Any) -> City:
    """Twelve buildings."""
    for n in range(12):
        city.building(square(114.0 + n * 0.01, 22.5), use="office", valid_from="2010-01-01T00:00:00Z")
    city.settle(client)
    return city


def links_of(document: Any) -> dict[str, list[dict[str, Any]]]:
    links: dict[str, list[dict[str, Any]]] = {}
    for link in document["links"]:
        assert link["href"]
        links.setdefault(link["rel"], []).append(link)
    return links


def test_req_core_root_op_and_success(client: Any) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    links = links_of(answer.json())
    for rel in ("self", "service-desc", "service-doc", "conformance", "data"):
        assert links[rel], rel
    assert any("openapi" in link["type"] for link in links["service-desc"])


def test_every_link_of_the_landing_page_resolves(client: Any) -> None:
    for link in client.get("/").json()["links"]:
        answer = client.get(link["href"], headers={"Accept": link.get("type", "*/*")})
        assert answer.status_code == 200, link


def test_req_core_api_definition(client: Any) -> None:
    landing = links_of(client.get("/").json())
    description = landing["service-desc"][0]
    answer = client.get(description["href"], headers={"Accept": description["type"]})
    assert answer.headers["content-type"] == "application/vnd.oai.openapi+json;version=3.0"
    page = client.get(landing["service-doc"][0]["href"])
    assert page.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(("f", "version"), [("json", "3.0.3"), ("openapi31", "3.1.0")])
def test_req_oas30_oas_definition(client: Any, f: str, version: str) -> None:
    document = client.get("/api", params={"f": f}).json()
    assert document["openapi"] == version
    validate(document)
    ids = [
        operation["operationId"]
        for operations in document["paths"].values()
        for method, operation in operations.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]
    assert len(ids) == len(set(ids))


def test_the_description_has_a_path_for_each_collection_with_the_limit(client: Any) -> None:
    document = client.get("/api").json()
    for collection in client.get("/collections").json()["collections"]:
        operation = document["paths"][f"/collections/{collection['id']}/items"]["get"]
        named = [p.get("$ref", "").split("/")[-1] or p["name"] for p in operation["parameters"]]
        assert {"limit", "bbox", "datetime"} <= set(named)
    assert document["components"]["parameters"]["limit"]["schema"]["maximum"] == 10_000


def test_the_description_is_asked_for_by_its_media_type(client: Any) -> None:
    for wanted in ("3.0", "3.1"):
        media_type = f"application/vnd.oai.openapi+json;version={wanted}"
        answer = client.get("/api", headers={"Accept": media_type})
        assert answer.headers["content-type"] == media_type
        assert answer.json()["openapi"].startswith(wanted)


def test_every_path_without_parameters_is_there(client: Any) -> None:
    document = client.get("/api").json()
    for path, operations in document["paths"].items():
        if "{" not in path and "get" in operations:
            # log-in by OpenID Connect is not set up here, and a callback belongs to one that was begun
            allowed = (400, 404) if path.startswith("/oidc/") else (200, 401)
            assert client.get(path).status_code in allowed, path


def test_req_core_conformance_op_and_success(client: Any) -> None:
    answer = client.get("/conformance")
    classes = answer.json()["conformsTo"]
    base = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/"
    assert {base + name for name in ("core", "oas30", "geojson", "html")} <= set(classes)


def test_req_core_fc_md(client: Any) -> None:
    """fc-md-op, -success, -links, -items, -items-links, -extent."""
    document = client.get("/collections").json()
    assert links_of(document)["self"]
    assert links_of(document)["alternate"]
    known = {collection["id"]: collection for collection in document["collections"]}
    assert {"buildings", "areas", "sensors", "cameras", "imagery"} <= set(known)
    for collection in known.values():
        items = links_of(collection)["items"]
        assert {link["type"] for link in items} == {"application/geo+json", "text/html"}
    extent = known["buildings"]["extent"]
    (west, south, east, north) = extent["spatial"]["bbox"][0]
    assert (west, south) == pytest.approx((114.0, 22.5))
    assert (east, north) == pytest.approx((114.1102, 22.5002))
    assert extent["temporal"]["interval"][0][0] == "2010-01-01T00:00:00Z"


def test_req_core_sfc_md(client: Any) -> None:
    """sfc-md-op, sfc-md-success: the same content as in the list."""
    listed = next(c for c in client.get("/collections").json()["collections"] if c["id"] == "buildings")
    assert client.get("/collections/buildings").json() == listed
    assert_problem(client.get("/collections/bildings"), status=404, code="not-found")
    assert "buildings" in client.get("/collections/bildings").json()["detail"]


@pytest.mark.parametrize(
    ("limit", "returned"), [("1", 1), ("5", 5), ("10", 10), ("12", 12), ("10000", 12), ("1000000000", 12)]
)
def test_req_core_fc_limit(client: Any, limit: str, returned: int) -> None:
    document = client.get(ITEMS, params={"limit": limit}).json()
    assert len(document["features"]) == returned


def test_the_default_limit_is_ten(client: Any) -> None:
    assert len(client.get(ITEMS).json()["features"]) == 10


@pytest.mark.parametrize(
    "bbox",
    [
        "", "1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,0,1,1", "0,0,inf,1", "1e999,0,1,1", "1_0,0,20,1", "0,1,1,0", "-181,0,1,1",
        "0,-91,1,1", "0,0,1,1,", "0,0,5,1,1,2", "٠,0,1,1", "0x1,0,1,1",
    ],
)  # fmt: skip
def test_req_core_fc_bbox_definition_refuses(client: Any, bbox: str) -> None:
    assert_problem(client.get(ITEMS, params={"bbox": bbox}), status=400, code="invalid-parameter", parameter="bbox")


@pytest.mark.parametrize(
    "datetime",
    [
        "", "yesterday", "2020", "2020-13-01", "2020-02-30T00:00:00Z", "2020-01-01T00:00:00", "2020-01-01T25:00:00Z",
        "2020-01-02/2020-01-01", "a/b", "2020-01-01/2020-01-02/2020-01-03", "now", "..", "20200101T000000Z",
    ],
)  # fmt: skip
def test_req_core_fc_time_definition_refuses(client: Any, datetime: str) -> None:
    answer = client.get(ITEMS, params={"datetime": datetime})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="datetime")


def test_req_core_query_param_unknown(client: Any) -> None:
    for path in (
        ITEMS,
        "/collections",
        "/conformance",
        f"{ITEMS}/test.000001",
        "/collections/buildings/aggregate",
        "/api",
    ):
        problem = assert_problem(
            client.get(path, params={"lmit": 5}), status=400, code="unknown-parameter", parameter="lmit"
        )
        if path == ITEMS:
            assert "'limit'" in problem["detail"]


def test_req_core_query_param_invalid_for_a_property(client: Any) -> None:
    for name, value in (
        ("height_m", "tall"),
        ("floors_above", "1.5"),
        ("completed_on", "2020-02-30"),
        ("floors_above", "9" * 30),
    ):
        assert_problem(client.get(ITEMS, params={name: value}), status=400, code="invalid-parameter", parameter=name)


def test_a_parameter_given_twice_is_refused(client: Any) -> None:
    answer = client.get(f"{ITEMS}?limit=1&limit=2")
    assert_problem(answer, status=400, code="invalid-parameter", parameter="limit")


def test_req_core_fc_response(client: Any) -> None:
    """fc-op, fc-response, fc-links, fc-rel-type, fc-timeStamp, fc-numberReturned, fc-numberMatched."""
    answer = client.get(ITEMS, params={"limit": 5})
    assert answer.headers["content-type"] == "application/geo+json"
    assert answer.headers["content-crs"] == "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"
    document = answer.json()
    links = links_of(document)
    assert links["self"][0]["type"] == "application/geo+json"
    assert links["alternate"][0]["type"] == "text/html"
    assert links["next"][0]["type"] == "application/geo+json"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["timeStamp"])
    assert (document["numberReturned"], document["numberMatched"]) == (5, 12)
    assert client.get(links["alternate"][0]["href"]).headers["content-type"].startswith("text/html")


def test_req_core_f_success(client: Any) -> None:
    """f-op, f-success, f-links."""
    answer = client.get(f"{ITEMS}/test.000001")
    assert answer.headers["content-type"] == "application/geo+json"
    document = answer.json()
    assert (document["type"], document["id"]) == ("Feature", "test.000001")
    links = links_of(document)
    assert set(links) >= {"self", "alternate", "collection"}
    assert client.get(links["self"][0]["href"]).json() == document
    assert_problem(client.get(f"{ITEMS}/nobody"), status=404, code="not-found")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/conformance",
        "/api",
        "/collections",
        "/collections/buildings",
        "/collections/buildings/schema",
        ITEMS,
        f"{ITEMS}/test.000001",
    ],
)
def test_req_html_definition_and_content(client: Any, path: str) -> None:
    answer = client.get(path, headers={"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert not re.search(r"""(src|href)=["']?https?://(?!127\.0\.0\.1|www\.opengis\.net)""", answer.text)
    assert "<script>" not in answer.text
    assert client.get(path, headers={"Accept": "*/*"}).headers["content-type"] != answer.headers["content-type"]
    assert (
        client.get(path, params={"f": "html"}, headers={"Accept": "application/json"})
        .headers["content-type"]
        .startswith("text/html")
    )


def test_pages_are_in_the_readers_language(client: Any) -> None:
    chinese = client.get(ITEMS, params={"f": "html"}, headers={"Accept-Language": "zh-CN"})
    english = client.get(ITEMS, params={"f": "html", "lang": "en"}, headers={"Accept-Language": "zh-CN"})
    assert "建筑物" in chinese.text
    assert "办公" in chinese.text
    assert "Buildings" in english.text
    assert 'lang="en"' in english.text


def test_an_unknown_representation_is_refused(client: Any) -> None:
    assert_problem(client.get(ITEMS, params={"f": "gml"}), status=400, code="invalid-parameter", parameter="f")
    assert_problem(client.get(ITEMS, headers={"Accept": "image/png"}), status=406, code="not-acceptable")


def test_schema_and_queryables_tell_units_and_codes(client: Any) -> None:
    schema = client.get("/collections/buildings/schema", params={"lang": "en"})
    assert schema.headers["content-type"] == "application/schema+json"
    properties = schema.json()["properties"]
    assert properties["height_m"] == {
        "title": "Height",
        "type": "number",
        "x-ogc-unit": "m",
        "minimum": 0,
        "maximum": 1500,
    }
    assert {"const": "office", "title": "office"} in properties["use"]["oneOf"]
    feature = client.get(f"{ITEMS}/test.000001").json()
    assert set(feature["properties"]) <= set(properties)
    queryables = client.get("/collections/buildings/queryables").json()
    assert queryables["additionalProperties"] is False
    for name in queryables["properties"]:
        if name != "geometry":
            assert "is not a parameter" not in client.get(ITEMS, params={name: "1"}).text


def test_documents_and_features_are_not_sent_again_unchanged(client: Any) -> None:
    for path in ("/", "/collections", "/api", "/conformance", f"{ITEMS}/test.000001", "/collections/buildings/schema"):
        first = client.get(path)
        again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), path
        assert again.headers["etag"] == first.headers["etag"]
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_page_is_not_sent_again_because_time_has_gone_on(client: Any) -> None:
    first = client.get(ITEMS)
    later = first
    while later.json()["timeStamp"] == first.json()["timeStamp"]:
        later = client.get(ITEMS)
    assert later.headers["etag"] == first.headers["etag"]
    assert client.get(ITEMS, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert client.get(ITEMS, params={"limit": 1}).headers["etag"] != first.headers["etag"]


def test_head_and_options_work_everywhere(client: Any) -> None:
    for path in ("/", "/collections", ITEMS, f"{ITEMS}/test.000001", "/health/live"):
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        options = client.options(
            path, headers={"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
        )
        assert options.status_code == 200  # OGC 20-002, /req/create-replace-delete/options-response
        assert "GET, HEAD" in options.headers["allow"]
        assert options.headers["access-control-allow-origin"] == "*"
    assert "POST" in client.options("/collections/buildings/search").headers["allow"]
    assert_problem(client.delete(ITEMS), status=405, code="method-not-allowed")


def test_answers_carry_an_id_and_cors_also_when_they_are_errors(client: Any) -> None:
    mine = "6f1c2f5e-3f55-4c3c-9d0e-0a4b0c0d0e0f"
    for path, status in (("/collections", 200), ("/nothing", 404), (f"{ITEMS}?x=1", 400)):
        answer = client.get(path, headers={"X-Request-Id": mine, "Origin": "https://example.org"})
        assert answer.status_code == status
        assert answer.headers["x-request-id"] == mine
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/nothing", headers={"X-Request-Id": mine}).json()["instance"] == f"urn:uuid:{mine}"
    assert client.get("/nothing", headers={"X-Request-Id": "'; DROP"}).headers["x-request-id"] != "'; DROP"


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip"])
def test_answers_are_compressed_as_asked(client: Any, coding: str) -> None:
    answer = client.get(ITEMS, headers={"Accept-Encoding": coding})
    assert answer.headers["content-encoding"] == coding
    assert "Accept-Encoding" in answer.headers["vary"]


def test_metrics_count_by_route(client: Any) -> None:
    client.get(f"{ITEMS}/test.000001")
    text = client.get("/metrics").text
    assert 'route="/collections/{collection_id}/items/{feature_id}"' in text
    assert "test.000001" not in text
