"""Which representation a caller gets, and how OpenAPI 3.1 is said in 3.0."""

from typing import Any

import pytest
from starlette.requests import Request

from api.documents import GEOJSON, HTML, JSON, OPENAPI_30, OPENAPI_31
from api.negotiate import Representation, choose
from api.openapi_30 import to_30
from cim.errors import NotAcceptable

ITEMS = (Representation("json", GEOJSON, also=(JSON,)), Representation("html", HTML))
API = (
    Representation("json", OPENAPI_30, also=(JSON,)),
    Representation("openapi31", OPENAPI_31),
    Representation("html", HTML),
)


def request(accept: str | None, query: str = "") -> Request:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers, "query_string": query.encode()})


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "json"),
        ("*/*", "json"),
        ("text/html", "html"),
        ("text/*", "html"),
        ("application/json", "json"),
        ("application/geo+json", "json"),
        ("application/*;q=0.5, text/html;q=0.4", "json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", "html"),
        ("text/html;q=0.5, */*", "json"),
        ("text/html;q=0, */*;q=0.1", "json"),
        ("application/json;q=0, text/html;q=0.1", "html"),
        ("garbage", "json"),
        ("text/html;q=x, application/json", "json"),
        ("TEXT/HTML", "html"),
        ("application/geo+json; charset=utf-8", "json"),
    ],
)
def test_accept_decides(accept: str | None, chosen: str) -> None:
    assert choose(request(accept), ITEMS).f == chosen


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("application/vnd.oai.openapi+json;version=3.0", "json"),
        ("application/vnd.oai.openapi+json;version=3.1", "openapi31"),
        ('application/vnd.oai.openapi+json; version="3.1"', "openapi31"),
        ("application/vnd.oai.openapi+json", "json"),
        ("application/json", "json"),
        (
            "application/vnd.oai.openapi+json;version=3.1;q=0.5, application/vnd.oai.openapi+json;version=3.0;q=0.9",
            "json",
        ),
    ],
)
def test_a_version_is_part_of_a_media_type(accept: str, chosen: str) -> None:
    assert choose(request(accept), API).f == chosen


def test_f_wins_over_accept() -> None:
    assert choose(request("text/html", "f=json"), ITEMS).f == "json"
    assert choose(request("image/png", "f=html"), ITEMS).f == "html"


def test_nothing_acceptable() -> None:
    for accept in ("image/png", "text/html;q=0, application/json;q=0, application/geo+json;q=0"):
        with pytest.raises(NotAcceptable):
            choose(request(accept), ITEMS)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"const": 1}, {"enum": [1]}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": "integer", "nullable": True}),
        ({"anyOf": [{"$ref": "#/x"}, {"type": "null"}]}, {"allOf": [{"$ref": "#/x"}], "nullable": True}),
        ({"exclusiveMinimum": 0}, {"minimum": 0, "exclusiveMinimum": True}),
        ({"examples": [1, 2]}, {"example": 1}),
        (
            {"properties": {"const": {"const": 2}, "type": {"type": "string"}}},
            {"properties": {"const": {"enum": [2]}, "type": {"type": "string"}}},
        ),
    ],
)
def test_openapi_31_is_said_as_30(schema: Any, expected: Any) -> None:
    assert to_30(schema) == expected
