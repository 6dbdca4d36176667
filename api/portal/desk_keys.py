"""The desk's keys: one's own and the organisation's; made and rotated (shown once, on the page after), revoked."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.context import settings_of
from api.portal.ask import Refused, ask
from api.portal.conditions import instant_after, typed_conditions
from api.portal.desk import at_desk, desk_page
from api.portal.forms import Form, onward, sent, shown_again
from api.portal.frame import preferred_language, who_of
from api.portal.listing import asked_of, next_of, organisations_of
from cim.model import ROLES, Scope
from cim.model.scope import DUTIES

PAGE = 30
FILTERS = ("state", "grant", "whose")
STATES = ("in_force", "ended")
OVERLAPS = ("0", "3600", "86400", "604800", "2592000")
"""Seconds for which a key that is rotated goes on."""
MANAGERS = {"org_admin", "district_admin", "city_admin"}
_EMPTY = {
    "label": "",
    "for": "person",
    "role": "reader",
    "grant_id": "",
    "services": "",
    "expires_at": "",
    "area_code": "",
    "precision_m": "",
    "hidden": "",
    "collections": "",
}


@at_desk
async def keys(request: Request) -> Response:
    """One page of the keys that the caller may see."""
    scope = (await who_of(request)).scope
    asked = asked_of(request, *FILTERS)
    of_whom = {"person": scope.person_id if asked.get("whose") == "mine" else None}
    query = {"limit": PAGE, "state": "in_force", **asked, **of_whom}
    query.pop("whose", None)
    if query["state"] == "all":
        query.pop("state")
    answer = await ask(request, "GET", "/keys", query=query)
    return await desk_page(
        request,
        "desk/keys.html",
        "keys",
        rows=answer.document["keys"],
        next=next_of(request, answer.document),
        names=await organisations_of(request),
        people=await _people(request, scope),
        asked={**dict.fromkeys(FILTERS, ""), **asked},
        is_manager=bool(MANAGERS & scope.roles),
    )


async def _people(request: Request, scope: Scope) -> Mapping[str, str]:
    """Id → login of those whose keys the caller sees."""
    if not MANAGERS & scope.roles:
        return {scope.person_id: scope.caller.removeprefix("person ")} if scope.person_id else {}
    rows = (await ask(request, "GET", "/people", query={"limit": 1000})).document["people"]
    return {row["id"]: row["login"] for row in rows}


@at_desk
async def new(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """The form by which a key is made."""
    scope = (await who_of(request)).scope
    grants: list[Any] = []
    if scope.organisation_id is not None:
        own = {"organisation": scope.organisation_id, "state": "in_force", "limit": 200}
        grants = (await ask(request, "GET", "/grants", query=own)).document["grants"]
    stored = {**_EMPTY, "grant_id": request.query_params.get("grant", "")}
    return await desk_page(
        request,
        "desk/key_new.html",
        "keys",
        values=shown_again(form, stored),
        duties=[duty for duty in DUTIES if duty in scope.roles],
        given=form.texts("duties") if form else [],
        roles=[role for role in ROLES if role in scope.roles],
        grants=[(str(one["id"]), _grant_text(one, request)) for one in grants],
        is_manager=bool(MANAGERS & scope.roles),
        refused=refused,
    )


def _grant_text(row: Mapping[str, Any], request: Request) -> str:
    first, second = ("en", "zh") if preferred_language(request) == "en" else ("zh", "en")
    title = row[f"title_{first}"] or row[f"title_{second}"] or ""
    scenario = f" ({row['scenario_id']})" if row["scenario_id"] else ""
    return f"#{row['id']} {row['service_id']} {title}{scenario}"


@at_desk
@sent(new)
async def create(request: Request, form: Form) -> Response:
    """Makes a key and shows it, this once: the page is kept by nobody and leads nowhere."""
    made = (await ask(request, "POST", "/keys", body=_body(form, settings_of(request).time_zone))).document
    return await _shown_once(request, made)


def _body(typed: Form, zone: str) -> dict[str, Any]:
    limits = typed_conditions(typed, zone)
    body: dict[str, Any] = {
        **typed.filled("label", "for", "role"),
        **{name: limits[name] for name in ("area_code", "precision_m", "hidden", "expires_at") if limits[name]},
        "duties": typed.texts("duties"),
    }
    for name in ("services", "collections"):
        if typed.text(name):
            body[name] = [one for one in re.split(r"[\s,，、;；]+", typed.text(name)) if one]
    grant = typed.text("grant_id")
    return {**body, "grant_id": int(grant) if grant.isdecimal() else grant} if grant else body


async def _shown_once(request: Request, made: Mapping[str, Any]) -> Response:
    return await desk_page(
        request,
        "desk/key_made.html",
        "keys",
        made=made,
        base=settings_of(request).public_url,
        service=(made["services"] or [None])[0],
    )


@at_desk
async def key(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """One key: what it may do, and how it is rotated and revoked."""
    scope = (await who_of(request)).scope
    row = (await ask(request, "GET", "/keys/{}", request.path_params["prefix"])).document
    return await desk_page(
        request,
        "desk/key.html",
        "keys",
        row=row,
        names=await organisations_of(request),
        people=await _people(request, scope),
        overlaps=OVERLAPS,
        values=shown_again(form, {"overlap_s": "86400", "expires_at": ""}),
        rotates=row["person_id"] in (None, scope.person_id),
        refused=refused,
    )


@at_desk
@sent(key)
async def rotate(request: Request, form: Form) -> Response:
    """A new key in place of one, shown this once; the old one goes on for the time chosen."""
    overlap, ends = form.text("overlap_s"), instant_after(form.text("expires_at"), settings_of(request).time_zone)
    body = {"overlap_s": int(overlap) if overlap.isdecimal() else overlap, **({"expires_at": ends} if ends else {})}
    made = (await ask(request, "POST", "/keys/{}/rotate", request.path_params["prefix"], body=body)).document
    return await _shown_once(request, made)


@at_desk
@sent(key)
async def revoke(request: Request, _: Form) -> Response:
    """Ends a key, in every worker within two seconds."""
    await ask(request, "DELETE", "/keys/{}", request.path_params["prefix"])
    return onward(request, "desk/keys", said="key.revoked")


ROUTES = (
    Route("/desk/keys", keys, methods=["GET"]),
    Route("/desk/keys", create, methods=["POST"]),
    Route("/desk/new/keys", new, methods=["GET"]),
    Route("/desk/keys/{prefix}", key, methods=["GET"]),
    Route("/desk/keys/{prefix}/rotate", rotate, methods=["POST"]),
    Route("/desk/keys/{prefix}/revoke", revoke, methods=["POST"]),
)
