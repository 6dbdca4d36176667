"""Strict scalars: what a request says, as values, or the error that names the parameter (catalogue A8, B22, B26).

Nothing here is lenient: a parameter that is unknown, given twice, empty, or not UTF-8 is refused.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
from starlette.requests import Request

from cim.bbox import parse_number
from cim.errors import (
    InvalidBody,
    InvalidParameter,
    KeyInQuery,
    TooLarge,
    TooNested,
    UnknownParameter,
    UnsupportedMedia,
)
from cim.interval import parse_date, parse_instant
from cim.model import Kind, Property
from cim.query.feature_query import MAX_LIMIT
from cim.quoting import quoted

MAX_QUERY_BYTES = 16_384
MAX_TEXT = 2_000
MAX_QUERY_BODY = 1024 * 1024

ALWAYS = ("f", "lang")
"""Parameters of every resource: the representation, and the language of its texts."""
LONG = ("filter",)
"""Parameters that say more than a word."""
KEY_NAMES = ("key", "api_key", "apikey", "api-key", "x-api-key", "access_token", "authorization", "token")
"""Parameters that clients send keys in; one that the resource defines (a property of that name) is not refused."""

_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_UNESCAPED = re.compile(rb"[A-Za-z0-9._~,:/*-]*")
_LINES = {ord(c): " " for c in "\t\r\n"}
_DIGITS = re.compile(r"\d{1,30}", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_INT64 = 2**63


def check_text(name: str, value: str) -> str:
    """`value` if it can be stored and shown: no control characters, no lone surrogates, of reasonable length."""
    if _CONTROL.search(value):
        raise InvalidParameter(name, value, "control characters are not allowed")
    if len(value) > MAX_TEXT:
        raise InvalidParameter(name, value, f"at most {MAX_TEXT:,} characters")
    return value


def _decoded(piece: bytes) -> str:
    if _UNESCAPED.fullmatch(piece):
        return piece.decode("ascii")
    try:
        return unquote_to_bytes(piece.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidParameter("query", piece[:100], "the query string is not percent-encoded UTF-8") from error


def query_parameters(request: Request, known: Collection[str]) -> dict[str, str]:
    """The query string as names and values, each once.

    Raises UnknownParameter (/req/core/query-param-unknown), InvalidParameter for one given twice or not UTF-8.
    """
    raw: bytes = request.scope["query_string"]
    if not raw:
        return {}
    if len(raw) > MAX_QUERY_BYTES:
        raise InvalidParameter("query", raw[:50], f"the query string has more than {MAX_QUERY_BYTES:,} bytes")
    values: dict[str, str] = {}
    for piece in raw.split(b"&"):
        if not piece:
            continue
        name_bytes, _, value_bytes = piece.partition(b"=")
        name = _decoded(name_bytes)
        if name not in known and name not in ALWAYS:
            raise KeyInQuery(name) if name.lower() in KEY_NAMES else UnknownParameter(name, {*known, *ALWAYS})
        if name in values:
            raise InvalidParameter(name, _decoded(value_bytes), "the parameter is given more than once")
        values[name] = _checked(name, _decoded(value_bytes))
    return values


def _checked(name: str, value: str) -> str:
    """`value` as `check_text` has it; one of LONG may have lines, and be as long as the query string."""
    if name not in LONG:
        return check_text(name, value)
    if _CONTROL.search(value.translate(_LINES)):
        raise InvalidParameter(name, value, "control characters are not allowed")
    return value


def parse_limit(text: str) -> int:
    """Page size: 1 and up; more than the maximum is the maximum (/req/core/fc-limit-response-1)."""
    if not _DIGITS.fullmatch(text) or int(text) < 1:
        raise InvalidParameter(
            "limit", text, f"must be a whole number from 1; more than {MAX_LIMIT:,} gives {MAX_LIMIT:,}"
        )
    return min(int(text), MAX_LIMIT)


def parse_value(declared: Property, text: str) -> object:
    """A property's value as its kind takes it. Raises InvalidParameter."""
    match declared.kind:
        case Kind.TEXT:
            return text
        case Kind.INTEGER:
            if _INTEGER.fullmatch(text) and -_INT64 <= int(text) < _INT64:
                return int(text)
            allowed = "must be a whole number of 64 bits"
        case Kind.NUMBER:
            number = parse_number(text)
            if number is not None:
                return number
            allowed = "must be a finite decimal number"
        case Kind.BOOLEAN:
            if text in ("true", "false"):
                return text == "true"
            allowed = "must be true or false"
        case Kind.DATE:
            day = parse_date(text)
            if day is not None:
                return day
            allowed = "must be a date, YYYY-MM-DD"
        case Kind.INSTANT:
            instant = parse_instant(text.replace(" ", "+"))
            if instant is not None:
                return instant
            allowed = "must be an RFC 3339 instant, such as 2024-05-01T00:00:00Z"
        case _:
            allowed = "features cannot be asked for by a property that is a document"
    raise InvalidParameter(declared.name, text, allowed)


def parse_json_value(declared: Property, value: Any) -> object:
    """The same for a value of a JSON body; null asks for features without the property."""
    if value is None:
        if declared.kind is Kind.JSON:
            return parse_value(declared, "null")
        return None
    if declared.kind is Kind.BOOLEAN and isinstance(value, bool):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if declared.kind is Kind.NUMBER and is_number:
        return float(value)
    if declared.kind is Kind.INTEGER and is_number and isinstance(value, int):
        return parse_value(declared, str(value))
    textual = declared.kind not in (Kind.BOOLEAN, Kind.NUMBER, Kind.INTEGER)
    if textual and isinstance(value, str):
        return parse_value(declared, check_text(declared.name, value))
    raise InvalidParameter(declared.name, value, f"must be a JSON value of the kind {declared.kind.value}")


async def json_object(request: Request, *, max_bytes: int = MAX_QUERY_BODY) -> dict[str, Any]:
    """The JSON object in a request's body. Raises UnsupportedMedia, TooLarge, TooNested, InvalidBody."""
    return json_object_of(await json_bytes(request, max_bytes=max_bytes))


async def json_bytes(request: Request, *, max_bytes: int = MAX_QUERY_BODY) -> bytes:
    """The body of a request that says it is JSON. Raises UnsupportedMedia, TooLarge."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMedia("the body must be sent as Content-Type: application/json")
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > max_bytes:
            raise TooLarge(f"the body has more than {max_bytes:,} bytes, which is the most taken here")
    return bytes(received)


def json_object_of(text: bytes) -> dict[str, Any]:
    """JSON text that is an object. Raises TooNested, InvalidBody."""
    document = parse_json(text)
    if not isinstance(document, dict):
        raise InvalidBody("the body must be a JSON object")
    return document


def parse_json(text: bytes) -> Any:
    """JSON (RFC 8259, UTF-8) as Python values; no NaN, no lone surrogates, no numbers beyond a double, no name twice."""
    try:
        document = orjson.loads(text)
        json.loads(text, object_pairs_hook=_check_names, parse_int=len, parse_float=len)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            raise TooNested("the JSON is nested too deeply") from error
        raise InvalidBody(f"the body is not valid JSON: {error}"[:300]) from error
    except RecursionError as error:
        raise TooNested("the JSON is nested too deeply") from error
    return document


def _check_names(members: list[tuple[str, Any]]) -> None:
    """Refuse an object that holds a name twice: what such a one means is left open (RFC 8259, 4)."""
    seen = set()
    for name, _ in members:
        if name in seen:
            raise InvalidBody(f"the member {quoted(name)} comes twice in an object")
        seen.add(name)


def check_members(body: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise UnknownParameter for a member that the resource does not define."""
    allowed = tuple(known)
    for name in body:
        if name not in allowed:
            raise UnknownParameter(name, allowed)
