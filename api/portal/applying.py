"""Applying for access to a service: a form, sent to the API for one's organisation."""

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.context import settings_of
from api.portal.ask import Refused, ask
from api.portal.forms import Form, a_page, form_of, onward
from api.portal.frame import page, preferred_language
from api.portal.service import access_of, told
from api.portal.shelf import named
from cim.interval import parse_date

NUMBERS = ("quota_day", "rate_calls", "rate_seconds")
MOST = 200
"""Scenarios to choose from."""

applies = a_page("shelf", needs_login=True)


@applies
async def show(request: Request) -> Response:
    """The form, or the application or grant that there is already."""
    return await _form(request)


@applies
async def send(request: Request) -> Response:
    """Hand in the application; afterwards it is the desk's."""
    form = await form_of(request)
    body = {
        "service_id": request.path_params["service_id"],
        **form.filled("purpose", "scenario_id"),
        "wanted": _wanted(form, ZoneInfo(settings_of(request).time_zone)),
    }
    try:
        made = (await ask(request, "POST", "/applications", body=body)).document
    except Refused as refused:
        return await _form(request, form, refused)
    return onward(request, "desk/applications/{}", str(made["id"]), said="application-sent")


def _wanted(form: Form, zone: ZoneInfo) -> dict[str, Any]:
    """The conditions as the API takes them: numbers where they are some; the last day is in with its last second."""
    wanted: dict[str, Any] = form.filled(*NUMBERS, "area_code")
    for name in NUMBERS:
        if wanted.get(name, "").isascii() and wanted.get(name, "").isdigit():
            wanted[name] = int(wanted[name])
    if form.text("expires_on"):
        last = parse_date(form.text("expires_on"))
        wanted["expires_at"] = (
            datetime.combine(last, time(23, 59, 59), zone).isoformat() if last else form.text("expires_on")
        )
    return wanted


async def _form(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    service_id, lang = request.path_params["service_id"], preferred_language(request)
    record = (await ask(request, "GET", "/catalogue/items/{}", service_id, query={"lang": lang})).document
    properties = named(record, lang)
    access = await access_of(request, service_id, properties)
    known = await told(request, "/scenarios", state="active", limit=MOST)
    bad = str(refused.problem.get("parameter", "")) if refused else ""
    return await page(
        request,
        "shelf/apply.html",
        "shelf",
        status=refused.status if refused else 200,
        one=properties,
        access=access,
        scenarios=[(one["id"], _title(one, lang)) for one in (known or {}).get("scenarios", ())],
        typed=form or Form(),
        refused=refused,
        bad="expires_on" if bad == "expires_at" else bad,
    )


def _title(scenario: Any, lang: str) -> str:
    first, second = ("title_en", "title_zh") if lang == "en" else ("title_zh", "title_en")
    return str(scenario[first] or scenario[second] or scenario["id"])


ROUTES = (
    Route("/apply/{service_id}", show, methods=["GET"]),
    Route("/apply/{service_id}", send, methods=["POST"]),
)
