"""The desk's people: made (their invitation is shown once), given duties, suspended; each organisation's admins their own."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.context import settings_of
from api.portal.ask import Refused, ask
from api.portal.desk import acts_for_many, at_desk, desk_page
from api.portal.forms import Form, changes_of, onward, sent, shown_again
from api.portal.frame import who_of
from api.portal.listing import listed, organisations_of
from cim.model.scope import DUTIES
from cim.people.document import STATES
from cim.people.rights import may_give

PAGE = 50
FILTERS = ("organisation", "state", "duty")
TEXTS = ("name", "email", "area_code")
_NEW = ("login", "organisation_id", *TEXTS)


@at_desk
async def people(request: Request) -> Response:
    """One page of the people that the caller acts for."""
    return await desk_page(
        request,
        "desk/people.html",
        "people",
        **await listed(request, "/people", "people", FILTERS, PAGE),
        names=await organisations_of(request),
        states=STATES,
        duties=DUTIES,
        is_wide=acts_for_many((await who_of(request)).scope),
    )


@at_desk
async def new(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """The form by which a person is made."""
    scope = (await who_of(request)).scope
    empty = {**dict.fromkeys(_NEW, ""), "organisation_id": scope.organisation_id or ""}
    return await desk_page(
        request,
        "desk/person_new.html",
        "people",
        values=shown_again(form, empty),
        given=form.texts("duties") if form else [],
        duties=may_give(scope),
        names=await organisations_of(request),
        is_wide=acts_for_many(scope),
        is_city=scope.is_city,
        refused=refused,
    )


@at_desk
@sent(new)
async def create(request: Request, form: Form) -> Response:
    """Makes a person and shows the invitation, this once."""
    body: dict[str, Any] = {**form.filled(*_NEW), "duties": form.texts("duties")}
    made = (await ask(request, "POST", "/people", body=body)).document
    return await _invited(request, made["id"], made["login"], made["invitation"])


async def _invited(request: Request, person_id: str, login: str, invitation: str) -> Response:
    return await desk_page(
        request,
        "desk/invited.html",
        "people",
        person_id=person_id,
        login=login,
        invitation=invitation,
        base=settings_of(request).public_url,
        days=round(settings_of(request).invitation_s / 86_400, 1),
    )


@at_desk
async def person(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """One person and what the caller may change of them."""
    scope = (await who_of(request)).scope
    row = (await ask(request, "GET", "/people/{}", request.path_params["person_id"])).document
    return await desk_page(
        request,
        "desk/person.html",
        "people",
        row=row,
        names=await organisations_of(request),
        values=shown_again(form, {name: row[name] or "" for name in TEXTS}),
        given=form.texts("duties") if form and "email" in form else row["duties"],
        duties=DUTIES if scope.is_city else [*dict.fromkeys((*may_give(scope), *row["duties"]))],
        fixed=[] if scope.is_city else [one for one in row["duties"] if one not in may_give(scope)],
        is_self=row["id"] == scope.person_id,
        is_city=scope.is_city,
        refused=refused,
    )


@at_desk
@sent(person)
async def edit(request: Request, form: Form) -> Response:
    """Writes name, address and duties that changed; a form of `state` alone suspends somebody or takes them back."""
    key = request.path_params["person_id"]
    body: dict[str, Any] = {"state": form.text("state")}
    if "state" not in form:
        row = (await ask(request, "GET", "/people/{}", key)).document
        duties = form.texts("duties")
        body = {**changes_of(form, row, *TEXTS), **({"duties": duties} if duties != row["duties"] else {})}
    if body:
        await ask(request, "PATCH", "/people/{}", key, body=body)
    return onward(request, "desk/people/{}", key, said="saved")


@at_desk
@sent(person)
async def invite(request: Request, _: Form) -> Response:
    """A new invitation, shown this once; the one before is good no longer."""
    key = request.path_params["person_id"]
    row = (await ask(request, "GET", "/people/{}", key)).document
    made = (await ask(request, "POST", "/people/{}/invitation", key)).document
    return await _invited(request, key, row["login"], made["invitation"])


ROUTES = (
    Route("/desk/people", people, methods=["GET"]),
    Route("/desk/people", create, methods=["POST"]),
    Route("/desk/new/people", new, methods=["GET"]),
    Route("/desk/people/{person_id}", person, methods=["GET"]),
    Route("/desk/people/{person_id}", edit, methods=["POST"]),
    Route("/desk/people/{person_id}/invitation", invite, methods=["POST"]),
)
