"""The pages for people: the map at `/`, the API's documentation, and the built files under `/static`."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from cim.collections import BUILTIN

LANGUAGES = ("zh-CN", "en")
LANGUAGE_COOKIE = "cim_lang"
PLACES = ({"key": "map", "href": "./"}, {"key": "shelf", "href": "catalogue?f=html"})
"""The portal's places in the header of every page: a key of the messages (`nav.<key>`), and where it is from the root."""
_YEAR_S = 365 * 24 * 3600
_HASHED = re.compile(r"-[0-9A-Z]{8}\.(js|css)$")

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


def dist_folder() -> Path | None:
    """Folder of the built page: `web/dist` of the repository or `static` in the package; None when not built."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / "web" / "dist", package / "static"):
        if (folder / "manifest.json").is_file():
            return folder
    return None


class PortalFiles(StaticFiles):
    """The built files: those with a hash in their name never change, the others are asked for again by ETag."""

    async def get_response(self, path: str, scope: Scope) -> Response:
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


def render_portal(request: Request) -> Response:
    """The map page, or a page that tells how to build it."""
    folder = dist_folder()
    if folder is None:
        return _page(request, "not_built.html", {}, status=503)
    lang = preferred_language(request)
    files = json.loads((folder / "manifest.json").read_bytes())["files"]
    config = {
        "lang": lang,
        "worker": f"static/{files['worker.js']}",
        "publicUrl": request.app.state.settings.public_url,
        "collections": {c.id: {"title": c.title_en if lang == "en" else c.title_zh} for c in BUILTIN},
        "messages": _messages(folder, lang),
    }
    values = {"config": config, "t": config["messages"], "lang": lang}
    return _page(request, "portal.html", {**values, **frame_values(files, "map", "")})


def frame_values(files: dict[str, str], place: str, root: str) -> dict[str, Any]:
    """What `frame.html` needs besides `t` and `lang`: the built files, the key of the page's place, the way to the root."""
    return {"files": files, "place": place, "root": root, "places": PLACES}


def render_documentation(request: Request, document: str = "api?f=json") -> Response:
    """The API's documentation, drawn from `document` (an address beside the page) by our own copy of Swagger UI."""
    folder = dist_folder()
    if folder is None:
        return _page(request, "not_built.html", {}, status=503)
    lang = preferred_language(request)
    return _page(request, "documentation.html", {"document": document, "t": _messages(folder, lang), "lang": lang})


def _messages(folder: Path, lang: str) -> dict[str, str]:
    messages: dict[str, str] = json.loads((folder / "i18n" / f"{lang}.json").read_bytes())
    return messages


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).resolve().parents[1] / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )


def _page(request: Request, template: str, values: dict[str, Any], *, status: int = 200) -> Response:
    lang = str(values.get("lang", "zh-CN"))
    other = next(one for one in LANGUAGES if one != lang)
    response = HTMLResponse(_templates().get_template(template).render(other=other, **values), status_code=status)
    response.headers["Content-Language"] = lang
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Vary"] = "Accept, Accept-Language, Cookie"
    if request.query_params.get("lang") in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, lang, max_age=_YEAR_S, samesite="lax", httponly=True)
    return response
