"""Writing features, and what changed, in the OpenAPI description."""

from typing import Any

from api import problems
from api.conditions import QUERY_NAMES
from api.documents import GEOJSON, JSON
from api.editing import FEATURES, MERGE_PATCH
from api.openapi_parts import parameter, property_parameters, ref
from api.routes.changes import DEFAULT_LIMIT, MAX_LIMIT
from api.routes.feed import EVENTS
from cim.model import Collection, Scope

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
    return {**_changes(collection), **({} if collection.kind == "areas" else _edits(collection))}


def _read(
    collection: Collection, name: str, summary: str, parameters: list[Any], kinds: tuple[str, ...] = (JSON,)
) -> Any:
    content = {kind: {"schema": {"type": "string"} if kind == EVENTS else {"type": "object"}} for kind in kinds}
    return {
        "get": {
            "operationId": f"{collection.id}.{name}",
            "tags": [f"{collection.title_zh} {collection.title_en}"],
            "summary": summary,
            "parameters": [*parameters, ref("parameters", "f"), ref("parameters", "lang")],
            "responses": {"200": {"description": summary, "content": content}, "default": _PROBLEM},
        }
    }


def _changes(collection: Collection) -> dict[str, Any]:
    home = f"/collections/{collection.id}"
    limit = parameter(
        "limit", "Entries of a page", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    )
    cursor = ref("parameters", "cursor")
    between = parameter("between", "Two instants or dates, earlier/later; the last 24 hours without it", _TEXT)
    count = parameter("count", "exact: how many were added, altered and removed", {"type": "string", "enum": ["exact"]})
    conditions = [ref("parameters", name) for name in QUERY_NAMES if name != "known-at"]
    since = parameter(
        "since", "Token of the last answer; 'now' for what comes from now on; without it everything", _TEXT
    )
    last = _header("Last-Event-ID", "Id of the last event of a stream that broke; wins over since")
    return {
        f"{home}/items/{{featureId}}/history": _read(
            collection, "history", "Versions of a feature, the latest first",
            [parameter("featureId", "Id of a feature", _TEXT, place="path"), limit, cursor],
        ),
        f"{home}/changes": _read(
            collection, "changes", "What was added, altered and removed between two instants",
            [between, limit, cursor, ref("parameters", "crs"), count, *conditions, *property_parameters(collection, Scope())],
        ),
        f"{home}/changes/feed": _read(
            collection, "feed", "Changes in the order of their commits, by polling or as server-sent events",
            [since, limit, last], (JSON, EVENTS),
        ),
    }  # fmt: skip


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
