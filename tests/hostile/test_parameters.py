"""Strings, numbers and boxes that no client should send: refused by name, never a fault (B18, B22, B24, B26, B27, B31)."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from tests.city import City, square
from tests.hostile.payloads import ALL
from tests.hostile.raw import exchange
from tests.problems import assert_problem

ITEMS = "/collections/buildings/items"
SEARCH = "/collections/buildings/search"
AGGREGATE = "/collections/buildings/aggregate"


@pytest.fixture(scope="module", autouse=True)
def town(city: City, client: Any) -> City:
    """Three buildings."""
    for n in range(3):
        city.building(square(114 + n * 0.01, 22.5), use="office")
    city.settle(client)
    return city


def refused_or_empty(answer: Any) -> None:
    """An ordinary empty result, or the problem of a client's mistake."""
    if answer.status_code == 200:
        document = answer.json()
        assert document.get("features", []) == []
        assert document.get("total", {"count": 0})["count"] == 0
        return
    assert answer.status_code in (204, 400, 404), (answer.status_code, answer.text[:300])
    if answer.status_code != 204:
        assert answer.headers["content-type"] == "application/problem+json"
        assert "syntax error" not in answer.text


@pytest.mark.parametrize(
    "place", ["use", "area", "bbox", "datetime", "cursor", "name", "collection", "feature", "parameter", "group"]
)
def test_B18_sql_text_in_every_string_of_a_get(client: Any, town: City, place: str) -> None:
    started = time.monotonic()
    for text in ALL:
        escaped = quote(text, safe="")
        url = {
            "collection": f"/collections/{escaped}/items",
            "feature": f"{ITEMS}/{escaped}",
            "parameter": f"{ITEMS}?{escaped}=1",
            "group": f"{AGGREGATE}?group-by={escaped}",
        }.get(place, f"{ITEMS}?{place}={escaped}")
        if text in ("..", "../.."):  # a path of its own, and an interval open at both ends
            continue
        refused_or_empty(client.get(url))
    assert time.monotonic() - started < 60
    assert town.count("buildings") == 3


def test_B18_sql_text_in_every_string_of_a_body(client: Any, town: City) -> None:
    for text in (one for one in ALL if one != "../.."):
        for body in (
            {"properties": {"use": text}},
            {"properties": {text: "x"}},
            {"area": text},
            {"datetime": text},
            {"cursor": text},
            {text: 1},
            {"geometry": {"type": text, "coordinates": [1, 1]}},
        ):
            refused_or_empty(client.post(SEARCH, json=body))
        refused_or_empty(client.post(AGGREGATE, json={"group-by": text}))
    assert town.count("buildings") == 3


@pytest.mark.parametrize(
    "limit", ["0", "-1", "abc", "10.0", "1_000", "1e3", "", " 5", "5 ", "+5", "٥", "NaN", "9" * 5000, "0x10", "null"]
)
def test_B22_limits_that_are_no_limit(client: Any, limit: str) -> None:
    answer = client.get(ITEMS, params={"limit": limit})
    if limit == "9" * 5000:
        assert_problem(answer, status=400, code="invalid-parameter")
    else:
        assert_problem(answer, status=400, code="invalid-parameter", parameter="limit")


@pytest.mark.parametrize("limit", [0, -1, 1.5, "5", True, None, [1], {"a": 1}, 1e3])
def test_B22_limits_in_a_body(client: Any, limit: Any) -> None:
    answer = client.post(SEARCH, json={"limit": limit})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="limit")


def test_B22_a_huge_limit_is_the_maximum(client: Any) -> None:
    for answer in (client.get(ITEMS, params={"limit": 10**9}), client.post(SEARCH, json={"limit": 10**9})):
        assert answer.status_code == 200
        assert answer.json()["numberReturned"] == 3


def test_B22_offsets_and_unknown_parameters_are_refused(client: Any) -> None:
    assert_problem(
        client.get(ITEMS, params={"offset": 10**9}), status=400, code="unknown-parameter", parameter="offset"
    )
    assert_problem(client.post(SEARCH, json={"offset": 5}), status=400, code="unknown-parameter", parameter="offset")
    assert_problem(client.get(ITEMS, params={"hight_m": 5}), status=400, code="unknown-parameter", parameter="hight_m")


@pytest.mark.parametrize(
    "path",
    [
        "99/0/0",
        "3/0/8",
        "3/8/0",
        "-1/0/0",
        "3/-1/0",
        "3/0/-1",
        "03/0/0",
        "3/1.0/1",
        "a/b/c",
        f"3/{'9' * 5000}/0",
        "25/0/0",
        "3/٣/1",
        "1e1/0/0",
    ],
)
def test_B24_tiles_that_do_not_exist(client: Any, town: City, path: str) -> None:
    with town.connection.transaction():
        town.connection.execute("LOCK TABLE cim.building IN ACCESS EXCLUSIVE MODE")  # a statement would wait for us
        answer = client.get(f"/collections/buildings/tiles/WebMercatorQuad/{path}", timeout=5)
    assert_problem(answer, status=404, code="not-found")


CONTROLS = ["%00", "a%00b", "%01", "%1b[2J", "%7f", "%ed%a0%80", "%ff", "%c0%80", "%0d%0aSet-Cookie:x", "%f4%90%80%80"]


@pytest.mark.parametrize("text", CONTROLS)
def test_B26_controls_and_broken_utf8_in_a_query(client: Any, text: str) -> None:
    for url in (
        f"{ITEMS}?use={text}",
        f"{ITEMS}?{text}=1",
        f"{ITEMS}?bbox={text}",
        f"{ITEMS}?cursor={text}",
        f"/api?f={text}",
    ):
        answer = client.get(url)
        assert answer.status_code == 400, (url, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        answer.json()
    for url in (f"/collections/{text}", f"{ITEMS}/{text}", f"/{text}"):
        assert client.get(url).status_code in (400, 404), url


@pytest.mark.parametrize("literal", ['"\\u0000"', '"a\\u0000b"', '"\\u001b"', '"\\ud800"', '"\\udc00x"', '"a\\u0007"'])
def test_B26_controls_and_lone_surrogates_in_a_body(client: Any, literal: str) -> None:
    for template in (
        '{"properties":{"use":%s}}',
        '{"area":%s}',
        '{"datetime":%s}',
        '{"cursor":%s}',
        "{%s:1}",
        '{"properties":{%s:1}}',
    ):
        answer = client.post(
            SEARCH, content=(template % literal).encode(), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400, (template, answer.text)
        json.loads(answer.content.decode("utf-8"))


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "0x1", "01", "1_000", ".5", "9" * 400]
)
def test_B27_numbers_that_json_does_not_have(client: Any, number: str) -> None:
    for template in (
        '{"bbox":[%s,0,1,1]}',
        '{"limit":%s}',
        '{"properties":{"height_m":%s}}',
        '{"geometry":{"type":"Point","coordinates":[%s,1]}}',
    ):
        answer = client.post(SEARCH, content=(template % number).encode(), headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, (template, answer.text)
        json.loads(answer.content)


@pytest.mark.parametrize(
    "host",
    ["evil.example/", "a?b", "a@b", "a b", "", "[::1", "a:b", "a:999999", "a\\b", "a#b", "<x>"],
)
def test_B31_malformed_hosts_are_refused(client: Any, host: str) -> None:
    status, received = exchange(
        str(client.base_url), f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )
    assert status == 400, received[:300]


def test_B31_no_host_and_two_hosts_are_refused(client: Any) -> None:
    for head in ("", "Host: a\r\nHost: b\r\n"):
        status, _ = exchange(str(client.base_url), f"GET / HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
        assert status == 400


def test_B31_links_use_the_configured_address_only(client: Any) -> None:
    lies = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example;proto=https",
        "X-Original-URL": "/evil",
    }
    for path in ("/", ITEMS, "/collections", f"{ITEMS}/test.000001", "/api", "/nothing"):
        answer = client.get(path, headers=lies)
        assert answer.status_code in (200, 404)
        assert "evil" not in answer.text
        assert "evil" not in str(answer.headers)


def test_the_database_log_has_no_syntax_error(client: Any, town: City, tmp_path: Path) -> None:
    """Every statement that the tests above caused was well-formed: none of them failed to parse."""
    with pytest.raises(psycopg.errors.SyntaxError):
        town.connection.execute("SELECT FROM WHERE")
    row = town.connection.execute(
        "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    for text in ALL:
        client.get(f"{ITEMS}?use={quote(text, safe='')}")
    after = town.connection.execute(
        "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    assert after is not None
    assert after[0] - row[0] <= 1
