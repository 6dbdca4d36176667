"""Loads: send a file, follow its load, end it, load a failed one again with other options. Admins only."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of, database_of, scope_of, settings_of
from api.documents import GEOJSON, JSON, Link, private_json, url_of
from api.listing import PAGING, listed
from api.params import check_members, json_object, query_parameters
from api.security import require_admin
from api.uploads import (
    MAX_FIELD_BYTES,
    Store,
    chunks_of,
    look_at,
    receive_form,
    receive_raw,
    source_key,
    storage_errors,
)
from api.work import REQUEST
from cim.collections import BUILTIN
from cim.crs import check_datum
from cim.errors import Conflict, InvalidParameter, NotFound, UnknownParameter
from cim.interval import instant_text
from cim.query.loads import FILTERS, RUNS, fail_sql, forget_sql, queue_sql, reasons_sql, run_sql
from cim.sql import Sql

router = APIRouter(tags=["admin"])

OPTIONS = {
    "layer": "--layer",
    "crs": "--crs",
    "datum": "--datum",
    "encoding": "--encoding",
    "delimiter": "--delimiter",
    "lon": "--lon",
    "lat": "--lat",
    "wkt": "--wkt",
    "timezone": "--timezone",
    "licence": "--licence",
    "attribution": "--attribution",
}
"""Field of the form → option of `cim load`."""

STATED = ("kind", "collection", "source", "map", "replace", *OPTIONS)
FIELDS = (*STATED, "filename")
KINDS = (*(c.kind for c in BUILTIN), "dataset")
PUT_AWAY_S = 8.0
"""How long a load that is begun again waits for the file of the one before: a cancelled process has 5 s to end."""
_LOOK_S = 0.05
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "on": True, "": False}


def document_of(row: Any, base: str) -> dict[str, Any]:
    """A run as JSON."""
    home = url_of(base, "admin", "loads", str(row["id"]))
    seconds = (row["ended_at"] - row["started_at"]).total_seconds() if row["ended_at"] else None
    account = {
        name: row[name] for name in ("read", "inserted", "updated", "unchanged", "rejected", "repaired", "deleted")
    }
    return {
        "id": row["id"],
        "state": row["state"],
        "phase": _phase(row),
        "kind": row["kind"],
        "collection": row["collection_id"],
        "source": row["source"],
        "origin": row["origin"],
        "mode": row["mode"],
        "account": account,
        "expected": row["expected"],
        "extent": row["extent"] if row["extent"][0] is not None else None,
        "rowsPerSecond": round(row["read"] / seconds, 1) if seconds else None,
        "notes": orjson.loads(row["notes"]),
        "error": orjson.loads(row["error"]) if row["error"] else None,
        "options": orjson.loads(row["options"]),
        "sha256": row["fingerprint"] or None,
        "licence": row["licence"],
        "attribution": row["attribution"],
        "loadedBy": row["loaded_by"],
        "started": instant_text(row["started_at"]),
        "ended": instant_text(row["ended_at"]),
        "links": [
            Link(home, "self", JSON).to_dict(),
            Link(f"{home}/rejections?f=csv", "related", "text/csv", "Rejected rows as CSV").to_dict(),
            Link(f"{home}/rejections?f=geojson", "related", GEOJSON, "Rejected rows as GeoJSON").to_dict(),
        ],
    }


def _phase(row: Any) -> str:
    """What a run is at: queued, opening, storing, finishing; or the state in which it ended."""
    if row["state"] != "running":
        return str(row["state"])
    if not row["fingerprint"]:
        return "opening"
    return "finishing" if row["expected"] and row["read"] >= row["expected"] else "storing"


async def send(request: Request) -> Response:
    """Take a file (multipart form, or the body itself with `kind` and `filename` in the query) and queue its load: 202."""
    scope = await scope_of(request)
    require_admin(scope)
    values = query_parameters(request, FIELDS)
    settings, store = settings_of(request), context_of(request).store
    content_type = request.headers.get("content-type", "")
    with store.incoming() as folder:
        if content_type.lower().startswith("multipart/form-data"):
            upload = await receive_form(chunks_of(request), content_type, folder, store, settings)
            for name in upload.fields:
                if name not in FIELDS:
                    raise UnknownParameter(name, FIELDS)
            values = {**values, **upload.fields}
        else:
            upload = await receive_raw(chunks_of(request), folder, values.get("filename", ""), store, settings)
        job = _job(values, upload.path.name, scope.caller)
        for path in upload.paths:
            await asyncio.to_thread(look_at, path, settings)
        run_id = await _queued(request, folder, job, values)
    return await _accepted(request, run_id)


async def _queued(request: Request, folder: Path, job: Mapping[str, Any], values: Mapping[str, str]) -> int:
    """Queue the load of the file in `folder`, which goes to the runner; gives the run's id."""
    store = context_of(request).store
    with storage_errors():
        (folder / REQUEST).write_bytes(orjson.dumps(job))
    stated = {name: values[name] for name in (*OPTIONS, "map", "replace") if values.get(name)}
    row = await database_of(request).fetch_one(
        queue_sql(
            job["collection"],
            job["source"],
            job["kind"],
            "replace" if "--replace" in job["options"] else "merge",
            job["file"],
            orjson.dumps(stated).decode(),
            job["by"],
            values.get("licence") or None,
            values.get("attribution") or None,
        )
    )
    run_id = int(row["id"])
    try:
        with storage_errors():
            await asyncio.to_thread(folder.rename, store.uploads / str(run_id))
    except Exception:
        await database_of(request).execute(forget_sql(run_id))
        raise
    context_of(request).runner.wake()
    return run_id


async def _accepted(request: Request, run_id: int) -> Response:
    base = settings_of(request).public_url
    location = url_of(base, "admin", "loads", str(run_id))
    return private_json(document_of(await row_of_run(request, run_id), base), 202, Location=location)


async def again(request: Request) -> Response:
    """Load the file of a load that failed once more, with other options; it need not be sent again: 202.

    The body's members are fields of the form; those it leaves out stay as they were, an empty text takes one back.
    """
    scope = await scope_of(request)
    require_admin(scope)
    query_parameters(request, ())
    run_id, store = run_id_of(request), context_of(request).store
    row = await row_of_run(request, run_id)
    body = await json_object(request, max_bytes=MAX_FIELD_BYTES)
    check_members(body, STATED)
    for name, value in body.items():
        if not isinstance(value, str):
            raise InvalidParameter(name, value, "a text")
    if row["state"] != "failed":
        raise Conflict(f"load {run_id} is {row['state']}: only one that failed can be loaded again from its file")
    kept = await _kept(store, run_id)
    with store.incoming() as folder:
        try:
            folder.rmdir()
            kept.rename(folder)
        except OSError as error:
            raise Conflict(f"the file of load {run_id} is not kept on this node (any more): send it again") from error
        try:
            former = orjson.loads((folder / REQUEST).read_bytes())
            values = {**former.get("values", {n: former[n] for n in ("kind", "collection", "source")}), **body}
            queued = await _queued(request, folder, _job(values, former["file"], scope.caller), values)
        except BaseException:
            folder.rename(kept)
            raise
    return await _accepted(request, queued)


async def _kept(store: Store, run_id: int) -> Path:
    """Where the file of a load that failed is kept: it is put there a moment after the state is told, or when its process is gone."""
    kept, left = store.quarantine / str(run_id), store.uploads / str(run_id)
    for _ in range(round(PUT_AWAY_S / _LOOK_S)):
        if kept.is_dir() or not left.is_dir():
            break
        await asyncio.sleep(_LOOK_S)
    return kept


async def cancel(request: Request) -> Response:
    """End a load that waits or runs. What it has stored stays; its file is kept as a failed one's is."""
    scope = await scope_of(request)
    require_admin(scope)
    query_parameters(request, ())
    run_id, base = run_id_of(request), settings_of(request).public_url
    row = await row_of_run(request, run_id)
    if row["state"] not in ("queued", "running"):
        raise Conflict(f"load {run_id} has ended: it is {row['state']}")
    if not (context_of(request).store.uploads / str(run_id)).is_dir():
        raise Conflict(f"load {run_id} does not run on this node: end it where it was started")
    error = {"code": "cancelled", "detail": f"cancelled by {scope.caller}; what was stored before stays"}
    if await database_of(request).fetch_row(fail_sql(run_id, orjson.dumps(error).decode())) is None:
        raise Conflict(f"load {run_id} has ended meanwhile")
    context_of(request).runner.wake()
    return private_json(document_of(await row_of_run(request, run_id), base))


def _job(values: Mapping[str, str], file_name: str, caller: str) -> dict[str, Any]:
    """What `cim load` is called with. Raises InvalidParameter."""
    kind = values.get("kind", "")
    if kind not in KINDS:
        raise InvalidParameter("kind", kind, f"one of {', '.join(KINDS)}")
    collection = values.get("collection") or next((c.id for c in BUILTIN if c.kind == kind), None)
    if collection is None:
        raise InvalidParameter("collection", "", "a dataset needs the id of the collection it becomes or joins")
    source = values.get("source") or source_key(file_name)
    if not re.fullmatch(r"[a-z0-9_-]{1,60}", source):
        raise InvalidParameter("source", source, "1 to 60 of a-z, 0-9, _ and -")
    if values.get("datum"):
        check_datum(values["datum"])
    options = [f"--by={caller}", f"--source={source}"]
    if kind == "dataset":
        options += [f"--collection={collection}"]
    for name, option in OPTIONS.items():
        if values.get(name):
            options += [f"{option}={values[name]}"]
    for word in (values.get("map") or "").splitlines():
        if word.strip():
            options += [f"--map={word.strip()}"]
    if values.get("replace", "false") not in _BOOLEANS:
        raise InvalidParameter("replace", values["replace"], f"one of {', '.join(_BOOLEANS)}")
    if _BOOLEANS[values.get("replace", "false")]:
        options += ["--replace"]
    return {
        "kind": kind,
        "collection": collection,
        "source": source,
        "file": file_name,
        "by": caller,
        "options": options,
        "values": {name: values[name] for name in STATED if values.get(name)},
    }


async def row_of_run(request: Request, run_id: int) -> Any:
    """The run. Raises NotFound."""
    row = await database_of(request).fetch_row(run_sql(run_id))
    if row is None:
        raise NotFound("load", run_id)
    return row


def run_id_of(request: Request) -> int:
    """The number of the run that the path names. Raises NotFound for what is none."""
    text = request.path_params["run_id"]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotFound("load", text)
    return int(text)


async def loads(request: Request) -> Response:
    """Load runs, the latest first; those of a kind, collection, source, state, or sent by somebody."""
    require_admin(await scope_of(request))
    values = query_parameters(request, (*FILTERS, *PAGING))
    conditions = [Sql.of("{} = {}", column, values[name]) for name, column in FILTERS.items() if name in values]
    base = settings_of(request).public_url
    return await listed(request, "loads", RUNS, conditions, values, lambda row: document_of(row, base))


async def load(request: Request) -> Response:
    """One load run with its account, and its rejections counted by their code."""
    require_admin(await scope_of(request))
    query_parameters(request, ())
    row = await row_of_run(request, run_id_of(request))
    found = await database_of(request).fetch_rows(reasons_sql(row["id"])) if row["rejected"] or row["repaired"] else ()
    shown = [
        {"code": r["code"], "rejected": r["is_rejected"], "count": r["count"], "placed": r["placed"]} for r in found
    ]
    store, name = context_of(request).store, str(row["id"])
    is_kept = row["state"] == "failed" and any((top / name).is_dir() for top in (store.uploads, store.quarantine))
    return private_json({**document_of(row, settings_of(request).public_url), "reasons": shown, "isKept": is_kept})


router.add_route("/admin/loads", send, methods=["POST"])
router.add_route("/admin/loads", loads, methods=["GET"])
router.add_route("/admin/loads/{run_id}", load, methods=["GET"])
router.add_route("/admin/loads/{run_id}/again", again, methods=["POST"])
router.add_route("/admin/loads/{run_id}/cancel", cancel, methods=["POST"])
