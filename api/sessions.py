"""Sessions of the portal: a cookie becomes a Scope, as a key does; what changes state needs a token and our own origin.

The database holds the cookie's digest. What a worker knows of a session it asks again after `TTL_S`.
"""

import hmac
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from api.documents import header_of
from cim.db.keys import digest_of
from cim.db.pool import Database
from cim.errors import Forbidden
from cim.model import Scope, roles_of
from cim.query.sessions import begin_sql, end_sql, seen_sql, session_sql
from cim.settings import Settings

TTL_S = 2.0
MAX_KNOWN = 10_000
CSRF_HEADER = b"x-csrf-token"
_SAFE = ("GET", "HEAD", "OPTIONS")
_QUESTIONS = ("/search", "/aggregate")
_OURS = ("/collections/", "/stac/")
"""Ends and beginnings of addresses whose POST asks and changes nothing."""


def scope_of_person(row: Mapping[str, Any]) -> Scope:
    """What somebody who logged in may do: a city admin as an admin's key; others read, and have their duties.

    A district admin sees the district's rows only.
    """
    duties = frozenset(row["duties"])
    is_city = "city_admin" in duties
    return Scope(
        roles=roles_of("admin") if is_city else roles_of("reader") | duties,
        area_code=row["area_code"] if "district_admin" in duties and not is_city else None,
        caller=f"person {row['login']}",
        organisation_id=row["organisation_id"],
        person_id=row["person_id"],
    )


class Sessions:
    """The sessions that one worker has lately seen."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        public = urlsplit(settings.public_url)
        self._is_secure = public.scheme == "https"
        self._origin = f"{public.scheme}://{public.netloc}"
        self.cookie = "__Host-cim_session" if self._is_secure else "cim_session"
        self._known: dict[str, tuple[float, Scope | None]] = {}

    def token_of(self, request: Request) -> str | None:
        """What the session's cookie holds."""
        header = header_of(request, b"cookie")
        if header is None or self.cookie not in header:
            return None
        token = request.cookies.get(self.cookie)
        return token if token and token.isascii() and len(token) <= 100 else None

    async def authorise(self, request: Request) -> Scope | None:
        """Who is logged in; None without a session in force. Raises Forbidden for a change without token or from elsewhere."""
        token = self.token_of(request)
        scope = None if token is None else await self._scope(digest_of(token))
        if scope is not None and token is not None:
            path = request.scope["path"]
            is_question = path.endswith(_QUESTIONS) and path.startswith(_OURS)
            if request.scope["method"] not in _SAFE and not is_question:
                self.check_token(request, header_of(request, CSRF_HEADER))
        return scope

    async def _scope(self, digest: str) -> Scope | None:
        until, scope = self._known.get(digest, (0.0, None))
        if until >= time.monotonic():
            return scope
        row = await self._database.fetch_row(session_sql(digest, self._settings.session_idle_s))
        scope = None if row is None else scope_of_person(row)
        if row is not None and row["is_stale"]:
            await self._database.execute(seen_sql(row["session_id"]))
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[digest] = (time.monotonic() + TTL_S, scope)
        return scope

    def check_token(self, request: Request, given: str | None) -> None:
        """Raise Forbidden for a request by cookie that comes from elsewhere, or without the session's token."""
        self.check_origin(request)
        token = self.token_of(request)
        if token is None or given is None or not hmac.compare_digest(given.encode(), csrf_of(token).encode()):
            raise Forbidden("a change in a session needs its token in X-CSRF-Token, as GET /sessions/current tells it")

    def check_origin(self, request: Request) -> None:
        """Raise Forbidden for a request that another site's page made (`Sec-Fetch-Site`, `Origin`)."""
        site, origin = header_of(request, b"sec-fetch-site"), header_of(request, b"origin")
        host = header_of(request, b"host")
        is_own = origin is None or origin == self._origin or urlsplit(origin).netloc == host
        if (site is not None and site not in ("same-origin", "none")) or not is_own:
            raise Forbidden("the request comes from a page of another site")

    async def begin(self, request: Request, response: Response, person_id: str) -> str:
        """A new session for the person, its cookie put into `response`; the one before in this browser ends. Gives the CSRF token."""
        former = self.token_of(request)
        if former is not None:
            await self.end(former)
        token = secrets.token_urlsafe(32)
        agent = (header_of(request, b"user-agent") or "")[:200]
        lasting = timedelta(seconds=self._settings.session_s)
        await self._database.execute(begin_sql(digest_of(token), person_id, agent, datetime.now(UTC) + lasting))
        response.set_cookie(
            self.cookie,
            token,
            max_age=int(lasting.total_seconds()),
            path="/",
            secure=self._is_secure,
            httponly=True,
            samesite="lax",
        )
        return csrf_of(token)

    async def end(self, token: str) -> None:
        """End a session, here at once and in other workers within `TTL_S`."""
        digest = digest_of(token)
        await self._database.execute(end_sql(digest))
        self.forget(digest)

    def forget(self, digest: str) -> None:
        """Ask for the session again when it is used again."""
        self._known.pop(digest, None)

    def take_cookie(self, response: Response) -> None:
        """Have the browser forget the cookie."""
        response.delete_cookie(self.cookie, path="/", secure=self._is_secure, httponly=True, samesite="lax")


def csrf_of(token: str) -> str:
    """The token that changes in the session carry: only who holds the cookie, or reads our pages, knows it."""
    return hmac.digest(token.encode(), b"csrf", "sha256").hex()
