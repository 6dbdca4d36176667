"""The desk's scenarios (应用场景): registered, edited, archived; their grants and what was called for them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.portal.ask import Refused, ask
from api.portal.desk import acts_for_many, at_desk, desk_page
from api.portal.forms import Form, onward, sent, shown_again
from api.portal.frame import who_of
from api.portal.listing import listed, organisations_of
from cim.catalogue.scenario import MEMBERS, STATES

PAGE = 30
FILTERS = ("state", "organisation")
TEXTS = tuple(name for name in MEMBERS if name not in ("id", "state", "is_public"))
PUBLISHERS = {"publisher", "org_admin", "city_admin"}
"""Who says for the organisation what is public."""


@at_desk
async def scenarios(request: Request) -> Response:
    """One page of the scenarios of those organisations that the caller acts for."""
    return await desk_page(
        request,
        "desk/scenarios.html",
        "scenarios",
        **await listed(request, "/scenarios", "scenarios", FILTERS, PAGE),
        names=await organisations_of(request),
        states=STATES,
        is_wide=acts_for_many((await who_of(request)).scope),
    )


@at_desk
async def new(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """The form by which a scenario is registered."""
    return await desk_page(
        request,
        "desk/scenario_new.html",
        "scenarios",
        values=shown_again(form, dict.fromkeys(("id", *TEXTS), "")),
        refused=refused,
    )


@at_desk
@sent(new)
async def create(request: Request, form: Form) -> Response:
    """Registers a scenario of the caller's organisation."""
    made = (await ask(request, "POST", "/scenarios", body=form.filled("id", *TEXTS))).document
    return onward(request, "desk/scenarios/{}", made["id"], said="scenario.made")


@at_desk
async def scenario(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """One scenario with its grants, and its calls of this month by service."""
    scope, key = (await who_of(request)).scope, request.path_params["scenario_id"]
    row = (await ask(request, "GET", "/scenarios/{}", key)).document
    whose = {"scenario": key, "organisation": row["organisation_id"]}
    grants = (await ask(request, "GET", "/grants", query={**whose, "limit": 100})).document["grants"]
    used = await ask(request, "GET", "/statements", query={**whose, "side": "consumer", "by": "service", "limit": 100})
    return await desk_page(
        request,
        "desk/scenario.html",
        "scenarios",
        row=row,
        grants=grants,
        used=used.document,
        names=await organisations_of(request),
        values=shown_again(form, {name: row[name] or "" for name in TEXTS}),
        publishes=bool(PUBLISHERS & scope.roles),
        is_ours=row["organisation_id"] == scope.organisation_id or scope.is_city,
        refused=refused,
    )


@at_desk
@sent(scenario)
async def edit(request: Request, form: Form) -> Response:
    """Writes the form's fields; an empty one is emptied. A form of `state`, or of `is_public`, changes that alone."""
    body: dict[str, Any] = {name: form.text(name) for name in TEXTS if name in form}
    if form.text("state"):
        body = {"state": form.text("state")}
    if form.text("is_public"):
        body = {"is_public": form.text("is_public") == "true"}
    key = request.path_params["scenario_id"]
    await ask(request, "PATCH", "/scenarios/{}", key, body=body)
    return onward(request, "desk/scenarios/{}", key, said="saved")


ROUTES = (
    Route("/desk/scenarios", scenarios, methods=["GET"]),
    Route("/desk/scenarios", create, methods=["POST"]),
    Route("/desk/new/scenarios", new, methods=["GET"]),
    Route("/desk/scenarios/{scenario_id}", scenario, methods=["GET"]),
    Route("/desk/scenarios/{scenario_id}", edit, methods=["POST"]),
)
