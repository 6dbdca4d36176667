"""The functions that filters may call (OGC 19-079r2, 8.6)."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.documents import HTML, JSON, json_answer
from api.html import document_page
from api.negotiate import Representation, choose
from api.params import query_parameters
from cim.query.filter import FUNCTIONS, Function, Type

router = APIRouter()

OFFERS = (Representation("json", JSON), Representation("html", HTML))

_TYPES = {Type.TEXT: "string", Type.DATE: "datetime", Type.TIMESTAMP: "datetime"}
"""Names of types in the document where they are not our own."""


def _names(types: Iterable[Type]) -> list[str]:
    return list(dict.fromkeys(_TYPES.get(one, one.value) for one in types))


def function_document(function: Function) -> dict[str, Any]:
    """One function as the list describes it (/req/filter/get-functions-response-json)."""
    return {
        "name": function.name,
        "description": function.description,
        "arguments": [{"title": one.title, "type": _names(one.types)} for one in function.arguments],
        "returns": _names(function.returns),
    }


async def functions(request: Request) -> Response:
    """Every function (/req/filter/get-functions-operation)."""
    values = query_parameters(request, ())
    listed = [function_document(function) for function in FUNCTIONS]
    if choose(request, OFFERS, f=values.get("f")).f == "html":
        rows = [
            (f"{one['name']}({', '.join(a['title'] for a in one['arguments'])})", one["description"]) for one in listed
        ]
        return document_page(request, "Functions", "OGC 21-065r2 (CQL2)", [], rows)
    return json_answer(request, {"functions": listed})


router.add_route("/functions", functions, methods=["GET"])
