"""The desk's services in bulk: the template, a table that is sent or only tried, the account, and rows that were not taken."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.portal.ask import Refused, ask
from api.portal.desk import at_desk, desk_page
from api.portal.forms import FileForm, Form, file_form_of, onward, sent
from api.portal.listing import listed, organisations_of

PAGE = 20
SHOWN = 200
"""Rejections on a page; the table to download has all of them."""
SOON = {"Prefer": "wait=2"}
"""What is done in so many seconds is shown at once; the rest is watched."""


@at_desk
async def bulk(request: Request, _: Form | None = None, refused: Refused | None = None) -> Response:
    """What was sent so far, the latest first, and the form to send a table."""
    return await desk_page(
        request,
        "desk/runs/bulk.html",
        "bulk",
        **await listed(request, "/catalogue/loads", "loads", (), PAGE),
        organisations=await organisations_of(request),
        refused=refused,
    )


@at_desk
@sent(bulk, file_form_of)
async def send(request: Request, form: FileForm) -> Response:
    """Passes the table on and goes to its account."""
    taken = await ask(request, "POST", "/catalogue/loads", body=form.body, headers={**form.headers, **SOON})
    return onward(request, "desk/bulk/{}", str(taken.document["id"]))


@at_desk
async def load(request: Request, _: Form | None = None, refused: Refused | None = None) -> Response:
    """How far one table is, its account, and why rows were not taken."""
    run_id = request.path_params["run_id"]
    found = await ask(request, "GET", "/catalogue/loads/{}", run_id)
    home = f"catalogue/loads/{found.document['id']}"
    return await run_page(request, "bulk", found.document, home, "desk/bulk", f"desk/bulk/{run_id}", refused)


@at_desk
@sent(load)
async def cancel(request: Request, _: Form) -> Response:
    """Ends a load that waits or runs."""
    run_id = request.path_params["run_id"]
    await ask(request, "POST", "/catalogue/loads/{}/cancel", run_id)
    return onward(request, "desk/bulk/{}", run_id, said="run-cancelled")


async def run_page(
    request: Request, section: str, run: dict[str, Any], home: str, back: str, here: str, refused: Refused | None
) -> Response:
    """A run with its account and rejections; `home`: its address in the API, `back`: the page that lists such runs."""
    rejections = await ask(request, "GET", f"/{home}/rejections", query={"limit": SHOWN})
    return await desk_page(
        request,
        "desk/runs/run.html",
        section,
        run=run,
        rejections=rejections.document,
        rejected=run["account"]["rejected"],
        table=f"{home}/rejections?f=csv",
        home=home,
        back=back,
        here=here,
        refused=refused,
    )


ROUTES = (
    Route("/desk/bulk", bulk, methods=["GET"]),
    Route("/desk/bulk", send, methods=["POST"]),
    Route("/desk/bulk/{run_id}", load, methods=["GET"]),
    Route("/desk/bulk/{run_id}/cancel", cancel, methods=["POST"]),
)
