"""The desk's district nodes: whose catalogues the city takes in, their runs, and a day's calls as both ledgers have them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.portal.ask import Refused, ask
from api.portal.desk import at_desk, desk_page
from api.portal.desk_bulk import SOON, run_page
from api.portal.desk_harvests import document_of_form
from api.portal.forms import Form, onward, sent
from api.portal.listing import asked_of, next_of

MEMBERS = ("id", "url", "title_zh", "title_en", "area_code", "key", "interval_s")
SHOWN_AGAIN = tuple(name for name in MEMBERS if name != "key")


@at_desk
async def nodes(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """Every node, and the form to declare one."""
    found = await ask(request, "GET", "/admin/nodes")
    return await desk_page(
        request,
        "desk/runs/nodes.html",
        "nodes",
        nodes=found.document["nodes"],
        values={name: form.text(name) if form else "" for name in SHOWN_AGAIN},
        refused=refused,
    )


@at_desk
@sent(nodes)
async def declare(request: Request, form: Form) -> Response:
    """Declares a node; its key is kept sealed and shown to nobody."""
    made = await ask(request, "POST", "/admin/nodes", body=document_of_form(form, MEMBERS))
    return onward(request, "desk/nodes/{}", made.document["id"], said="node-declared")


@at_desk
async def node(request: Request, _: Form | None = None, refused: Refused | None = None) -> Response:
    """One node with its runs; with `?day=` the calls of that day by both ledgers."""
    node_id, day = request.path_params["node_id"], request.query_params.get("day", "")
    calls: dict[str, Any] | None = None
    try:
        if day:
            calls = (await ask(request, "GET", "/admin/nodes/{}/calls", node_id, query={"day": day})).document
    except Refused as error:
        refused = error
    found = await ask(request, "GET", "/admin/nodes/{}", node_id)
    runs = await ask(request, "GET", "/admin/nodes/{}/runs", node_id, query={"limit": 10, **asked_of(request)})
    return await desk_page(
        request,
        "desk/runs/node.html",
        "nodes",
        node=found.document,
        runs=runs.document["runs"],
        day=day,
        calls=calls,
        refused=refused,
        next=next_of(request, runs.document),
    )


@at_desk
@sent(node)
async def change(request: Request, form: Form) -> Response:
    """Takes in now what changed in the node's catalogue, or forgets the node."""
    node_id = request.path_params["node_id"]
    if form.text("do") == "delete":
        await ask(request, "DELETE", "/admin/nodes/{}", node_id)
        return onward(request, "desk/nodes", said="node-removed")
    ran = await ask(request, "POST", "/admin/nodes/{}/run", node_id, headers=SOON)
    if ran.status == 202:
        return onward(request, "desk/nodes/{}/runs/{}", node_id, str(ran.document["id"]))
    return onward(request, "desk/nodes/{}", node_id, said="node-ran")


@at_desk
async def one_run(request: Request, _: Form | None = None, refused: Refused | None = None) -> Response:
    """How far a run is that takes in the node's catalogue, its account and what was not taken."""
    node_id, run_id = request.path_params["node_id"], request.path_params["run_id"]
    found = await ask(request, "GET", "/admin/nodes/{}/runs/{}", node_id, run_id)
    address = f"admin/nodes/{found.document['harvest']}/runs/{found.document['id']}"
    back = f"desk/nodes/{node_id}"
    return await run_page(request, "nodes", found.document, address, back, f"{back}/runs/{run_id}", refused)


@at_desk
@sent(one_run)
async def cancel(request: Request, _: Form) -> Response:
    """Ends a run that waits or goes on."""
    node_id, run_id = request.path_params["node_id"], request.path_params["run_id"]
    await ask(request, "POST", "/admin/nodes/{}/runs/{}/cancel", node_id, run_id)
    return onward(request, "desk/nodes/{}/runs/{}", node_id, run_id, said="run-cancelled")


ROUTES = (
    Route("/desk/nodes", nodes, methods=["GET"]),
    Route("/desk/nodes", declare, methods=["POST"]),
    Route("/desk/nodes/{node_id}", node, methods=["GET"]),
    Route("/desk/nodes/{node_id}", change, methods=["POST"]),
    Route("/desk/nodes/{node_id}/runs/{run_id}", one_run, methods=["GET"]),
    Route("/desk/nodes/{node_id}/runs/{run_id}/cancel", cancel, methods=["POST"]),
)
