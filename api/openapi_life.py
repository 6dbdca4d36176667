"""The life of services in the OpenAPI description: events, versions, the audit."""

from collections.abc import Callable
from typing import Any

from api.documents import GEOJSON
from api.openapi_parts import id_in_path, parameter
from api.routes.audit import FILTERS
from cim.catalogue.life import EVENTS, Event
from cim.catalogue.service import MEMBERS
from cim.query.reviews import WAITING

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 1}

Operation = Callable[..., dict[str, Any]]


def _event_body(event: Event) -> dict[str, Any]:
    """What an event is sent with; a reason, and for an approval the hash of what was read."""
    needed = [
        name
        for name, is_needed in (("why", event.needs_reason), ("content_hash", event.name == "approve"))
        if is_needed
    ]
    return {
        "type": "object",
        "properties": {
            "why": {"type": "string", "maxLength": 2000, "description": "the reason, kept with the event"},
            "content_hash": {
                "type": "string",
                "pattern": "^[0-9a-f]{64}$",
                "description": "of the version that is meant",
            },
        },
        "additionalProperties": False,
        **({"required": needed} if needed else {}),
    }


def _event(operation: Operation, event: Event, path: list[Any]) -> dict[str, Any]:
    sources, target = ", ".join(event.sources), event.target or "none: the draft is gone"
    summary = (
        f"{event.name.capitalize()} a service ({event.title_zh}): from {sources} to {target}; {', '.join(event.duties)}"
    )
    status = {"status": "204"} if event.target is None else {"media": GEOJSON}
    told = operation(
        f"service.{event.name}",
        "Catalogue",
        summary,
        parameters=path,
        body=_event_body(event),
        for_admins=True,
        **status,
    )
    told["requestBody"]["required"] = event.needs_reason or event.name == "approve"
    return told


def life_paths(operation: Operation) -> dict[str, Any]:
    """Paths of events and versions."""
    tag, one = "Catalogue", id_in_path("serviceId", "service")
    number = parameter("number", "Number of a version", _NUMBER, place="path")
    both = [parameter(name, "Number of a version", _NUMBER, place="path") for name in ("former", "later")]
    paging = [parameter("limit", "Most rows", _NUMBER), parameter("cursor", "Where the page begins", _TEXT)]
    home = "/catalogue/items/{serviceId}"
    inside: dict[str, Any] = {"for_admins": True}
    members = {"type": "object", "properties": {name: {} for name in MEMBERS}, "additionalProperties": False}
    return {
        "/catalogue/check": {
            "post": operation("checkService", tag, "What a registration misses for the shelf", body=members, **inside)
        },
        **{f"{home}/{event.name}": {"post": _event(operation, event, [one])} for event in EVENTS.values()},
        f"{home}/draft": {"get": operation("draft", tag, "The version in work", parameters=[one], **inside)},
        f"{home}/versions": {
            "get": operation("versions", tag, "Versions, the latest first", parameters=[one, *paging], **inside)
        },
        f"{home}/versions/{{number}}": {
            "get": operation("version", tag, "One version", parameters=[one, number], **inside)
        },
        "/admin/reviews": {
            "get": operation(
                "reviews",
                tag,
                "Versions that wait for a review, or approved for the shelf, the longest waiting first",
                parameters=[
                    parameter("state", "Only those in this state", {"type": "string", "enum": list(WAITING)}),
                    parameter("organisation", "Only those of services of this organisation", _TEXT),
                    *paging,
                ],
                **inside,
            )
        },
        "/admin/audit": {
            "get": operation(
                "audit",
                "Administration",
                "Who did what, the latest first",
                parameters=[*(parameter(name, f"Rows of this {name}", _TEXT) for name in FILTERS), *paging],
                **inside,
            )
        },
        "/admin/audit/head": {
            "get": operation("auditHead", "Administration", "The last row of the audit's chain", **inside)
        },
        f"{home}/versions/{{former}}/compare/{{later}}": {
            "get": operation("compareVersions", tag, "Members that differ", parameters=[one, *both], **inside)
        },
    }
