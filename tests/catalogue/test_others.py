"""Drafts of an organisation and every address about them, for everybody else (B40): made from the API's own description."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import psycopg
import pytest

from tests.catalogue.conftest import Admin, keyed, put_on_the_shelf, service
from tests.conftest import Server

HIDDEN = "draft-of-planning"
DISTRICT, OTHER_DISTRICT = "440305", "440306"

CALLERS: dict[str, tuple[tuple[str, ...], str | None, str | None, bool]] = {
    "nobody": ((), None, None, False),
    "reader without an organisation": ((), None, None, False),
    "publisher of another organisation": (("publisher", "reviewer", "org_admin"), "water", None, False),
    "admin of another district": (("district_admin",), None, OTHER_DISTRICT, False),
    "colleague without a duty": ((), "planning", None, True),
    "publisher of the organisation": (("publisher",), "planning", None, True),
    "admin of the district": (("district_admin",), None, DISTRICT, True),
    "admin of the city": (("city_admin",), None, None, True),
}
"""Name → duties, organisation, district, and whether the draft exists for them: the one table of this file."""


@pytest.fixture(scope="module")
def callers(admin: Admin, running: Server, module_database_url: str) -> Iterator[dict[str, httpx2.Client]]:
    """A client each; the draft is there, in the district."""
    made = admin.post("/catalogue/items", json=service(HIDDEN, area_code=DISTRICT, title_en="Unseen by others"))
    assert made.status_code == 201
    clients = {
        name: httpx2.Client(base_url=running.url, timeout=30)
        if name == "nobody"
        else keyed(running, module_database_url, duties, organisation, area)
        for name, (duties, organisation, area, _) in CALLERS.items()
    }
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture(scope="module")
def operations(admin: Admin) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, address and description of every operation on one service."""
    paths = admin.get("/api?f=openapi31").json()["paths"]
    return [
        (method.upper(), re.sub(r"\{\w+\}", "1", path.replace("{serviceId}", HIDDEN)), operation)
        for path, methods in paths.items()
        if "{serviceId}" in path
        for method, operation in methods.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]


def rows(url: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT to_jsonb(s) FROM cim.service AS s UNION ALL SELECT to_jsonb(v) FROM cim.service_version AS v ORDER BY 1"
        ).fetchall()


def test_B40_no_operation_on_another_s_draft_is_answered(
    callers: dict[str, httpx2.Client], operations: list[tuple[str, str, dict[str, Any]]], module_database_url: str
) -> None:
    assert len(operations) >= 20
    before = rows(module_database_url)
    for name, (_, _, _, exists) in CALLERS.items():
        if exists:
            continue
        for method, address, operation in operations:
            content = list(operation.get("requestBody", {}).get("content", {}))
            headers = {"If-Match": "*", **({"Content-Type": content[0]} if content else {})}
            answer = callers[name].request(method, address, headers=headers, content=b"{}" if content else None)
            assert answer.status_code in (401, 403, 404), (name, method, address, answer.status_code, answer.text[:200])
            assert "Unseen" not in answer.text, (name, method, address)
    assert rows(module_database_url) == before


def test_B40_lists_counts_facets_and_files_agree_with_the_single_record(callers: dict[str, httpx2.Client]) -> None:
    for name, (_, _, _, exists) in CALLERS.items():
        client = callers[name]
        assert client.get(f"/catalogue/items/{HIDDEN}").status_code == (200 if exists else 404), name
        asked = {"organisation": "planning", "facets": "kind", "limit": "100"}
        listed = client.get("/catalogue/items", params=asked)
        assert listed.status_code == 200, listed.text
        document = listed.json()
        assert (HIDDEN in {one["id"] for one in document["features"]}) == exists, name
        buckets = {one["value"]: one["count"] for one in document["facets"]["kind"]["buckets"]}
        assert buckets.get("wms", 0) == len(document["features"]) == int(exists), name
        for params in (
            {"mine": "true"},
            {"q": "Unseen"},
            {"filter": "state = 'draft'"},
            {"ids": HIDDEN},
            {"sortby": "-updated"},
        ):
            found = client.get("/catalogue/items", params=params)
            assert (HIDDEN in {one["id"] for one in found.json()["features"]}) == exists, (name, params)
        for address in ("/catalogue/export?f=csv", "/catalogue?f=dcat", "/catalogue/items?f=dcat"):
            assert (HIDDEN in client.get(address).text) <= exists, (name, address)
        assert HIDDEN not in client.get("/catalogue/feed?f=atom").text
        assert client.get(f"/services/{HIDDEN}").status_code in (401, 404, 409), name


def test_what_is_mine_is_what_one_sees_in_every_state(callers: dict[str, httpx2.Client], admin: Admin) -> None:
    put_on_the_shelf(admin, "of-water", organisation_id="water", title_en="On the shelf of another")
    for name, (_, organisation, _, exists) in CALLERS.items():
        found = callers[name].get("/catalogue/items", params={"mine": "true", "limit": "100", "facets": "kind"}).json()
        ids = {one["id"] for one in found["features"]}
        assert (HIDDEN in ids) == exists, name
        assert ("of-water" in ids) == (organisation == "water" or name == "admin of the city"), name
        assert sum(one["count"] for one in found["facets"]["kind"]["buckets"]) == len(ids), name
    assert admin.get("/catalogue/items?mine=true&health=down").json()["features"] == []
    working = callers["publisher of the organisation"].get(f"/catalogue/items/{HIDDEN}").json()["working"]
    assert working["mayEdit"] is True
    assert callers["colleague without a duty"].get(f"/catalogue/items/{HIDDEN}").json()["working"]["mayEdit"] is False


def test_B40_who_sees_a_draft_may_do_what_their_duties_allow(callers: dict[str, httpx2.Client]) -> None:
    home = f"/catalogue/items/{HIDDEN}"
    edit = {"json": {"quality": "checked"}, "headers": {"If-Match": "*"}}
    assert callers["colleague without a duty"].patch(home, **edit).status_code == 403
    for name in ("publisher of the organisation", "admin of the district", "admin of the city"):
        assert callers[name].patch(home, **edit).status_code == 200, name
    assert callers["publisher of the organisation"].post(
        f"{home}/approve", json={"content_hash": "0" * 64}
    ).status_code in (
        403,
        409,
    )
