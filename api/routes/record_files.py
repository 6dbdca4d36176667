"""The catalogue on its way out: what is new as a feed, everything that matches as a table."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.catalogue_document import ATOM, CSV, RSS, XLSX
from api.context import database_of, registry_of, scope_of, settings_of
from api.documents import Link, answer, url_of
from api.exports import disposition
from api.negotiate import Representation, choose
from api.params import parse_limit, query_parameters
from api.portal.frame import preferred_language
from api.record_query import EXPORT_NAMES, RecordQuery, record_query
from api.routes.items import check_geometries
from api.services import VARY
from cim.catalogue.feed import GONE, atom_feed, rss_feed
from cim.catalogue.shown import registration_of
from cim.catalogue.table import table_rows
from cim.cells import BOM, csv_rows
from cim.collections.records import RECORDS
from cim.db.pool import Database
from cim.errors import InvalidParameter, NotWritable
from cim.model import Scope
from cim.query.order import parse_position
from cim.query.records import BY_ID, MAX_RECORDS, changes_sql, page_sql

router = APIRouter(tags=["catalogue"])

FEEDS = (Representation("atom", ATOM, also=("application/xml", "text/xml")), Representation("rss", RSS))
TABLES = (Representation("csv", CSV), Representation("xlsx", XLSX))
FEED_LENGTH = 50
MAX_XLSX_ROWS = 20_000
"""More is for CSV: a workbook is written whole before it is sent."""


async def feed(request: Request) -> Response:
    """What is new: the services that changed last, and those that left the shelf."""
    values = query_parameters(request, ("limit",))
    kind = choose(request, FEEDS, f=values.get("f"))
    limit = min(parse_limit(values["limit"]), MAX_RECORDS) if "limit" in values else FEED_LENGTH
    rows = await database_of(request).fetch_rows(changes_sql(limit, GONE))
    base, lang = settings_of(request).public_url, preferred_language(request)
    here = url_of(base, "catalogue", "feed", **{**values, "f": kind.f})
    write = rss_feed if kind.f == "rss" else atom_feed
    title = RECORDS.title_en if lang == "en" else RECORDS.title_zh
    body = write(rows, base, lang, title=f"{title} · OpenCIM", here=here)
    return answer(request, body, kind.media_type, links=[Link(here, "self", kind.media_type)], vary=VARY)


async def export(request: Request) -> Response:
    """Everything that matches, as CSV or XLSX that `cim.catalogue.table` reads again; what looks like a formula is inert."""
    scope = await scope_of(request)
    values = query_parameters(request, (*EXPORT_NAMES, "bom"))
    kind = choose(request, TABLES, f=values.get("f"))
    has_bom = _bom(values.get("bom"), kind.f)
    asked = record_query(request, values, scope, registry_of(request).cursor_key)
    asked = replace(asked, query=replace(asked.query, sort=BY_ID, limit=MAX_RECORDS), terms=())
    await check_geometries(request, asked.query)
    headers = {
        "Content-Disposition": disposition("数据服务目录", "catalogue", kind.f),
        "Vary": VARY,
        "Cache-Control": "no-cache",
    }
    database = database_of(request)
    if kind.f == "xlsx":
        return Response(await _workbook(database, asked, scope), media_type=XLSX, headers=headers)
    first = await _rows(database, asked, scope)
    return StreamingResponse(_lines(database, asked, scope, first, has_bom=has_bom), media_type=CSV, headers=headers)


def _bom(text: str | None, f: str) -> bool:
    if text is None:
        return False
    if text not in ("true", "false") or f != "csv":
        raise InvalidParameter("bom", text, "must be true or false, for f=csv only")
    return text == "true"


async def _rows(database: Database, asked: RecordQuery, scope: Scope) -> list[Any]:
    return list(await database.fetch_rows(page_sql(asked.query, scope)))


def _behind(asked: RecordQuery, rows: list[Any]) -> RecordQuery | None:
    """The query of the next chunk; None behind the last one. A chunk has one row more than it sends where there is another."""
    if len(rows) <= MAX_RECORDS:
        return None
    last = parse_position(BY_ID, rows[MAX_RECORDS - 1]["position"])
    return replace(asked, query=replace(asked.query, after_values=last))


async def _lines(
    database: Database, asked: RecordQuery, scope: Scope, rows: list[Any], *, has_bom: bool
) -> AsyncIterator[bytes]:
    """The table in chunks; no connection is held while one is sent."""
    if has_bom:
        yield BOM
    is_first = True
    while True:
        lines = table_rows(registration_of(row) for row in rows[:MAX_RECORDS])
        if not is_first:
            next(lines)  # the headings
        is_first = False
        yield csv_rows(lines)
        following = _behind(asked, rows)
        if following is None:
            return
        asked = following
        rows = await _rows(database, asked, scope)


async def _workbook(database: Database, asked: RecordQuery, scope: Scope) -> bytes:
    """The workbook, written by a thread. Raises NotWritable for more rows than one should be made of."""
    services: list[Mapping[str, Any]] = []
    following: RecordQuery | None = asked
    while following is not None:
        rows = await _rows(database, following, scope)
        services += [registration_of(row) for row in rows[:MAX_RECORDS]]
        if len(services) > MAX_XLSX_ROWS:
            raise NotWritable(
                f"a workbook of the catalogue has at most {MAX_XLSX_ROWS:,} services; ask for f=csv, or for fewer"
            )
        following = _behind(following, rows)
    return await asyncio.to_thread(_written, services)


def _written(services: list[Mapping[str, Any]]) -> bytes:
    from cim.export.catalogue_xlsx import write_catalogue  # xlsxwriter is of the extra `load`

    with tempfile.TemporaryDirectory(prefix="cim-catalogue-") as folder:
        path = Path(folder) / "catalogue.xlsx"
        write_catalogue(table_rows(services), path)
        return path.read_bytes()


router.add_route("/catalogue/feed", feed, methods=["GET"])
router.add_route("/catalogue/export", export, methods=["GET"])
