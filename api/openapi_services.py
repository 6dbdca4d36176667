"""The catalogue, STAC, uploads and keys in the OpenAPI description."""

from collections.abc import Sequence
from typing import Any

from api.documents import GEOJSON, JSON, SCHEMA_JSON
from api.openapi_life import life_paths
from api.openapi_operation import FORM_AND_LANGUAGE, KEYED, TEXT, operation
from api.openapi_parts import id_in_path, parameter, text_queries
from api.routes.loads import FIELDS, KINDS, STATED
from api.routes.stac import ITEMS, SEARCHED
from cim.catalogue.service import MEMBERS
from cim.model import ROLES
from cim.query.loads import FILTERS

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key made by `cim db key create`"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


_BODIES: dict[str, dict[str, Any]] = {
    "service": {"type": "object", "properties": {name: {} for name in MEMBERS}, "additionalProperties": False},
    "organisation": {
        "type": "object",
        "properties": {"name_zh": TEXT, "name_en": TEXT, "contact": {"type": ["string", "null"]}},
        "additionalProperties": False,
    },
    "key": {
        "type": "object",
        "properties": {
            "role": {"type": "string", "enum": list(ROLES)},
            "label": TEXT,
            "expires_at": TEXT,
            "collections": {
                "type": "array",
                "items": TEXT,
                "description": "ids that exist for the key; absent for all",
            },
            "area_code": {"type": "string", "description": "rows outside of this area do not exist for the key"},
            "hidden": {
                "type": "array",
                "items": TEXT,
                "description": "properties that do not: name or collection.name",
            },
            "precision_m": {"type": "number", "description": "metres of the grid cells by which places are told"},
        },
        "additionalProperties": False,
    },
    "stacSearch": {"type": "object", "properties": {name: {} for name in SEARCHED}, "additionalProperties": False},
}


def _operation(
    operation_id: str,
    tag: str,
    summary: str,
    *,
    parameters: Sequence[Any] = (),
    body: str | dict[str, Any] | None = None,
    status: str = "200",
    media: str = JSON,
    for_admins: bool = False,
) -> dict[str, Any]:
    return operation(
        operation_id,
        tag,
        summary,
        parameters=[*parameters, *FORM_AND_LANGUAGE],
        body=_BODIES[body] if isinstance(body, str) else body,
        status=status,
        media=(media,),
        security=KEYED if for_admins else None,
    )


def _catalogue() -> dict[str, Any]:
    tag = "Catalogue"
    one = id_in_path("serviceId", "service")
    edited = [one, parameter("If-Match", "ETag of the version that was read", TEXT, place="header")]
    admin: dict[str, Any] = {"for_admins": True, "media": GEOJSON}
    return {
        "/catalogue/items": {
            "post": _operation("register", tag, "Register a service as a draft", body="service", status="201", **admin),
        },
        "/catalogue/items/{serviceId}": {
            "put": _operation("replace", tag, "Draft a service anew", parameters=edited, body="service", **admin),
            "patch": _operation("edit", tag, "Draft an edit of a service", parameters=edited, body="service", **admin),
            "delete": _operation(
                "deleteDraft", tag, "Discard a draft", parameters=[one], status="204", for_admins=True
            ),
        },
        **life_paths(_operation),
        "/catalogue/organisations": {"get": _operation("organisations", tag, "Who offers services")},
        "/catalogue/organisations/{organisationId}": {
            "put": _operation(
                "putOrganisation",
                tag,
                "Write an organisation",
                parameters=[id_in_path("organisationId", "organisation")],
                body="organisation",
                status="204",
                for_admins=True,
            )
        },
    }


def _stac() -> dict[str, Any]:
    tag = "STAC"
    collection, item = id_in_path("collectionId", "STAC collection"), id_in_path("itemId", "item")
    items = "/stac/collections/{collectionId}/items"
    return {
        "/stac": {"get": _operation("stac", tag, "The root catalog")},
        "/stac/conformance": {"get": _operation("stacConformance", tag, "Conformance classes")},
        "/stac/collections": {"get": _operation("stacCollections", tag, "STAC collections")},
        "/stac/collections/{collectionId}": {
            "get": _operation("stacCollection", tag, "One STAC collection", parameters=[collection])
        },
        "/stac/queryables": {"get": _operation("stacQueryables", tag, "What a filter may name", media=SCHEMA_JSON)},
        "/stac/collections/{collectionId}/queryables": {
            "get": _operation(
                "stacCollectionQueryables", tag, "What a filter may name", parameters=[collection], media=SCHEMA_JSON
            )
        },
        items: {
            "get": _operation(
                "stacItems", tag, "Items of one", parameters=[collection, *text_queries(ITEMS)], media=GEOJSON
            )
        },
        f"{items}/{{itemId}}": {
            "get": _operation("stacItem", tag, "One item", parameters=[collection, item], media=GEOJSON)
        },
        "/stac/search": {
            "get": _operation("stacSearch", tag, "Search by GET", parameters=text_queries(SEARCHED), media=GEOJSON),
            "post": _operation("stacSearchPosted", tag, "Search by POST", body="stacSearch", media=GEOJSON),
        },
    }


def _admin() -> dict[str, Any]:
    tag = "Administration"
    run, prefix = id_in_path("runId", "load run"), id_in_path("prefix", "key (its prefix)")
    send = _operation("sendFile", tag, "Send a file and queue its load", status="202", for_admins=True)
    form = {name: {"type": "string", "enum": list(KINDS)} if name == "kind" else TEXT for name in FIELDS}
    form["file"] = {"type": "string", "format": "binary"}
    send["requestBody"] = {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "properties": form, "required": ["kind", "file"]}}
        },
    }
    paging, narrowed = text_queries(("limit", "cursor")), text_queries([*FILTERS])
    changed = {"type": "object", "properties": {name: form[name] for name in STATED}, "additionalProperties": False}
    again = _operation(
        "loadAgain",
        tag,
        "Load the file of a failed load with other options",
        parameters=[run],
        body=changed,
        status="202",
        for_admins=True,
    )
    return {
        "/admin/loads": {
            "get": _operation(
                "loads", tag, "Load runs, the latest first", parameters=[*paging, *narrowed], for_admins=True
            ),
            "post": send,
        },
        "/admin/loads/{runId}": {
            "get": _operation("load", tag, "One load run with its account", parameters=[run], for_admins=True)
        },
        "/admin/loads/{runId}/rejections": {
            "get": _operation(
                "rejections",
                tag,
                "Rejected rows and why",
                parameters=[run, *text_queries(("code",)), *paging],
                for_admins=True,
            )
        },
        "/admin/loads/{runId}/again": {"post": again},
        "/admin/loads/{runId}/cancel": {
            "post": _operation("cancelLoad", tag, "End a load", parameters=[run], for_admins=True)
        },
        "/admin/keys": {
            "get": _operation("keys", tag, "Keys by their prefix", for_admins=True),
            "post": _operation("createKey", tag, "Make a key, shown once", body="key", status="201", for_admins=True),
        },
        "/admin/keys/{prefix}": {
            "delete": _operation("revokeKey", tag, "End a key", parameters=[prefix], status="204", for_admins=True)
        },
    }


def service_paths() -> dict[str, Any]:
    """The paths beside the collections'."""
    return {**_catalogue(), **_stac(), **_admin()}
