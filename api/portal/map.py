"""The map at `/`, and the API's documentation."""

from starlette.requests import Request
from starlette.responses import Response

from api.portal.built import dist_folder, messages_of
from api.portal.frame import bare_page, page, preferred_language
from cim.collections import BUILTIN


async def render_portal(request: Request) -> Response:
    """The map page, or a page that tells how to build it."""
    lang = preferred_language(request)
    config = {
        "collections": {c.id: {"title": c.title_en if lang == "en" else c.title_zh} for c in BUILTIN},
        "messages": dict(messages_of(lang)),
    }
    return await page(request, "portal.html", "map", config=config)


def render_documentation(request: Request, document: str = "api?f=json") -> Response:
    """The API's documentation, drawn from `document` (an address beside the page) by our own copy of Swagger UI."""
    if dist_folder() is None:
        return bare_page(request, "not_built.html", {}, status=503)
    lang = preferred_language(request)
    return bare_page(request, "documentation.html", {"document": document, "t": messages_of(lang), "lang": lang})
