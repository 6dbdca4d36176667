"""The desk's meters: sums of calls, over time and by what was called by whom, for the side one stands on; quotas with what is left."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.portal.ask import Refused, ask
from api.portal.built import messages_of
from api.portal.desk import acts_for_many, at_desk, desk_page
from api.portal.frame import preferred_language, who_of
from api.portal.listing import asked_of, next_of, organisations_of
from cim.model import Scope
from cim.query.statements import MEASURES

PAGE = 50
ASKED = ("side", "organisation", "from", "to", "service", "consumer", "scenario", "by", "measure", "step")
WHICH = ("side", "organisation", "from", "to", "service", "consumer", "scenario")
BY = ("service", "organisation", "owner", "scenario", "day", "month")
TIMES = ("day", "month")
STEPS = ("minute", "hour", "day", "month")


def sides_of(scope: Scope) -> tuple[str, ...]:
    """The sides on which the caller may stand, the first one by default."""
    is_owner = bool({"publisher", "org_admin", "district_admin"} & scope.roles)
    return ("city", "consumer", "owner") if scope.is_city else ("consumer", "owner") if is_owner else ("consumer",)


def side_of(request: Request, scope: Scope) -> str:
    """The side that the page's address asks for, where it is the caller's."""
    sides, asked = sides_of(scope), request.query_params.get("side", "")
    return asked if asked in sides else sides[0]


def whose_of(scope: Scope, side: str, organisation: str) -> str | None:
    """The organisation that the API is asked about; None for the city."""
    return None if side == "city" else organisation or scope.organisation_id


@at_desk
async def meters(request: Request) -> Response:
    """The statement of a period with its chart, the ten largest, and every group; what is left of today's quotas."""
    scope = (await who_of(request)).scope
    side = side_of(request, scope)
    asked = {**dict.fromkeys(ASKED, ""), **asked_of(request, *ASKED)}
    default_by = "organisation" if side == "city" else "service"
    asked |= {
        "side": side,
        "by": asked["by"] if asked["by"] in BY else default_by,
        "measure": asked["measure"] if asked["measure"] in MEASURES else "calls",
        "step": asked["step"] if asked["step"] in STEPS else "day",
    }
    which = {**{name: asked[name] for name in WHICH}, "organisation": whose_of(scope, side, asked["organisation"])}
    found, refused = await _found(request, asked, which)
    return await desk_page(
        request,
        "desk/meters.html",
        "meters",
        asked=asked,
        sides=sides_of(scope),
        bys=BY,
        measures=MEASURES,
        steps=STEPS,
        names=await organisations_of(request),
        is_wide=acts_for_many(scope),
        csv=urlencode([(name, value) for name, value in {**which, "by": asked["by"], "f": "csv"}.items() if value]),
        quotas=await _quotas(request, scope) if side == "consumer" else [],
        refused=refused,
        **found,
    )


async def _found(
    request: Request, asked: Mapping[str, str], which: Mapping[str, Any]
) -> tuple[dict[str, Any], Refused | None]:
    by, cursor = asked["by"], request.query_params.get("cursor")
    line_by, step = (None, by) if by in TIMES else (by, asked["step"])
    try:
        statement = await ask(request, "GET", "/statements", query={**which, "by": by, "limit": PAGE, "cursor": cursor})
        shape = {"by": line_by, "step": step, "measure": asked["measure"]}
        series = await ask(request, "GET", "/statements/series", query={**which, **shape})
    except Refused as refused:
        if refused.status not in (400, 403):
            raise
        return {"statement": None, "chart": None, "lines": [], "next": ""}, refused
    lines = lines_of(request, series.document)
    title = messages_of(preferred_language(request))[f"measure.{asked['measure']}"]
    chart = {"times": times_of(series.document), "lines": lines, "title": title}
    return {
        "statement": statement.document,
        "chart": chart,
        "lines": lines,
        "next": next_of(request, statement.document),
    }, None


def lines_of(request: Request, series: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lines of a chart with their names in the page's language, values, and sum; the largest first, the rest last."""
    lang = preferred_language(request)
    t, first, second = messages_of(lang), *(("en", "zh") if lang == "en" else ("zh", "en"))
    lines = []
    for one in series["series"]:
        known = one.get(f"name_{first}") or one.get(f"name_{second}")
        name = t["meter.rest"] if one["is_rest"] and series["by"] else known or one["key"] or t["meter.none"]
        if not series["by"]:
            name = t[f"measure.{series['measure']}"]
        lines.append({"key": one["key"], "name": name, "values": one["values"], "sum": sum(one["values"])})
    return lines


def times_of(series: Mapping[str, Any]) -> Sequence[str]:
    """The steps of a chart as they are written: a month, a day, or an instant to the minute of the platform."""
    length = {"month": 7, "day": 10}.get(series["step"], 16)
    return [str(at)[:length].replace("T", " ") for at in series["times"]]


async def _quotas(request: Request, scope: Scope) -> list[Mapping[str, Any]]:
    if scope.organisation_id is None:
        return []
    own = {"organisation": scope.organisation_id, "state": "in_force", "limit": 100}
    rows = (await ask(request, "GET", "/grants", query=own)).document["grants"]
    return [row for row in rows if row["quota_day"] is not None]


ROUTES = (Route("/desk/meters", meters, methods=["GET"]),)
