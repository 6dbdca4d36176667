"""The desk's audit: who did what, when and why, filtered, read on, as a table; and the head of the chain."""

from datetime import datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.context import settings_of
from api.portal.ask import ask
from api.portal.built import messages_of
from api.portal.desk import at_desk, desk_page
from api.portal.desk_services import may_ask
from api.portal.frame import preferred_language, who_of
from api.portal.listing import asked_of, next_of, organisations_of
from cim.interval import parse_date

FILTERS = ("subject-kind", "subject", "actor", "event", "organisation", "since", "until")
SUBJECTS = ("service", "grant", "application", "key", "person", "organisation", "scenario", "node")
NO_PERSONS = ("node", "operator", "anonymous")
"""What the audit calls those who are no person; a login alone is looked for as a person's."""
TABLE_ROWS = 10_000
"""Rows of the table to download."""


@at_desk
async def audit(request: Request) -> Response:
    """Rows that match, the latest first; days are those of the platform's time zone."""
    asked = asked_of(request, *FILTERS)
    zone = ZoneInfo(settings_of(request).time_zone)
    said = {name: _instant(text, name, zone) if name in ("since", "until") else text for name, text in asked.items()}
    if " " not in said.get("actor", " ") and said["actor"] not in NO_PERSONS:
        said["actor"] = f"person {said['actor']}"
    found = await ask(request, "GET", "/admin/audit", query={"limit": 50, **said})
    is_city = (await who_of(request)).scope.is_city
    table = {name: value for name, value in said.items() if name != "cursor"}
    return await desk_page(
        request,
        "desk/runs/audit.html",
        "audit",
        rows=found.document["rows"],
        asked={**dict.fromkeys(FILTERS, ""), **asked},
        is_filtered=bool(asked),
        subjects=SUBJECTS,
        events=[key[6:] for key in messages_of(preferred_language(request)) if key.startswith("event.")],
        organisations=await organisations_of(request) if is_city else {},
        head=await may_ask(request, "/admin/audit/head"),
        table=urlencode({**table, "f": "csv", "limit": TABLE_ROWS}),
        next=next_of(request, found.document),
    )


def _instant(text: str, name: str, zone: ZoneInfo) -> str:
    """The instant at which a day begins, or for `until` has ended; what is no day stays as it was typed."""
    day = parse_date(text)
    if day is None:
        return text
    return (datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(days=name == "until")).isoformat()


ROUTES = (Route("/desk/audit", audit, methods=["GET"]),)
