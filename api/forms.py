"""Pages with a form, for people without JavaScript, and what such a form sends."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from api.params import json_object
from api.portal.frame import page
from cim.errors import InvalidBody, TooLarge

FORM = "application/x-www-form-urlencoded"
MAX_FORM = 16_384

Field = tuple[str, str, str, str]
"""Name, type of the input, label, what a browser fills in."""


def is_form(request: Request) -> bool:
    """True for a body that a page's form sent; the answer is a page then."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM


async def members(request: Request) -> dict[str, Any]:
    """What a form or a JSON object says, each name once. Raises as `json_object` does."""
    if not is_form(request):
        return await json_object(request, max_bytes=MAX_FORM)
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_FORM:
            raise TooLarge(f"the form has more than {MAX_FORM:,} bytes")
    try:
        pairs = parse_qsl(received.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError as error:
        raise InvalidBody("the body is not a form in percent-encoded UTF-8") from error
    if len(dict(pairs)) < len(pairs):
        raise InvalidBody("a field of the form comes twice")
    return dict(pairs)


async def form_page(
    request: Request,
    title: str,
    submit: str,
    fields: Sequence[Field],
    *,
    action: str,
    hidden: Mapping[str, str] | None = None,
    message: str = "",
    links: Sequence[tuple[str, str]] = (),
    status: int = 200,
) -> Response:
    """A page with one form. Nothing of it is kept by a cache; `action` and `links` are addresses from the root."""
    response = await page(
        request,
        "form.html",
        "",
        status=status,
        title=title,
        submit=submit,
        fields=fields,
        action=action,
        hidden=hidden or {},
        message=message,
        links=links,
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def onward_of(text: Any) -> str:
    """Where to go after a log-in: a path of this node, else the first page."""
    is_ours = isinstance(text, str) and text.startswith("/") and text.isascii() and text.isprintable()
    return text if is_ours and not text.startswith(("//", "/\\")) and len(text) <= 1000 else "/"
