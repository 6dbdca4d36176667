"""The desk's organisations: made, changed and suspended for the city; their own admins write the contact."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.portal.ask import Refused, ask
from api.portal.desk import at_desk, desk_page
from api.portal.forms import Form, changes_of, onward, sent, shown_again
from api.portal.frame import who_of
from api.portal.listing import listed
from cim.people.document import STATES
from cim.people.rights import manages

PAGE = 60
FILTERS = ("state", "area")
TEXTS = ("name_zh", "name_en", "area_code", "contact")


@at_desk
async def organisations(request: Request) -> Response:
    """One page of organisations, by id."""
    return await desk_page(
        request,
        "desk/organisations.html",
        "organisations",
        **await listed(request, "/organisations", "organisations", FILTERS, PAGE),
        states=STATES,
        is_city=(await who_of(request)).scope.is_city,
    )


@at_desk
async def new(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """The form by which an organisation is made."""
    return await desk_page(
        request,
        "desk/organisation_new.html",
        "organisations",
        values=shown_again(form, dict.fromkeys(("id", *TEXTS), "")),
        refused=refused,
    )


@at_desk
@sent(new)
async def create(request: Request, form: Form) -> Response:
    """Makes an organisation."""
    made = (await ask(request, "POST", "/organisations", body=form.filled("id", *TEXTS))).document
    return onward(request, "desk/organisations/{}", made["id"], said="organisation.made")


@at_desk
async def organisation(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """One organisation and what the caller may change of it."""
    scope = (await who_of(request)).scope
    row = (await ask(request, "GET", "/organisations/{}", request.path_params["organisation_id"])).document
    return await desk_page(
        request,
        "desk/organisation.html",
        "organisations",
        row=row,
        values=shown_again(form, {name: row[name] or "" for name in TEXTS}),
        manages=manages(scope, row["id"], row["area_code"]),
        is_city=scope.is_city,
        refused=refused,
    )


@at_desk
@sent(organisation)
async def edit(request: Request, form: Form) -> Response:
    """Writes what changed of the form's fields; a form of `state` alone suspends an organisation or takes it back."""
    key = request.path_params["organisation_id"]
    body: dict[str, Any] = {"state": form.text("state")}
    if "state" not in form:
        row = (await ask(request, "GET", "/organisations/{}", key)).document
        body = changes_of(form, row, *TEXTS)
    if body:
        await ask(request, "PATCH", "/organisations/{}", key, body=body)
    return onward(request, "desk/organisations/{}", key, said="saved")


@at_desk
@sent(organisation)
async def delete(request: Request, _: Form) -> Response:
    """Deletes an organisation that nothing hangs on."""
    await ask(request, "DELETE", "/organisations/{}", request.path_params["organisation_id"])
    return onward(request, "desk/organisations", said="organisation.deleted")


ROUTES = (
    Route("/desk/organisations", organisations, methods=["GET"]),
    Route("/desk/organisations", create, methods=["POST"]),
    Route("/desk/new/organisations", new, methods=["GET"]),
    Route("/desk/organisations/{organisation_id}", organisation, methods=["GET"]),
    Route("/desk/organisations/{organisation_id}", edit, methods=["POST"]),
    Route("/desk/organisations/{organisation_id}/delete", delete, methods=["POST"]),
)
