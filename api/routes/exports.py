"""Whole-result downloads: everything that matches, as a stream or as a file that is made first; exports as jobs."""

from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.conditions import EXPORTING, QUERY_NAMES, Asking, asking, asking_body, filter_names
from api.context import collection_of, context_of, settings_of
from api.documents import JSON, Link, url_of
from api.export_jobs import failure_of
from api.exports import (
    OFFERS,
    OUTPUT_OF,
    Export,
    bom_of,
    chunk_of,
    disposition,
    prefers_async,
    text_stream,
)
from api.files import file_answer
from api.html import title_of
from api.middleware import is_head
from api.negotiate import choose
from api.pages import export_query
from api.params import query_parameters
from api.portal.frame import preferred_language
from api.routes.items import check_geometries, crs_header
from cim.errors import Conflict, NotFound
from cim.interval import instant_text

router = APIRouter()

WAIT_S = 20.0
"""A file that is made within this time is the answer itself; else 202, and it is fetched when it is ready."""

_VARY = "Accept, Accept-Language, Prefer, Cookie, Authorization, X-API-Key"


async def export(request: Request) -> Response:
    """Everything that matches the query, in any format."""
    collection, scope = await collection_of(request)
    values = query_parameters(request, (*QUERY_NAMES, *EXPORTING, "bom", *filter_names(collection, scope)))
    return await _answer(request, asking(request, collection, scope, values), values)


async def export_posted(request: Request) -> Response:
    """The same with the conditions in a JSON body, among them a polygon."""
    collection, scope = await collection_of(request)
    values = query_parameters(request, ("bom",))
    return await _answer(request, await asking_body(request, collection, scope, EXPORTING), values)


async def _answer(request: Request, asked: Asking, values: dict[str, str]) -> Response:
    output = OUTPUT_OF[choose(request, OFFERS, f=values.get("f")).f]
    has_bom = bom_of(values, output)
    query = export_query(asked)
    await check_geometries(request, query)
    wanted = Export(asked.collection, query, asked.scope, output, has_bom)
    title = title_of(asked.collection, preferred_language(request))
    headers = {
        "Content-Type": f"{output.media_type}; charset=utf-8" if output.f == "csv" else output.media_type,
        "Content-Disposition": disposition(title, asked.collection.id, output.suffix),
        "Cache-Control": "no-store",
        "Vary": _VARY,
        **crs_header(query.crs),
    }
    if is_head(request) and not prefers_async(request):  # nothing is made for it
        return Response(headers=headers)
    is_ordered = bool(query.sort) or query.nearest is not None  # the database sorts once, for a file
    if output.text is None or is_ordered or prefers_async(request):
        return await _as_file(request, wanted, title, headers)
    database = context_of(request).database
    first = await chunk_of(database, wanted, None)
    return StreamingResponse(text_stream(database, wanted, first), headers=headers)


async def _as_file(request: Request, wanted: Export, title: str, headers: dict[str, str]) -> Response:
    """The file where it is made in time and nobody asked for a job; else the job."""
    exports = context_of(request).exports
    export_id = await exports.create(wanted, title)
    if prefers_async(request):
        return _status(request, export_id, await exports.find(export_id), 202, {"Preference-Applied": "respond-async"})
    try:
        row = await exports.settled(export_id, WAIT_S)
    except BaseException:  # the client has gone
        await exports.cancel(export_id)
        raise
    if row["state"] == "completed":

        async def forget() -> None:
            await exports.forget(export_id)

        return file_answer(request, exports.path_of(export_id), headers, etag=etag_of(row), ended=forget)
    if row["state"] == "failed":
        await exports.forget(export_id)
        raise failure_of(row)
    return _status(request, export_id, row, 202, {})


def etag_of(row: Any) -> str:
    """Of a finished file; weak where the answer may be compressed on its way."""
    is_text = OUTPUT_OF[row["format"]].text is not None
    return f'{"W/" if is_text else ""}"{row["digest"][:16]}-{row["bytes"]:x}"'


def _status(request: Request, export_id: str, row: Any, status: int, headers: dict[str, str]) -> Response:
    base = settings_of(request).public_url
    home = url_of(base, "exports", export_id)
    done, total = row["done"], row["total"]
    links = [
        Link(home, "self", JSON, "How far it is"),
        Link(url_of(base, "collections", row["collection_id"]), "collection", JSON),
    ]
    if row["state"] == "completed":
        links.append(Link(f"{home}/download", "enclosure", OUTPUT_OF[row["format"]].media_type, "The file"))
    document = {
        "id": export_id,
        "state": row["state"],
        "collection": row["collection_id"],
        "format": row["format"],
        "done": done,
        "total": total,
        "progress": 100 if row["state"] == "completed" else min(99, 100 * done // total) if total else None,
        "bytes": row["bytes"],
        "error": orjson.loads(row["error"]) if row["error"] else None,
        "created": instant_text(row["created_at"]),
        "started": instant_text(row["started_at"]),
        "ended": instant_text(row["ended_at"]),
        "expires": instant_text(row["expires_at"]),
        "links": [link.to_dict() for link in links],
    }
    fields = {"Cache-Control": "no-store", **headers}
    if status == 202:
        fields["Location"] = home
    return Response(orjson.dumps(document), status, headers=fields, media_type=JSON)


async def status(request: Request) -> Response:
    """How far an export is."""
    query_parameters(request, ())
    export_id = request.path_params["export_id"]
    return _status(request, export_id, await context_of(request).exports.find(export_id), 200, {})


async def cancel(request: Request) -> Response:
    """Give an export up, whether it waits, runs or is ready."""
    query_parameters(request, ())
    export_id = request.path_params["export_id"]
    exports = context_of(request).exports
    await exports.cancel(export_id)
    return _status(request, export_id, await exports.find(export_id), 200, {})


async def download(request: Request) -> Response:
    """The finished file, or one range of it."""
    query_parameters(request, ())
    export_id = request.path_params["export_id"]
    exports = context_of(request).exports
    row = await exports.find(export_id)
    if row["state"] in ("queued", "running"):
        raise Conflict(f"the file is not ready: {row['done']:,} rows are written")
    if row["state"] != "completed":
        raise NotFound("file", f"of this export: it is {row['state']}")
    output = OUTPUT_OF[row["format"]]
    headers = {
        "Content-Type": output.media_type,
        "Content-Disposition": disposition(row["file_name"], row["collection_id"], output.suffix),
        "Cache-Control": "private, no-cache",
    }
    return file_answer(request, exports.path_of(export_id), headers, etag=etag_of(row))


router.add_route("/collections/{collection_id}/export", export, methods=["GET"])
router.add_route("/collections/{collection_id}/export", export_posted, methods=["POST"])
router.add_route("/exports/{export_id}", status, methods=["GET"])
router.add_route("/exports/{export_id}", cancel, methods=["DELETE"])
router.add_route("/exports/{export_id}/download", download, methods=["GET"])
