"""What this node says of itself: conformance classes, and the OpenAPI description with its offline page."""

from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.documents import HTML, JSON, OPENAPI_30, OPENAPI_31, Link, answer, json_answer
from api.html import document_page
from api.negotiate import Representation, choose
from api.openapi import describe, describe_30
from api.params import query_parameters
from api.routes.portal import render_documentation

router = APIRouter()

OFFERS = (Representation("json", JSON), Representation("html", HTML))
API_OFFERS = (
    Representation("json", OPENAPI_30, also=(JSON, "application/openapi+json;version=3.0")),
    Representation("openapi31", OPENAPI_31, also=("application/openapi+json;version=3.1",)),
    Representation("html", HTML),
)

CONFORMS_TO = (
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs",
)
"""Only classes that are whole, each with tests by requirement in tests/features."""


async def conformance(request: Request) -> Response:
    """The conformance classes (OGC 17-069r4, /req/core/conformance-op)."""
    values = query_parameters(request, ())
    if choose(request, OFFERS, f=values.get("f")).f == "html":
        links = [Link(uri, "type", None, uri) for uri in CONFORMS_TO]
        return document_page(request, "Conformance", "OGC API Features 1.0.1", links)
    return json_answer(request, {"conformsTo": list(CONFORMS_TO)})


async def api(request: Request) -> Response:
    """The OpenAPI description (OGC 17-069r4, /req/core/api-definition-op): 3.0, 3.1, or a page to read."""
    values = query_parameters(request, ())
    kind = choose(request, API_OFFERS, f=values.get("f"))
    if kind.f == "html":
        return render_documentation(request)
    return answer(request, _document(request, kind.f), kind.media_type)


def _document(request: Request, f: str) -> bytes:
    """The document's bytes, made again only when a collection has come or gone."""
    context = context_of(request)
    ids = tuple(collection.id for collection in context.registry)
    kept: dict[Any, bytes] = request.app.state.descriptions
    if (ids, f) not in kept:
        document = describe(request.app, context.registry, context.settings.public_url)
        kept.clear()
        kept[ids, "openapi31"] = orjson.dumps(document)
        kept[ids, "json"] = orjson.dumps(describe_30(document))
    return kept[ids, f]


router.add_route("/conformance", conformance, methods=["GET"])
router.add_route("/api", api, methods=["GET"])
