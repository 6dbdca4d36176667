"""The desk's settlements: what a month of data products costs, and the closed days that it is made of."""

from datetime import datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.context import settings_of
from api.portal.ask import Refused, ask
from api.portal.desk import acts_for_many, at_desk, desk_page
from api.portal.desk_meters import side_of, sides_of, whose_of
from api.portal.frame import who_of
from api.portal.listing import organisations_of

CLOSES = 40


@at_desk
async def settlements(request: Request) -> Response:
    """The lines of a month, by default the one that runs, with its sums and the digest of its last close."""
    scope = (await who_of(request)).scope
    side, asked = side_of(request, scope), request.query_params
    organisation = asked.get("organisation", "").strip()
    month = asked.get("month", "").strip() or f"{datetime.now(ZoneInfo(settings_of(request).time_zone)):%Y-%m}"
    query = {"side": side, "organisation": whose_of(scope, side, organisation)}
    settlement, refused = None, None
    try:
        settlement = (await ask(request, "GET", "/statements/settlements/{}", month, query=query)).document
    except Refused as error:
        if error.status not in (400, 403):
            raise
        refused = error
    return await desk_page(
        request,
        "desk/settlements.html",
        "settlements",
        settlement=settlement,
        month=month,
        side=side,
        sides=sides_of(scope),
        organisation=organisation,
        names=await organisations_of(request),
        is_wide=acts_for_many(scope),
        is_city=scope.is_city,
        csv=urlencode([(name, value) for name, value in {**query, "f": "csv"}.items() if value]),
        refused=refused,
    )


@at_desk
async def closes(request: Request) -> Response:
    """Closed days with their digests, the latest first (for the city)."""
    before = request.query_params.get("before", "").strip() or None
    rows = (await ask(request, "GET", "/statements/closes", query={"limit": CLOSES, "before": before})).document[
        "closes"
    ]
    following = urlencode({"before": rows[-1]["day"]}) if len(rows) == CLOSES else ""
    return await desk_page(request, "desk/closes.html", "settlements", rows=rows, next=following)


ROUTES = (
    Route("/desk/settlements", settlements, methods=["GET"]),
    Route("/desk/settlements/closes", closes, methods=["GET"]),
)
