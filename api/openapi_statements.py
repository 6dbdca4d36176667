"""Statements and prices in the OpenAPI description."""

from collections.abc import Sequence
from typing import Any

from api.documents import JSON
from api.openapi_operation import FORM_AND_LANGUAGE, KEYED, TEXT, operation
from api.openapi_parts import id_in_path, parameter
from cim.metering.prices import UNITS
from cim.query.statements import KEYS, MEASURES, SIDES, STEPS

_TAG = "Statements"
_DAY = {"type": "string", "format": "date"}
_AMOUNT = {"type": "string", "pattern": r"^\d{1,12}(\.\d{1,8})?$"}
_RATE = {
    "type": "object",
    "properties": {
        "free": {"type": "integer", "minimum": 0},
        "tiers": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"up_to": {"type": ["integer", "null"], "minimum": 1}, "price": _AMOUNT},
                "required": ["price"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["tiers"],
    "additionalProperties": False,
}
_PLAN = {
    "type": "object",
    "properties": {
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "monthly_fee": _AMOUNT,
        **dict.fromkeys(UNITS, _RATE),
    },
    "additionalProperties": False,
}

_WHOSE = [
    parameter("side", "Whose statement: what an organisation called, what of its services was called, or everything", {
        "type": "string", "enum": list(SIDES),
    }),
    parameter("organisation", "Id of the organisation; the caller's own where it is not given", TEXT),
]  # fmt: skip
_WHICH = [
    parameter("from", "First day; that of this month where it is not given", _DAY),
    parameter("to", "Last day, within; today where it is not given", _DAY),
    parameter("service", "Calls of this service only", TEXT),
    parameter("consumer", "Calls of this organisation only", TEXT),
    parameter("scenario", "Calls for this scenario only", TEXT),
]
_SERVICE = id_in_path("serviceId", "service")
_MONTH = parameter("month", "Month, YYYY-MM", {"type": "string", "pattern": r"^\d{4}-\d{2}$"}, place="path")


def _operation(
    operation_id: str,
    summary: str,
    parameters: Sequence[Any],
    *,
    media: Sequence[str] = (JSON,),
    status: str = "200",
    body: dict[str, Any] | None = None,
    is_open: bool = False,
) -> dict[str, Any]:
    return operation(
        operation_id,
        _TAG,
        summary,
        parameters=[*parameters, *FORM_AND_LANGUAGE],
        body=body,
        status=status,
        media=media,
        security=None if is_open else KEYED,
    )


def statement_paths() -> dict[str, Any]:
    """Statements, settlements, closes and prices."""
    tables = (JSON, "text/csv")
    by = parameter("by", f"Up to four of {', '.join(KEYS)}, separated by commas", TEXT)
    paging = [
        parameter("limit", "Groups of a page", {"type": "integer", "minimum": 1}),
        parameter("cursor", "Of a next link", TEXT),
    ]
    chart = [
        parameter("by", "A line for each of these: organisation, service, owner or scenario", TEXT),
        parameter("step", "Steps of time", {"type": "string", "enum": list(STEPS)}),
        parameter("measure", "What is summed", {"type": "string", "enum": list(MEASURES)}),
    ]
    closes = [parameter("before", "Closes of days before this one", _DAY), paging[0]]
    return {
        "/statements": {"get": _operation("statement", "Sums of calls", [*_WHOSE, *_WHICH, by, *paging], media=tables)},
        "/statements/series": {"get": _operation("statementSeries", "Calls over time", [*_WHOSE, *_WHICH, *chart])},
        "/statements/closes": {"get": _operation("closes", "Days of the ledger that are closed", closes)},
        "/statements/settlements/{month}": {
            "get": _operation("settlement", "What a month of data products costs", [_MONTH, *_WHOSE], media=tables)
        },
        "/prices": {"get": _operation("prices", "Price plans", [], is_open=True)},
        "/prices/{serviceId}": {
            "get": _operation("pricesOfService", "Price plans of a service", [_SERVICE], is_open=True)
        },
        "/prices/{serviceId}/{month}": {
            "put": _operation("putPrice", "Set a price from a month on", [_SERVICE, _MONTH], status="204", body=_PLAN),
            "delete": _operation(
                "deletePrice", "Take back a price of a month to come", [_SERVICE, _MONTH], status="204"
            ),
        },
    }
