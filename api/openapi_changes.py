"""Writing features, and what changed, in the OpenAPI description."""

from typing import Any

from api import problems
from api.documents import GEOJSON, JSON
from api.editing import FEATURES, MERGE_PATCH
from api.openapi_parts import parameter, ref
from cim.model import Collection

_TEXT = {"type": "string"}
_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
_PROBLEM = {
    "description": "What went wrong (RFC 9457)",
    "content": {problems.MEDIA_TYPE: {"schema": ref("schemas", "problem")}},
}


def _header(name: str, description: str) -> dict[str, Any]:
    return parameter(name, description, _TEXT, place="header")


_CRS = _header("Content-Crs", "System of the body's coordinates, <URI>; CRS84 where it is not given")
_MATCH = _header("If-Match", "ETag of the feature that was read; needed to change one")
_NONE_MATCH = _header("If-None-Match", "*: the feature must be new")
_KEY = _header("Idempotency-Key", "The same key and request within 24 hours give the first answer again")
_FEATURE = ref("schemas", "feature")
_BATCH = {"oneOf": [_FEATURE, ref("schemas", "featureCollection")]}


def _write(
    collection: Collection,
    name: str,
    summary: str,
    parameters: list[Any],
    status: tuple[str, ...],
    *,
    body: Any = None,
    kinds: tuple[str, ...] = (),
) -> dict[str, Any]:
    content = {GEOJSON: {"schema": _FEATURE}}
    answers: dict[str, Any] = {
        one: {"description": summary, **({} if one == "204" else {"content": content})} for one in status
    }
    operation: dict[str, Any] = {
        "operationId": f"{collection.id}.{name}",
        "tags": [f"{collection.title_zh} {collection.title_en}"],
        "summary": summary,
        "parameters": [*parameters, _KEY],
        "responses": {**answers, "default": _PROBLEM},
        "security": _SECURITY,
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": body} for kind in kinds}}
    return operation


def change_paths(collection: Collection) -> dict[str, Any]:
    """Operations that write features of a collection (OGC 20-002), and those that tell what changed, by path."""
    return {} if collection.kind == "areas" else _edits(collection)


def _edits(collection: Collection) -> dict[str, Any]:
    feature_id = parameter("featureId", "Id of a feature", _TEXT, place="path")
    items = f"/collections/{collection.id}/items"
    on_error = parameter(
        "on-error",
        "Of a FeatureCollection: all or none, or each that is good",
        {"type": "string", "enum": ["abort", "reject"]},
    )
    made = _write(
        collection, "create", "Add a feature, or many", [on_error, _CRS], ("201",), body=_BATCH, kinds=FEATURES
    )
    made["responses"]["201"]["content"][JSON] = {"schema": {"type": "object"}}
    changed = [feature_id, _MATCH, _CRS]
    return {
        items: {"post": made},
        f"{items}/{{featureId}}": {
            "put": _write(
                collection, "replace", "Write a feature anew, or create it", [*changed, _NONE_MATCH], ("200", "201"),
                body=_FEATURE, kinds=FEATURES,
            ),
            "patch": _write(
                collection, "update", "Change parts of a feature", changed, ("200",),
                body={"type": "object"}, kinds=(MERGE_PATCH,),
            ),
            "delete": _write(collection, "delete", "Take a feature out", [feature_id, _MATCH], ("204",)),
        },
    }  # fmt: skip
