"""One operation of the OpenAPI description: what every theme's file fills in, written once."""

from collections.abc import Mapping, Sequence
from typing import Any

from api import problems
from api.documents import JSON
from api.openapi_parts import ref

TEXT: dict[str, Any] = {"type": "string"}
OBJECT: dict[str, Any] = {"type": "object"}
KEYED: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
"""What asks who calls: a key, in either header."""

FORM_AND_LANGUAGE = (ref("parameters", "f"), ref("parameters", "lang"))

_WITHOUT_BODY = ("204", "303")


def operation(
    operation_id: str,
    tag: str,
    summary: str,
    *,
    parameters: Sequence[Any] = (),
    body: Mapping[str, Any] | None = None,
    status: str = "200",
    media: Sequence[str] = (JSON,),
    security: Sequence[Mapping[str, Any]] | None = KEYED,
) -> dict[str, Any]:
    """`body` is the schema of the JSON that is sent; `media` what comes back, `text/…` as text, all else as an object.

    `security` None is for everybody. Errors are problem documents (RFC 9457).
    """
    told = {kind: {"schema": TEXT if kind.startswith("text/") else OBJECT} for kind in media}
    content = {} if status in _WITHOUT_BODY else {"content": told}
    described: dict[str, Any] = {
        "operationId": operation_id,
        "tags": [tag],
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            status: {"description": summary, **content},
            "default": {
                "description": "What went wrong (RFC 9457)",
                "content": {problems.MEDIA_TYPE: {"schema": ref("schemas", "problem")}},
            },
        },
    }
    if body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    if security is not None:
        described["security"] = security
    return described
