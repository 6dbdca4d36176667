"""Log-in at the issuer of the settings: there, and back with a code."""

import base64
import binascii
import hmac
import time
from dataclasses import asdict

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.context import context_of, registry_of
from api.forms import onward_of
from api.oidc import Login
from api.params import query_parameters
from cim.errors import InvalidParameter, Unauthorized

router = APIRouter(tags=["people"])

COOKIE = "cim_oidc"
AWAY_S = 600
_STALE = "this log-in was not begun in this browser, or has taken too long; begin again at /oidc/login"


def _signed(key: bytes, login: Login) -> str:
    plain = orjson.dumps({**asdict(login), "until": int(time.time()) + AWAY_S})
    return base64.urlsafe_b64encode(hmac.digest(key, b"oidc\n" + plain, "sha256") + plain).decode()


def _login_of(key: bytes, cookie: str | None, state: str) -> Login:
    try:
        raw = base64.urlsafe_b64decode((cookie or "").encode("ascii"))
    except (binascii.Error, ValueError) as error:
        raise Unauthorized(_STALE) from error
    if not hmac.compare_digest(raw[:32], hmac.digest(key, b"oidc\n" + raw[32:], "sha256")):
        raise Unauthorized(_STALE)
    facts = orjson.loads(raw[32:])
    if facts.pop("until") < time.time() or not hmac.compare_digest(facts["state"].encode(), state.encode()):
        raise Unauthorized(_STALE)
    return Login(**facts)


async def begin(request: Request) -> Response:
    """To the issuer; the browser keeps what proves that it came from here."""
    values = query_parameters(request, ("next",))
    issuer = context_of(request).callers.issuer
    login = Login.begin(onward_of(values.get("next")))
    response = RedirectResponse(await issuer.address(login), 303)
    response.set_cookie(
        COOKIE,
        _signed(registry_of(request).cursor_key, login),
        max_age=AWAY_S,
        path="/oidc",
        secure=issuer.redirect_uri.startswith("https:"),
        httponly=True,
        samesite="lax",
    )
    response.headers["Cache-Control"] = "no-store"
    return response


async def callback(request: Request) -> Response:
    """Back from the issuer: its code is exchanged, the person found, a session begun."""
    values = query_parameters(request, ("code", "state", "error", "error_description", "iss", "session_state", "scope"))
    if "state" not in values:
        raise InvalidParameter("state", "", "this address is for who comes back from the issuer; begin at /oidc/login")
    callers = context_of(request).callers
    login = _login_of(registry_of(request).cursor_key, request.cookies.get(COOKIE), values["state"])
    if "code" not in values:
        raise Unauthorized("the issuer did not let you in; begin again at /oidc/login")
    claims = await callers.issuer.claims_of(values["code"], login)
    person = await callers.issuer.person(claims)
    response = RedirectResponse(onward_of(login.onward), 303)
    await callers.sessions.begin(request, response, person["person_id"])
    response.delete_cookie(COOKIE, path="/oidc")
    response.headers["Cache-Control"] = "no-store"
    return response


router.add_route("/oidc/login", begin, methods=["GET"])
router.add_route("/oidc/callback", callback, methods=["GET"])
