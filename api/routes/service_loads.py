"""Services in bulk: send a table, read what it came to, and get the template. For publishers, of their own organisation."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of, database_of, registry_of, scope_of, settings_of
from api.documents import JSON, Link, private_json, url_of
from api.intake_jobs import run_answer
from api.params import parse_limit, query_parameters
from api.uploads import chunks_of, look_at, receive_form, receive_raw
from cim.catalogue.life import identity_of
from cim.catalogue.load import FORMATS
from cim.catalogue.template import EXAMPLE, csv_template, xlsx_template
from cim.db.intake import rejections_csv
from cim.errors import Forbidden, InvalidParameter, NotFound, Unauthorized, UnknownParameter, UnsupportedMedia
from cim.interval import instant_text
from cim.model import Scope
from cim.query.cursor import decode_cursor, encode_cursor
from cim.query.intake import begin_sql, own_services_sql, rejections_sql, run_sql, runs_sql

router = APIRouter(tags=["catalogue"])

FIELDS = ("filename", "encoding", "dry-run")
MAX_BYTES = 64 * 1024 * 1024
MAX_UNPACKED_BYTES = 512 * 1024 * 1024
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"

HOME = ("catalogue", "loads")
"""Where loads are."""

_ENCODINGS = ("utf-8", "gb18030", "big5")


def own_organisation(scope: Scope) -> str | None:
    """The organisation for which the caller registers services, None for all. Raises Unauthorized, Forbidden."""
    if not scope.roles:
        raise Unauthorized("this needs a publisher's key: send 'Authorization: Bearer <key>' or 'X-API-Key: <key>'")
    if scope.is_city:
        return None
    if scope.organisation_id is None or not scope.roles & {"publisher", "org_admin", "district_admin"}:
        raise Forbidden("the key sent is no publisher's of an organisation")
    return scope.organisation_id


def run_document(row: Any, base: str, path: Sequence[str]) -> dict[str, Any]:
    """A run as JSON; `path` is where runs of its kind are."""
    home = url_of(base, *path, str(row["id"]))
    counts = {name: row[name] for name in ("read", "inserted", "updated", "unchanged", "rejected", "withdrawn")}
    return {
        "id": row["id"],
        "kind": row["kind"],
        "state": row["state"],
        "source": row["source"],
        "harvest": row["harvest_id"],
        "organisation": row["organisation_id"],
        "startedBy": row["started_by"],
        "started": instant_text(row["started_at"]),
        "ended": instant_text(row["ended_at"]) if row["ended_at"] else None,
        "isDry": row["is_dry"],
        "account": counts,
        "expected": row["expected"],
        "notes": orjson.loads(row["notes"]),
        "error": orjson.loads(row["error"]) if row["error"] else None,
        "links": [
            Link(home, "self", JSON).to_dict(),
            Link(f"{home}/rejections", "related", JSON, "Rejected rows").to_dict(),
            Link(f"{home}/rejections?f=csv", "related", "text/csv", "Rejected rows as CSV").to_dict(),
        ],
    }


async def send(request: Request) -> Response:
    """Take a table of services (multipart form, or the body itself with `filename` in the query) and queue its load: 202."""
    scope = await scope_of(request)
    organisation = own_organisation(scope)
    values = query_parameters(request, FIELDS)
    settings, store = settings_of(request), context_of(request).store
    content_type = request.headers.get("content-type", "")
    caps = {"max_upload_bytes": min(settings.max_upload_bytes, MAX_BYTES), "max_unpacked_bytes": MAX_UNPACKED_BYTES}
    limited = settings.model_copy(update=caps)
    with store.incoming() as folder:
        if content_type.lower().startswith("multipart/form-data"):
            upload = await receive_form(chunks_of(request), content_type, folder, store, limited)
            for name in upload.fields:
                if name not in FIELDS:
                    raise UnknownParameter(name, FIELDS)
            values = {**values, **upload.fields}
        else:
            upload = await receive_raw(chunks_of(request), folder, values.get("filename", ""), store, limited)
        if upload.path.suffix.lower() not in FORMATS:
            raise UnsupportedMedia(f"'{upload.path.name[:100]}': a file named {', '.join(FORMATS)} is taken")
        await asyncio.to_thread(look_at, upload.path, limited)
        words = [
            *("load", "{file}"),
            f"--by={identity_of(scope)}",
            f"--called={scope.caller}",
            "--drafts",
            f"--encoding={_encoding(values)}",
        ]
        if organisation is not None:
            words.append(f"--organisation={organisation}")
        is_dry = _is_dry(values)
        if is_dry:
            words.append("--dry-run")
        jobs = context_of(request).intake
        begin = begin_sql(
            "load", None, organisation, upload.path.name, identity_of(scope), is_dry=is_dry, state="queued"
        )
        run_id = await jobs.queue(begin, words, upload.path)
    return await run_answer(request, jobs, run_id, partial(run_document, base=settings.public_url, path=HOME), *HOME)


async def cancel(request: Request) -> Response:
    """End a load that waits or runs; nothing of it is kept."""
    scope = await scope_of(request)
    organisation = own_organisation(scope)
    query_parameters(request, ())
    return await cancelled(request, scope, await row_of_run(request, "load", organisation=organisation), *HOME)


async def cancelled(request: Request, scope: Scope, row: Any, *path: str) -> Response:
    """End a run; `path`: where runs of its kind are. Raises Conflict for one that has ended."""
    jobs = context_of(request).intake
    await jobs.cancel(row["id"], scope.caller)
    return private_json(run_document(await jobs.row(row["id"]), settings_of(request).public_url, path))


def _encoding(values: dict[str, str]) -> str:
    word = values.get("encoding", "utf-8").lower()
    if word not in _ENCODINGS:
        raise InvalidParameter("encoding", word, f"one of {', '.join(_ENCODINGS)}")
    return "utf-8-sig" if word == "utf-8" else word


def _is_dry(values: dict[str, str]) -> bool:
    word = values.get("dry-run", "false")
    if word not in ("true", "false"):
        raise InvalidParameter("dry-run", word, "true or false")
    return word == "true"


async def loads(request: Request) -> Response:
    """Loads of the caller's organisation, the latest first; all of them for admins."""
    organisation = own_organisation(await scope_of(request))
    values = query_parameters(request, ("limit", "cursor"))
    key, base = registry_of(request).cursor_key, settings_of(request).public_url
    limit = min(parse_limit(values["limit"]), 1000) if "limit" in values else 20
    before = int(decode_cursor(key, b"service-loads", values["cursor"])) if "cursor" in values else 2**62
    sql = runs_sql(("load",), organisation_id=organisation, harvest_id=None, before=before, limit=limit)
    rows = list(await database_of(request).fetch_rows(sql))
    links = [Link(url_of(base, "catalogue", "loads", **values), "self", JSON)]
    if len(rows) > limit:
        cursor = encode_cursor(key, b"service-loads", str(rows[limit - 1]["id"]))
        links.append(Link(url_of(base, "catalogue", "loads", **{**values, "cursor": cursor}), "next", JSON))
    shown = [run_document(row, base, HOME) for row in rows[:limit]]
    return private_json({"loads": shown, "links": [link.to_dict() for link in links]})


async def row_of_run(
    request: Request, kind: str, *, organisation: str | None = None, harvest_id: str | None = None
) -> Any:
    """The run that the path names. Raises NotFound also for one of another organisation, harvest or node, where one is given."""
    text = request.path_params["run_id"]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotFound("run", text)
    row = await database_of(request).fetch_row(run_sql(int(text)))
    if (
        row is None
        or row["kind"] != kind
        or organisation not in (None, row["organisation_id"])
        or harvest_id not in (None, row["harvest_id"])
    ):
        raise NotFound("run", text)
    return row


async def load(request: Request) -> Response:
    """One load with its account."""
    organisation = own_organisation(await scope_of(request))
    query_parameters(request, ())
    row = await row_of_run(request, "load", organisation=organisation)
    return private_json(run_document(row, settings_of(request).public_url, HOME))


async def rejections(request: Request) -> Response:
    """Rows that were not taken, with field, value and reason: as JSON, or as CSV."""
    organisation = own_organisation(await scope_of(request))
    return await rejections_answer(request, await row_of_run(request, "load", organisation=organisation))


async def rejections_answer(request: Request, row: Any) -> Response:
    """The rejections of a run, or the first `limit` of them, in the form asked for."""
    values = query_parameters(request, ("limit",))
    form, limit = values.get("f", "json"), parse_limit(values["limit"]) if "limit" in values else None
    if form not in ("json", "csv"):
        raise InvalidParameter("f", form, "json or csv")
    found = await database_of(request).fetch_one(rejections_sql(row["id"], limit))
    listed = orjson.loads(found["rejections"])
    if form == "json":
        return private_json(listed)
    return _file(rejections_csv(listed), f"rejections-{row['id']}.csv", CSV)


async def template(request: Request) -> Response:
    """The table to fill in (`f=csv` or `f=xlsx`); with `filled=true` the services that the caller may change."""
    values = query_parameters(request, ("filled",))
    form, filled = values.get("f", "csv"), values.get("filled", "false")
    if form not in ("csv", "xlsx"):
        raise InvalidParameter("f", form, "csv or xlsx")
    if filled not in ("true", "false"):
        raise InvalidParameter("filled", filled, "true or false")
    services = [EXAMPLE]
    if filled == "true":
        organisation = own_organisation(await scope_of(request))
        rows = await database_of(request).fetch_rows(own_services_sql(organisation))
        services = [orjson.loads(row["document"]) for row in rows]
    make, media = (csv_template, CSV) if form == "csv" else (xlsx_template, XLSX)
    return _file(await asyncio.to_thread(make, services), f"services.{form}", media)


def _file(body: bytes, name: str, media: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(body, headers=headers, media_type=media)


router.add_route("/catalogue/loads", send, methods=["POST"])
router.add_route("/catalogue/loads", loads, methods=["GET"])
router.add_route("/catalogue/loads/template", template, methods=["GET"])
router.add_route("/catalogue/loads/{run_id}", load, methods=["GET"])
router.add_route("/catalogue/loads/{run_id}/cancel", cancel, methods=["POST"])
router.add_route("/catalogue/loads/{run_id}/rejections", rejections, methods=["GET"])
