"""Hostile strings and numbers at the catalogue, STAC, keys and loads: refused by name or plainly not found, never a fault."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx2
import psycopg
import pytest

from cim.catalogue.search import search_terms
from tests.catalogue import shared
from tests.catalogue.conftest import ADMIN, put_on_the_shelf, service
from tests.conftest import Server
from tests.hostile.payloads import ALL
from tests.problems import assert_problem

running, module_database_url = shared.running, shared.module_database_url

GETS = (
    "/catalogue/items?q={}",
    "/catalogue/items?theme={}",
    "/catalogue/items?organisation={}",
    "/catalogue/items?kind={}",
    "/catalogue/items?share-class={}",
    "/catalogue/items?state={}",
    "/catalogue/items?area={}",
    "/catalogue/items?bbox={}",
    "/catalogue/items?cursor={}",
    "/catalogue/items?{}=1",
    "/catalogue/items/{}",
    "/stac/search?ids={}",
    "/stac/search?collections={}",
    "/stac/search?bbox={}",
    "/stac/search?datetime={}",
    "/stac/search?intersects={}",
    "/stac/search?token={}",
    "/stac/collections/{}",
    "/stac/collections/{}/items",
    "/stac/collections/x/items/{}",
    "/admin/loads?cursor={}",
    "/admin/loads/{}",
    "/admin/loads/{}/rejections",
)
OPEN = {"/stac/search?datetime={}": ("..", "../..")}
"""Payloads that mean something there."""


@pytest.fixture(scope="module")
def shelf(admin: httpx2.Client, module_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Two services on the shelf."""
    for service_id in ("only", "other"):
        put_on_the_shelf(admin, service_id)
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        yield connection


def counted(connection: psycopg.Connection[Any]) -> tuple[Any, ...] | None:
    return connection.execute(
        "SELECT (SELECT count(*) FROM cim.service), (SELECT count(*) FROM cim.organisation), "
        "(SELECT count(*) FROM cim.api_key WHERE revoked_at IS NULL), (SELECT count(*) FROM cim.load_run)"
    ).fetchone()


def is_plain(answer: httpx2.Response, text: str) -> bool:
    """An empty result, records that the words really stand in, or the problem of a client's mistake."""
    if answer.status_code == 200:
        found = answer.json().get("features", [])
        terms = [term.lower().replace("\u0307", "") for term in search_terms(text)]  # İ is i to PostgreSQL
        return all(term in str(record).lower() for record in found for term in terms)
    return (
        answer.status_code in (400, 404)
        and answer.headers["content-type"] == "application/problem+json"
        and "syntax error" not in answer.text
        and len(answer.content) <= 8192
    )


@pytest.mark.parametrize("address", GETS)
def test_B18_sql_text_in_every_string_of_a_get(admin: httpx2.Client, shelf: Any, address: str) -> None:
    before = counted(shelf)
    for text in ALL:
        if text in OPEN.get(address, ()) or (text in ("..", "../..") and "?" not in address):
            continue
        answer = admin.get(address.format(quote(text, safe="")))
        assert is_plain(answer, text), (text, answer.status_code, answer.text[:300])
    assert counted(shelf) == before


def test_B18_sql_text_in_a_search_body_and_a_path_to_delete(admin: httpx2.Client, shelf: Any) -> None:
    before = counted(shelf)
    for text in ALL:
        for body in (
            {"ids": [text]},
            {"collections": [text]},
            {"token": text},
            {text: 1},
            {"intersects": {"type": text}},
        ):
            answer = admin.post("/stac/search", json=body)
            assert is_plain(answer, text), (body, answer.status_code, answer.text[:300])
        if text not in ("..", "../.."):
            assert is_plain(admin.delete(f"/admin/keys/{quote(text, safe='')}"), text), text
            assert is_plain(admin.delete(f"/catalogue/items/{quote(text, safe='')}"), text), text
    assert counted(shelf) == before


def test_B18_what_is_registered_comes_back_as_it_was_sent(admin: httpx2.Client, shelf: Any) -> None:
    for text in ALL:
        wanted = text.strip()
        if len(wanted) > 200:
            continue
        made = admin.post("/catalogue/items", json=service("quoted", title_en=text, description_zh=text, contact=text))
        assert made.status_code == 201, (text, made.text)
        properties = made.json()["properties"]
        assert (properties["title_en"], properties["description_zh"]) == (wanted, wanted)
        assert properties["contacts"][0]["name"] == wanted
        assert admin.delete("/catalogue/items/quoted").status_code == 204


@pytest.mark.parametrize("path", ["/catalogue/items", "/stac/search", "/stac/collections/x/items", "/admin/loads"])
@pytest.mark.parametrize("limit", ["0", "-1", "abc", "10.0", "1_000", "1e3", "", " 5", "+5", "٥", "NaN", "0x10"])
def test_B22_limits_that_are_no_limit(admin: httpx2.Client, path: str, limit: str) -> None:
    answer = admin.get(path, params={"limit": limit})
    if path == "/catalogue/items" and limit == "":
        assert answer.status_code == 200  # OGC 20-004r1, /req/record-core-query-parameters/empty-value
    elif "/x/" in path:
        assert answer.status_code in (400, 404)
    else:
        assert_problem(answer, status=400, code="invalid-parameter", parameter="limit")


def test_B22_a_huge_limit_is_the_maximum(admin: httpx2.Client, shelf: Any) -> None:
    for answer in (
        admin.get("/catalogue/items", params={"limit": 10**9}),
        admin.get("/stac/search", params={"limit": 10**9}),
        admin.post("/stac/search", json={"limit": 10**9}),
        admin.get("/admin/loads", params={"limit": 10**9}),
    ):
        assert answer.status_code == 200, answer.text
    for path in ("/catalogue/items", "/stac/search", "/admin/loads"):
        refused = admin.get(path, params={"offset": 10**9})
        assert_problem(refused, status=400, code="unknown-parameter", parameter="offset")


@pytest.mark.parametrize("text", ["%00", "a%00b", "%1b[2J", "%7f", "%ed%a0%80", "%ff", "%c0%80", "%f4%90%80%80"])
@pytest.mark.parametrize(
    "address", ["/catalogue/items?q={}", "/stac/search?ids={}", "/catalogue/items/{}", "/stac/collections/{}"]
)
def test_B26_controls_and_broken_utf8(admin: httpx2.Client, address: str, text: str) -> None:
    answer = admin.get(address.format(text))
    assert answer.status_code in (400, 404), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["title_zh", "description_en", "licence", "contact", "area_code", "id"])
@pytest.mark.parametrize("value", [b'"a\\u0000b"', b'"\\ud800"', b'"\xff"', b"NaN", b"true", b"[]", b"{}", b"1e999"])
def test_B26_B27_values_that_are_no_text(admin: httpx2.Client, shelf: Any, name: str, value: bytes) -> None:
    before = counted(shelf)
    members = b'"id": "odd", "kind": "wms", "title_en": "odd"' if name != "id" else b'"kind": "wms", "title_en": "odd"'
    body = b"{" + members + b', "' + name.encode() + b'": ' + value + b"}"
    answer = admin.post("/catalogue/items", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert counted(shelf) == before


@pytest.mark.parametrize("path", ["/catalogue", "/catalogue/items", "/catalogue/items/only", "/stac", "/stac/search"])
def test_B31_links_are_of_this_node_whatever_host_the_caller_names(admin: httpx2.Client, shelf: Any, path: str) -> None:
    for headers in (
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"},
        {"Forwarded": "host=evil.example;proto=https"},
    ):
        answer = admin.get(path, headers=headers)
        assert answer.status_code in (200, 400)
        assert "evil.example" not in answer.text
        assert "evil.example" not in str(answer.headers)


def test_nothing_of_all_this_was_a_fault(admin: httpx2.Client, running: Server, shelf: Any) -> None:
    assert admin.get("/health/ready").status_code == 200
    log = running.log.read_text(encoding="utf-8", errors="replace")
    assert "status=500" not in log
    assert "Traceback" not in log
    assert ADMIN not in log
