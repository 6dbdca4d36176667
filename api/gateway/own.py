"""Calls of this node's own data: the same endpoints, in this process, under the scope of the grant, without a socket."""

from dataclasses import replace
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from api.context import ASKING_AS
from api.direct import Application
from api.documents import Whole
from api.gateway.services import Called, Own
from cim.errors import NotFound
from cim.model import Scope

OFFERED = ("collections", "stac", "sensorthings")
"""First parts of the paths that services may offer: data, nothing that administers the node."""
POSTED = ("search", "aggregate")
"""Resources that a POST asks, and does not change."""

_TEXTS = (b"application/", b"text/")
_NO_TEXTS = (b"application/vnd.mapbox-vector-tile", b"application/octet-stream")


async def own_answer(request: Request, called: Called, own: Own, scope: Scope, tail: str) -> Response:
    """What the endpoint beneath answers, with its links made those of the service. Raises what the endpoint raises."""
    target = own.endpoint.target(tail, request.scope["query_string"].decode("latin-1"))
    path, _, query = target.partition("?")
    inner = {
        **request.scope,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode("latin-1"),
        # notes of the endpoint for `api.hot` stay in here: an answer sent without asking would not be counted
        "state": dict(request.scope["state"]),
        # what a call writes is no part of any service
        ASKING_AS: replace(scope, roles=scope.roles - {"editor", "admin"}),
    }
    app: Application = request.scope["app"]
    parts = path[1:].split("/")
    is_offered = parts[0] in OFFERED and (request.method != "POST" or parts[-1] in POSTED)
    if not is_offered or not app.doors.opened(inner):
        raise NotFound("resource of the service", tail)
    response: Response = await inner["endpoint"](Request(inner, request.receive))
    return _with_links(response, own, called.public.encode())


def _with_links(response: Response, own: Own, public: bytes) -> Response:
    """The answer with addresses beneath the service's made those of the service, where it is a text that is made already."""
    body = getattr(response, "body", None)
    fields: list[tuple[bytes, bytes]] = list(response.raw_headers)
    named = dict(fields)
    kind = named.get(b"content-type", b"")
    is_text = kind.startswith(_TEXTS) and not kind.startswith(_NO_TEXTS) and b"content-encoding" not in named
    if b"link" not in named and not (is_text and body):
        return response
    fields = [(name, own.links.sub(public, value)) if name == b"link" else (name, value) for name, value in fields]
    if not isinstance(body, bytes):
        response.raw_headers = fields
        return response
    if is_text:
        body = own.links.sub(public, body)
        fields = [(name, b"%d" % len(body)) if name == b"content-length" else (name, value) for name, value in fields]
    return Whole(body, response.status_code, fields)
