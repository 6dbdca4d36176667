"""How a service has been: its state now, and the last 30 days."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, scope_of
from api.documents import json_answer
from api.params import query_parameters
from api.services import visible_row
from cim.interval import instant_text
from cim.query.health import day_document, days_sql, health_sql

router = APIRouter(tags=["catalogue"])


async def health(request: Request) -> Response:
    """State, latency and since when, each day's probes and availability; what went wrong for those who know where it runs."""
    query_parameters(request, ())
    row = await visible_row(request, await scope_of(request))
    now = await database_of(request).fetch_row(health_sql(row["id"]))
    days = [day_document(day) for day in await database_of(request).fetch_rows(days_sql(row["id"]))]
    probes = sum(day["probes"] for day in days)
    body = {
        "id": row["id"],
        "serviceState": row["state"],
        "state": now["state"] if now else None,
        "since": instant_text(now["since"]) if now else None,
        "checked": instant_text(now["checked_at"]) if now else None,
        "latencyMs": now["latency_ms"] if now else None,
        "detail": now["detail"] if now and row["shows_address"] else None,
        "failuresInARow": now["failures"] if now else 0,
        "suspendedByHealth": now["is_suspended_here"] if now else False,
        "availability30Days": round(sum(day["up"] + day["degraded"] for day in days) / probes, 5) if probes else None,
        "days": days,
    }
    return json_answer(request, body, vary="Accept, Authorization, X-API-Key, Cookie")


router.add_route("/catalogue/items/{service_id}/health", health, methods=["GET"])
