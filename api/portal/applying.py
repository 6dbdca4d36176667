"""Applying for access to a service: a form, sent to the API for one's organisation."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.context import settings_of
from api.portal.ask import Refused, ask
from api.portal.calling import offers_of
from api.portal.conditions import shown_conditions, typed_conditions
from api.portal.forms import Form, a_page, onward, sent, shown_again
from api.portal.frame import page, preferred_language
from api.portal.service import access_of, told
from api.portal.shelf import named

MOST = 200
"""Scenarios to choose from."""

applies = a_page("shelf", needs_login=True)


@applies
async def show(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """The form, or the application or grant that there is already."""
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
        values=shown_again(form, shown_conditions({}, settings_of(request).time_zone)),
        masks=("area_code",) if all(offer.is_own for offer in offers_of(record, "")) else (),
        refused=refused,
        bad=bad,
    )


def _title(scenario: Any, lang: str) -> str:
    first, second = ("title_en", "title_zh") if lang == "en" else ("title_zh", "title_en")
    return str(scenario[first] or scenario[second] or scenario["id"])


@applies
@sent(show)
async def send(request: Request, form: Form) -> Response:
    """Hand in the application; afterwards it is the desk's."""
    wanted = typed_conditions(form, settings_of(request).time_zone)
    body = {
        "service_id": request.path_params["service_id"],
        **form.filled("purpose", "scenario_id"),
        "wanted": {name: value for name, value in wanted.items() if value not in (None, [])},
    }
    made = (await ask(request, "POST", "/applications", body=body)).document
    return onward(request, "desk/applications/{}", str(made["id"]), said="application-sent")


ROUTES = (
    Route("/apply/{service_id}", show, methods=["GET"]),
    Route("/apply/{service_id}", send, methods=["POST"]),
)
