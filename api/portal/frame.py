"""What every page of the portal shares: languages, messages, built files, who looks at it, the policy of its content."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope as AsgiScope

from api.context import context_of, scope_of
from api.portal.ask import Refused, ask
from api.portal.built import dist_folder, files_of, is_stale, messages_of
from api.portal.writing import FILTERS
from api.sessions import csrf_of
from cim.model import Scope

LANGUAGES = ("zh-CN", "en")
LANGUAGE_COOKIE = "cim_lang"
PLACES = (
    {"key": "map", "href": "./"},
    {"key": "shelf", "href": "catalogue?f=html"},
    {"key": "desk", "href": "desk"},
)
"""The portal's places in the header of every page: a key of the messages (`nav.<key>`), and where it is from the root."""
_YEAR_S = 365 * 24 * 3600
_HASHED = re.compile(r"-[0-9A-Z]{8}\.(js|css)$")
_TEMPLATES = Path(__file__).resolve().parents[1] / "templates"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
"""Nothing but our own host, no inline script or style; MapLibre and Swagger UI draw `data:` and `blob:` images."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who looks at a page. `csrf` is the token that the forms of a session carry; None without a session."""

    scope: Scope
    csrf: str | None

    @property
    def is_anonymous(self) -> bool:
        """True where nobody said who asks."""
        return not self.scope.caller

    @property
    def name(self) -> str:
        """The login, or what the caller is called in the log."""
        return self.scope.caller.removeprefix("person ")


async def who_of(request: Request) -> Who:
    """Who asks for the page, by session or key. Raises Unauthorized for a key that is not known.

    Of a form too: whether it may change something is for its token to say (`forms.form_of`), before the API is asked.
    """
    scope = await scope_of(Request({**request.scope, "method": "GET"}))
    token = context_of(request).callers.sessions.token_of(request)
    is_session = scope.person_id is not None and scope.key_prefix is None and token is not None
    return Who(scope, csrf_of(token) if is_session and token else None)


class PortalFiles(StaticFiles):
    """The built files: those with a hash in their name never change, the others are asked for again by ETag."""

    async def get_response(self, path: str, scope: AsgiScope) -> Response:
        """One file, with its `Cache-Control`."""
        response = await super().get_response(path, scope)
        is_hashed = bool(_HASHED.search(path))
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_hashed else "public, no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        # a worker obeys the policy of its own file, not the page's: MapLibre's fetches the tiles
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response


def mount_static(app: FastAPI) -> None:
    """Serves the built files at `/static`; without a build nothing is mounted, and the pages say so."""
    folder = dist_folder()
    if folder is not None:
        app.mount("/static", PortalFiles(directory=folder), name="static")


def preferred_language(request: Request) -> str:
    """`?lang=`, else the cookie, else the best of `Accept-Language` (RFC 9110, 12.5.4), else Chinese."""
    for wish in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
        if wish in LANGUAGES:
            return wish
    weighed: list[tuple[float, str]] = []
    for part in request.headers.get("accept-language", "")[:500].split(","):
        tag, _, parameters = part.strip().partition(";")
        quality = re.search(r"q\s*=\s*([01](?:\.\d{1,3})?)", parameters)
        weighed.append((float(quality[1]) if quality else 1.0, tag.lower()))
    for quality_value, tag in sorted(weighed, key=lambda pair: -pair[0]):
        if quality_value > 0 and tag.split("-")[0] in ("zh", "en"):
            return "en" if tag.startswith("en") else "zh-CN"
    return "zh-CN"


def root_of(request: Request) -> str:
    """The way from the page to the node's root, so that the portal works under any host and path."""
    return "../" * (request.url.path.count("/") - 1) or "./"


@cache
def templates() -> jinja2.Environment:
    """The pages' templates."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


async def _unread(request: Request, who: Who) -> int:
    """How many notifications wait for somebody who logged in; nobody else is asked about."""
    if who.csrf is None:
        return 0
    try:
        return int((await ask(request, "GET", "/notifications/unread")).document["unread"])
    except Refused:
        return 0


async def page(request: Request, template: str, place: str, *, status: int = 200, **values: Any) -> Response:
    """A page on the frame, as the caller may see it. `place` is the key of one of `PLACES`, or empty.

    A template has besides `values`: `t` (messages), `lang`, `root` (the way to the root of the node), `who`, `said` (the
    message that the page before left), `zone` (of the platform's days), `unread` (notifications), `config` (what scripts
    read: `page.js`), and `path` (of the page, from the root).
    """
    folder = dist_folder()
    if folder is None:
        return bare_page(request, "not_built.html", {}, status=503)
    lang, root, who = preferred_language(request), root_of(request), await who_of(request)
    files, t = files_of(folder), messages_of(lang)
    config = {
        "lang": lang,
        "root": "" if root == "./" else root,
        "worker": f"{root}static/{files['worker.js']}",
        "publicUrl": request.scope["app"].state.settings.public_url,
        "csrf": who.csrf,
        "messages": messages_of(lang, "script"),
    }
    frame = {
        "t": t,
        "files": files,
        "place": place,
        "places": PLACES,
        "root": root,
        "path": request.url.path[1:],
        "query": request.url.query,
        "who": who,
        "unread": await _unread(request, who),
        "zone": request.scope["app"].state.settings.time_zone,
        "said": t.get(f"said.{request.query_params.get('said', '')}"),
        "language_href": "?" + urlencode([*_kept(request), ("lang", _other(lang))]),
    }
    own = values.pop("config", {})
    values = {**frame, **values, "config": {**config, **own}, "lang": lang}
    try:
        return bare_page(request, template, values, status=status, is_private=not who.is_anonymous)
    except jinja2.UndefinedError:
        if not is_stale(folder):
            raise
        return bare_page(request, "not_built.html", {}, status=503)


def bare_page(
    request: Request, template: str, values: dict[str, Any], *, status: int = 200, is_private: bool = False
) -> Response:
    """A page of a template with its headers; `lang` and `other` (the other language) are there."""
    lang = str(values.get("lang", preferred_language(request)))
    text = templates().get_template(template).render(**{"other": _other(lang), "lang": lang, **values})
    response = HTMLResponse(text, status_code=status)
    response.headers["Content-Language"] = lang
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "private, no-store" if is_private else "no-cache"
    response.headers["Vary"] = "Accept, Accept-Language, Cookie"
    if request.query_params.get("lang") in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, lang, max_age=_YEAR_S, samesite="lax", httponly=True)
    return response


def _other(lang: str) -> str:
    return next(one for one in LANGUAGES if one != lang)


def _kept(request: Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.query_params.multi_items() if name not in ("lang", "said")]
