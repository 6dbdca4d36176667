"""What this node says of itself: conformance classes, and the OpenAPI description with its offline page."""

from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of, scope_of, visible_collections
from api.documents import HTML, JSON, OPENAPI_30, OPENAPI_31, Link, answer, json_answer
from api.filters import CQL2_CLASSES
from api.html import document_page
from api.negotiate import Representation, choose
from api.openapi import describe, describe_30
from api.params import query_parameters
from api.portal.map import render_documentation
from cim.model import Scope
from cim.query.filter import STATED

router = APIRouter()

OFFERS = (Representation("json", JSON), Representation("html", HTML))
API_OFFERS = (
    Representation("json", OPENAPI_30, also=(JSON, "application/openapi+json;version=3.0")),
    Representation("openapi31", OPENAPI_31, also=("application/openapi+json;version=3.1",)),
    Representation("html", HTML),
)

MAX_KEPT = 16
"""Documents of callers who see different things, two each."""

CONFORMS_TO = (
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables-query-parameters",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/create-replace-delete",
    "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/update",
    "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/optimistic-locking-etags",
    "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/features",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/tileset",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/tilesets-list",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/geodata-tilesets",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/dataset-tilesets",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/collections-selection",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/mvt",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/oas30",
    *CQL2_CLASSES,
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/schemas",
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/core-roles-features",
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/returnables-and-receivables",
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/queryables",
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/sortables",
    "http://www.opengis.net/spec/ogcapi-features-8/1.0/conf/sortables",
    "http://www.opengis.net/spec/ogcapi-features-8/1.0/conf/sorting",
    "http://www.opengis.net/spec/ogcapi-features-8/1.0/conf/features-sorting",
    "http://www.opengis.net/spec/ogcapi-features-9/1.0/conf/text-search",
    "http://www.opengis.net/spec/ogcapi-features-9/1.0/conf/features-text-search",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-core",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-collection",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-core-query-parameters",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/records-api",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/searchable-catalog",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/searchable-catalog/sorting",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/searchable-catalog/filtering",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/sorting",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/filtering",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/query-param-profile",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/autodiscovery",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/json",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/oas30",
)
"""Only classes that are whole, each with tests by requirement in tests/features, tests/filter and tests/changes."""


async def conformance(request: Request) -> Response:
    """The conformance classes (OGC 17-069r4, /req/core/conformance-op)."""
    values = query_parameters(request, ())
    if choose(request, OFFERS, f=values.get("f")).f == "html":
        links = [Link(uri, "type", None, uri) for uri in CONFORMS_TO]
        return document_page(request, "Conformance", f"OGC API Features 1.0.1. CQL2: {STATED}.", links)
    return json_answer(request, {"conformsTo": list(CONFORMS_TO)})


async def api(request: Request) -> Response:
    """The OpenAPI description (OGC 17-069r4, /req/core/api-definition-op): 3.0, 3.1, or a page to read."""
    values = query_parameters(request, ())
    kind = choose(request, API_OFFERS, f=values.get("f"))
    if kind.f == "html":
        return render_documentation(request)
    return answer(request, _document(request, await scope_of(request), kind.f), kind.media_type)


def _document(request: Request, scope: Scope, f: str) -> bytes:
    """The bytes of the document of what the caller may see, made again only when a collection has come or gone."""
    collections = visible_collections(request, scope)
    seen = (tuple(one.id for one in collections), scope.hidden, scope.precision_m is None)
    kept: dict[Any, bytes] = request.app.state.descriptions
    if (seen, f) not in kept:
        document = describe(request.app, collections, context_of(request).settings.public_url)
        if len(kept) >= MAX_KEPT:
            kept.clear()
        kept[seen, "openapi31"] = orjson.dumps(document)
        kept[seen, "json"] = orjson.dumps(describe_30(document))
    return kept[seen, f]


router.add_route("/conformance", conformance, methods=["GET"])
router.add_route("/api", api, methods=["GET"])
