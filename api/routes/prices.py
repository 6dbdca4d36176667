"""Price plans of data products: read by whoever sees the service, set by its owner for months that have not begun."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, scope_of, settings_of
from api.documents import JSON, answer
from api.negotiate import Representation, choose
from api.params import json_object, query_parameters
from api.statements import parse_month
from cim.db import audit
from cim.db.prices import delete_sql, plans_sql, put_sql
from cim.errors import Conflict, Forbidden, InvalidParameter, NotFound, Unauthorized
from cim.metering.prices import checked_plan
from cim.model import Scope
from cim.query.services import service_sql

router = APIRouter(tags=["statements"])

_OFFERS = (Representation("json", JSON),)
_VARY = "Accept, Authorization, X-API-Key, Cookie"
_SETTERS = frozenset({"publisher", "org_admin"})


def _sees(row: Any, scope: Scope) -> bool:
    is_own = row["organisation_id"] is not None and row["organisation_id"] == scope.organisation_id
    return row["state"] == "published" or is_own or scope.is_city


def _shown(row: Any) -> dict[str, Any]:
    return {
        "service": row["service_id"],
        "valid_from": f"{row['valid_from']:%Y-%m}",
        "currency": row["currency"],
        **orjson.loads(row["plan"]),
    }


async def prices(request: Request) -> Response:
    """Every price plan of services that the caller sees."""
    return await _listed(request, None)


async def prices_of_service(request: Request) -> Response:
    """The price plans of one service, by the month from which they hold."""
    service_id = request.path_params["service_id"]
    return await _listed(request, service_id)


async def _listed(request: Request, service_id: str | None) -> Response:
    scope = await scope_of(request)
    choose(request, _OFFERS, f=query_parameters(request, ()).get("f"))
    if service_id is not None:
        await _service(request, scope, service_id)
    rows = await database_of(request).fetch_rows(plans_sql(service_id))
    document = {"prices": [_shown(row) for row in rows if _sees(row, scope)]}
    return answer(request, orjson.dumps(document), JSON, vary=_VARY)


async def _service(request: Request, scope: Scope, service_id: str) -> Any:
    row = None if "\x00" in service_id else await database_of(request).fetch_row(service_sql(service_id, scope))
    if row is None or not _sees(row, scope):
        raise NotFound("service", service_id)
    return row


async def _to_set(request: Request) -> tuple[Scope, Any, date]:
    """Who sets the price of which service from when. Raises NotFound, Unauthorized, Forbidden, Conflict."""
    scope = await scope_of(request)
    query_parameters(request, ())
    row = await _service(request, scope, request.path_params["service_id"])
    is_of_owner = scope.organisation_id is not None and row["organisation_id"] == scope.organisation_id
    is_own = is_of_owner and bool(scope.roles & _SETTERS)
    if not scope.roles:
        raise Unauthorized("prices are set with a key of the service's organisation")
    if not (is_own or scope.is_city):
        raise Forbidden("the price of a service is set by publishers and admins of its organisation")
    month = parse_month("month", request.path_params["month"])
    today = datetime.now(ZoneInfo(settings_of(request).time_zone)).date()
    if month < today.replace(day=1):
        raise InvalidParameter(
            "month", f"{month:%Y-%m}", f"a month from {today:%Y-%m} on: the past keeps its prices", rule="past-month"
        )
    return scope, row, month


async def put(request: Request) -> Response:
    """Set the price of a service from the first day of a month on; one that holds already is not changed."""
    scope, row, month = await _to_set(request)
    if row["organisation_id"] is None:
        raise Conflict("the service has no organisation that could be paid")
    plan = checked_plan(row["id"], month, row["organisation_id"], await json_object(request))
    await _check_not_begun(request, row["id"], month)
    async with database_of(request).transaction() as transaction:
        await transaction.execute(put_sql(plan, scope.caller))
        await audit.record(
            transaction,
            scope,
            event="price",
            subject_kind="service",
            subject_id=row["id"],
            detail={"valid_from": f"{month:%Y-%m}", "currency": plan.currency, **plan.to_dict()},
        )
    return Response(status_code=204)


async def delete(request: Request) -> Response:
    """Take back a price of a month that has not begun."""
    scope, row, month = await _to_set(request)
    await _check_not_begun(request, row["id"], month)
    async with database_of(request).transaction() as transaction:
        if await transaction.execute(delete_sql(row["id"], month)) != "DELETE 1":
            raise NotFound("price plan from the month", f"{month:%Y-%m}")
        detail = {"valid_from": f"{month:%Y-%m}"}
        await audit.record(
            transaction, scope, event="price withdrawn", subject_kind="service", subject_id=row["id"], detail=detail
        )
    return Response(status_code=204)


async def _check_not_begun(request: Request, service_id: str, month: date) -> None:
    today = datetime.now(ZoneInfo(settings_of(request).time_zone)).date()
    rows = await database_of(request).fetch_rows(plans_sql(service_id))
    if month <= today and any(row["valid_from"] <= today for row in rows):
        raise Conflict(
            f"the service has a price for {today:%Y-%m} already; change it from the next month on", rule="priced"
        )


router.add_route("/prices", prices, methods=["GET"])
router.add_route("/prices/{service_id}", prices_of_service, methods=["GET"])
router.add_route("/prices/{service_id}/{month}", put, methods=["PUT"])
router.add_route("/prices/{service_id}/{month}", delete, methods=["DELETE"])
