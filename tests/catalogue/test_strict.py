"""What a caller must not send: names twice, keys in addresses, methods that are not offered."""

import pytest

from tests.problems import assert_problem

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "twice", "id": "other", "kind": "wms", "title_zh": "x"}',
        b'{"id": "twice", "kind": "wms", "title_zh": "x", "endpoints": [{"url": "/a", "url": "/b"}]}',
        b'{"id": "twice", "kind": "wms", "title_zh": "x", "t\\u0069tle_zh": "y"}',
    ],
)
def test_a_name_that_comes_twice_is_refused(admin, body):
    refused = admin.post("/catalogue/items", content=body, headers=JSON)
    assert "twice" in assert_problem(refused, status=400, code="invalid-body")["detail"]
    for service_id in ("twice", "other"):
        assert admin.get(f"/catalogue/items/{service_id}").status_code == 404


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"1e999", b'"\\ud800"', b'"\xff"', b"[" * 2000, b"9" * 100_000])
def test_what_json_cannot_hold_is_refused(admin, value):
    body = b'{"id": "strange", "kind": "wms", "title_zh": "x", "cim_level": ' + value + b"}"
    refused = admin.post("/catalogue/items", content=body, headers=JSON)
    assert refused.status_code == 400, refused.text
    assert_problem(refused, status=400, code=refused.json()["type"].rpartition("/")[2])
    assert admin.get("/catalogue/items/strange").status_code == 404


@pytest.mark.parametrize("name", ["key", "api_key", "apikey", "X-API-Key", "access_token"])
@pytest.mark.parametrize("path", ["/catalogue/items", "/collections/buildings/items", "/stac/search", "/admin/loads"])
def test_B38_a_key_in_an_address_is_refused_with_the_reason_and_not_repeated(admin, name, path):
    document = assert_problem(
        admin.get(path, params={name: "cim_very-secret"}), status=400, code="unknown-parameter", parameter=name
    )
    assert "Authorization: Bearer" in document["detail"]
    assert "very-secret" not in str(document)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/catalogue/items/x", "DELETE, GET, HEAD, PATCH, PUT"),
        ("/catalogue/items", "GET, HEAD, POST"),
        ("/admin/keys", "GET, HEAD, POST"),
        ("/admin/loads", "GET, HEAD, POST"),
        ("/stac/search", "GET, HEAD, POST"),
    ],
)
def test_a_method_that_is_not_offered_names_all_that_are(admin, path, allowed):
    refused = admin.request("TRACE", path)
    assert allowed in assert_problem(refused, status=405, code="method-not-allowed")["detail"]
    assert refused.headers["allow"] == allowed
