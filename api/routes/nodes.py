"""Two tiers: the feed of this node's catalogue, the nodes whose catalogues it takes in, and calls compared by both ledgers."""

import re
from datetime import date
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, registry_of, scope_of, settings_of
from api.documents import JSON, Link, json_answer, private_json, url_of
from api.gateway.door import gateway_of
from api.params import json_object, parse_limit, query_parameters
from api.routes.harvests import run_queued, runs_answer
from api.routes.service_loads import cancelled, rejections_answer, row_of_run, run_document
from api.work import outcome
from cim.catalogue.nodes import checked_node, node_purpose
from cim.catalogue.shown import through_this_node
from cim.db.audit import record
from cim.errors import Conflict, Forbidden, InvalidParameter, NotFound, Unauthorized
from cim.gateway.policy import parse_allowed
from cim.interval import instant_text, parse_date
from cim.model import Scope
from cim.query.cursor import decode_cursor, encode_cursor
from cim.query.harvests import harvest_sql, insert_harvest_sql
from cim.query.nodes import (
    BUCKET,
    Step,
    delete_node_sql,
    feed_sql,
    forget_digests_sql,
    insert_node_sql,
    nodes_sql,
    relayed_sql,
)
from cim.query.services import put_organisation_sql
from cim.query.upstreams import forget_secrets_sql

router = APIRouter(tags=["catalogue"])

_BUCKET = re.compile(f"[0-9a-f]{{{BUCKET}}}", re.ASCII)


async def changes(request: Request) -> Response:
    """What changed in the catalogue, in the order of commits: of each service the last state, from a position on.

    `next` is the position behind this page, `more` says whether there is more now. Nothing is missed by who goes on from there.
    """
    await scope_of(request)
    values = query_parameters(request, ("since", "limit"))
    key = registry_of(request).cursor_key
    limit = min(parse_limit(values["limit"]), 1000) if "limit" in values else 200
    position, _, after = (
        decode_cursor(key, b"catalogue-feed", values["since"]) if "since" in values else "0:"
    ).partition(":")
    rows = list(await database_of(request).fetch_rows(feed_sql(int(position), after, limit)))
    page = rows[:limit]
    last = f"{page[-1]['position']}:{page[-1]['id']}" if page else f"{position}:{after}"
    settings = settings_of(request)
    body = {
        "node": settings.node_id,
        "changes": [_change(row) for row in page],
        "more": len(rows) > limit,
        "next": encode_cursor(key, b"catalogue-feed", last),
    }
    return json_answer(request, body, vary="Accept, Authorization, X-API-Key, Cookie")


def _change(row: Any) -> dict[str, Any]:
    if row["state"] != "published" or row["share_class"] == "not_shared":
        return {"id": row["id"], "change": "gone", "state": row["state"]}
    return {
        "id": row["id"],
        "change": "put",
        "version": row["version"],
        "contentHash": row["content_hash"],
        "organisation_zh": row["organisation_zh"],
        "organisation_en": row["organisation_en"],
        "service": _told(row),
    }


def _told(row: Any) -> dict[str, Any]:
    """The document, with addresses of this node for what is not shared without conditions: the city calls it through here."""
    document: dict[str, Any] = orjson.loads(row["document"] or "{}")
    if row["share_class"] != "unconditional" and document.get("endpoints"):
        document["endpoints"] = through_this_node(document["endpoints"], row["id"])
    return document


def _day(text: str) -> date:
    day = parse_date(text)
    if day is None:
        raise InvalidParameter("day", text, "a day, YYYY-MM-DD")
    return day


async def relayed(request: Request) -> Response:
    """The calls of a day that came through the city, for the city's own key only: a row a service with a digest; with `service` a
    row a bucket of its calls; with `bucket` a row a call, `calls` 0 for those of the day before or after."""
    scope, settings = await scope_of(request), settings_of(request)
    values = query_parameters(request, ("day", "node", "service", "bucket"))
    if not scope.roles:
        raise Unauthorized("this needs the city's key")
    if not scope.is_admin and (not settings.node_parent or scope.organisation_id != settings.node_parent):
        raise Forbidden("calls that came through the city are told to the city")
    day, step = _day(values.get("day", "")), Step(values.get("service"), values.get("bucket"))
    if step.bucket is not None and (step.service is None or not _BUCKET.fullmatch(step.bucket)):
        raise InvalidParameter("bucket", step.bucket, f"{BUCKET} hexadecimal digits, beside a service")
    rows = await database_of(request).fetch_rows(relayed_sql(day, values.get("node", "city"), step))
    return private_json({"node": settings.node_id, "day": day.isoformat(), "rows": [dict(row) for row in rows]})


def _require_city(scope: Scope) -> None:
    """Raise Unauthorized, or Forbidden for whoever does not act for the whole city."""
    if not scope.roles:
        raise Unauthorized("this needs a city admin's key: send 'Authorization: Bearer <key>' or 'X-API-Key: <key>'")
    if not scope.is_city:
        raise Forbidden("nodes are registered by city admins")


def _document(row: Any, base: str) -> dict[str, Any]:
    names = ("id", "kind", "title_zh", "title_en", "area_code", "url", "interval_s", "state", "failures", "services")
    return {
        **{name: row[name] for name in names},
        "created": instant_text(row["created_at"]),
        "lastRun": row["last_run"],
        "links": [Link(url_of(base, "admin", "nodes", row["id"]), "self", JSON).to_dict()],
    }


async def nodes(request: Request) -> Response:
    """The nodes whose catalogues are part of this one's; keys are not told."""
    _require_city(await scope_of(request))
    query_parameters(request, ())
    base = settings_of(request).public_url
    return private_json({"nodes": [_document(row, base) for row in await database_of(request).fetch_rows(nodes_sql())]})


async def _row(request: Request) -> Any:
    node_id = request.path_params["node_id"]
    row = None if "\x00" in node_id else await database_of(request).fetch_row(nodes_sql(node_id))
    if row is None:
        raise NotFound("node", node_id)
    return row


async def register(request: Request) -> Response:
    """Register a district from `{"id", "url", "title_zh", "title_en", "area_code", "key", "interval_s"}`; the key is kept sealed."""
    scope, settings = await scope_of(request), settings_of(request)
    _require_city(scope)
    query_parameters(request, ())
    values = checked_node(await json_object(request), allowed=parse_allowed(settings.allowed_upstreams))
    node_id = values["id"]
    sealed = gateway_of(request).services.sealer().seal(values["key"].encode(), node_purpose(node_id))
    harvest = {
        "kind": "node", "url": values["url"], "organisation_id": node_id, "area_code": values["area_code"],
        "interval_s": values["interval_s"],
    }  # fmt: skip
    async with database_of(request).transaction() as transaction:
        await transaction.execute(put_organisation_sql(node_id, values["title_zh"], values["title_en"], None))
        if await transaction.fetch_row(insert_harvest_sql(node_id, harvest, scope.caller)) is None:
            raise Conflict(f"a node or harvest '{node_id}' exists already")
        await transaction.execute(insert_node_sql(node_id, values, sealed))
        detail = {name: values[name] for name in ("url", "area_code")}
        await record(transaction, scope, event="node-register", subject_kind="node", subject_id=node_id, detail=detail)
    request.path_params["node_id"] = node_id
    location = url_of(settings.public_url, "admin", "nodes", node_id)
    return private_json(_document(await _row(request), settings.public_url), 201, Location=location)


async def node(request: Request) -> Response:
    """One node."""
    _require_city(await scope_of(request))
    query_parameters(request, ())
    return private_json(_document(await _row(request), settings_of(request).public_url))


async def remove(request: Request) -> Response:
    """Forget a node and its key; what it brought stays, and is not called any more with its key. It may be registered again."""
    scope = await scope_of(request)
    _require_city(scope)
    query_parameters(request, ())
    row = await _row(request)
    async with database_of(request).transaction() as transaction:
        await transaction.execute(forget_secrets_sql(row["id"]))
        await transaction.execute(forget_digests_sql(row["id"]))
        await transaction.execute(delete_node_sql(row["id"]))
        await record(transaction, scope, event="node-remove", subject_kind="node", subject_id=row["id"])
    return Response(status_code=204)


async def run(request: Request) -> Response:
    """Queue a run that takes in what changed in the node's catalogue: 202."""
    scope = await scope_of(request)
    _require_city(scope)
    query_parameters(request, ())
    node = await _row(request)
    row = await database_of(request).fetch_one(harvest_sql(node["id"]))
    return await run_queued(request, scope, row, "admin", "nodes")


async def _run_row(request: Request) -> Any:
    _require_city(await scope_of(request))
    return await row_of_run(request, "node", harvest_id=(await _row(request))["id"])


async def one_run(request: Request) -> Response:
    """One run with its account."""
    query_parameters(request, ())
    row = await _run_row(request)
    path = ("admin", "nodes", row["harvest_id"], "runs")
    return private_json(run_document(row, settings_of(request).public_url, path))


async def rejections(request: Request) -> Response:
    """What was not taken, and why: as JSON, or as CSV."""
    return await rejections_answer(request, await _run_row(request))


async def cancel(request: Request) -> Response:
    """End a run that waits or goes on; what it has stored stays."""
    query_parameters(request, ())
    row = await _run_row(request)
    return await cancelled(request, await scope_of(request), row, "admin", "nodes", row["harvest_id"], "runs")


async def runs(request: Request) -> Response:
    """Runs that took in the node's catalogue, the latest first."""
    _require_city(await scope_of(request))
    row = await _row(request)
    return await runs_answer(request, "node", row["id"], "admin", "nodes", row["id"], "runs")


async def calls(request: Request) -> Response:
    """The calls of a day to the node's services, as both ledgers have them, and what differs by their ids."""
    settings = settings_of(request)
    _require_city(await scope_of(request))
    values = query_parameters(request, ("day",))
    row, day = await _row(request), _day(values.get("day", ""))
    return private_json(
        await outcome(
            settings, ["catalogue", "reconcile", row["id"], f"--day={day.isoformat()}", "--json"], timeout_s=60
        )
    )


router.add_route("/catalogue/changes", changes, methods=["GET"])
router.add_route("/catalogue/relayed", relayed, methods=["GET"])
router.add_route("/admin/nodes", nodes, methods=["GET"])
router.add_route("/admin/nodes", register, methods=["POST"])
router.add_route("/admin/nodes/{node_id}", node, methods=["GET"])
router.add_route("/admin/nodes/{node_id}", remove, methods=["DELETE"])
router.add_route("/admin/nodes/{node_id}/run", run, methods=["POST"])
router.add_route("/admin/nodes/{node_id}/runs", runs, methods=["GET"])
router.add_route("/admin/nodes/{node_id}/runs/{run_id}", one_run, methods=["GET"])
router.add_route("/admin/nodes/{node_id}/runs/{run_id}/rejections", rejections, methods=["GET"])
router.add_route("/admin/nodes/{node_id}/runs/{run_id}/cancel", cancel, methods=["POST"])
router.add_route("/admin/nodes/{node_id}/calls", calls, methods=["GET"])
