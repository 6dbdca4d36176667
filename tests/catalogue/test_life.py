"""A service from its registration over the shelf (上架) to its withdrawal (下架)."""

from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.catalogue import shared
from tests.catalogue.conftest import ADMIN, put_on_the_shelf, review_and_publish, service
from tests.problems import assert_problem

running, module_database_url = shared.running, shared.module_database_url


def ids(client: httpx2.Client, **query: object) -> set[str]:
    response = client.get("/catalogue/items", params=query)
    assert response.status_code == 200, response.text
    return {record["id"] for record in response.json()["features"]}


def test_a_service_is_registered_mended_published_found_and_withdrawn(admin, anyone):
    draft = {"id": "old-maps", "kind": "wms", "title_zh": "老地图", "organisation_id": "planning"}
    registered = admin.post("/catalogue/items", json=draft)
    assert registered.status_code == 201
    address = registered.headers["location"]
    assert address.endswith("/catalogue/items/old-maps")
    first = registered.headers["etag"]
    assert registered.json()["properties"]["state"] == "draft"
    assert_problem(anyone.get(address), status=404, code="not-found")
    assert "old-maps" not in ids(anyone)
    assert "old-maps" in ids(admin, state="draft")

    incomplete = assert_problem(admin.post(f"{address}/submit"), status=400, code="incomplete")
    missing = ["title_en", "description_zh", "description_en", "themes", "endpoints", "licence", "contact"]
    assert incomplete["missing"] == missing
    assert all(name in incomplete["detail"] for name in missing)

    whole = {name: value for name, value in service("x").items() if name not in ("id", "title_zh")}
    change = {**whole, "title_en": "Old maps", "bbox": [113.7, 22.4, 114.7, 22.9], "area_code": "4403"}
    assert_problem(admin.patch(address, json=change), status=428, code="precondition-required")
    assert_problem(
        admin.patch(address, json=change, headers={"If-Match": '"99"'}), status=412, code="precondition-failed"
    )
    edited = admin.patch(address, json=change, headers={"If-Match": first})
    assert edited.status_code == 200, edited.text
    assert edited.headers["etag"] != first
    stale = admin.patch(address, json={"title_en": "Mine"}, headers={"If-Match": first})
    assert_problem(stale, status=412, code="precondition-failed")

    assert_problem(admin.post(f"{address}/publish"), status=409, code="conflict")
    review_and_publish(admin, "old-maps")
    record = anyone.get(address)
    assert record.status_code == 200
    assert record.json()["properties"]["published"]
    assert record.json()["bbox"] == [113.7, 22.4, 114.7, 22.9]
    assert anyone.get(address, headers={"If-None-Match": record.headers["etag"]}).status_code == 304
    for query in (
        {"q": "老地图"},
        {"words": "航空 规划局"},
        {"q": "old MAPS"},
        {"q": "规划局"},
        {"q": "nowhere,aerial  photographs"},
        {"words": "Planning aerial"},
        {"words": "老地图maps"},
        {"kind": "wms"},
        {"theme": "规划"},
        {"organisation": "planning"},
        {"bbox": "114,22.5,114.1,22.6"},
        {"area": "44"},
        {"q": "1980", "kind": "wms", "theme": "imagery", "bbox": "114,22.5,114.1,22.6", "state": "published"},
    ):
        assert "old-maps" in ids(anyone, **query), query
    for query in (
        {"words": "老地图 水务"},
        {"q": "photographs aerial"},
        {"q": "o_d"},
        {"q": "%%"},
        {"kind": "wfs"},
        {"theme": "规"},
        {"bbox": "1,1,2,2"},
    ):
        assert "old-maps" not in ids(anyone, **query), query

    seen = admin.get(address).headers["etag"]
    assert admin.patch(address, json={"licence": None}, headers={"If-Match": seen}).status_code == 200
    assert anyone.get(address).json() == record.json()
    lost = admin.post(f"{address}/submit")
    assert assert_problem(lost, status=400, code="incomplete")["missing"] == ["licence"]
    assert_problem(admin.post(f"{address}/withdraw"), status=400, code="invalid-parameter", parameter="why")
    assert admin.post(f"{address}/withdraw", json={"why": "replaced"}).status_code == 200
    assert_problem(anyone.get(address), status=404, code="not-found")
    assert "old-maps" not in ids(anyone, q="old maps")
    assert admin.get(address).json()["properties"]["state"] == "withdrawn"
    assert admin.post(f"{address}/republish").status_code == 200
    assert "old-maps" in ids(anyone)


def test_an_event_in_the_wrong_order_names_those_allowed(admin):
    admin.post("/catalogue/items", json=service("orders")).raise_for_status()
    refused = assert_problem(
        admin.post("/catalogue/items/orders/withdraw", json={"why": "x"}), status=409, code="conflict"
    )
    assert (refused["state"], refused["allowed"]) == ("draft", ["submit", "discard"])
    assert "submit" in refused["detail"]
    review_and_publish(admin, "orders")
    refused = assert_problem(admin.post("/catalogue/items/orders/publish"), status=409, code="conflict")
    assert (refused["state"], refused["allowed"]) == ("published", ["suspend", "withdraw"])
    assert_problem(admin.delete("/catalogue/items/orders"), status=409, code="conflict")
    assert_problem(admin.post("/catalogue/items", json=service("orders")), status=409, code="conflict")


def test_every_member_but_id_and_kind_may_be_empty(admin):
    empty = dict.fromkeys((*service("x"), "share_class", "cim_level", "area_code", "bbox", "update_cycle"))
    sparse = {**empty, "id": "sparse", "kind": "file", "title_en": "Sparse"}
    made = admin.post("/catalogue/items", json=sparse)
    assert made.status_code == 201, made.text
    assert made.json()["properties"]["shareClass"] == "conditional"
    change = {name: None for name in empty if name not in ("id", "kind")}
    edited = admin.patch("/catalogue/items/sparse", json=change, headers={"If-Match": made.headers["etag"]})
    assert edited.status_code == 200, edited.text
    admin.delete("/catalogue/items/sparse").raise_for_status()


def test_a_service_written_anew_keeps_nothing_that_was_not_said(admin):
    made = admin.post("/catalogue/items", json=service("anew", cim_level=2, bbox=[1, 2, 3, 4]))
    address, first = "/catalogue/items/anew", {"If-Match": made.headers["etag"]}
    body = {"kind": "file", "title_en": "Anew"}
    assert_problem(admin.put(address, json=body), status=428, code="precondition-required")
    for wrong in ({"kind": "file"}, {"title_en": "x"}, {**body, "id": "other"}, {**body, "kind": None}):
        assert admin.put(address, json=wrong, headers=first).status_code == 400, wrong
    written = admin.put(address, json={**body, "id": "anew"}, headers=first)
    assert written.status_code == 200, written.text
    properties = written.json()["properties"]
    assert (properties["kind"], properties["title"], properties["title_zh"]) == ("file", "Anew", "")
    assert properties["endpoints"] == properties["keywords"] == properties["contacts"] == []
    assert (properties["cimLevel"], properties["shareClass"], written.json()["geometry"]) == (None, "conditional", None)
    assert_problem(admin.put(address, json=body, headers=first), status=412, code="precondition-failed")
    absent = admin.put("/catalogue/items/absent", json=body, headers={"If-Match": "*"})
    assert_problem(absent, status=404, code="not-found")


def test_of_two_edits_of_one_version_one_is_taken(admin):
    made = admin.post("/catalogue/items", json=service("race"))
    stated = {"If-Match": made.headers["etag"]}
    with ThreadPoolExecutor(8) as pool:
        edits = pool.map(
            lambda n: admin.patch("/catalogue/items/race", json={"title_en": f"Edit {n}"}, headers=stated), range(8)
        )
    assert sorted(answer.status_code for answer in edits) == [200] + [412] * 7


def test_a_draft_can_be_deleted(admin):
    admin.post("/catalogue/items", json=service("gone")).raise_for_status()
    assert admin.delete("/catalogue/items/gone").status_code == 204
    assert_problem(admin.get("/catalogue/items/gone"), status=404, code="not-found")
    assert_problem(admin.delete("/catalogue/items/gone"), status=404, code="not-found")


@pytest.mark.parametrize(
    ("change", "code", "parameter"),
    [
        ({"colour": "red"}, "unknown-parameter", "colour"),
        ({"id": "../x"}, "invalid-parameter", "id"),
        ({"id": None}, "invalid-parameter", "id"),
        ({"kind": "wmx"}, "invalid-parameter", "kind"),
        ({"title_zh": 5}, "invalid-parameter", "title_zh"),
        ({"title_zh": None, "title_en": None}, "invalid-parameter", "title_zh"),
        ({"title_en": "t" * 201}, "invalid-parameter", "title_en"),
        ({"title_en": "nul \x00"}, "invalid-parameter", "title_en"),
        ({"themes": "imagery"}, "invalid-parameter", "themes"),
        ({"themes": ["nul \x00"]}, "invalid-parameter", "themes"),
        ({"themes": ["  "]}, "invalid-parameter", "themes"),
        ({"organisation_id": "nobody"}, "invalid-parameter", "organisation_id"),
        ({"cim_level": 8}, "invalid-parameter", "cim_level"),
        ({"bbox": [1, 2, 3]}, "invalid-parameter", "bbox"),
        ({"bbox": [3, 2, 1, 4]}, "invalid-parameter", "bbox"),
        ({"area_code": "44a"}, "invalid-parameter", "area_code"),
        ({"share_class": "free"}, "invalid-parameter", "share_class"),
        ({"endpoints": [{"url": "https://a.example/", "kind": "nul \x00"}]}, "invalid-parameter", "endpoints"),
        ({"endpoints": [{"title": "no address"}]}, "invalid-parameter", "endpoints"),
        ({"endpoints": {}}, "invalid-parameter", "endpoints"),
    ],
)
def test_a_member_that_is_not_allowed_is_named(admin, change, code, parameter):
    response = admin.post("/catalogue/items", json={**service("refused"), **change})
    assert_problem(response, status=400, code=code, parameter=parameter)
    assert_problem(admin.get("/catalogue/items/refused"), status=404, code="not-found")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "//evil.example/x",
        "https://user:secret@maps.example/",
        "https:///x",
        "https://a.example/\n",
        "file:///etc/passwd",
        "gopher://maps.example/",
        "http://127.0.0.1:5432/",
        "http://localhost/wms",
        "http://[::1]/wms",
    ],
)
def test_B32_an_endpoint_that_may_not_be_called_is_refused(admin, url):
    response = admin.post("/catalogue/items", json={**service("refused"), "endpoints": [{"url": url}]})
    assert_problem(response, status=422, code="upstream-refused", parameter="endpoints")
    assert_problem(admin.get("/catalogue/items/refused"), status=404, code="not-found")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"null"])
def test_a_body_that_is_no_object_is_refused(admin, body):
    response = admin.post("/catalogue/items", content=body, headers={"Content-Type": "application/json"})
    assert_problem(response, status=400, code="invalid-body")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"kind": "wmx"}, "kind"), ({"share-class": "free"}, "share-class"), ({"state": "lost"}, "state"),
        ({"bbox": "1,2"}, "bbox"), ({"limit": "0"}, "limit"), ({"cursor": "made-up"}, "cursor"),
        ({"q": " ".join("abcdefghijklmnopqrstuvwxyz12345")}, "q"), ({"area": "44x"}, "area"), ({"mine": "yes"}, "mine"),
        ({"health": "well"}, "health"),
    ],
)  # fmt: skip
def test_a_search_that_is_wrong_is_named(anyone, query, parameter):
    response = anyone.get("/catalogue/items", params=query)
    assert_problem(response, status=400, code="invalid-parameter", parameter=parameter)


def test_paging_walks_every_service_once(admin, anyone):
    wanted = {f"page-{n}" for n in range(7)}
    for service_id in wanted:
        put_on_the_shelf(admin, service_id, themes=["paging"], kind="xyz")
    seen, address = [], "/catalogue/items?limit=2&theme=paging"
    while address:
        page = anyone.get(address).json()
        assert page["numberReturned"] == len(page["features"]) <= 2
        seen += [record["id"] for record in page["features"]]
        address = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
    assert seen == sorted(wanted)
    first = anyone.get("/catalogue/items", params={"limit": 2, "theme": "paging"}).json()
    cursor = next(link["href"] for link in first["links"] if link["rel"] == "next").partition("cursor=")[2]
    other = anyone.get(f"/catalogue/items?limit=2&theme=imagery&cursor={cursor}")
    assert_problem(other, status=400, code="invalid-parameter", parameter="cursor")


def test_a_hostile_title_is_shown_as_text(admin, anyone):
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    put_on_the_shelf(admin, "hostile", title_zh=hostile, title_en=hostile, description_en=hostile, themes=["hostile"])
    for path in ("/catalogue/items/hostile?f=html", "/catalogue/items?f=html&theme=hostile"):
        for language in ("en", "zh-CN"):
            page = anyone.get(path, headers={"Accept-Language": language})
            assert page.headers["content-type"].startswith("text/html")
            assert "&lt;script&gt;alert(1)" in page.text
            assert "<script>alert" not in page.text
            assert "<img src=x" not in page.text
    assert anyone.get("/catalogue/items/hostile").json()["properties"]["title"] == hostile


def test_a_record_is_in_the_language_asked_for(admin, anyone):
    put_on_the_shelf(admin, "tongues", endpoints=[{"url": "/collections/buildings/items", "kind": "features"}])
    for language, title in (("en", "Historical imagery"), ("zh-CN", "历史影像服务")):
        record = anyone.get("/catalogue/items/tongues", headers={"Accept-Language": language}).json()
        assert record["properties"]["title"] == title
        assert record["type"] == "Feature"
        (link,) = [link for link in record["links"] if link["rel"] == "service"]
        assert anyone.get(link["href"]).status_code == 200


def test_a_record_that_was_read_is_new_in_another_language_and_under_a_new_name_of_its_owner(admin, anyone):
    put_on_the_shelf(admin, "read-before", organisation_id="water")
    address, chinese = "/catalogue/items/read-before", {"Accept-Language": "zh-CN"}
    tag = anyone.get(address, headers=chinese).headers["etag"]
    assert anyone.get(address, headers={**chinese, "If-None-Match": f'"x", W/{tag}'}).status_code == 304
    assert anyone.get(address, headers={"Accept-Language": "en", "If-None-Match": tag}).status_code == 200
    names = {"name_zh": "水务管理局", "name_en": "Water Authority"}
    admin.put("/catalogue/organisations/water", json=names).raise_for_status()
    again = anyone.get(address, headers={**chinese, "If-None-Match": tag})
    assert again.status_code == 200
    assert again.json()["properties"]["contacts"][0]["organization"] == "水务管理局"
    assert admin.patch(address, json={"licence": "CC0-1.0"}, headers={"If-Match": tag}).status_code == 200


def test_the_catalogue_leads_to_its_records_and_organisations(admin, anyone):
    page = anyone.get("/catalogue").json()
    assert page["itemType"] == "record"
    for link in page["links"]:
        if link["rel"] != "profile":  # a name, in OGC's register
            assert anyone.get(link["href"]).status_code == 200, link
    known = anyone.get("/catalogue/organisations").json()["organisations"]
    assert {"planning", "water"} <= {one["id"] for one in known}
    assert anyone.get("/catalogue?f=html").headers["content-type"].startswith("text/html")


def test_changes_are_for_admins_only(admin, anyone):
    reader = admin.post("/admin/keys", json={"role": "reader", "label": "reads"}).json()["key"]
    put_on_the_shelf(admin, "guarded")
    calls = [
        ("POST", "/catalogue/items", service("mine")),
        ("PUT", "/catalogue/items/guarded", {"kind": "wms", "title_en": "mine"}),
        ("PATCH", "/catalogue/items/guarded", {"title_en": "mine"}),
        ("DELETE", "/catalogue/items/guarded", None),
        ("POST", "/catalogue/items/guarded/publish", None),
        ("POST", "/catalogue/items/guarded/withdraw", None),
        ("PUT", "/catalogue/organisations/mine", {"name_en": "Mine"}),
        ("GET", "/admin/keys", None),
        ("POST", "/admin/keys", {"role": "admin"}),
        ("DELETE", "/admin/keys/cim_xxxxxxxx", None),
    ]
    for method, path, body in calls:
        refused = anyone.request(method, path, json=body)
        assert_problem(refused, status=401, code="unauthorized")
        assert refused.headers["www-authenticate"].startswith("Bearer")
        for headers in ({"X-API-Key": reader}, {"Authorization": f"bearer {reader}"}):
            assert_problem(anyone.request(method, path, json=body, headers=headers), status=403, code="forbidden")
        wrong = anyone.request(method, path, json=body, headers={"X-API-Key": ADMIN + "x"})
        assert_problem(wrong, status=401, code="unauthorized")
    assert anyone.get("/catalogue/items/guarded").json()["properties"]["title_en"] == "Historical imagery"
    assert anyone.get("/catalogue/items/guarded", headers={"X-API-Key": reader}).status_code == 200
