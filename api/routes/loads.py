"""Loads: send a file, follow its load, read what was rejected and why. Admins only."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.context import context_of, database_of, registry_of, scope_of, settings_of
from api.documents import GEOJSON, JSON, Link, private_json, url_of
from api.params import parse_limit, query_parameters
from api.security import require_admin
from api.uploads import Upload, look_at, receive_form, receive_raw, source_key, storage_errors
from cim.collections import BUILTIN
from cim.crs import check_datum
from cim.db.rejections import csv_lines, facts_of, facts_sql, geojson_lines, json_lines
from cim.errors import InvalidParameter, NotFound, UnknownParameter
from cim.interval import instant_text
from cim.query.cursor import decode_cursor, encode_cursor
from cim.sql import Cast, Sql

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

FIELDS = ("kind", "collection", "source", "map", "replace", "filename", *OPTIONS)
KINDS = (*(c.kind for c in BUILTIN), "dataset")
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "on": True, "": False}
_PAGE = 500

_RUN = Sql.of(
    "SELECT r.id, r.collection_id, r.source, r.kind, r.state, r.mode, r.origin, r.fingerprint, r.options::text AS options, "
    "r.notes::text AS notes, r.licence, r.attribution, r.loaded_by, r.started_at, r.ended_at, r.deleted, r.error::text AS error, "
    "a.read, a.inserted, a.updated, a.unchanged, a.rejected, a.repaired FROM cim.load_run AS r CROSS JOIN LATERAL ("
    "SELECT COALESCE(sum(read), 0)::bigint AS read, COALESCE(sum(inserted), 0)::bigint AS inserted, "
    "COALESCE(sum(updated), 0)::bigint AS updated, COALESCE(sum(unchanged), 0)::bigint AS unchanged, "
    "COALESCE(sum(rejected), 0)::bigint AS rejected, COALESCE(sum(repaired), 0)::bigint AS repaired "
    "FROM cim.load_batch WHERE load_run_id = r.id) AS a"
)


def _document(row: Any, base: str) -> dict[str, Any]:
    home = url_of(base, "admin", "loads", str(row["id"]))
    seconds = (row["ended_at"] - row["started_at"]).total_seconds() if row["ended_at"] else None
    account = {
        name: row[name] for name in ("read", "inserted", "updated", "unchanged", "rejected", "repaired", "deleted")
    }
    return {
        "id": row["id"],
        "state": row["state"],
        "kind": row["kind"],
        "collection": row["collection_id"],
        "source": row["source"],
        "origin": row["origin"],
        "mode": row["mode"],
        "account": account,
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


async def send(request: Request) -> Response:
    """Take a file (multipart form, or the body itself with `kind` and `filename` in the query) and queue its load: 202."""
    scope = await scope_of(request)
    require_admin(scope)
    values = query_parameters(request, FIELDS)
    settings, store = settings_of(request), context_of(request).store
    content_type = request.headers.get("content-type", "")
    with store.incoming() as folder:
        if content_type.lower().startswith("multipart/form-data"):
            upload = await receive_form(_chunks(request), content_type, folder, store, settings)
            for name in upload.fields:
                if name not in FIELDS:
                    raise UnknownParameter(name, FIELDS)
            values = {**values, **upload.fields}
        else:
            upload = await receive_raw(_chunks(request), folder, values.get("filename", ""), store, settings)
        job = _job(values, upload, scope.caller)
        await asyncio.to_thread(look_at, upload.path, settings)
        with storage_errors():
            (folder / ".request.json").write_bytes(orjson.dumps(job))
        run_id = await _queue(request, job, values)
        try:
            with storage_errors():
                folder.rename(store.uploads / str(run_id))
        except Exception:
            await database_of(request).execute(Sql.of("DELETE FROM cim.load_run WHERE id = {}", Cast(run_id, "bigint")))
            raise
    context_of(request).runner.wake()
    row = await _row(request, run_id)
    location = url_of(settings.public_url, "admin", "loads", str(run_id))
    return private_json(_document(row, settings.public_url), 202, Location=location)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk


def _job(values: Mapping[str, str], upload: Upload, caller: str) -> dict[str, Any]:
    """What `cim load` is called with. Raises InvalidParameter."""
    kind = values.get("kind", "")
    if kind not in KINDS:
        raise InvalidParameter("kind", kind, f"one of {', '.join(KINDS)}")
    collection = values.get("collection") or next((c.id for c in BUILTIN if c.kind == kind), None)
    if collection is None:
        raise InvalidParameter("collection", "", "a dataset needs the id of the collection it becomes or joins")
    source = values.get("source") or source_key(upload.path.name)
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
        "file": upload.path.name,
        "by": caller,
        "options": options,
    }


async def _queue(request: Request, job: Mapping[str, Any], values: Mapping[str, str]) -> int:
    row = await database_of(request).fetch_one(
        Sql.of(
            "INSERT INTO cim.load_run (collection_id, source, kind, state, mode, origin, fingerprint, options, loaded_by, "
            "licence, attribution) VALUES ({}, {}, {}, 'queued', {}, {}, '', '{ }', {}, {}, {}) RETURNING id",
            job["collection"],
            job["source"],
            job["kind"],
            "replace" if "--replace" in job["options"] else "merge",
            job["file"],
            job["by"],
            values.get("licence") or None,
            values.get("attribution") or None,
        )
    )
    return int(row["id"])


async def _row(request: Request, run_id: int) -> Any:
    row = await database_of(request).fetch_row(Sql.of("{} WHERE r.id = {}", _RUN, Cast(run_id, "bigint")))
    if row is None:
        raise NotFound("load", run_id)
    return row


def _run_id(request: Request) -> int:
    text = request.path_params["run_id"]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotFound("load", text)
    return int(text)


async def loads(request: Request) -> Response:
    """Load runs, the latest first."""
    require_admin(await scope_of(request))
    values = query_parameters(request, ("limit", "cursor"))
    key, base = registry_of(request).cursor_key, settings_of(request).public_url
    limit = min(parse_limit(values["limit"]), 1000) if "limit" in values else 20
    before = int(decode_cursor(key, b"loads", values["cursor"])) if "cursor" in values else 2**62
    rows = list(
        await database_of(request).fetch_rows(
            Sql.of(
                "{} WHERE r.id < {} ORDER BY r.id DESC LIMIT {}",
                _RUN,
                Cast(before, "bigint"),
                Cast(limit + 1, "bigint"),
            )
        )
    )
    links = [Link(url_of(base, "admin", "loads", **values), "self", JSON)]
    if len(rows) > limit:
        cursor = encode_cursor(key, b"loads", str(rows[limit - 1]["id"]))
        links.append(Link(url_of(base, "admin", "loads", **{**values, "cursor": cursor}), "next", JSON))
    return private_json(
        {"loads": [_document(row, base) for row in rows[:limit]], "links": [link.to_dict() for link in links]}
    )


async def load(request: Request) -> Response:
    """One load run with its account."""
    require_admin(await scope_of(request))
    query_parameters(request, ())
    return private_json(_document(await _row(request, _run_id(request)), settings_of(request).public_url))


_WRITERS = {
    "json": (JSON, json_lines),
    "csv": ("text/csv; charset=utf-8", csv_lines),
    "geojson": (GEOJSON, geojson_lines),
}


async def rejections(request: Request) -> Response:
    """Rejected rows with number, reason and original: as JSON, CSV, or GeoJSON to mend and load again."""
    require_admin(await scope_of(request))
    values = query_parameters(request, ())
    form = values.get("f", "json")
    if form not in _WRITERS:
        raise InvalidParameter("f", form, f"one of {', '.join(_WRITERS)}")
    run_id = _run_id(request)
    await _row(request, run_id)
    media_type, writer = _WRITERS[form]
    name = f"rejections-{run_id}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}

    (found,) = await database_of(request).fetch_rows(facts_sql(run_id))
    facts = facts_of(*found.values())

    async def pieces() -> AsyncIterator[bytes]:
        head, separator, tail = writer.frame(facts)
        yield head
        first, last = True, (-1, "")
        while True:
            rows = await database_of(request).fetch_rows(_page_sql(run_id, last))
            for row in rows:
                piece = writer.line(tuple(row.values()), facts)
                if piece is not None:
                    yield piece if first else separator + piece
                    first = False
            if len(rows) < _PAGE:
                break
            last = (rows[-1]["source_row"], rows[-1]["code"])
        yield tail

    return StreamingResponse(pieces(), media_type=media_type, headers=headers)


def _page_sql(run_id: int, last: tuple[int, str]) -> Sql:
    return Sql.of(
        "SELECT source_row, code, reason, field, value, is_rejected, original::text AS original FROM cim.load_rejection "
        "WHERE load_run_id = {} AND (source_row, code) > ({}, {}) ORDER BY source_row, code LIMIT {}",
        Cast(run_id, "bigint"),
        Cast(last[0], "bigint"),
        last[1],
        Cast(_PAGE, "bigint"),
    )


router.add_route("/admin/loads", send, methods=["POST"])
router.add_route("/admin/loads", loads, methods=["GET"])
router.add_route("/admin/loads/{run_id}", load, methods=["GET"])
router.add_route("/admin/loads/{run_id}/rejections", rejections, methods=["GET"])
