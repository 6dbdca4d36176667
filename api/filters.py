"""The parameters `filter`, `filter-lang` and `filter-crs` of a query string or a body (OGC 19-079r2, 8)."""

from collections.abc import Mapping
from typing import Any

from api.params import parse_json as decode_json
from cim.crs import Crs
from cim.errors import FilterTooComplex, InvalidBody, InvalidParameter, TooNested
from cim.model import Collection, Scope
from cim.query.filter import STATED, Node, Resolve, compile_filter, literal_geometries, parse_json, parse_text

TEXT, JSON = "cql2-text", "cql2-json"
LANGUAGES = (TEXT, JSON)
"""What `filter-lang` may say; the first is the default of a query string (/req/filter/filter-lang-param)."""

CQL2_CLASSES = tuple(
    f"http://www.opengis.net/spec/cql2/1.0/conf/{name}"
    for name in (
        "basic-cql2",
        "advanced-comparison-operators",
        "case-insensitive-comparison",
        "accent-insensitive-comparison",
        "basic-spatial-functions",
        "basic-spatial-functions-plus",
        "spatial-functions",
        "temporal-functions",
        "array-functions",
        "property-property",
        "functions",
        "arithmetic",
        "cql2-text",
        "cql2-json",
    )
)
"""Conformance classes of filters wherever one is taken, each with tests in tests/filter."""

_COLLECTION_OF = '{"type":"GeometryCollection","geometries":[%s]}'


def check_language(language: str) -> str:
    """`language` if it is one of LANGUAGES. Raises InvalidParameter."""
    if language not in LANGUAGES:
        raise InvalidParameter("filter-lang", language, f"must be {' or '.join(LANGUAGES)}")
    return language


def read_filter(value: Any, language: str | None, *, is_body: bool) -> Node:
    """The tree of a filter. In a body a text is CQL2 text and anything else CQL2-JSON, where `language` does not say.

    Raises InvalidParameter, FilterTooComplex.
    """
    if language is None:
        language = TEXT if isinstance(value, str) else JSON
    check_language(language)
    if language == TEXT:
        if not isinstance(value, str):
            raise InvalidParameter("filter", value, f"must be a text where filter-lang is {TEXT}")
        return parse_text(value)
    if not is_body:
        return parse_json(_decoded(value))
    if isinstance(value, str):
        raise InvalidParameter("filter", value, f"must be a JSON object where filter-lang is {JSON}")
    return parse_json(value)


def _decoded(text: str) -> Any:
    try:
        return decode_json(text.encode())
    except TooNested as error:
        raise too_nested() from error
    except InvalidBody as error:
        raise InvalidParameter("filter", text, error.detail.removeprefix("the body ")) from error


def too_nested() -> FilterTooComplex:
    """A filter so deep that it was not even read."""
    return FilterTooComplex(f"filter: it is nested too deeply; {STATED} are taken")


def filter_fields(
    node: Node,
    collection: Collection,
    scope: Scope,
    crs: Crs,
    resolve: Resolve | None = None,
    names: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The fields of FeatureQuery for a filter whose coordinates are in `crs`. Takes and raises what `compile_filter` does."""
    compiled = compile_filter(node, collection, scope, crs, resolve=resolve, names=names)
    areas = [text for text in literal_geometries(node, crs) if "Polygon" in text]
    return {"filter": compiled, "filter_areas": _COLLECTION_OF % ",".join(areas) if areas else None}
