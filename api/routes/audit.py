"""The audit over HTTP: who did what, when and why; for the city's admins all of it, for an organisation's its own."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, registry_of, scope_of, settings_of
from api.documents import JSON, Link, answer, url_of
from api.negotiate import Representation, choose
from api.params import parse_limit, query_parameters
from cim.cells import csv_table
from cim.errors import Forbidden, InvalidParameter
from cim.interval import instant_text, parse_instant
from cim.model import Scope
from cim.people.rights import require_caller
from cim.query.audit import HEAD_SQL, AuditQuery, rows_sql
from cim.query.cursor import decode_cursor, encode_cursor

router = APIRouter(tags=["admin"])

FILTERS = ("organisation", "subject-kind", "subject", "actor", "event", "since", "until")
CSV = "text/csv"
OFFERS = (Representation("json", JSON), Representation("csv", CSV))
_COLUMNS = (
    *("number", "recorded_at", "event", "actor", "organisation_id", "subject_kind", "subject_id", "why", "detail"),
    "digest",
)
_VARY = "Accept, Authorization, X-API-Key, Cookie"
_MAX_TEXT = 300


def _organisation(scope: Scope, wanted: str | None) -> str | None:
    """Whose rows the caller reads, None for everybody's. Raises Unauthorized, Forbidden."""
    require_caller(scope)
    if scope.is_city:
        return wanted
    if "org_admin" not in scope.roles or scope.organisation_id is None:
        raise Forbidden("the audit is for city admins, and for admins of an organisation")
    if wanted not in (None, scope.organisation_id):
        raise Forbidden(f"you read the audit of '{scope.organisation_id}' only")
    return scope.organisation_id


def _instant(values: Mapping[str, str], name: str) -> datetime | None:
    if name not in values:
        return None
    instant = parse_instant(values[name])
    if instant is None:
        raise InvalidParameter(name, values[name], "an RFC 3339 instant, such as 2026-11-25T08:00:00Z")
    return instant


def _query(values: Mapping[str, str], scope: Scope) -> AuditQuery:
    for name in FILTERS:
        if len(values.get(name, "")) > _MAX_TEXT:
            raise InvalidParameter(name, values[name], f"at most {_MAX_TEXT} characters")
    return AuditQuery(
        organisation_id=_organisation(scope, values.get("organisation")),
        subject_kind=values.get("subject-kind"),
        subject_id=values.get("subject"),
        actor=values.get("actor"),
        event=values.get("event"),
        since=_instant(values, "since"),
        until=_instant(values, "until"),
        limit=parse_limit(values["limit"]) if "limit" in values else 100,
    )


def _shown(row: Any) -> dict[str, Any]:
    told = dict(row)
    return told | {"recorded_at": instant_text(told["recorded_at"]), "detail": orjson.loads(told["detail"])}


async def audit(request: Request) -> Response:
    """Rows of the audit that match, the latest first; `f=csv` as a table."""
    scope = await scope_of(request)
    require_caller(scope)
    values = query_parameters(request, (*FILTERS, "limit", "cursor"))
    kind = choose(request, OFFERS, f=values.get("f"))
    query, key = _query(values, scope), registry_of(request).cursor_key
    if "cursor" in values:
        before = int(decode_cursor(key, query.fingerprint(), values["cursor"]))
        query = AuditQuery(**{**{name: getattr(query, name) for name in query.__slots__}, "before": before})
    rows = list(await database_of(request).fetch_rows(rows_sql(query)))
    page, base = rows[: query.limit], settings_of(request).public_url
    links = [Link(url_of(base, "admin", "audit", **values), "self", kind.media_type)]
    if len(rows) > query.limit:
        cursor = encode_cursor(key, query.fingerprint(), str(page[-1]["number"]))
        links.append(Link(url_of(base, "admin", "audit", **{**values, "cursor": cursor}), "next", kind.media_type))
    if kind.f == "csv":
        table = [{**dict(row), "recorded_at": instant_text(row["recorded_at"])} for row in page]
        headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
        return answer(
            request, csv_table(table, _COLUMNS), f"{CSV}; charset=utf-8", headers=headers, links=links, vary=_VARY
        )
    body = {"rows": [_shown(row) for row in page], "links": [link.to_dict() for link in links]}
    return answer(request, orjson.dumps(body), JSON, links=links, vary=_VARY)


async def head(request: Request) -> Response:
    """Number and digest of the last row: what to note elsewhere, so that a chain written anew is found out (city admins)."""
    scope = await scope_of(request)
    require_caller(scope)
    if not scope.is_city:
        raise Forbidden("the head of the audit is for city admins")
    query_parameters(request, ())
    row = await database_of(request).fetch_one(HEAD_SQL)
    return Response(orjson.dumps(dict(row)), headers={"Cache-Control": "no-store"}, media_type=JSON)


router.add_route("/admin/audit", audit, methods=["GET"])
router.add_route("/admin/audit/head", head, methods=["GET"])
