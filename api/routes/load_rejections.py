"""Rows that a load did not store, or stored after a repair: to read, to see on a map, to mend and load again. Admins only."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.context import database_of, registry_of, scope_of, settings_of
from api.documents import GEOJSON, JSON, url_of
from api.params import parse_limit, query_parameters
from api.routes.loads import row_of_run, run_id_of
from api.security import require_admin
from cim.db.rejections import Form, RunFacts, csv_lines, facts_of, facts_sql, geojson_lines, json_lines, place_lines
from cim.errors import InvalidParameter
from cim.query.cursor import decode_cursor, encode_cursor
from cim.query.loads import rejections_sql

router = APIRouter(tags=["admin"])

PARAMETERS = ("code", "limit", "cursor")
_PAGE = 500
_FIRST = (-1, "")

_WRITERS = {
    "json": (JSON, json_lines),
    "csv": ("text/csv; charset=utf-8", csv_lines),
    "geojson": (GEOJSON, geojson_lines),
    "places": (GEOJSON, place_lines),
}


async def rejections(request: Request) -> Response:
    """Rejected rows with number, reason and original: as JSON, CSV, or GeoJSON to mend and load again; `places`: as points.

    With `limit` JSON and places are a page; that of JSON has a `Link` to the next.
    """
    require_admin(await scope_of(request))
    values = query_parameters(request, PARAMETERS)
    form = values.get("f", "json")
    if form not in _WRITERS:
        raise InvalidParameter("f", form, f"one of {', '.join(_WRITERS)}")
    for name, forms in {"limit": ("json", "places"), "cursor": ("json",)}.items():
        if name in values and form not in forms:
            raise InvalidParameter(name, values[name], f"with f={' or '.join(forms)} only; files hold all rows")
    run_id = run_id_of(request)
    await row_of_run(request, run_id)
    (found,) = await database_of(request).fetch_rows(facts_sql(run_id))
    facts = facts_of(*found.values())
    if "limit" in values and form == "json":
        return await _page(request, run_id, values, facts)
    most = parse_limit(values["limit"]) if "limit" in values else None
    media_type, writer = _WRITERS[form]
    name = f"rejections-{run_id}.{'geojson' if form == 'places' else form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    pieces = _pieces(request, run_id, writer, facts, values.get("code"), most)
    return StreamingResponse(pieces, media_type=media_type, headers=headers)


async def _page(request: Request, run_id: int, values: dict[str, str], facts: RunFacts) -> Response:
    limit, key, code = parse_limit(values["limit"]), registry_of(request).cursor_key, values.get("code")
    binding = f"rejections {run_id} {code}".encode()
    after = _FIRST
    if "cursor" in values:
        row, _, last = decode_cursor(key, binding, values["cursor"]).partition(" ")
        after = (int(row), last)
    rows = list(await database_of(request).fetch_rows(rejections_sql(run_id, after, limit + 1, code)))
    head, separator, tail = json_lines.frame(facts)
    lines = [line for row in rows[:limit] if (line := json_lines.line(tuple(row.values()), facts)) is not None]
    headers = {"Cache-Control": "private, no-store"}
    if len(rows) > limit:
        last = f"{rows[limit - 1]['source_row']} {rows[limit - 1]['code']}"
        following = {**values, "cursor": encode_cursor(key, binding, last)}
        address = url_of(settings_of(request).public_url, "admin", "loads", str(run_id), "rejections", **following)
        headers["Link"] = f'<{address}>; rel="next"'
    return Response(head + separator.join(lines) + tail, media_type=JSON, headers=headers)


async def _pieces(
    request: Request, run_id: int, writer: Form, facts: RunFacts, code: str | None, most: int | None
) -> AsyncIterator[bytes]:
    """The document piece by piece, with the first `most` rows or all of them."""
    head, separator, tail = writer.frame(facts)
    yield head
    first, last, left = True, _FIRST, most
    while left is None or left > 0:
        size = _PAGE if left is None else min(left, _PAGE)
        sql = rejections_sql(run_id, last, size, code, is_placed=writer is place_lines)
        rows: list[Any] = list(await database_of(request).fetch_rows(sql))
        for row in rows:
            piece = writer.line(tuple(row.values()), facts)
            if piece is not None:
                yield piece if first else separator + piece
                first = False
        if len(rows) < size:
            break
        last = (rows[-1]["source_row"], rows[-1]["code"])
        left = None if left is None else left - len(rows)
    yield tail


router.add_route("/admin/loads/{run_id}/rejections", rejections, methods=["GET"])
