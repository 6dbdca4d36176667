"""The desk's loads (数据加载): runs, a file to send, one run with its account and what it rejected."""

import math
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.context import context_of
from api.portal.ask import Refused, ask
from api.portal.desk import at_desk, desk_page
from api.portal.forms import FileForm, Form, file_form_of, onward, sent
from api.portal.frame import preferred_language
from api.portal.listing import listed, next_of
from api.routes.loads import KINDS, STATED
from cim.collections import BUILTIN
from cim.crs import DATUMS
from cim.query.loads import FILTERS

SECTION = "loads"
STATES = ("queued", "running", "completed", "failed")
ENCODINGS = ("UTF-8", "GB18030", "Big5")
PAGE = 30
ROWS_SHOWN = 50
PLACES_SHOWN = 20_000
"""Rejections drawn on the map; more are in the files."""
_PLACE_FIELDS = ("lon", "lat", "wkt")


async def _choices(request: Request) -> dict[str, Any]:
    """What a load may state: kinds by their titles, datasets that are here, coordinate systems, datums, encodings."""
    shown = (await ask(request, "GET", "/collections")).document["collections"]
    is_english = preferred_language(request) == "en"
    titles = {one.kind: one.title_en if is_english else one.title_zh for one in BUILTIN}
    built_in = {one.id for one in BUILTIN}
    return {
        "kinds": [(kind, titles.get(kind)) for kind in KINDS],
        "collections": {one["id"]: one["title"] for one in shown},
        "datasets": [one["id"] for one in shown if one["id"] not in built_in],
        "crs": [f"EPSG:{one.srid}" for one in context_of(request).crs_list.offered[1:]],
        "datums": DATUMS,
        "encodings": ENCODINGS,
        "max_bytes": context_of(request).settings.max_upload_bytes,
    }


@at_desk
async def loads(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """Load runs, the latest first, and the form that sends a file."""
    stated = {name: form.text(name) for name in STATED} if form else {"kind": request.query_params.get("send", "")}
    return await desk_page(
        request,
        "desk/loads.html",
        SECTION,
        **await listed(request, "/admin/loads", "loads", tuple(FILTERS), PAGE),
        states=STATES,
        choices=await _choices(request),
        stated=stated,
        refused=refused,
        offered=_offered(refused.problem if refused else {}),
    )


def _offered(problem: Mapping[str, Any]) -> dict[str, list[str]]:
    """Field of the form → what the refusal names to choose from; a table's columns are offered for each field of the place."""
    choices, parameter = problem.get("choices") or [], problem.get("parameter")
    if not choices or parameter is None:
        return {}
    return {key: list(choices) for key in (_PLACE_FIELDS if parameter in _PLACE_FIELDS else (parameter,))}


@at_desk
@sent(loads, file_form_of)
async def send(request: Request, form: FileForm) -> Response:
    """Pass the form with its file on to the API as it comes in, and go to watch the load."""
    answer = await ask(request, "POST", "/admin/loads", body=form.body, headers=form.headers)
    return onward(request, "desk/loads/{}", str(answer.document["id"]))


@at_desk
async def load(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """One run: its account, how far it is, what it rejected and where."""
    run_id = request.path_params["run_id"]
    run = (await ask(request, "GET", "/admin/loads/{}", run_id)).document
    code, cursor = (request.query_params.get(name, "") for name in ("code", "cursor"))
    rows, following = await _rejections(request, run_id, code, cursor) if run["reasons"] else ([], "")
    error = run["error"] or {}
    options = {name: value for name, value in run["options"].items() if isinstance(value, str)}
    stated = {**options, **{name: run[name] for name in ("kind", "source", "licence", "attribution")}}
    stated["collection"] = run["collection"] if run["kind"] == "dataset" else ""
    return await desk_page(
        request,
        "desk/load.html",
        SECTION,
        run=run,
        rows=rows,
        next=following,
        code=code,
        choices=await _choices(request),
        stated={name: form.text(name) for name in STATED} if form and "kind" in form else stated,
        refused=refused,
        offered=_offered(error),
        most=PLACES_SHOWN,
        map=_map_of(run["extent"]),
    )


def _map_of(extent: list[float] | None) -> str:
    """Where the map page looks to show a box: `zoom/latitude/longitude`; empty without one."""
    if extent is None:
        return ""
    west, south, east, north = extent
    wide = max(east - west, (north - south) * 1.4, 1e-6)
    zoom = min(max(math.log2(360 / wide) + 0.6, 4.0), 16.5)
    return f"{zoom:.2f}/{(south + north) / 2:.5f}/{(west + east) / 2:.5f}"


async def _rejections(request: Request, run_id: str, code: str, cursor: str) -> tuple[list[dict[str, Any]], str]:
    """A page of rejected rows, and the query string of the next one."""
    asked = {"limit": ROWS_SHOWN, "code": code, "cursor": cursor}
    answer = await ask(request, "GET", "/admin/loads/{}/rejections", run_id, query=asked)
    link = answer.headers.get("link", "")
    address = link[link.find("<") + 1 : link.find(">")]
    return answer.document, next_of(request, {"links": [{"rel": "next", "href": address}]} if address else {})


@at_desk
@sent(load)
async def again(request: Request, form: Form) -> Response:
    """Load the file of a failed run again as the form says now."""
    body = {name: form.text(name) for name in STATED if name in form}
    answer = await ask(request, "POST", "/admin/loads/{}/again", request.path_params["run_id"], body=body)
    return onward(request, "desk/loads/{}", str(answer.document["id"]))


@at_desk
@sent(load)
async def cancel(request: Request, _: Form) -> Response:
    """End a run that waits or runs."""
    run_id = request.path_params["run_id"]
    await ask(request, "POST", "/admin/loads/{}/cancel", run_id)
    return onward(request, "desk/loads/{}", run_id, said="load-cancelled")


ROUTES = (
    Route("/desk/loads", loads, methods=["GET"]),
    Route("/desk/loads", send, methods=["POST"]),
    Route("/desk/loads/{run_id}", load, methods=["GET"]),
    Route("/desk/loads/{run_id}/again", again, methods=["POST"]),
    Route("/desk/loads/{run_id}/cancel", cancel, methods=["POST"]),
)
