"""How much a service is called: numbers for everybody who may see it, of nobody who calls it."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, scope_of, settings_of
from api.documents import json_answer
from api.params import query_parameters
from api.services import VARY, visible_row
from cim.query.statements import usage_sql

router = APIRouter(tags=["catalogue"])

DAYS = 30


async def usage(request: Request) -> Response:
    """Calls of the last 30 days, today included, by day of the platform; every day is there."""
    query_parameters(request, ())
    row = await visible_row(request, await scope_of(request))
    last = datetime.now(ZoneInfo(settings_of(request).time_zone)).date()
    first = last - timedelta(days=DAYS - 1)
    found = {one["day"]: one for one in await database_of(request).fetch_rows(usage_sql(row["id"], first, last))}
    days = [first + timedelta(days=n) for n in range(DAYS)]
    counts = {name: [found[day][name] if day in found else 0 for day in days] for name in ("calls", "failed")}
    body = {
        "id": row["id"],
        "from": first.isoformat(),
        "to": last.isoformat(),
        **{name: sum(numbers) for name, numbers in counts.items()},
        "days": [
            {"day": day.isoformat(), "calls": calls, "failed": failed}
            for day, calls, failed in zip(days, counts["calls"], counts["failed"], strict=True)
        ],
    }
    return json_answer(request, body, vary=VARY)


router.add_route("/catalogue/items/{service_id}/usage", usage, methods=["GET"])
