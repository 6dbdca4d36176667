"""The desk's services: those that one acts for in every state; one with its state, versions, audit, health and credential."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.portal.ask import Answer, Refused, ask
from api.portal.desk import at_desk, desk_page
from api.portal.desk_compare import ordered
from api.portal.forms import Form, onward, sent
from api.portal.frame import who_of
from api.portal.listing import asked_of, next_of, organisations_of
from api.record_query import HEALTH, facet_names
from cim.catalogue.life import EDITORS, EVENTS, STATES, WORKING
from cim.catalogue.service import KINDS
from cim.errors import NotFound
from cim.gateway.credential import FORMS
from cim.model import Scope

FILTERS = ("words", "state", "kind", "organisation", "health")
PINNED = ("submit", "publish")
"""Events that name the content that the page showed."""


def registers(scope: Scope) -> bool:
    """True for those who may register services somewhere."""
    return bool(scope.roles & set(EDITORS))


@at_desk
async def services(request: Request) -> Response:
    """Services that the caller acts for, the latest changed first, with how many there are in each state."""
    asked = asked_of(request, *FILTERS)
    scope = (await who_of(request)).scope
    facets = "state" if "state" in facet_names(scope) else None
    mine = {"mine": "true", "sortby": "-updated", "limit": 50, "facets": facets}
    found, organisations = await asyncio.gather(
        ask(request, "GET", "/catalogue/items", query={**mine, **asked}), organisations_of(request)
    )
    counted = found
    if "state" in asked:
        others = {name: value for name, value in asked.items() if name not in ("state", "cursor")}
        counted = await ask(request, "GET", "/catalogue/items", query={**mine, **others, "limit": 1})
    return await desk_page(
        request,
        "desk/services/list.html",
        "services",
        records=found.document["features"],
        counts=_states(counted.document.get("facets", {})),
        organisations=organisations,
        asked={**dict.fromkeys(FILTERS, ""), **asked},
        is_filtered=bool(asked),
        kinds=tuple(KINDS),
        states=STATES,
        healths=HEALTH,
        table=urlencode({"f": "xlsx", "mine": "true", **{name: asked[name] for name in FILTERS if name in asked}}),
        may_register=registers(scope),
        next=next_of(request, found.document),
    )


def _states(facets: Mapping[str, Any]) -> list[tuple[str, int]]:
    """State → number, in the order of a service's life."""
    counts = {one["value"]: one["count"] for one in facets["state"]["buckets"]} if "state" in facets else {}
    return [(state, counts[state]) for state in STATES if state in counts]


async def may_ask(request: Request, path: str, *parts: str, query: Mapping[str, Any] | None = None) -> Any:
    """What the API tells, None where it is not for the caller, or not there."""
    try:
        return (await ask(request, "GET", path, *parts, query=query)).document
    except Refused as refused:
        if refused.status not in (403, 404):
            raise
        return None


@at_desk
async def service(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """One service as its people see it; `refused` is what was said against `form`, of an event or the credential."""
    service_id = request.path_params["service_id"]
    versions = await ask(request, "GET", "/catalogue/items/{}/versions", service_id, query={"limit": 50})
    found = await ask(request, "GET", "/catalogue/items/{}", service_id)
    audit, health, credential, prices, organisations = await asyncio.gather(
        may_ask(request, "/admin/audit", query={"subject-kind": "service", "subject": service_id, "limit": 20}),
        may_ask(request, "/catalogue/items/{}/health", service_id),
        may_ask(request, "/catalogue/items/{}/credentials", service_id),
        may_ask(request, "/prices/{}", service_id),
        organisations_of(request),
    )
    return await desk_page(
        request,
        "desk/services/one.html",
        "services",
        **standing(found, versions.document["versions"]),
        versions=versions.document["versions"],
        organisations=organisations,
        audit=None if audit is None else audit["rows"],
        health=health,
        credential=credential,
        credentials=FORMS,
        prices=[] if prices is None else prices["prices"],
        refused=refused,
        form=form,
        tried=request.path_params.get("event", "credential") if refused else "",
    )


def standing(found: Answer, versions: list[dict[str, Any]]) -> dict[str, Any]:
    """Where a service stands, for its pages: the record, the version in work, the way that each has gone, what may be done."""
    record, working = found.document, found.document["working"]
    state, face = working["state"], record["properties"]["state"]
    by_number = {one["number"]: one for one in versions}
    current = by_number.get(working["version"])
    is_worked_on = state in WORKING
    return {
        "record": record,
        "service_id": record["id"],
        "working": {**working, "document": ordered(working["document"])},
        "face": None if face in WORKING else face,
        "is_worked_on": is_worked_on,
        "way": _way(current, state) if is_worked_on and current is not None else [],
        "note": current["review_note"] if current is not None and state == "draft" else None,
        "events": [EVENTS[name] for name in working["allowed"] if name not in ("approve", "return")],
        "may_review": any(name in ("approve", "return") for name in working["allowed"]),
        "pinned": PINNED,
    }


def _way(version: Mapping[str, Any], state: str) -> list[dict[str, Any]]:
    """The steps of a version to the shelf: what was done by whom and when, which is now, which are to come."""
    done = (("draft", "edited"), ("in_review", "submitted"), ("approved", "reviewed"), ("published", "published"))
    place = [name for name, _ in done].index(state)
    return [
        {
            "state": name,
            "at": version[f"{deed}_at"] if number <= place else None,
            "by": version[f"{deed}_by"] if number <= place else None,
            "is": "now" if number == place else "done" if number < place else "ahead",
        }
        for number, (name, deed) in enumerate(done)
    ]


async def take_event(request: Request, service_id: str, event: str, form: Form) -> str:
    """Do the event with what the form says; gives the state afterwards, empty where the service is gone. Raises Refused."""
    if event not in EVENTS:
        raise NotFound("event", event, EVENTS)
    body = form.filled("why", "content_hash")
    await ask(request, "POST", f"/catalogue/items/{{}}/{event}", service_id, body=body)
    if EVENTS[event].target is not None:
        return str(EVENTS[event].target)
    left = await may_ask(request, "/catalogue/items/{}", service_id)
    return "" if left is None else str(left["properties"]["state"])


@at_desk
@sent(service)
async def event(request: Request, form: Form) -> Response:
    """Does an event of the service's life; what is refused comes back with the reason that was typed."""
    service_id, name = request.path_params["service_id"], request.path_params["event"]
    if not await take_event(request, service_id, name, form):
        return onward(request, "desk/services", said="discarded")
    return onward(request, "desk/services/{}", service_id, said=name)


@at_desk
@sent(service)
async def credential(request: Request, form: Form) -> Response:
    """Sets, replaces or deletes what the upstream knows this node by; what is set is shown to nobody."""
    service_id, kind = request.path_params["service_id"], form.text("kind")
    if form.text("do") == "delete":
        await ask(request, "DELETE", "/catalogue/items/{}/credentials", service_id)
        return onward(request, "desk/services/{}", service_id, said="credential-removed")
    told = {name: form.text(f"{kind}_{name}") for name in FORMS.get(kind, ())}
    await ask(request, "PUT", "/catalogue/items/{}/credentials", service_id, body={"kind": kind, **told})
    return onward(request, "desk/services/{}", service_id, said="credential-set")


ROUTES = (
    Route("/desk/services", services, methods=["GET"]),
    Route("/desk/services/{service_id}", service, methods=["GET"]),
    Route("/desk/services/{service_id}/credentials", credential, methods=["POST"]),
    Route("/desk/services/{service_id}/events/{event}", event, methods=["POST"]),
)
