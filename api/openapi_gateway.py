"""Calls of services, and the credentials of their upstreams, in the OpenAPI description."""

from typing import Any

from api import problems
from api.documents import JSON
from api.openapi_parts import parameter, ref
from cim.gateway.credential import FORMS

_TEXT = {"type": "string"}
_KEYED: list[dict[str, Any]] = [{"bearer": []}, {"apiKey": []}]
_SERVICE = parameter("serviceId", "Id of the service", _TEXT, place="path")
_TAIL = parameter(
    "path",
    "What follows the service's address, percent-encoded parts; `endpoints/2/…` is of its second endpoint",
    _TEXT,
    place="path",
)
_SCENARIO = parameter(
    "X-Scenario", "Scenario of the caller's organisation that the call is made for", _TEXT, place="header"
)

_CREDENTIAL = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"kind": {"const": form}, **dict.fromkeys(members, _TEXT)},
            "required": ["kind", *members],
            "additionalProperties": False,
        }
        for form, members in FORMS.items()
    ]
}


def _told(operation_id: str, tag: str, summary: str, status: str, parameters: list[Any], media: str) -> dict[str, Any]:
    content: dict[str, Any] = {} if status == "204" else {"content": {media: {"schema": {}}}}
    return {
        "operationId": operation_id,
        "tags": [tag],
        "summary": summary,
        "parameters": parameters,
        "responses": {
            status: {"description": summary, **content},
            "default": {
                "description": "What went wrong (RFC 9457)",
                "content": {problems.MEDIA_TYPE: {"schema": ref("schemas", "problem")}},
            },
        },
    }


def gateway_paths() -> dict[str, Any]:
    """The paths."""
    calls: dict[str, Any] = {}
    for path, parameters, name in (
        ("/services/{serviceId}", [_SERVICE, _SCENARIO], "callService"),
        ("/services/{serviceId}/{path}", [_SERVICE, _TAIL, _SCENARIO], "callBeneath"),
    ):
        get = _told(
            name, "Calls", "What the service answers; its own parameters are passed on", "200", parameters, "*/*"
        )
        post = _told(
            f"{name}Posted", "Calls", "The same with a body, for services that are asked so", "200", parameters, "*/*"
        )
        calls[path] = {"get": get, "post": {**post, "requestBody": {"content": {"*/*": {"schema": {}}}}}}
    tag, place = "Catalogue", "/catalogue/items/{serviceId}/credentials"
    shown = [_SERVICE, ref("parameters", "f"), ref("parameters", "lang")]
    put = _told("putCredential", tag, "How the service's upstream knows this node", "204", shown, JSON)
    put["requestBody"] = {"required": True, "content": {JSON: {"schema": _CREDENTIAL}}}
    operations = {
        "get": _told("credential", tag, "Whether a credential is set, when and by whom", "200", shown, JSON),
        "put": put,
        "delete": _told("deleteCredential", tag, "Forget the credential", "204", shown, JSON),
    }
    return {**calls, place: {name: {**one, "security": _KEYED} for name, one in operations.items()}}
