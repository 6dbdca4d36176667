"""One's own page: name, password, sessions, notifications, the way out."""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.portal.ask import Refused, ask
from api.portal.desk import at_desk, desk_page
from api.portal.forms import Form, form_of, onward, sent, shown_again
from api.portal.frame import who_of
from api.portal.listing import asked_of, next_of, organisations_of
from cim.errors import Forbidden

NOTES = 20
ABOUT = {"application": "desk/applications/", "grant": "desk/grants/", "service": "catalogue/items/"}
"""Where what a notification is about has its page."""


_BROWSERS = ("Edg", "Firefox", "Chrome", "Safari")
_SYSTEMS = ("Windows", "Android", "iPhone", "iPad", "Mac OS X", "Linux")


def agent_of(text: str) -> str:
    """A browser and its system in short, of what it calls itself; else the beginning of that."""
    browser = next((match for name in _BROWSERS if (match := re.search(rf"{name}/(\d+)", text))), None)
    system = next((name for name in _SYSTEMS if name in text), "")
    if browser is None:
        return text[:60]
    return " · ".join(part for part in (browser[0].replace("/", " ").replace("Edg ", "Edge "), system) if part)


async def _person_id(request: Request) -> str:
    who = await who_of(request)
    if who.scope.person_id is None or who.csrf is None:
        raise Forbidden("this page is for somebody who logged in; a key has none")
    return who.scope.person_id


@at_desk
async def me(request: Request, form: Form | None = None, refused: Refused | None = None, act: str = "") -> Response:
    """Who one is here, one's sessions, and what one was told; `act` is what was refused."""
    person_id = await _person_id(request)
    row = (await ask(request, "GET", "/people/{}", person_id)).document
    asked = asked_of(request, "unread")
    told = await ask(request, "GET", "/notifications", query={"limit": NOTES, **asked})
    sessions = await ask(request, "GET", "/sessions", query={"limit": 30})
    stored = {"name": row["name"], "email": row["email"] or ""}
    return await desk_page(
        request,
        "desk/me.html",
        "me",
        row=row,
        names=await organisations_of(request),
        sessions=[{**one, "agent": agent_of(one["agent"] or "")} for one in sessions.document["sessions"]],
        notes=told.document["notifications"],
        next=next_of(request, told.document),
        asked={"unread": "", "cursor": "", **asked},
        about=ABOUT,
        values=shown_again(form if act == "person" else None, stored),
        refused=refused,
        act=act,
    )


@at_desk
@sent(me, act="person")
async def edit(request: Request, form: Form) -> Response:
    """Writes one's own name and address."""
    body = {"name": form.text("name"), "email": form.text("email") or None}
    await ask(request, "PATCH", "/people/{}", await _person_id(request), body=body)
    return onward(request, "desk/me", said="saved")


@at_desk
@sent(me, act="password")
async def password(request: Request, form: Form) -> Response:
    """Sets another password, by the present one; one's other sessions end."""
    body = {"password": form.get("password", [""])[0], "current_password": form.get("current_password", [""])[0]}
    try:
        await ask(request, "PATCH", "/people/{}", await _person_id(request), body=body)
    except Refused as refused:
        if refused.status != 401:
            raise
        # whoever sends the page's form is logged in: what was not authorised is the password that they gave
        raise Refused(401, {"type": "/problems/wrong-password", "parameter": "current_password"}) from refused
    return onward(request, "desk/me", said="password")


@at_desk
@sent(me, act="session")
async def end_session(request: Request, _: Form) -> Response:
    """Ends one of one's own sessions."""
    await ask(request, "DELETE", "/sessions/{}", request.path_params["session_id"])
    return onward(request, "desk/me", said="session.ended")


@at_desk
async def read(request: Request) -> Response:
    """Takes a notification as read."""
    await form_of(request)
    await ask(request, "POST", "/notifications/{}/read", request.path_params["notification_id"])
    return onward(request, "desk/me", said="notification.read")


@at_desk
async def read_all(request: Request) -> Response:
    """Takes every notification up to the latest one that the page showed as read."""
    form = await form_of(request)
    through = form.text("through")
    body = {"through": int(through) if through.isdecimal() else through}
    await ask(request, "POST", "/notifications/read", body=body)
    return onward(request, "desk/me", said="notification.read")


ROUTES = (
    Route("/desk/me", me, methods=["GET"]),
    Route("/desk/me", edit, methods=["POST"]),
    Route("/desk/me/password", password, methods=["POST"]),
    Route("/desk/me/sessions/{session_id}/end", end_session, methods=["POST"]),
    Route("/desk/me/notifications/read", read_all, methods=["POST"]),
    Route("/desk/me/notifications/{notification_id}/read", read, methods=["POST"]),
)
