"""The desk's applications: those to decide, those that one's own organisation handed in; grant, refuse, withdraw."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.context import settings_of
from api.portal.ask import Refused, ask
from api.portal.conditions import FIELDS, shown_conditions, typed_conditions
from api.portal.desk import acts_for_many, at_desk, desk_page
from api.portal.forms import Form, onward, sent, shown_again
from api.portal.frame import who_of
from api.portal.listing import listed, organisations_of
from cim.catalogue.application import STATES
from cim.model import Scope

PAGE = 30
FILTERS = ("state", "service", "organisation", "scenario", "overdue")
VIEWS = ("waiting", "ours", "all")
_DECIDE = {"publisher", "org_admin", "district_admin", "city_admin"}


def is_judge(scope: Scope) -> bool:
    """True for those who have applications to decide."""
    return bool(scope.roles & _DECIDE)


def waiting_for(scope: Scope) -> dict[str, str]:
    """Filters of the applications that wait for the caller: for their organisation's services, for all those of more."""
    is_more = acts_for_many(scope)
    return {"state": "submitted", **({} if is_more else {"owner": scope.organisation_id or ""})}


@at_desk
async def applications(request: Request) -> Response:
    """One page of a view: what waits, what was handed in, or both in every state."""
    scope = (await who_of(request)).scope
    views = VIEWS if is_judge(scope) else ("ours",)
    view = request.query_params.get("view", "")
    view = view if view in views else views[0]
    of_view: dict[str, Any] = {}
    if view == "waiting":
        of_view = waiting_for(scope)
    elif view == "ours":
        of_view = {"organisation": scope.organisation_id}
    return await desk_page(
        request,
        "desk/applications.html",
        "applications",
        **await listed(request, "/applications", "applications", FILTERS, PAGE, **of_view),
        names=await organisations_of(request),
        views=views,
        view=view,
        states=STATES,
    )


@at_desk
async def application(
    request: Request, form: Form | None = None, refused: Refused | None = None, act: str = ""
) -> Response:
    """What was asked, by whom, until when it is decided, and what the caller may do with it.

    `act` is what was refused, with the form as it was typed.
    """
    zone = settings_of(request).time_zone
    row = (await ask(request, "GET", "/applications/{}", request.path_params["application_id"])).document
    wanted = {**dict.fromkeys(FIELDS), **row["wanted"]}
    return await desk_page(
        request,
        "desk/application.html",
        "applications",
        row={**row, "wanted": wanted},
        names=await organisations_of(request),
        values=shown_again(form, {"note": "", "reason": "", **shown_conditions(wanted, zone)}),
        refused=refused,
        act=act,
    )


async def _done(request: Request, act: str, body: Any, said: str) -> Response:
    key = request.path_params["application_id"]
    await ask(request, "POST", f"/applications/{{}}/{act}", key, body=body)
    return onward(request, "desk/applications/{}", key, said=said)


@at_desk
@sent(application, act="grant")
async def grant(request: Request, form: Form) -> Response:
    """Grants under the conditions of the form: all that it says, none that it leaves empty."""
    conditions = typed_conditions(form, settings_of(request).time_zone)
    body = {"conditions": conditions, **form.filled("note")}
    return await _done(request, "grant", body, "application.granted")


@at_desk
@sent(application, act="refuse")
async def refuse(request: Request, form: Form) -> Response:
    """Refuses for a reason, which the applicant is told."""
    return await _done(request, "refuse", {"reason": form.text("reason")}, "application.refused")


@at_desk
@sent(application, act="withdraw")
async def withdraw(request: Request, _: Form) -> Response:
    """Takes an application of one's own organisation back."""
    return await _done(request, "withdraw", None, "application.withdrawn")


ROUTES = (
    Route("/desk/applications", applications, methods=["GET"]),
    Route("/desk/applications/{application_id}", application, methods=["GET"]),
    Route("/desk/applications/{application_id}/grant", grant, methods=["POST"]),
    Route("/desk/applications/{application_id}/refuse", refuse, methods=["POST"]),
    Route("/desk/applications/{application_id}/withdraw", withdraw, methods=["POST"]),
)
