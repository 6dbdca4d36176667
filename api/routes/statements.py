"""Statements of calls: what an organisation called, what of its services was called, all of it for the city; settlements."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of, database_of, scope_of, settings_of
from api.documents import JSON, Link, answer, url_of
from api.negotiate import Representation, choose
from api.params import parse_limit, query_parameters
from api.statements import (
    CHART,
    PAGING,
    WHICH,
    WHOSE,
    Wish,
    chart_of,
    group_of,
    last_of,
    month_statement,
    statement_of,
    times_of,
    wish_of,
)
from cim.cells import csv_table
from cim.errors import Forbidden, InvalidParameter, Unauthorized
from cim.interval import parse_date
from cim.metering.prices import charges_of, plan_of
from cim.model import Scope
from cim.query.cursor import decode_cursor, encode_cursor
from cim.query.service_life import organisation_sql
from cim.query.statements import (
    MEASURES,
    closes_sql,
    last_close_sql,
    names_sql,
    page_sql,
    priced_sql,
    series_sql,
    total_sql,
)

router = APIRouter(tags=["statements"])

CSV = "text/csv"
TABLES = (Representation("json", JSON), Representation("csv", CSV))
MOST_LINES = 10
"""Keys of a chart; the rest is one line."""
CLOSES = 100
_VARY = "Accept, Authorization, X-API-Key, Cookie"


def _zone(request: Request) -> ZoneInfo:
    return ZoneInfo(settings_of(request).time_zone)


async def _reader(request: Request, names: Sequence[str]) -> tuple[Scope, dict[str, str]]:
    """Who reads, and the parameters: a district's admin stands for any organisation of the district that they name.

    Raises Unauthorized before anything is said of what was asked.
    """
    scope = await scope_of(request)
    if not scope.roles:
        raise Unauthorized("statements are read with a key: send 'Authorization: Bearer <key>' or 'X-API-Key: <key>'")
    values = query_parameters(request, names)
    wanted = values.get("organisation")
    if wanted is None or wanted == scope.organisation_id or "district_admin" not in scope.roles or not scope.area_code:
        return scope, values
    row = await database_of(request).fetch_row(organisation_sql(wanted))
    is_of_district = row is not None and scope.covers(row["area_code"])
    return (replace(scope, organisation_id=wanted) if is_of_district else scope), values


async def statement(request: Request) -> Response:
    """Sums of calls by organisation, service, owner, scenario, day or month."""
    scope, values = await _reader(request, (*WHOSE, *WHICH, *PAGING))
    kind = choose(request, TABLES, f=values.get("f"))
    asked = statement_of(scope, values, _zone(request))
    wish = wish_of(asked, values)
    key, binding = context_of(request).registry.cursor_key, asked.binding() + repr(wish.by).encode()
    after = orjson.loads(decode_cursor(key, binding, values["cursor"])) if "cursor" in values else None
    rows = list(await database_of(request).fetch_rows(page_sql(asked, wish.by, wish.limit + 1, after)))
    links = [Link(str(_address(request, values)), "self", kind.media_type, "This statement")]
    if len(rows) > wish.limit:
        rows = rows[: wish.limit]
        following = {**values, "cursor": encode_cursor(key, binding, last_of(rows[-1], wish.by))}
        links.append(Link(_address(request, following), "next", kind.media_type, "The next page"))
    groups = [group_of(row, wish.by) for row in rows]
    if kind.f == "csv":
        name = f"calls-{asked.first}-{asked.last}.csv"
        columns = list(groups[0]) if groups else [*wish.by, *MEASURES]
        return _file(request, csv_table(groups, columns), name, links)
    return answer(request, orjson.dumps(await _document(request, wish, groups, links)), JSON, links=links, vary=_VARY)


def _address(request: Request, values: dict[str, str]) -> str:
    return url_of(settings_of(request).public_url, *request.url.path.strip("/").split("/"), **values)


def _file(request: Request, body: bytes, name: str, links: list[Link]) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return answer(request, body, f"{CSV}; charset=utf-8", headers=headers, links=links, vary=_VARY)


async def _document(request: Request, wish: Wish, groups: list[dict[str, Any]], links: list[Link]) -> dict[str, Any]:
    asked = wish.statement
    total = await database_of(request).fetch_one(total_sql(asked))
    closed = total["closed_through"]
    return {
        "side": asked.side,
        "organisation": asked.organisation_id,
        "from": asked.first,
        "to": asked.last,
        "by": wish.by,
        "closed_through": closed,
        "is_final": closed is not None and closed >= asked.last,
        "groups": groups,
        "total": {name: total[name] or 0 for name in MEASURES},
        "links": [link.to_dict() for link in links],
    }


async def series(request: Request) -> Response:
    """The same over time, for charts: one list of steps, one list of values a line."""
    scope, values = await _reader(request, (*WHOSE, *WHICH, *CHART))
    choose(request, TABLES[:1], f=values.get("f"))
    zone = _zone(request)
    asked = statement_of(scope, values, zone)
    step, by, measure = chart_of(asked, values)
    rows = await database_of(request).fetch_rows(series_sql(asked, step, by, measure, str(zone), most=MOST_LINES))
    times = times_of(asked, step, zone)
    place = {at: n for n, at in enumerate(times)}
    lines: dict[str | None, list[int]] = {}
    for row in rows:
        line = lines.setdefault(row["key"] if by else "", [0] * len(times))
        line[place[row["at"]]] += row["value"]
    ordered = sorted(lines, key=lambda key: (key is None, -sum(lines[key]), key or ""))
    names = {}
    if by is not None:
        named = await database_of(request).fetch_rows(names_sql(by, [key for key in ordered if key]))
        names = {row["key"]: {"name_zh": row["zh"], "name_en": row["en"]} for row in named}
    document = {
        "side": asked.side,
        "organisation": asked.organisation_id,
        "step": step,
        "measure": measure,
        "by": by,
        "times": times,
        "series": [
            {"key": key if by else None, "is_rest": key is None, **names.get(key, {}), "values": lines[key]}
            for key in ordered
        ],
    }
    return answer(request, orjson.dumps(document), JSON, vary=_VARY)


async def settlement(request: Request) -> Response:
    """What a month of data products costs, made of its closed days: the same closes give the same statement."""
    scope, values = await _reader(request, WHOSE)
    asked = month_statement(scope, values, request.path_params["month"])
    month = asked.first
    kind = choose(request, TABLES, f=values.get("f"))
    database = database_of(request)
    lines = [_line(row) for row in await database.fetch_rows(priced_sql(asked))]
    if kind.f == "csv":
        columns = [*_LINE, "currency", "charge", "quantity", "free", "amount"]
        flat = [{**line, **charge} for line in lines for charge in line["charges"]]
        return _file(request, csv_table(flat, columns), f"settlement-{month:%Y-%m}.csv", [])
    close = await database.fetch_row(last_close_sql(asked.last))
    totals: dict[str, Decimal] = {}
    for line in lines:
        totals[line["currency"]] = totals.get(line["currency"], Decimal(0)) + Decimal(line["amount"])
    document = {
        "month": f"{month:%Y-%m}",
        "side": asked.side,
        "organisation": asked.organisation_id,
        "is_final": close is not None and close["day"] >= asked.last,
        "close": None if close is None or close["day"] < month else dict(close),
        "lines": lines,
        "totals": [{"currency": name, "amount": f"{amount:.2f}"} for name, amount in sorted(totals.items())],
    }
    return answer(request, orjson.dumps(document), JSON, vary=_VARY)


_LINE = (
    "consumer",
    "consumer_name_zh",
    "consumer_name_en",
    "payee",
    "service",
    "service_title_zh",
    "service_title_en",
    "plan_from",
    "calls",
    "failed",
    "denied",
    "bytes",
    "rows",
)


def _line(row: Any) -> dict[str, Any]:
    """One organisation's use of one service, and what it costs."""
    plan = plan_of(row["service_id"], row["valid_from"], row["currency"], orjson.loads(row["plan"]))
    charges = charges_of(
        plan,
        calls=row["calls"] - row["failed"],
        sent_bytes=row["bytes"] - row["free_bytes"],
        rows=row["rows"] - row["free_rows"],
    )
    amount = sum((charge.amount for charge in charges), Decimal(0))
    facts = (
        row["organisation_id"],
        row["name_zh"],
        row["name_en"],
        plan.payee,
        row["service_id"],
        row["title_zh"],
        row["title_en"],
        plan.valid_from,
        row["calls"],
        row["failed"],
        row["denied"],
        row["bytes"],
        row["rows"],
    )
    return {
        **dict(zip(_LINE, facts, strict=True)),
        "currency": plan.currency,
        "amount": f"{amount:.2f}",
        "charges": [
            {"charge": one.kind, "quantity": f"{one.quantity:f}", "free": one.free, "amount": f"{one.amount:.2f}"}
            for one in charges
        ],
    }


async def closes(request: Request) -> Response:
    """The days that are closed, the latest first, with their digests (city admins)."""
    scope, values = await _reader(request, ("before", "limit"))
    if not scope.is_city:
        raise Forbidden("closes are for the city's admins")
    choose(request, TABLES[:1], f=values.get("f"))
    before = parse_date(values["before"]) if "before" in values else None
    if "before" in values and before is None:
        raise InvalidParameter("before", values["before"], "must be a date, YYYY-MM-DD")
    limit = parse_limit(values["limit"]) if "limit" in values else CLOSES
    rows = await database_of(request).fetch_rows(closes_sql(limit, before))
    return answer(request, orjson.dumps({"closes": [dict(row) for row in rows]}), JSON, vary=_VARY)


router.add_route("/statements", statement, methods=["GET"])
router.add_route("/statements/series", series, methods=["GET"])
router.add_route("/statements/closes", closes, methods=["GET"])
router.add_route("/statements/settlements/{month}", settlement, methods=["GET"])
