"""The desk's district nodes: whose catalogues the city takes in, their runs, and a day's calls as both ledgers have them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.portal.ask import Refused, ask
from api.portal.desk import at_desk, desk_page
from api.portal.desk_harvests import document_of_form
from api.portal.forms import Form, form_of, onward
from api.portal.listing import asked_of, next_of

MEMBERS = ("id", "url", "title_zh", "title_en", "area_code", "key", "interval_s")
SHOWN_AGAIN = tuple(name for name in MEMBERS if name != "key")


async def nodes(request: Request) -> Response:
    """Every node, and the form to declare one."""
    return await _list_page(request)


async def _list_page(request: Request, refused: Refused | None = None, form: Form | None = None) -> Response:
    found = await ask(request, "GET", "/admin/nodes")
    return await desk_page(
        request,
        "desk/runs/nodes.html",
        "nodes",
        nodes=found.document["nodes"],
        values={name: form.text(name) if form else "" for name in SHOWN_AGAIN},
        refused=refused,
    )


async def declare(request: Request) -> Response:
    """Declares a node; its key is kept sealed and shown to nobody."""
    form = await form_of(request)
    try:
        made = await ask(request, "POST", "/admin/nodes", body=document_of_form(form, MEMBERS))
    except Refused as refused:
        if refused.status == 401:
            raise
        return await _list_page(request, refused, form)
    return onward(request, "desk/nodes/{}", made.document["id"], said="node-declared")


async def node(request: Request) -> Response:
    """One node with its runs; with `?day=` the calls of that day by both ledgers."""
    node_id, day = request.path_params["node_id"], request.query_params.get("day", "")
    calls: dict[str, Any] | None = None
    try:
        if day:
            calls = (await ask(request, "GET", "/admin/nodes/{}/calls", node_id, query={"day": day})).document
    except Refused as refused:
        return await _page(request, node_id, refused)
    return await _page(request, node_id, calls=calls)


async def _page(
    request: Request, node_id: str, refused: Refused | None = None, calls: dict[str, Any] | None = None
) -> Response:
    found = await ask(request, "GET", "/admin/nodes/{}", node_id)
    runs = await ask(request, "GET", "/admin/nodes/{}/runs", node_id, query={"limit": 10, **asked_of(request)})
    return await desk_page(
        request,
        "desk/runs/node.html",
        "nodes",
        node=found.document,
        runs=runs.document["runs"],
        day=request.query_params.get("day", ""),
        calls=calls,
        refused=refused,
        next=next_of(request, runs.document),
    )


async def change(request: Request) -> Response:
    """Takes in now what changed in the node's catalogue, or forgets the node."""
    form, node_id = await form_of(request), request.path_params["node_id"]
    try:
        if form.text("do") == "delete":
            await ask(request, "DELETE", "/admin/nodes/{}", node_id)
            return onward(request, "desk/nodes", said="node-removed")
        await ask(request, "POST", "/admin/nodes/{}/run", node_id)
    except Refused as refused:
        if refused.status in (401, 404):
            raise
        return await _page(request, node_id, refused)
    return onward(request, "desk/nodes/{}", node_id, said="node-ran")


ROUTES = (
    Route("/desk/nodes", at_desk(nodes), methods=["GET"]),
    Route("/desk/nodes", at_desk(declare), methods=["POST"]),
    Route("/desk/nodes/{node_id}", at_desk(node), methods=["GET"]),
    Route("/desk/nodes/{node_id}", at_desk(change), methods=["POST"]),
)
