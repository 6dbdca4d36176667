"""Log-in and log-out, by JSON or by a page's form; invitations; one's own sessions."""

import re

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.context import context_of, database_of, scope_of
from api.documents import private_json
from api.forms import Field, form_page, is_form, members, onward_of
from api.listing import PAGING, listed
from api.params import check_members, query_parameters
from api.portal.frame import preferred_language
from api.sessions import Sessions, csrf_of
from cim.db.audit import record
from cim.db.keys import digest_of
from cim.errors import CimError, Forbidden, InvalidBody, InvalidParameter, NotFound, TooManyAttempts, Unauthorized
from cim.interval import instant_text
from cim.model import Scope
from cim.people.passwords import checked_password
from cim.people.rights import require_caller
from cim.query.people import take_invitation_sql, update_sql
from cim.query.sessions import SESSIONS, end_all_sql, end_one_sql
from cim.sql import Sql

router = APIRouter(tags=["people"])

_ID = re.compile(r"\d{1,18}", re.ASCII)


def _sessions(request: Request) -> Sessions:
    return context_of(request).callers.sessions


def _says(request: Request, zh: str, en: str) -> str:
    return en if preferred_language(request) == "en" else zh


async def _login_page(request: Request, onward: str, message: str = "", status: int = 200) -> Response:
    fields: list[Field] = [
        ("login", "text", _says(request, "用户名", "Login"), "username"),
        ("password", "password", _says(request, "密码", "Password"), "current-password"),
    ]
    links = [("invitation", _says(request, "使用邀请码设置密码", "Set a password by an invitation"))]
    if context_of(request).settings.oidc_issuer:
        links.append(("oidc/login", _says(request, "统一身份认证登录", "Log in by OpenID Connect")))
    title = _says(request, "登录", "Log in")
    return await form_page(
        request,
        title,
        title,
        fields,
        action="login",
        hidden={"next": onward},
        message=message,
        links=links,
        status=status,
    )


async def login_page(request: Request) -> Response:
    """The page to log in; for who is logged in already, the page to log out."""
    values = query_parameters(request, ("next",))
    sessions = _sessions(request)
    token, scope = sessions.token_of(request), await sessions.authorise(request)
    if token is None or scope is None:
        return await _login_page(request, onward_of(values.get("next")))
    return await form_page(
        request,
        _says(request, f"已登录：{scope.caller}", f"Logged in: {scope.caller}"),
        _says(request, "退出", "Log out"),
        (),
        action="logout",
        hidden={"csrf": csrf_of(token)},
        links=[("", _says(request, "地图", "Map"))],
    )


async def login(request: Request) -> Response:
    """Begin a session from `{"login", "password"}`: the cookie, and the token that changes in the session carry."""
    query_parameters(request, ())
    _sessions(request).check_origin(request)
    body = await members(request)
    check_members(body, ("login", "password", "next"))
    for name in ("login", "password"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise InvalidParameter(name, "…", "a text is needed")
    address = request.client.host if request.client else ""
    try:
        row = await context_of(request).callers.passwords.verified(body["login"], body["password"], address)
    except (Unauthorized, TooManyAttempts) as error:
        if not is_form(request):
            raise
        message = _says(request, "用户名或密码不正确，或尝试次数过多。", error.detail)
        return await _login_page(
            request, onward_of(body.get("next")), message, 401 if isinstance(error, Unauthorized) else 429
        )
    if is_form(request):
        response: Response = RedirectResponse(onward_of(body.get("next")), 303)
        await _sessions(request).begin(request, response, row["person_id"])
        return response
    return await _begun(request, row["person_id"])


async def _begun(request: Request, person_id: str) -> Response:
    carrier = Response()
    csrf = await _sessions(request).begin(request, carrier, person_id)
    response = private_json({"person_id": person_id, "csrf": csrf})
    response.headers["Set-Cookie"] = carrier.headers["set-cookie"]
    return response


async def logout(request: Request) -> Response:
    """End the session of the cookie; nothing to do without one."""
    query_parameters(request, ())
    sessions = _sessions(request)
    token = sessions.token_of(request)
    response: Response = RedirectResponse("/login", 303) if is_form(request) else Response(status_code=204)
    if token is not None:
        given = (
            str((await members(request)).get("csrf", "")) if is_form(request) else request.headers.get("x-csrf-token")
        )
        sessions.check_token(request, given)
        await sessions.end(token)
        sessions.take_cookie(response)
    return response


async def current(request: Request) -> Response:
    """Who asks, by key or session (or nobody, without), and what they may; in a session, the token that changes carry."""
    query_parameters(request, ())
    scope = await scope_of(request)
    token = _sessions(request).token_of(request)
    is_session = scope.person_id is not None and scope.key_prefix is None and token is not None
    return private_json(
        {
            "caller": scope.caller or None,
            "person_id": scope.person_id,
            "organisation_id": scope.organisation_id,
            "roles": sorted(scope.roles),
            "area_code": scope.area_code,
            "key_prefix": scope.key_prefix,
            "csrf": csrf_of(token) if is_session and token else None,
        }
    )


def _person_of(scope: Scope) -> str:
    require_caller(scope)
    if scope.person_id is None or scope.key_prefix is not None:
        raise Forbidden("sessions are those of somebody who logged in; a key has none")
    return scope.person_id


async def sessions(request: Request) -> Response:
    """The caller's own sessions, the latest first."""
    values = query_parameters(request, PAGING)
    person_id = _person_of(await scope_of(request))
    token = _sessions(request).token_of(request)
    mine = digest_of(token) if token else ""
    condition = Sql.of("s.person_id = {} AND s.expires_at > now()", person_id)
    return await listed(
        request,
        "sessions",
        SESSIONS,
        [condition],
        values,
        lambda row: {
            "id": row["id"],
            "agent": row["agent"],
            "created_at": instant_text(row["created_at"]),
            "seen_at": instant_text(row["seen_at"]),
            "expires_at": instant_text(row["expires_at"]),
            "is_current": row["digest"] == mine,
        },
    )


async def end_session(request: Request) -> Response:
    """End one of the caller's own sessions; every worker refuses it within two seconds."""
    query_parameters(request, ())
    person_id, wanted = _person_of(await scope_of(request)), request.path_params["session_id"]
    row = None
    if _ID.fullmatch(wanted):
        row = await database_of(request).fetch_row(end_one_sql(int(wanted), person_id))
    if row is None:
        raise NotFound("session", wanted)
    _sessions(request).forget(row["digest"])
    return Response(status_code=204)


async def _invitation_page(request: Request, message: str = "", status: int = 200) -> Response:
    fields: list[Field] = [
        ("token", "text", _says(request, "邀请码", "Invitation"), "off"),
        ("password", "password", _says(request, "新密码", "New password"), "new-password"),
    ]
    title = _says(request, "设置密码", "Set a password")
    return await form_page(request, title, title, fields, action="invitation", message=message, status=status)


async def invitation_page(request: Request) -> Response:
    """The page to set a password; the invitation is typed in, for addresses are logged."""
    query_parameters(request, ())
    return await _invitation_page(request)


async def accept_invitation(request: Request) -> Response:
    """Set a password by `{"token", "password"}`: an invitation is good once. Other sessions of the person end."""
    query_parameters(request, ())
    _sessions(request).check_origin(request)
    body = await members(request)
    check_members(body, ("token", "password"))
    if not isinstance(body.get("token"), str):
        raise InvalidBody("token and password are needed")
    try:
        person_id = await _set_password(request, body["token"].strip(), body.get("password"))
    except CimError as error:
        if not is_form(request):
            raise
        return await _invitation_page(request, error.detail, 400)
    if is_form(request):
        response = RedirectResponse("/", 303)
        await _sessions(request).begin(request, response, person_id)
        return response
    return await _begun(request, person_id)


async def _set_password(request: Request, token: str, password: object) -> str:
    passwords = context_of(request).callers.passwords
    digest = await passwords.digest(checked_password(password, "\x00"))
    async with database_of(request).transaction() as transaction:
        row = await transaction.fetch_row(take_invitation_sql(digest_of(token)))
        if row is None:
            raise Forbidden("the invitation was used, has ended or never was: ask for another")
        checked_password(password, row["login"])
        await transaction.execute(update_sql("person", row["id"], {"password_hash": digest}))
        await transaction.execute(end_all_sql(row["id"]))
        whose = Scope(caller=f"person {row['login']}", organisation_id=row["organisation_id"])
        await record(transaction, whose, event="password set", subject_kind="person", subject_id=row["id"])
    return str(row["id"])


router.add_route("/login", login_page, methods=["GET"])
router.add_route("/login", login, methods=["POST"])
router.add_route("/logout", logout, methods=["POST"])
router.add_route("/invitation", invitation_page, methods=["GET"])
router.add_route("/invitation", accept_invitation, methods=["POST"])
router.add_route("/sessions", sessions, methods=["GET"])
router.add_route("/sessions/current", current, methods=["GET"])
router.add_route("/sessions/{session_id}", end_session, methods=["DELETE"])
