"""Formats, whole downloads and export jobs in the OpenAPI description."""

from typing import Any

from api import problems
from api.conditions import EXPORTING
from api.documents import HTML, JSON
from api.openapi_parts import parameter, ref
from cim.model import Collection
from cim.query.output import GEOJSON, OUTPUTS

_TEXT: dict[str, Any] = {"type": "string"}
_FILE: dict[str, Any] = {"type": "string", "format": "binary"}
_FAILED = {
    "description": "What went wrong (RFC 9457)",
    "content": {problems.MEDIA_TYPE: {"schema": ref("schemas", "problem")}},
}
_JOB = {
    "type": "object",
    "required": ["id", "state", "links"],
    "properties": {
        "id": {"type": "string", "description": "random; who knows it may read, fetch and cancel the export"},
        "state": {"type": "string", "enum": ["queued", "running", "completed", "failed", "cancelled"]},
        "collection": _TEXT,
        "format": _TEXT,
        "done": {"type": "integer", "description": "rows written"},
        "total": {"type": ["integer", "null"], "description": "rows that match, where they were counted"},
        "progress": {"type": ["integer", "null"], "minimum": 0, "maximum": 100},
        "bytes": {"type": ["integer", "null"]},
        "error": {"type": ["object", "null"]},
        "created": _TEXT,
        "started": {"type": ["string", "null"]},
        "ended": {"type": ["string", "null"]},
        "expires": {"type": "string", "description": "the file is fetched until then"},
        "links": {"type": "array", "items": ref("schemas", "link")},
    },
}
_JOB_ID = parameter("exportId", "Id of an export", _TEXT, place="path")
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "respond-async: always a job",
    "schema": _TEXT,
}


def page_media() -> dict[str, Any]:
    """Media types of a page of features."""
    texts = {output.media_type: _TEXT for output in OUTPUTS if output.has_pages}
    return {**texts, GEOJSON.media_type: ref("schemas", "featureCollection"), HTML: _TEXT}


def format_parameters(*, is_page: bool) -> list[dict[str, Any]]:
    """`f` with its values, and `bom`."""
    names = [output.f for output in OUTPUTS if output.has_pages or not is_page]
    values = {"type": "string", "enum": [*names, "html"] if is_page else names}
    return [
        parameter("f", "Representation; wins over Accept", values),
        parameter("bom", "A CSV that begins with a byte order mark, for spreadsheets", {"type": "boolean"}),
    ]


def export_paths(collection: Collection, conditions: list[Any]) -> dict[str, Any]:
    """Everything that matches, by GET and by POST."""
    name, tag = collection.id, f"{collection.title_zh} {collection.title_en}"
    shared = [*format_parameters(is_page=False), ref("parameters", "lang"), _PREFER]
    answers = {
        "200": {
            "description": "Everything that matches",
            "content": {output.media_type: {"schema": _FILE if output.text is None else _TEXT} for output in OUTPUTS},
        },
        "202": {
            "description": "The file is being made; Location says where to look",
            "content": {JSON: {"schema": _JOB}},
        },
        "default": _FAILED,
    }
    get = {
        "operationId": f"{name}.export",
        "tags": [tag],
        "summary": "Everything that matches, streamed or as a file",
        "parameters": [*conditions, *(ref("parameters", name) for name in EXPORTING), *shared],
        "responses": answers,
    }
    post = {
        "operationId": f"{name}.exportPosted",
        "tags": [tag],
        "summary": "The same with the conditions in a body, among them a polygon",
        "parameters": shared,
        "requestBody": {"required": True, "content": {JSON: {"schema": ref("schemas", "exportBody")}}},
        "responses": answers,
    }
    return {f"/collections/{name}/export": {"get": get, "post": post}}


def job_paths() -> dict[str, Any]:
    """Exports as jobs."""

    def operation(operation_id: str, summary: str, responses: dict[str, Any], *more: Any) -> dict[str, Any]:
        return {
            "operationId": operation_id,
            "tags": ["Exports"],
            "summary": summary,
            "parameters": [_JOB_ID, *more],
            "responses": {**responses, "default": _FAILED},
        }

    told = {"200": {"description": "The export", "content": {JSON: {"schema": _JOB}}}}
    whole = {media: {"schema": _FILE} for media in (output.media_type for output in OUTPUTS)}
    file = {
        "200": {"description": "The file", "content": whole},
        "206": {"description": "One range of it", "content": whole},
    }
    ranged = {"name": "Range", "in": "header", "required": False, "description": "one range of bytes", "schema": _TEXT}
    return {
        "/exports/{exportId}": {
            "get": operation("export.status", "How far an export is", told),
            "delete": operation("export.cancel", "Give an export up and remove its file", told),
        },
        "/exports/{exportId}/download": {"get": operation("export.download", "The finished file", file, ranged)},
    }
