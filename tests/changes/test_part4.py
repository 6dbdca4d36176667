"""Features Part 4 (OGC 20-002r1, draft): create, replace, update, delete, with optimistic locking by ETags."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyproj
import pytest
import shapely
from shapely.geometry import shape

from cim.collections import BUILTIN
from cim.db import edit
from cim.db.idempotency import Key
from cim.db.pool import KEPT_BYTES
from cim.model import Scope
from tests.changes.conftest import ITEMS, feature
from tests.city import City, feature_collections
from tests.problems import assert_problem

GEOJSON = {"Content-Type": "application/geo+json"}
PATCH = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
def made(admin: Any) -> Any:
    """A feature made for the test: the answer that made it."""
    answer = admin.post(ITEMS, json=feature(name="甲楼", use="office", floors_above=10), headers=GEOJSON)
    assert answer.status_code == 201, answer.text
    return answer


def address(answer: Any) -> str:
    return f"{ITEMS}/{answer.json()['id']}"


def tag(client: Any, path: str, **params: str) -> dict[str, str]:
    return {"If-Match": client.get(path, params=params).headers["etag"]}


def test_req_create_replace_delete_options_says_what_is_allowed(client: Any, made: Any) -> None:
    items = client.options(ITEMS)
    assert items.status_code == 200
    assert {"GET", "POST"} <= set(items.headers["allow"].split(", "))
    assert "application/geo+json" in items.headers["accept-post"]
    one = client.options(address(made))
    assert {"GET", "PUT", "PATCH", "DELETE"} <= set(one.headers["allow"].split(", "))
    assert one.headers["accept-patch"] == "application/merge-patch+json"  # /req/update/options-accept-patch


def test_req_create_replace_delete_post_stores_what_was_sent(client: Any, admin: Any, city: City) -> None:
    sent = feature(114.051, 22.551, name="新楼 'ab\"", use="office", floors_above=10, completed_on="2019-05-01")
    city.settle(client)
    before = client.get("/collections/buildings").json()["itemCount"]
    answer = admin.post(ITEMS, json=sent, headers=GEOJSON)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"].endswith(f"{ITEMS}/{answer.json()['id']}")
    read = client.get(answer.headers["location"])
    assert read.status_code == 200
    assert read.content == answer.content
    assert read.headers["etag"].removesuffix('-gzip"').strip('"') == answer.headers["etag"].strip('"')
    stored = read.json()
    assert stored["id"].startswith("api.")
    assert shape(stored["geometry"]).equals_exact(shapely.MultiPolygon([shape(sent["geometry"])]), 1e-7)
    properties = stored["properties"]
    assert sent["properties"].items() <= properties.items()
    # what loads derive is derived here as well
    assert properties["area_code"] == "440305"
    assert (properties["height_m"], properties["height_source"]) == (30.0, "derived: floors_above × 3 m")
    assert (properties["year_built"], properties["status"], properties["cim_level"]) == (2019, "completed", 2)
    assert properties["valid_from"].startswith("2019-05-01T00:00:00")
    area, _ = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shape(sent["geometry"]))
    assert properties["footprint_area_m2"] == pytest.approx(abs(area), rel=1e-6)
    assert properties["floor_area_m2"] == pytest.approx(10 * abs(area), rel=1e-6)
    city.settle(client)
    assert client.get("/collections/buildings").json()["itemCount"] == before + 1


def test_req_create_replace_delete_post_response_rid_a_given_id_is_taken_once(client: Any, admin: Any) -> None:
    sent = {**feature(), "id": "own-1"}
    assert admin.post(ITEMS, json=sent, headers=GEOJSON).json()["id"] == "api.own-1"
    assert_problem(admin.post(ITEMS, json=sent, headers=GEOJSON), status=409, code="conflict")
    assert client.get(f"{ITEMS}/api.own-1").status_code == 200


def test_req_create_replace_delete_content_type_is_needed(admin: Any, made: Any) -> None:
    path, headers = address(made), {"If-Match": made.headers["etag"]}
    for method, where in (("POST", ITEMS), ("PUT", path), ("PATCH", path)):
        answer = admin.request(method, where, content=b"{}", headers=headers)
        assert_problem(answer, status=400, code="invalid-body", parameter="Content-Type")
        answer = admin.request(method, where, content=b"{}", headers={**headers, "Content-Type": "text/csv"})
        assert_problem(answer, status=415, code="unsupported-media-type")


def test_req_create_replace_delete_put_replaces_the_content(client: Any, admin: Any, made: Any) -> None:
    path = address(made)
    new = feature(114.12, 22.56, name="乙楼", height_m=12.5)
    answer = admin.put(path, json=new, headers={**GEOJSON, **tag(client, path)})
    assert answer.status_code == 200, answer.text
    stored = client.get(path).json()
    assert stored == answer.json()
    assert stored["id"] == made.json()["id"]
    properties = stored["properties"]
    assert (properties["name"], properties["use"], properties["floors_above"]) == ("乙楼", None, None)
    assert (properties["height_m"], properties["height_source"]) == (12.5, "source: api")
    assert properties["area_code"] == "440304"
    assert shape(stored["geometry"]).bounds == pytest.approx(shape(new["geometry"]).bounds, abs=1e-7)


def test_req_create_replace_delete_put_rid_another_id_is_refused(admin: Any, made: Any) -> None:
    headers = {**GEOJSON, "If-Match": made.headers["etag"]}
    answer = admin.put(address(made), json={**feature(), "id": "api.other"}, headers=headers)
    assert_problem(answer, status=400, code="invalid-parameter", parameter="id")


def test_a_feature_that_was_read_may_be_sent_back(client: Any, admin: Any, made: Any) -> None:
    path = address(made)
    read = client.get(path)
    answer = admin.put(path, json=read.json(), headers={**GEOJSON, "If-Match": read.headers["etag"]})
    assert answer.status_code == 200, answer.text
    assert answer.json() == read.json()


def test_req_create_replace_delete_put_rid_exception_and_creation(client: Any, admin: Any) -> None:
    for collection in feature_collections(client):
        assert collection["supportsNonAutogeneratedResourceIds"] == (collection["id"] != "areas")
    body = feature(name="put")
    answer = admin.put(f"{ITEMS}/api.put-1", json=body, headers={**GEOJSON, "If-Match": '"xyz"'})
    assert_problem(answer, status=412, code="precondition-failed")
    assert client.get(f"{ITEMS}/api.put-1").status_code == 404
    answer = admin.put(f"{ITEMS}/api.put-1", json=body, headers={**GEOJSON, "If-None-Match": "*"})
    assert (answer.status_code, answer.json()["id"]) == (201, "api.put-1")
    answer = admin.put(f"{ITEMS}/api.put-1", json=body, headers={**GEOJSON, "If-None-Match": "*"})
    assert_problem(answer, status=412, code="precondition-failed")
    assert admin.put(f"{ITEMS}/api.put-2", json=body, headers=GEOJSON).status_code == 201
    assert_problem(admin.put(f"{ITEMS}/elsewhere.1", json=body, headers=GEOJSON), status=404, code="not-found")


def test_req_create_replace_delete_delete_removes(client: Any, admin: Any, city: City, made: Any) -> None:
    path = address(made)
    city.settle(client)
    before = client.get("/collections/buildings").json()["itemCount"]
    answer = admin.delete(path, headers=tag(client, path))
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(path).status_code == 404
    assert_problem(admin.delete(path), status=404, code="not-found")
    city.settle(client)
    assert client.get("/collections/buildings").json()["itemCount"] == before - 1


def test_req_update_patch_changes_the_parts_it_names(client: Any, admin: Any, made: Any) -> None:
    path = address(made)
    before = client.get(path).json()["properties"]
    moved = feature(114.15, 22.52)["geometry"]
    patch = {"properties": {"floors_above": 20, "name": None, "address": "深南大道1号"}, "geometry": moved}
    answer = admin.patch(path, json=patch, headers={**PATCH, **tag(client, path)})
    assert answer.status_code == 200, answer.text
    after = client.get(path).json()
    assert shape(after["geometry"]).bounds == pytest.approx(shape(moved).bounds, abs=1e-7)
    properties = after["properties"]
    assert (properties["floors_above"], properties["name"], properties["address"]) == (20, None, "深南大道1号")
    assert (properties["use"], properties["area_code"]) == (before["use"], "440304")
    assert properties["height_m"] == 60.0  # was derived from the floors, and is so again
    assert properties["floor_area_m2"] == pytest.approx(20 * properties["footprint_area_m2"])
    answer = admin.patch(path, json={"height_m": 77}, headers={**PATCH, **tag(client, path)})  # the schema's own shape
    assert answer.json()["properties"]["height_m"] == 77.0
    answer = admin.patch(path, json={"floors_above": 2}, headers={**PATCH, **tag(client, path)})
    assert answer.json()["properties"]["height_m"] == 77.0  # a stated one stays


def test_req_features_update_json_merge_patch_goes_into_documents(client: Any, admin: Any, made: Any) -> None:
    path = address(made)
    for patch, expected in (
        ({"attributes": {"a": {"b": 1, "c": 2}}}, {"a": {"b": 1, "c": 2}}),
        ({"attributes": {"a": {"b": None, "d": [1]}}}, {"a": {"c": 2, "d": [1]}}),
        ({"attributes": None}, None),
    ):
        answer = admin.patch(path, json={"properties": patch}, headers={**PATCH, **tag(client, path)})
        assert answer.json()["properties"]["attributes"] == expected


def test_req_features_update_json_merge_patch_the_id_stays(client: Any, admin: Any, made: Any) -> None:
    path = address(made)
    answer = admin.patch(path, json={"id": "api.other"}, headers={**PATCH, **tag(client, path)})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="id")


@pytest.mark.parametrize(
    ("method", "body", "kind"), [("PUT", feature(), GEOJSON), ("PATCH", {"name": "丙"}, PATCH), ("DELETE", None, {})]
)
def test_req_optimistic_locking_etags_ifmatch(client: Any, admin: Any, made: Any, method: str, body: Any, kind: Any) -> None:  # fmt: skip
    path = address(made)
    etag = client.get(path).headers["etag"]
    assert not etag.startswith("W/")
    assert_problem(admin.request(method, path, json=body, headers=kind), status=428, code="precondition-required")
    wrong = admin.request(method, path, json=body, headers={**kind, "If-Match": '"0"'})
    assert_problem(wrong, status=412, code="precondition-failed")
    weak = admin.request(method, path, json=body, headers={**kind, "If-Match": f"W/{etag}"})
    assert_problem(weak, status=412, code="precondition-failed")
    assert client.get(path).headers["etag"] == etag
    done = admin.request(method, path, json=body, headers={**kind, "If-Match": f'"0", {etag}'})
    assert done.status_code in (200, 204), done.text
    if method != "DELETE":
        assert done.headers["etag"] not in (etag, made.headers["etag"])
        assert_problem(
            admin.request(method, path, json=body, headers={**kind, "If-Match": etag}),
            status=412,
            code="precondition-failed",
        )
        assert admin.request(method, path, json=body, headers={**kind, "If-Match": "*"}).status_code == 200


def test_req_optimistic_locking_etags_any_representation_that_was_read_will_do(
    client: Any, admin: Any, made: Any
) -> None:
    path = address(made)
    for params, headers in (({"crs": "EPSG:4547"}, {}), ({}, {"Accept-Encoding": "identity"}), ({"f": "json"}, {})):
        etag = client.get(path, params=params, headers=headers).headers["etag"]
        again = client.get(path, params=params, headers={**headers, "If-None-Match": etag})
        assert (again.status_code, again.headers["etag"]) == (304, etag)
        assert admin.patch(path, json={"name": etag}, headers={**PATCH, "If-Match": etag}).status_code == 200
    tags = {client.get(path, headers={"Accept-Encoding": coding}).headers["etag"] for coding in ("identity", "gzip")}
    assert len(tags) == 2  # other bytes, another strong tag


def test_of_two_edits_of_one_version_one_is_refused(client: Any, admin: Any, made: Any) -> None:
    path = address(made)
    headers = {**PATCH, **tag(client, path)}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: admin.patch(path, json={"name": f"第{n}"}, headers=headers), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 7]


def test_req_features_content_crs_header(client: Any, admin: Any) -> None:
    sent = feature(114.06, 22.53)
    for code in (4547, 4490, 3857):
        forward = pyproj.Transformer.from_crs("OGC:CRS84", f"EPSG:{code}")
        ring = [list(forward.transform(*xy)) for xy in sent["geometry"]["coordinates"][0]]
        body = {**sent, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        uri = f"http://www.opengis.net/def/crs/EPSG/0/{code}"
        answer = admin.post(ITEMS, json=body, headers={**GEOJSON, "Content-Crs": f"<{uri}>"})
        assert answer.status_code == 201, answer.text
        stored = client.get(answer.headers["location"], params={"crs": uri}).json()
        assert stored["geometry"]["coordinates"][0][0][0] == pytest.approx(ring[0], abs=2e-3)
        assert shape(answer.json()["geometry"]).bounds == pytest.approx(shape(sent["geometry"]).bounds, abs=1e-6)
    answer = admin.post(ITEMS, json=sent, headers={**GEOJSON, "Content-Crs": "<http://example.org/none>"})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="Content-Crs")


BOW = {"type": "Polygon", "coordinates": [[[114, 22.5], [114.01, 22.51], [114.01, 22.5], [114, 22.51], [114, 22.5]]]}


@pytest.mark.parametrize(
    ("change", "code", "parameter"),
    [
        ({"properties": {"hight_m": 3}}, "unknown-property", "properties.hight_m"),
        ({"properties": {"height_m": "3"}}, "invalid-parameter", "properties.height_m"),
        ({"properties": {"height_m": -1}}, "invalid-parameter", "properties.height_m"),
        ({"properties": {"height_m": 1501}}, "invalid-parameter", "properties.height_m"),
        ({"properties": {"floors_above": 1.5}}, "invalid-parameter", "properties.floors_above"),
        ({"properties": {"floors_above": True}}, "invalid-parameter", "properties.floors_above"),
        ({"properties": {"use": "ofice"}}, "invalid-parameter", "properties.use"),
        ({"properties": {"completed_on": "2020-02-30"}}, "invalid-parameter", "properties.completed_on"),
        ({"properties": {"name": "a\u0000b"}}, "invalid-parameter", "properties.name"),
        ({"properties": {"attributes": {"a": "\u0000"}}}, "invalid-parameter", "properties.attributes"),
        ({"properties": []}, "invalid-body", "properties"),
        # what the server keeps (catalogue B41)
        ({"properties": {"source": "mine"}}, "unknown-property", "properties.source"),
        ({"properties": {"recorded_at": "2020-01-01T00:00:00Z"}}, "unknown-property", "properties.recorded_at"),
        ({"properties": {"load_run_id": 1}}, "unknown-property", "properties.load_run_id"),
        ({"properties": {"area_code": "440304"}}, "invalid-parameter", "properties.area_code"),
        ({"properties": {"valid_to": "2020-01-01T00:00:00Z"}}, "invalid-parameter", "properties.valid_to"),
        ({"source": "mine"}, "unknown-parameter", "source"),
        ({"type": "Thing"}, "invalid-body", "type"),
        ({"id": "  "}, "invalid-parameter", "id"),
        ({"geometry": None}, "invalid-body", "geometry"),
        ({"geometry": {"type": "Point", "coordinates": [114, 22]}}, "invalid-body", "geometry"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[114, 22], [114, 23], [115, 23]]]}}, "invalid-body", "geometry"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[200, 0], [201, 0], [201, 1], [200, 0]]]}}, "invalid-body", "geometry"),
        ({"geometry": BOW}, "invalid-body", "geometry"),
    ],
)  # fmt: skip
def test_B41_req_features_schema_each_refusal_names_its_member(
    admin: Any, city: City, made: Any, change: Any, code: str, parameter: str
) -> None:
    before = city.count("buildings")
    body = {**feature(), **change}
    document = assert_problem(admin.post(ITEMS, json=body, headers=GEOJSON), status=400, code=code, parameter=parameter)
    headers = {**GEOJSON, "If-Match": made.headers["etag"]}
    if parameter != "id":
        assert_problem(admin.put(address(made), json=body, headers=headers), status=400, code=code, parameter=parameter)
    if "hight_m" in str(change):
        assert "height_m" in document["detail"]
    if "ofice" in str(change):
        assert "did you mean 'office'" in document["detail"]
    assert city.count("buildings") == before
    assert admin.get(address(made)).headers["etag"].startswith(made.headers["etag"].rstrip('"').partition(".")[0])


@pytest.mark.parametrize(
    "body", [b"[]", b'{"type": "Feature"', b'{"type":"Feature","type":"Feature"}', b"\xff", b'{"a":NaN}']
)
def test_B27_a_body_that_is_no_json_object_is_refused(admin: Any, body: bytes) -> None:
    assert_problem(admin.post(ITEMS, content=body, headers=GEOJSON), status=400, code="invalid-body")


def test_a_type_that_the_collection_does_not_hold_is_named_by_its_schema(client: Any) -> None:
    schema = client.get("/collections/buildings/schema").json()
    assert schema["additionalProperties"] is False
    read_only = {name for name, one in schema["properties"].items() if one.get("readOnly")}
    assert read_only == {"id", "area_code", "valid_from", "valid_to"}


def test_only_editors_may_change_and_only_in_their_area(
    client: Any, admin: Any, caller: Callable[..., Any], city: City
) -> None:
    assert_problem(client.post(ITEMS, json=feature(), headers=GEOJSON), status=401, code="unauthorized")
    reader, editor = caller(role="reader"), caller(role="editor", area_code="440305")
    assert_problem(reader.post(ITEMS, json=feature(), headers=GEOJSON), status=403, code="forbidden")
    assert_problem(
        admin.post("/collections/areas/items", json=feature(), headers=GEOJSON), status=403, code="forbidden"
    )
    west, east = feature(114.07, 22.51), feature(114.17, 22.51)
    own = editor.post(ITEMS, json=west, headers=GEOJSON)
    assert own.status_code == 201, own.text
    assert_problem(editor.post(ITEMS, json=east, headers=GEOJSON), status=403, code="forbidden")
    headers = {**GEOJSON, "If-Match": own.headers["etag"]}
    assert_problem(editor.put(address(own), json=east, headers=headers), status=403, code="forbidden")  # not out of it
    other = admin.post(ITEMS, json=east, headers=GEOJSON)
    headers = {**GEOJSON, "If-Match": other.headers["etag"]}
    assert_problem(editor.put(address(other), json=west, headers=headers), status=412, code="precondition-failed")
    assert_problem(editor.delete(address(other)), status=404, code="not-found")
    assert client.get(address(other)).json() == other.json()
    nowhere = editor.post(ITEMS, json=feature(10, 10), headers=GEOJSON)
    assert_problem(nowhere, status=403, code="forbidden")


def test_the_same_request_with_an_idempotency_key_is_done_once(client: Any, admin: Any, city: City) -> None:
    before = city.count("buildings")
    headers = {**GEOJSON, "Idempotency-Key": "one-0001"}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: admin.post(ITEMS, json=feature(name="once"), headers=headers), range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({(answer.content, answer.headers["location"], answer.headers["etag"]) for answer in answers}) == 1
    assert city.count("buildings") == before + 1
    other = admin.post(ITEMS, json=feature(name="other"), headers=headers)
    assert_problem(other, status=409, code="idempotency-key-reused")
    path = address(answers[0])
    headers = {"If-Match": answers[0].headers["etag"], "Idempotency-Key": "one-0002"}
    assert [admin.delete(path, headers=headers).status_code for _ in range(2)] == [204, 204]
    city.run_text("UPDATE cim.idempotency SET created_at = now() - interval '25 hours'")
    again = admin.post(ITEMS, json=feature(name="other"), headers={**GEOJSON, "Idempotency-Key": "one-0001"})
    assert again.status_code == 201
    assert city.run_text("SELECT count(*) FROM cim.idempotency").fetchone()[0] == 1
    bad = admin.post(ITEMS, json=feature(), headers={**GEOJSON, "Idempotency-Key": ""})
    assert_problem(bad, status=400, code="invalid-parameter", parameter="Idempotency-Key")


def test_every_way_to_write_with_an_idempotency_key_is_done_once(admin: Any, city: City) -> None:
    """Six at once and one later, each the same answer to the byte and one version; another request is refused, and does nothing."""
    made = admin.post(ITEMS, json={**feature(name="first"), "id": "idem"}, headers=GEOJSON)
    path = address(made)
    new = {**feature(name="new"), "id": "api.idem-put"}
    batch = {"type": "FeatureCollection", "features": [{**feature(name="b"), "id": "idem-batch"}]}
    merge = {"Content-Type": "application/merge-patch+json", "If-Match": "*"}
    writes = [
        ("PATCH", path, {"name": "patched"}, merge),
        ("PUT", path, feature(name="replaced"), {**GEOJSON, "If-Match": "*"}),
        ("PUT", f"{ITEMS}/api.idem-put", new, GEOJSON),
        ("POST", ITEMS, {**feature(name="own id"), "id": "idem-own"}, GEOJSON),
        ("POST", ITEMS, batch, GEOJSON),
        ("DELETE", path, None, {"If-Match": "*"}),
    ]
    for number, (method, where, body, headers) in enumerate(writes):
        keyed = {**headers, "Idempotency-Key": f"way-{number}"}

        def send(_: int, method=method, where=where, body=body, keyed=keyed) -> Any:
            return admin.request(method, where, json=body, headers=keyed)

        before = city.run_text("SELECT version FROM cim.collection_stats WHERE collection_id = 'buildings'").fetchone()[
            0
        ]
        with ThreadPoolExecutor(6) as pool:
            answers = [*pool.map(send, range(6)), send(0)]
        told = {(one.status_code, one.content, one.headers.get("etag"), one.headers.get("location")) for one in answers}
        assert len(told) == 1, (method, where, told)
        assert answers[0].status_code == (200, 200, 201, 201, 201, 204)[number]
        after = city.run_text("SELECT version FROM cim.collection_stats WHERE collection_id = 'buildings'").fetchone()[
            0
        ]
        assert after == before + 1, (method, where)
        other = {"type": "FeatureCollection", "features": [feature(name="z")]} if number % 2 else feature(name="z")
        refused = admin.post(ITEMS, json=other, headers={**GEOJSON, "Idempotency-Key": f"way-{number}"})
        assert_problem(refused, status=409, code="idempotency-key-reused")
        last = city.run_text("SELECT version FROM cim.collection_stats WHERE collection_id = 'buildings'").fetchone()[0]
        assert last == after


def test_a_request_that_fails_leaves_its_idempotency_key_free(admin: Any) -> None:
    made = admin.post(ITEMS, json=feature(name="free"), headers=GEOJSON)
    stale = {"Content-Type": "application/merge-patch+json", "If-Match": '"0"', "Idempotency-Key": "free-1"}
    assert_problem(
        admin.patch(address(made), json={"name": "x"}, headers=stale), status=412, code="precondition-failed"
    )
    stale["If-Match"] = made.headers["etag"]
    assert admin.patch(address(made), json={"name": "x"}, headers=stale).status_code == 200


def test_a_batch_is_stored_whole_or_not_at_all(admin: Any, city: City) -> None:
    before = city.count("buildings")
    good = [feature(114.01 + n * 1e-3, 22.58, name=f"批{n}") for n in range(50)]
    answer = admin.post(ITEMS, json={"type": "FeatureCollection", "features": good}, headers=GEOJSON)
    assert answer.status_code == 201, answer.text
    report = answer.json()
    assert (report["read"], report["inserted"], report["rejected"]) == (50, 50, 0)
    assert city.count("buildings") == before + 50
    bad = {"type": "FeatureCollection", "features": [*good, feature(hight_m=1)]}
    document = assert_problem(
        admin.post(ITEMS, json=bad, headers=GEOJSON),
        status=400,
        code="unknown-property",
        parameter="features[50].properties.hight_m",
    )
    assert document["index"] == 50
    twice = {"type": "FeatureCollection", "features": [{**good[0], "id": "b1"}, {**good[1], "id": "b1"}]}
    assert_problem(admin.post(ITEMS, json=twice, headers=GEOJSON), status=409, code="conflict")
    assert city.count("buildings") == before + 50


def test_a_batch_that_rejects_reports_on_every_row(client: Any, admin: Any, city: City) -> None:
    taken = admin.post(ITEMS, json={**feature(), "id": "taken"}, headers=GEOJSON)
    assert taken.status_code == 201
    before = city.count("buildings")
    rows = [
        feature(name="好"),
        feature(use="ofice"),
        {**feature(), "geometry": BOW},
        {**feature(), "id": "taken"},
        {**feature(), "id": "fresh"},
        {**feature(), "id": "fresh"},
        "no feature",
    ]
    body = {"type": "FeatureCollection", "features": rows}
    answer = admin.post(ITEMS, json=body, params={"on-error": "reject"}, headers=GEOJSON)
    assert answer.status_code == 201, answer.text
    report = answer.json()
    assert report["read"] == report["inserted"] + report["rejected"] == 7
    assert [(r["index"], r["code"]) for r in report["rejections"]] == [
        (1, "invalid-parameter"),
        (2, "invalid-body"),
        (3, "conflict"),
        (5, "conflict"),
        (6, "invalid-body"),
    ]
    assert [r["parameter"] for r in report["rejections"]][:2] == ["properties.use", "geometry"]
    assert city.count("buildings") == before + 2
    assert client.get(f"{ITEMS}/api.fresh").status_code == 200
    answer = admin.post(ITEMS, json={"type": "FeatureCollection", "features": []}, headers=GEOJSON)
    assert_problem(answer, status=400, code="invalid-body", parameter="features")
    answer = admin.post(ITEMS, json=body, params={"on-error": "ignore"}, headers=GEOJSON)
    assert_problem(answer, status=400, code="invalid-parameter", parameter="on-error")


def test_statistics_follow_every_edit(client: Any, admin: Any, city: City) -> None:
    admin.post(ITEMS, json=feature(114.01, 22.51, completed_on="2019-01-01"), headers=GEOJSON)
    far = admin.post(ITEMS, json=feature(120.0, 30.0, completed_on="1950-01-01"), headers=GEOJSON)

    def shows(highest_lon: float, first_year: str) -> bool:
        """The collection says so within two seconds."""
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            extent = client.get("/collections/buildings").json().get("extent", {})
            if not {"spatial", "temporal"} <= set(extent):
                continue
            found = extent["spatial"]["bbox"][0][2], extent["temporal"]["interval"][0][0][:4]
            if found == (pytest.approx(highest_lon), first_year):
                return True
        return False

    assert shows(120.0002, "1950")
    rest = city.run_text(
        "SELECT ST_XMax(ST_Extent(geom)) FROM cim.building WHERE ST_X(ST_Centroid(geom)) < 119"
    ).fetchone()[0]
    moved = admin.patch(
        address(far),
        json={"geometry": feature(114.0, 22.5)["geometry"], "completed_on": "1990-01-01"},
        headers={**PATCH, "If-Match": far.headers["etag"]},
    )
    assert shows(rest, "1990")
    assert admin.delete(address(far), headers={"If-Match": moved.headers["etag"]}).status_code == 204
    assert shows(rest, "2019")


def test_points_and_datasets_are_edited_too(client: Any, admin: Any, city: City) -> None:
    point = {"type": "Point", "coordinates": [114.05, 22.55, 12.0]}
    sensors = "/collections/sensors/items"
    properties = {"installed_on": "2021-01-01", "latest_time": "2022-01-01T08:00:00+08:00"}
    body = {"type": "Feature", "geometry": point, "properties": properties}
    answer = admin.post(sensors, json=body, headers=GEOJSON)
    assert answer.status_code == 201, answer.text
    properties = answer.json()["properties"]
    assert properties["kind"] == "other"
    assert properties["valid_from"].startswith("2021-01-01")
    assert properties["latest_time"].startswith("2022-01-01T00:00:00")
    assert answer.json()["geometry"]["coordinates"] == [114.05, 22.55]


@pytest.mark.parametrize("collection", BUILTIN, ids=lambda one: one.id)
def test_the_statement_of_an_edit_is_short_enough_to_keep_its_plan(collection: Any) -> None:
    """A longer one is planned anew for each edit, which doubles the time that it takes."""
    for key in (None, Key("caller", "key", b"digest")):
        text, _ = edit.update_sql(collection, "test.1", "1", "[]", Scope(), key).compile()
        assert len(text) <= KEPT_BYTES
