"""The desk's grants: in force and ended, their conditions and use; changed and revoked by who gave them, renewed by who has them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.context import settings_of
from api.portal.ask import Refused, ask
from api.portal.conditions import FIELDS, shown_conditions, typed_conditions
from api.portal.desk import acts_for_many, at_desk, desk_page
from api.portal.desk_applications import is_judge
from api.portal.forms import Form, onward, sent, shown_again
from api.portal.frame import who_of
from api.portal.listing import listed, organisations_of
from cim.query.applications import GRANT_STATES

PAGE = 30
FILTERS = ("state", "service", "organisation", "scenario")


@at_desk
async def grants(request: Request) -> Response:
    """One page of the grants that one's organisation has, or has given."""
    scope = (await who_of(request)).scope
    views = ("held", "given") if is_judge(scope) else ("held",)
    view = request.query_params.get("view", "")
    view = view if view in views else "held"
    of_view: dict[str, Any] = {"organisation": scope.organisation_id}
    if view == "given":
        of_view = {} if acts_for_many(scope) else {"owner": scope.organisation_id}
    return await desk_page(
        request,
        "desk/grants.html",
        "grants",
        **await listed(request, "/grants", "grants", FILTERS, PAGE, **of_view),
        names=await organisations_of(request),
        views=views,
        view=view,
        states=list(GRANT_STATES),
    )


@at_desk
async def grant(request: Request, form: Form | None = None, refused: Refused | None = None, act: str = "") -> Response:
    """One grant: its conditions, what of the day's quota is used, and what the caller may do with it.

    `act` is what was refused, with the form as it was typed.
    """
    zone = settings_of(request).time_zone
    row = (await ask(request, "GET", "/grants/{}", request.path_params["grant_id"])).document
    stored = shown_conditions(row, zone)
    shown = {name: shown_again(form if act == name else None, stored) for name in ("edit", "renew")}
    return await desk_page(
        request,
        "desk/grant.html",
        "grants",
        row=row,
        names=await organisations_of(request),
        values=shown["edit"],
        renewed={"purpose": "", **shown["renew"]},
        reason=form.text("reason") if form else "",
        refused=refused,
        bad={
            **dict.fromkeys(("edit", "revoke", "renew"), ""),
            act: refused.problem.get("parameter", "") if refused else "",
        },
    )


@at_desk
@sent(grant, act="edit")
async def edit(request: Request, form: Form) -> Response:
    """Other conditions: those of the form that differ from what the grant has."""
    zone, key = settings_of(request).time_zone, request.path_params["grant_id"]
    row = (await ask(request, "GET", "/grants/{}", key)).document
    kept, typed = shown_conditions(row, zone), typed_conditions(form, zone)
    changed = {name: typed[name] for name in FIELDS if form.text(name) != kept[name]}
    await ask(request, "PATCH", "/grants/{}", key, body=changed)
    return onward(request, "desk/grants/{}", key, said="grant.changed")


@at_desk
@sent(grant, act="revoke")
async def revoke(request: Request, form: Form) -> Response:
    """Ends the grant for a reason, which its holder is told."""
    key = request.path_params["grant_id"]
    await ask(request, "POST", "/grants/{}/revoke", key, body={"reason": form.text("reason")})
    return onward(request, "desk/grants/{}", key, said="grant.revoked")


@at_desk
@sent(grant, act="renew")
async def renew(request: Request, form: Form) -> Response:
    """Applies for the grant to be renewed, under the conditions of the form."""
    wanted, key = typed_conditions(form, settings_of(request).time_zone), request.path_params["grant_id"]
    body = {"grant_id": int(key) if key.isdigit() else key, "purpose": form.text("purpose"), "wanted": wanted}
    made = (await ask(request, "POST", "/applications", body=body)).document
    return onward(request, "desk/applications/{}", str(made["id"]), said="application.sent")


ROUTES = (
    Route("/desk/grants", grants, methods=["GET"]),
    Route("/desk/grants/{grant_id}", grant, methods=["GET"]),
    Route("/desk/grants/{grant_id}", edit, methods=["POST"]),
    Route("/desk/grants/{grant_id}/revoke", revoke, methods=["POST"]),
    Route("/desk/grants/{grant_id}/renew", renew, methods=["POST"]),
)
