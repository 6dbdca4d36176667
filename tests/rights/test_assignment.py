"""Members that nobody may set by a body: rights, states, versions, times (catalogue B41)."""

from typing import Any

import httpx2
import pytest

from tests.catalogue.conftest import service
from tests.city import City
from tests.problems import assert_problem
from tests.rights.conftest import Caller
from tests.rights.town import FUTIAN, NANSHAN, Town

FORBIDDEN = {
    "state": "published", "version": 99, "published_at": "2024-05-01T00:00:00Z", "created_at": "2020-01-01T00:00:00Z",
    "updated_at": "2020-01-01T00:00:00Z", "role": "admin", "roles": ["admin"], "is_admin": True, "owner": "planning",
    "caller": "key cim_x", "hidden": [], "__proto__": {"role": "admin"},
}  # fmt: skip


@pytest.fixture(scope="module")
def draft(admin: httpx2.Client) -> str:
    """The id of a draft of the planning bureau's."""
    assert admin.put("/catalogue/organisations/planning", json={"name_zh": "规划局"}).status_code == 204
    assert admin.post("/catalogue/items", json=service("plan")).status_code == 201
    return "plan"


def stored(city: City, table: str) -> Any:
    """Its rows, but for the day that a key was last used on."""
    told = f"SELECT to_jsonb(t) - 'last_used_on' FROM cim.{table} AS t ORDER BY 1::text"
    return city.connection.execute(told.encode()).fetchall()


@pytest.mark.parametrize("member", FORBIDDEN)
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_B41_a_service_has_no_such_member(admin, city, draft, method, member):
    before = stored(city, "service")
    body = {**(service("other") if method == "POST" else {"title_en": "changed"}), member: FORBIDDEN[member]}
    address = "/catalogue/items" if method == "POST" else f"/catalogue/items/{draft}"
    refused = admin.request(method, address, json=body, headers={"If-Match": "*"})
    assert_problem(refused, status=400, code="unknown-parameter")
    assert stored(city, "service") == before


def test_B41_an_id_is_not_changed_by_an_edit(admin, city, draft):
    before = stored(city, "service")
    for method in ("PATCH", "PUT"):
        refused = admin.request(method, f"/catalogue/items/{draft}", json=service("theirs"), headers={"If-Match": "*"})
        assert_problem(refused, status=400, code="invalid-parameter", parameter="id")
    assert stored(city, "service") == before


@pytest.mark.parametrize("member", ["prefix", "digest", "id", "created_at", "revoked_at", "caller", "key", "is_admin"])
def test_B41_nobody_chooses_what_is_kept_of_a_key(admin, city, member):
    before = stored(city, "api_key")
    assert_problem(admin.post("/admin/keys", json={member: "x"}), status=400, code="unknown-parameter")
    assert stored(city, "api_key") == before


@pytest.mark.parametrize("role", ["reader", "editor"])
def test_B41_a_key_does_not_raise_its_own_role(caller: Caller, city, role):
    client = caller(role=role)
    before = stored(city, "api_key")
    for body in ({"role": "admin"}, {"role": "editor", "area_code": None}, {"role": role}):
        assert_problem(client.post("/admin/keys", json=body), status=403, code="forbidden")
    prefix = client.headers["x-api-key"][:12]
    for method in ("PUT", "PATCH", "POST"):
        assert client.request(method, f"/admin/keys/{prefix}", json={"role": "admin"}).status_code == 405
    assert_problem(client.delete(f"/admin/keys/{prefix}"), status=403, code="forbidden")
    assert stored(city, "api_key") == before


def test_B41_an_organisation_has_its_names_and_contact_only(admin, city, draft):
    before = stored(city, "organisation")
    refused = admin.put("/catalogue/organisations/planning", json={"name_zh": "规划局", "role": "admin"})
    assert_problem(refused, status=400, code="unknown-parameter")
    assert stored(city, "organisation") == before


def test_B41_a_load_says_who_sent_it_by_the_key_alone(admin, city):
    before = stored(city, "load_run")
    for field in ("by", "loaded_by", "state", "id"):
        refused = admin.post(
            "/admin/loads", params={"kind": "buildings", "filename": "x.geojson", field: "x"}, content=b"{}"
        )
        assert_problem(refused, status=400, code="unknown-parameter")
    assert stored(city, "load_run") == before


@pytest.fixture(scope="module")
def nanshan(caller: Caller, town: Town) -> httpx2.Client:
    """An editor of Nanshan."""
    return caller(role="editor", area_code=NANSHAN)


def feature(lon: float, **properties: Any) -> dict[str, Any]:
    ring = [[lon, 22.53], [lon + 1e-4, 22.53], [lon + 1e-4, 22.5301], [lon, 22.5301], [lon, 22.53]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"use": "office", **properties},
    }


@pytest.mark.parametrize(
    "property_",
    ["area_code", "valid_from", "source", "source_id", "recorded_at", "load_run_id", "role", "superseded_at"],
)
def test_B41_an_editor_writes_no_property_that_the_server_keeps(nanshan, city, town, property_):
    before = stored(city, "building")
    value = FUTIAN if property_ == "area_code" else "2020-01-01T00:00:00Z"
    home = "/collections/buildings/items"
    for method, address, body, media in (
        ("POST", home, feature(113.93, **{property_: value}), "application/geo+json"),
        ("PUT", f"{home}/{town.nanshan[0]}", feature(113.93, **{property_: value}), "application/geo+json"),
        ("PATCH", f"{home}/{town.nanshan[0]}", {"properties": {property_: value}}, "application/merge-patch+json"),
    ):
        refused = nanshan.request(method, address, json=body, headers={"If-Match": "*", "Content-Type": media})
        assert refused.status_code == 400, (method, refused.text)
    assert stored(city, "building") == before


def test_B40_an_editor_reaches_no_feature_of_another_district(nanshan, city, town):
    before = stored(city, "building")
    geo, merge = {"Content-Type": "application/geo+json"}, {"Content-Type": "application/merge-patch+json"}
    match = {"If-Match": "*"}
    for foreign in (town.futian[0], town.nowhere):
        address = f"/collections/buildings/items/{foreign}"
        answers = [
            nanshan.delete(address, headers=match),
            nanshan.patch(address, json={"properties": {"use": "industrial"}}, headers={**merge, **match}),
            nanshan.put(address, json=feature(113.93), headers={**geo, **match}),
            nanshan.put(address, json=feature(113.93), headers=geo),
        ]
        for answer in answers:
            assert answer.status_code in (403, 404, 409, 412), answer.text
    outside = feature(114.05)
    assert nanshan.post("/collections/buildings/items", json=outside, headers=geo).status_code == 403
    moved = nanshan.patch(
        f"/collections/buildings/items/{town.nanshan[0]}",
        json={"geometry": outside["geometry"]},
        headers={**merge, **match},
    )
    assert moved.status_code == 403, moved.text
    assert stored(city, "building") == before


def test_an_editor_changes_what_is_in_the_district(nanshan, caller, town):
    address = f"/collections/buildings/items/{town.nanshan[4]}"
    headers = {"Content-Type": "application/merge-patch+json", "If-Match": nanshan.get(address).headers["etag"]}
    assert nanshan.patch(address, json={"properties": {"name": "新楼"}}, headers=headers).status_code == 200
    assert nanshan.get(address).json()["properties"]["name"] == "新楼"
    for rights in ({"role": "reader"}, {"role": "editor", "collections": ["cameras"]}):
        refused = caller(**rights).patch(
            address, json={"properties": {"name": "x"}}, headers={**headers, "If-Match": "*"}
        )
        assert refused.status_code in (403, 404), refused.text
