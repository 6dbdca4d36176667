"""How services come in, in the OpenAPI description: loads, harvests, health, nodes."""

from collections.abc import Mapping, Sequence
from typing import Any

from api import problems
from api.documents import JSON
from api.openapi_parts import parameter, ref
from api.routes.service_loads import CSV, FIELDS, XLSX

_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}
_KEYED: list[dict[str, Any]] = [{"bearer": []}, {"apiKey": []}]


def _operation(
    operation_id: str,
    tag: str,
    summary: str,
    *,
    parameters: Sequence[Any] = (),
    body: Mapping[str, Any] | None = None,
    status: str = "200",
    media: str = JSON,
    is_open: bool = False,
) -> dict[str, Any]:
    content = {} if status == "204" else {"content": {media: {"schema": _OBJECT if media == JSON else _TEXT}}}
    told: dict[str, Any] = {
        "operationId": operation_id,
        "tags": [tag],
        "summary": summary,
        "parameters": [*parameters, ref("parameters", "f"), ref("parameters", "lang")],
        "responses": {
            status: {"description": summary, **content},
            "default": {
                "description": "What went wrong (RFC 9457)",
                "content": {problems.MEDIA_TYPE: {"schema": ref("schemas", "problem")}},
            },
        },
    }
    if body is not None:
        told["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    if not is_open:
        told["security"] = _KEYED
    return told


def _path(name: str, of: str) -> dict[str, Any]:
    return parameter(name, f"Id of the {of}", _TEXT, place="path")


_PAGING = [parameter("limit", "limit", {"type": "integer", "minimum": 1}), parameter("cursor", "cursor", _TEXT)]


def intake_paths() -> dict[str, Any]:
    """The paths."""
    return _loads()


def _loads() -> dict[str, Any]:
    tag = "Catalogue"
    run = _path("runId", "load")
    send = _operation("sendServices", tag, "Load a table of services", status="201")
    form: dict[str, Any] = dict.fromkeys(FIELDS, _TEXT) | {"file": {"type": "string", "format": "binary"}}
    send["requestBody"] = {
        "required": True,
        "content": {"multipart/form-data": {"schema": {"type": "object", "properties": form, "required": ["file"]}}},
    }
    template = _operation("serviceTemplate", tag, "The table to fill in", media=CSV, is_open=True)
    template["responses"]["200"]["content"][XLSX] = {"schema": {"type": "string", "format": "binary"}}
    template["parameters"].append(parameter("filled", "with the services that the caller may change", _TEXT))
    return {
        "/catalogue/loads": {
            "get": _operation("serviceLoads", tag, "Loads of services", parameters=_PAGING),
            "post": send,
        },
        "/catalogue/loads/template": {"get": template},
        "/catalogue/loads/{runId}": {
            "get": _operation("serviceLoad", tag, "One load with its account", parameters=[run])
        },
        "/catalogue/loads/{runId}/rejections": {
            "get": _operation("serviceRejections", tag, "Rejected rows", parameters=[run])
        },
    }
