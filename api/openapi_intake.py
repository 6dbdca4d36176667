"""How services come in, in the OpenAPI description: loads, harvests, health, nodes."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.documents import JSON
from api.openapi_operation import FORM_AND_LANGUAGE, KEYED, TEXT, operation
from api.openapi_parts import id_in_path, parameter
from api.routes.service_loads import CSV, FIELDS, XLSX
from cim.catalogue.nodes import NODE_MEMBERS
from cim.query.harvests import MEMBERS


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
    return operation(
        operation_id,
        tag,
        summary,
        parameters=[*parameters, *FORM_AND_LANGUAGE],
        body=body,
        status=status,
        media=(media,),
        security=None if is_open else KEYED,
    )


_WAIT = parameter("Prefer", "`wait=` and seconds, at most 60: answer by the run as it ended", TEXT, place="header")
_PAGING = [parameter("limit", "limit", {"type": "integer", "minimum": 1}), parameter("cursor", "cursor", TEXT)]


def intake_paths() -> dict[str, Any]:
    """The paths."""
    return {**_loads(), **_harvests(), **_health(), **_nodes()}


def _queued(operation: dict[str, Any]) -> dict[str, Any]:
    """The operation as one that queues a run: 202, or 200 where it ends while the caller waits."""
    done = operation["responses"]["200"]
    operation["responses"]["202"] = {**done, "description": "The run that was queued; `Location` says where it is"}
    done["description"] = "The run, ended within the seconds of `Prefer: wait`"
    operation["parameters"] = [*operation["parameters"], _WAIT]
    return operation


def _loads() -> dict[str, Any]:
    tag = "Catalogue"
    run = id_in_path("runId", "load")
    send = _queued(_operation("sendServices", tag, "Queue the load of a table of services"))
    form: dict[str, Any] = dict.fromkeys(FIELDS, TEXT) | {"file": {"type": "string", "format": "binary"}}
    send["requestBody"] = {
        "required": True,
        "content": {"multipart/form-data": {"schema": {"type": "object", "properties": form, "required": ["file"]}}},
    }
    template = _operation("serviceTemplate", tag, "The table to fill in", media=CSV, is_open=True)
    template["responses"]["200"]["content"][XLSX] = {"schema": {"type": "string", "format": "binary"}}
    template["parameters"].append(parameter("filled", "with the services that the caller may change", TEXT))
    return {
        "/catalogue/loads": {
            "get": _operation("serviceLoads", tag, "Loads of services", parameters=_PAGING),
            "post": send,
        },
        "/catalogue/loads/template": {"get": template},
        "/catalogue/loads/{runId}": {
            "get": _operation("serviceLoad", tag, "One load with its account", parameters=[run])
        },
        "/catalogue/loads/{runId}/cancel": {
            "post": _operation("cancelServices", tag, "End a load that waits or runs", parameters=[run])
        },
        "/catalogue/loads/{runId}/rejections": {
            "get": _operation("serviceRejections", tag, "Rejected rows", parameters=[run, _PAGING[0]])
        },
    }


def _harvests() -> dict[str, Any]:
    tag = "Catalogue"
    one, run = id_in_path("harvestId", "harvest"), id_in_path("runId", "run")
    body = {"type": "object", "properties": {name: {} for name in ("id", *MEMBERS)}, "additionalProperties": False}
    dry = parameter("dry-run", "true: tell what a run would do", TEXT)
    home = "/catalogue/harvests/{harvestId}"
    return {
        "/catalogue/harvests": {
            "get": _operation("harvests", tag, "Harvests"),
            "post": _operation("createHarvest", tag, "Declare a harvest", body=body, status="201"),
        },
        home: {
            "get": _operation("harvest", tag, "One harvest", parameters=[one]),
            "patch": _operation("editHarvest", tag, "Change a harvest", parameters=[one], body=body),
            "delete": _operation("deleteHarvest", tag, "Forget a harvest", parameters=[one], status="204"),
        },
        f"{home}/run": {"post": _queued(_operation("runHarvest", tag, "Queue a run of it", parameters=[one, dry]))},
        f"{home}/runs": {"get": _operation("harvestRuns", tag, "Runs of a harvest", parameters=[one, *_PAGING])},
        f"{home}/runs/{{runId}}": {
            "get": _operation("harvestRun", tag, "One run with its account", parameters=[one, run])
        },
        f"{home}/runs/{{runId}}/cancel": {
            "post": _operation("cancelHarvest", tag, "End a run that waits or goes on", parameters=[one, run])
        },
        f"{home}/runs/{{runId}}/rejections": {
            "get": _operation("harvestRejections", tag, "What was not taken", parameters=[one, run, _PAGING[0]])
        },
    }


def _health() -> dict[str, Any]:
    one = id_in_path("serviceId", "service")
    told = _operation("serviceHealth", "Catalogue", "How a service has been", parameters=[one], is_open=True)
    used = _operation("serviceUsage", "Catalogue", "How much a service is called", parameters=[one], is_open=True)
    return {"/catalogue/items/{serviceId}/health": {"get": told}, "/catalogue/items/{serviceId}/usage": {"get": used}}


def _nodes() -> dict[str, Any]:
    tag = "Administration"
    one, day = id_in_path("nodeId", "node"), parameter("day", "day of the platform, YYYY-MM-DD", TEXT)
    body = {"type": "object", "properties": {name: {} for name in NODE_MEMBERS}, "additionalProperties": False}
    home, run = "/admin/nodes/{nodeId}", id_in_path("runId", "run")
    since = parameter("since", "`next` of the page before", TEXT)
    by = parameter("node", "id of the node that passed the calls on", TEXT)
    deeper = (
        parameter("service", "a row a bucket of the calls of this service", TEXT),
        parameter("bucket", "three hexadecimal digits: a row a call of this bucket", TEXT),
    )
    return {
        "/catalogue/changes": {
            "get": _operation(
                "catalogueChanges",
                "Catalogue",
                "What changed in the catalogue",
                parameters=[since, _PAGING[0]],
                is_open=True,
            )
        },
        "/catalogue/relayed": {
            "get": _operation(
                "relayedCalls", tag, "Calls of a day that came through the city", parameters=[day, by, *deeper]
            )
        },
        "/admin/nodes": {
            "get": _operation("nodes", tag, "Nodes of the other tier"),
            "post": _operation("registerNode", tag, "Register a district", body=body, status="201"),
        },
        home: {
            "get": _operation("node", tag, "One node", parameters=[one]),
            "delete": _operation("removeNode", tag, "Forget a node", parameters=[one], status="204"),
        },
        f"{home}/run": {"post": _queued(_operation("runNode", tag, "Queue a run that takes it in", parameters=[one]))},
        f"{home}/runs": {"get": _operation("nodeRuns", tag, "Runs that took it in", parameters=[one, *_PAGING])},
        f"{home}/runs/{{runId}}": {
            "get": _operation("nodeRun", tag, "One run with its account", parameters=[one, run])
        },
        f"{home}/runs/{{runId}}/cancel": {
            "post": _operation("cancelNodeRun", tag, "End a run that waits or goes on", parameters=[one, run])
        },
        f"{home}/runs/{{runId}}/rejections": {
            "get": _operation("nodeRejections", tag, "What was not taken", parameters=[one, run, _PAGING[0]])
        },
        f"{home}/calls": {
            "get": _operation("nodeCalls", tag, "Calls of a day, by both ledgers", parameters=[one, day])
        },
    }
