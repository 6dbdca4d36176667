"""The desk's harvests: sources elsewhere, declared, changed, run now or tried; their runs with accounts and rejections."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.portal.ask import Refused, ask
from api.portal.desk import at_desk, desk_page
from api.portal.desk_bulk import SOON, run_page
from api.portal.forms import Form, onward, sent, shown_again
from api.portal.frame import who_of
from api.portal.listing import asked_of, next_of, organisations_of
from cim.catalogue.harvest import KINDS
from cim.catalogue.service import SHARE_CLASSES

MEMBERS = ("id", "url", "kind", "organisation_id", "share_class", "area_code", "interval_s")
EDITED = ("url", "organisation_id", "share_class", "area_code", "interval_s", "state")
MAY_BE_EMPTY = ("area_code", "interval_s")


def document_of_form(form: Form, names: tuple[str, ...]) -> dict[str, Any]:
    """The members as the form says them; a number where one is typed."""
    document: dict[str, Any] = form.filled(*names)
    every = document.get("interval_s", "")
    return {**document, "interval_s": int(every)} if every.isascii() and every.isdigit() else document


@at_desk
async def harvests(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """Every harvest that the caller sees, and the form to declare one."""
    found = await ask(request, "GET", "/catalogue/harvests")
    own = (await who_of(request)).scope.organisation_id or ""
    return await desk_page(
        request,
        "desk/runs/harvests.html",
        "harvests",
        harvests=found.document["harvests"],
        organisations=await organisations_of(request),
        kinds=KINDS,
        shares=SHARE_CLASSES,
        values=shown_again(form, {**dict.fromkeys(MEMBERS, ""), "organisation_id": own}),
        refused=refused,
    )


@at_desk
@sent(harvests)
async def declare(request: Request, form: Form) -> Response:
    """Declares a harvest; it does not run yet."""
    made = await ask(request, "POST", "/catalogue/harvests", body=document_of_form(form, MEMBERS))
    return onward(request, "desk/harvests/{}", made.document["id"], said="harvest-declared")


@at_desk
async def harvest(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """One harvest with its runs."""
    harvest_id = request.path_params["harvest_id"]
    found = await ask(request, "GET", "/catalogue/harvests/{}", harvest_id)
    runs = await ask(
        request, "GET", "/catalogue/harvests/{}/runs", harvest_id, query={"limit": 20, **asked_of(request)}
    )
    return await desk_page(
        request,
        "desk/runs/harvest.html",
        "harvests",
        harvest=found.document,
        runs=runs.document["runs"],
        organisations=await organisations_of(request),
        shares=SHARE_CLASSES,
        values=shown_again(form, found.document),
        refused=refused,
        next=next_of(request, runs.document),
    )


@at_desk
@sent(harvest)
async def change(request: Request, form: Form) -> Response:
    """Edits, pauses or forgets the harvest."""
    harvest_id = request.path_params["harvest_id"]
    if form.text("do") == "delete":
        await ask(request, "DELETE", "/catalogue/harvests/{}", harvest_id)
        return onward(request, "desk/harvests", said="harvest-deleted")
    body = {**dict.fromkeys(MAY_BE_EMPTY), **document_of_form(form, EDITED)}
    await ask(request, "PATCH", "/catalogue/harvests/{}", harvest_id, body=body)
    return onward(request, "desk/harvests/{}", harvest_id, said="saved")


@at_desk
@sent(harvest)
async def run(request: Request, form: Form) -> Response:
    """Harvests now, or tries it, and goes to the account."""
    harvest_id, dry = request.path_params["harvest_id"], "true" if form.text("do") == "try" else "false"
    ran = await ask(request, "POST", "/catalogue/harvests/{}/run", harvest_id, query={"dry-run": dry}, headers=SOON)
    return onward(request, "desk/harvests/{}/runs/{}", harvest_id, str(ran.document["id"]))


@at_desk
async def one_run(request: Request, _: Form | None = None, refused: Refused | None = None) -> Response:
    """How far one run of a harvest is, its account and what was not taken."""
    harvest_id, run_id = request.path_params["harvest_id"], request.path_params["run_id"]
    found = await ask(request, "GET", "/catalogue/harvests/{}/runs/{}", harvest_id, run_id)
    home = f"catalogue/harvests/{found.document['harvest']}"
    back = f"desk/harvests/{harvest_id}"
    address = f"{home}/runs/{found.document['id']}"
    return await run_page(request, "harvests", found.document, address, back, f"{back}/runs/{run_id}", refused)


@at_desk
@sent(one_run)
async def cancel(request: Request, _: Form) -> Response:
    """Ends a run that waits or goes on."""
    harvest_id, run_id = request.path_params["harvest_id"], request.path_params["run_id"]
    await ask(request, "POST", "/catalogue/harvests/{}/runs/{}/cancel", harvest_id, run_id)
    return onward(request, "desk/harvests/{}/runs/{}", harvest_id, run_id, said="run-cancelled")


ROUTES = (
    Route("/desk/harvests", harvests, methods=["GET"]),
    Route("/desk/harvests", declare, methods=["POST"]),
    Route("/desk/harvests/{harvest_id}", harvest, methods=["GET"]),
    Route("/desk/harvests/{harvest_id}", change, methods=["POST"]),
    Route("/desk/harvests/{harvest_id}/run", run, methods=["POST"]),
    Route("/desk/harvests/{harvest_id}/runs/{run_id}", one_run, methods=["GET"]),
    Route("/desk/harvests/{harvest_id}/runs/{run_id}/cancel", cancel, methods=["POST"]),
)
