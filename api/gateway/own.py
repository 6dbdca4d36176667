"""Calls of this node's own data: the same endpoints, in this process, under the scope of the grant, without a socket."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from api.context import ASKING_AS
from api.direct import Application
from api.documents import Whole
from api.gateway.door import SENT
from api.gateway.services import Called, Own
from cim.errors import NotFound
from cim.model import Scope

OFFERED = ("collections", "stac", "sensorthings")
"""First parts of the paths that services may offer: data, nothing that administers the node."""
POSTED = ("search", "aggregate")
"""Resources that a POST asks, and does not change."""

MAX_KNOWN = 4_096
"""Addresses of a service that a worker remembers."""

_TEXTS = (b"application/", b"text/")
_NO_TEXTS = (b"application/vnd.mapbox-vector-tile", b"application/octet-stream")


@dataclass(frozen=True, slots=True)
class Inside:
    """Where a call leads within the node: members of the ASGI scope of the endpoint."""

    path: str
    raw_path: bytes
    query_string: bytes
    endpoint: Any
    path_params: dict[str, Any]


async def own_answer(request: Request, called: Called, own: Own, scope: Scope, tail: str) -> Response:
    """What the endpoint beneath answers, with its links made those of the service. Raises what the endpoint raises."""
    asked = (tail, request.scope["query_string"], request.scope["method"])
    inside = own.known.get(asked)
    if inside is None:
        inside = _inside(request, own, tail)
        if len(own.known) >= MAX_KNOWN:
            own.known.clear()
        own.known[asked] = inside
    # notes of the endpoint for `api.hot` stay in its own state: an answer sent without asking must be counted
    state = dict(request.scope["state"])
    inner = {
        **request.scope,
        "path": inside.path,
        "raw_path": inside.raw_path,
        "query_string": inside.query_string,
        "path_params": inside.path_params,
        "endpoint": inside.endpoint,
        "state": state,
        ASKING_AS: scope,
    }
    response: Response = await inside.endpoint(Request(inner, request.receive))
    request.scope[SENT] = state.get("sent")
    return _with_links(response, own, called.public)


def _inside(request: Request, own: Own, tail: str) -> Inside:
    """Raises InvalidParameter for an address that is no path beneath, NotFound for one that services do not offer."""
    target = own.endpoint.target(tail, request.scope["query_string"].decode("latin-1"))
    path, _, query = target.partition("?")
    parts = path[1:].split("/")
    inner = {**request.scope, "path": unquote(path)}
    app: Application = request.scope["app"]
    is_offered = parts[0] in OFFERED and (request.method != "POST" or parts[-1] in POSTED)
    if not is_offered or not app.doors.opened(inner):
        raise NotFound("resource of the service", tail)
    return Inside(inner["path"], path.encode(), query.encode("latin-1"), inner["endpoint"], inner["path_params"])


def _with_links(response: Response, own: Own, public: str) -> Response:
    """The answer with addresses beneath the service's made those of the service, where it is a text that is made already."""
    if type(response) is Whole and response.parts:
        response = response.joined()
    body: Any = getattr(response, "body", None)
    kind, has_link, is_coded = b"", False, False
    for name, value in response.raw_headers:
        if name == b"content-type":
            kind = value
        elif name == b"link":
            has_link = True
        elif name == b"content-encoding":
            is_coded = True
    is_text = kind.startswith(_TEXTS) and not kind.startswith(_NO_TEXTS) and not is_coded and isinstance(body, bytes)
    if not has_link and not is_text:
        return response
    ours = public.encode()
    fields = [
        (name, own.links.sub(ours, value)) if name == b"link" else (name, value) for name, value in response.raw_headers
    ]
    if not isinstance(body, bytes):
        response.raw_headers = fields
        return response
    if is_text:
        body = own.links.sub(ours, body)
        fields = [(name, b"%d" % len(body)) if name == b"content-length" else (name, value) for name, value in fields]
    return Whole(body, response.status_code, fields)
