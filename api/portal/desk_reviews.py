"""The desk's reviews: what waits for a review or for the shelf, and one version as it was submitted, to be approved or returned."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.portal.ask import Refused, ask
from api.portal.desk import at_desk, desk_page
from api.portal.desk_compare import differences_of
from api.portal.desk_services import may_ask, standing, take_event
from api.portal.forms import Form, onward, sent
from api.portal.listing import listed, organisations_of

PAGE = 50
FILTERS = ("state", "organisation")


@at_desk
async def reviews(request: Request) -> Response:
    """Versions that wait, the longest waiting first."""
    return await desk_page(
        request,
        "desk/services/reviews.html",
        "reviews",
        **await listed(request, "/admin/reviews", "reviews", FILTERS, PAGE),
        organisations=await organisations_of(request),
    )


@at_desk
async def review(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """One version that waits, whole and beside the face."""
    service_id = request.path_params["service_id"]
    versions = await ask(request, "GET", "/catalogue/items/{}/versions", service_id, query={"limit": 100})
    found = await ask(request, "GET", "/catalogue/items/{}", service_id)
    at: dict[str, Any] = standing(found, versions.document["versions"])
    draft = await may_ask(request, "/catalogue/items/{}/draft", service_id)
    is_own = draft is not None and draft["own"]
    changes = None
    if at["face"] is not None and at["is_worked_on"]:
        face = str(found.document["properties"]["version"])
        changes = await differences_of(request, service_id, face, str(at["working"]["version"]))
    return await desk_page(
        request,
        "desk/services/review.html",
        "reviews",
        **at,
        changes=changes,
        is_own=is_own,
        may_decide=draft is not None and bool({"approve", "return"} & set(draft["allowed"])),
        organisations=await organisations_of(request),
        refused=refused,
        form=form,
    )


@at_desk
@sent(review)
async def decide(request: Request, form: Form) -> Response:
    """Approves or returns the content that was read; what is refused comes back with the reason that was typed."""
    event = "approve" if form.text("do") == "approve" else "return"
    await take_event(request, request.path_params["service_id"], event, form)
    return onward(request, "desk/reviews", said=event)


ROUTES = (
    Route("/desk/reviews", reviews, methods=["GET"]),
    Route("/desk/reviews/{service_id}", review, methods=["GET"]),
    Route("/desk/reviews/{service_id}", decide, methods=["POST"]),
)
