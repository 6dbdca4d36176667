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
from api.portal.forms import Form, form_of, onward, shown_again
from api.portal.frame import who_of
from api.portal.listing import asked_of, next_of, organisations_of
from cim.query.applications import GRANT_STATES

PAGE = 30
FILTERS = ("state", "service", "organisation", "scenario")


@at_desk
async def grants(request: Request) -> Response:
    """One page of the grants that one's organisation has, or has given."""
    scope = (await who_of(request)).scope
    views = ("ours", "given") if is_judge(scope) else ("ours",)
    view = request.query_params.get("view", "")
    view = view if view in views else "ours"
    asked = asked_of(request, *FILTERS)
    is_more = acts_for_many(scope)
    of_view: dict[str, Any] = {"organisation": scope.organisation_id}
    if view == "given":
        of_view = {} if is_more else {"owner": scope.organisation_id}
    answer = await ask(request, "GET", "/grants", query={"limit": PAGE, **asked, **of_view})
    return await desk_page(
        request,
        "desk/grants.html",
        "grants",
        rows=answer.document["grants"],
        next=next_of(request, answer.document),
        names=await organisations_of(request),
        asked={**dict.fromkeys(FILTERS, ""), **asked},
        views=views,
        view=view,
        states=list(GRANT_STATES),
    )


async def _one(
    request: Request, *, form: Form | None = None, refused: Refused | None = None, act: str = ""
) -> Response:
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
async def grant(request: Request) -> Response:
    """One grant: its conditions, what of the day's quota is used, and what the caller may do with it."""
    return await _one(request)


async def _tried(request: Request, act: str, form: Form, method: str, path: str, body: Any) -> Any:
    """The API's answer, or the page of the grant with what was typed and why it was refused."""
    key = request.path_params["grant_id"]
    try:
        return (await ask(request, method, path, *([key] if "{}" in path else []), body=body)).document
    except Refused as refused:
        if refused.status in (401, 404):
            raise
        return await _one(request, form=form, refused=refused, act=act)


@at_desk
async def edit(request: Request) -> Response:
    """Other conditions: those of the form that differ from what the grant has."""
    form, zone, key = await form_of(request), settings_of(request).time_zone, request.path_params["grant_id"]
    row = (await ask(request, "GET", "/grants/{}", key)).document
    kept, typed = shown_conditions(row, zone), typed_conditions(form, zone)
    changed = {name: typed[name] for name in FIELDS if form.text(name) != kept[name]}
    done = await _tried(request, "edit", form, "PATCH", "/grants/{}", changed)
    return done if isinstance(done, Response) else onward(request, "desk/grants/{}", key, said="grant.changed")


@at_desk
async def revoke(request: Request) -> Response:
    """Ends the grant for a reason, which its holder is told."""
    form, key = await form_of(request), request.path_params["grant_id"]
    done = await _tried(request, "revoke", form, "POST", "/grants/{}/revoke", {"reason": form.text("reason")})
    return done if isinstance(done, Response) else onward(request, "desk/grants/{}", key, said="grant.revoked")


@at_desk
async def renew(request: Request) -> Response:
    """Applies for the grant to be renewed, under the conditions of the form."""
    form, zone, key = await form_of(request), settings_of(request).time_zone, request.path_params["grant_id"]
    wanted = typed_conditions(form, zone)
    body = {"grant_id": int(key) if key.isdigit() else key, "purpose": form.text("purpose"), "wanted": wanted}
    done = await _tried(request, "renew", form, "POST", "/applications", body)
    if isinstance(done, Response):
        return done
    return onward(request, "desk/applications/{}", str(done["id"]), said="application.sent")


ROUTES = (
    Route("/desk/grants", grants, methods=["GET"]),
    Route("/desk/grants/{grant_id}", grant, methods=["GET"]),
    Route("/desk/grants/{grant_id}", edit, methods=["POST"]),
    Route("/desk/grants/{grant_id}/revoke", revoke, methods=["POST"]),
    Route("/desk/grants/{grant_id}/renew", renew, methods=["POST"]),
)
