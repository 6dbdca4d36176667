"""What changed: versions of a feature, and the difference between what was recorded at two instants."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.conditions import QUERY_NAMES, Asking, asking, conditions_from, filter_names
from api.context import collection_of, database_of, registry_of, settings_of
from api.documents import JSON, Link, json_answer, url_of
from api.negotiate import Representation, choose
from api.pages import binding_of
from api.params import parse_limit, query_parameters
from api.routes.items import check_geometries
from cim.errors import InvalidParameter, NotFound
from cim.interval import instant_text, parse_interval
from cim.query.changes import Between, change_counts_sql, changes_sql
from cim.query.cursor import decode_cursor, encode_cursor
from cim.query.history import history_sql

router = APIRouter()

OFFERS = (Representation("json", JSON),)
DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
LATELY = timedelta(hours=24)
"""What is looked at where no two instants are given."""
VARY = "Accept, Cookie, Authorization, X-API-Key"
CHANGES = ("between", "limit", "cursor", "crs", "count")


def limit_of(values: dict[str, str]) -> int:
    """Entries of a page, at most `MAX_LIMIT`."""
    return min(parse_limit(values["limit"]), MAX_LIMIT) if "limit" in values else DEFAULT_LIMIT


async def history(request: Request) -> Response:
    """Every version of a feature, the latest first, with its times and who wrote it."""
    collection, scope = await collection_of(request)
    values = query_parameters(request, ("limit", "cursor"))
    choose(request, OFFERS, f=values.get("f"))
    feature_id, limit = request.path_params["feature_id"], limit_of(values)
    binding = f"history\n{collection.id}\n{feature_id}".encode("utf-8", "surrogatepass")
    key, before = registry_of(request).cursor_key, None
    if "cursor" in values:
        before = datetime.fromisoformat(decode_cursor(key, binding, values["cursor"]))
    rows: list[Any] = []
    if "\x00" not in feature_id:
        rows = list(
            await database_of(request).fetch_rows(history_sql(collection, feature_id, scope, limit + 1, before))
        )
    if not rows:
        raise NotFound(f"feature in {collection.id}, now or before,", feature_id)
    base = settings_of(request).public_url
    address = url_of(base, "collections", collection.id, "items", feature_id, "history", **values)
    links = [Link(address, "self", JSON), Link(url_of(base, "collections", collection.id), "collection", JSON)]
    if len(rows) > limit:
        cursor = encode_cursor(key, binding, rows[limit - 1]["recorded_at"].isoformat())
        following = url_of(
            base, "collections", collection.id, "items", feature_id, "history", **{**values, "cursor": cursor}
        )
        links.append(Link(following, "next", JSON, "Earlier versions"))
    shows_callers = bool(scope.roles)
    versions = [_version(row, shows_callers) for row in rows[:limit]]
    document = {"id": feature_id, "versions": versions, "links": [link.to_dict() for link in links]}
    return json_answer(request, document, vary=VARY)


def _version(row: Any, shows_callers: bool) -> dict[str, Any]:
    """One version; who wrote it is told to callers with a key."""
    version: dict[str, Any] = {
        "recordedAt": instant_text(row["recorded_at"]),
        "supersededAt": instant_text(row["superseded_at"]),
    }
    if row["load_run_id"] is not None:
        version["load"] = {"id": row["load_run_id"], "source": row["load_source"]}
    if shows_callers:
        version |= {"changedBy": row["changed_by"], "supersededBy": row["superseded_by"]}
    return {**version, "feature": orjson.loads(row["body"])}


async def changes(request: Request) -> Response:
    """What was added, altered and removed between two instants, of features that meet the conditions before or after."""
    collection, scope = await collection_of(request)
    names = (name for name in QUERY_NAMES if name != "known-at")
    values = query_parameters(request, (*names, *CHANGES, *filter_names(collection, scope)))
    choose(request, OFFERS, f=values.get("f"))
    if "between" not in values:  # stated, so that the links of the pages say the same
        end = datetime.now(UTC)
        values["between"] = f"{instant_text(end - LATELY)}/{instant_text(end)}"
    asked = asking(request, collection, scope, values)
    between, limit = _between(values), limit_of(values)
    query = replace(conditions_from(asked), crs=asked.crs("crs"))
    await check_geometries(request, query)
    binding = b"changes\n" + repr(between).encode() + binding_of(collection, query)
    if "cursor" in values:
        after = decode_cursor(asked.registry.cursor_key, binding, values["cursor"])
        query = replace(query, after=after)
    rows = list(await database_of(request).fetch_rows(changes_sql(collection, query, scope, between, limit + 1)))
    shown = [_entry(row) for row in rows[:limit] if row["change"] is not None]
    document: dict[str, Any] = {
        "collection": collection.id,
        "between": [instant_text(between.since), instant_text(between.until)],
        "numberReturned": len(shown),
    }
    document |= await _counts(request, asked, replace(query, after=None), between)
    document["changes"] = shown
    base = settings_of(request).public_url
    links = [Link(url_of(base, "collections", collection.id, "changes", **values), "self", JSON)]
    if len(rows) > limit:
        cursor = encode_cursor(asked.registry.cursor_key, binding, rows[limit - 1]["id"])
        links.append(
            Link(url_of(base, "collections", collection.id, "changes", **{**values, "cursor": cursor}), "next", JSON)
        )
    document["links"] = [link.to_dict() for link in links]
    return json_answer(request, document, vary=VARY)


async def _counts(request: Request, asked: Asking, query: Any, between: Between) -> dict[str, Any]:
    if not asked.has("count"):
        return {}
    if asked.text("count") != "exact":
        raise InvalidParameter("count", asked.text("count"), "must be exact")
    rows = await database_of(request).fetch_rows(change_counts_sql(asked.collection, query, asked.scope, between))
    found = {row["change"]: row["count"] for row in rows}
    return {"counts": {name: found.get(name, 0) for name in ("added", "altered", "removed")}}


def _between(values: dict[str, str]) -> Between:
    """`between`, of `values`: two instants or dates; a date means its first instant, and as the second its last."""
    text = values["between"].replace(" ", "+")
    allowed = "must be two RFC 3339 instants or dates, earlier/later"
    if text.count("/") != 1:
        raise InvalidParameter("between", text, allowed)
    interval = parse_interval(text, parameter="between")
    if interval.begin is None or interval.end is None:
        raise InvalidParameter("between", text, f"{allowed}, both of them")
    return Between(interval.begin, interval.end)


def _entry(row: Any) -> dict[str, Any]:
    """One changed feature: as it is after, or was before it went; of an altered one what differs."""
    old = None if row["old"] is None else orjson.loads(row["old"])
    new = None if row["new"] is None else orjson.loads(row["new"])
    entry: dict[str, Any] = {"id": row["id"], "change": row["change"]}
    if old is not None and new is not None:
        before, after = old["properties"], new["properties"]
        entry["properties"] = {
            name: {"old": before[name], "new": after[name]} for name in after if before[name] != after[name]
        }
        entry["geometryChanged"] = row["is_moved"]
        if row["is_moved"]:
            entry["oldGeometry"] = old["geometry"]
    return {**entry, "feature": new if new is not None else old}


_HOME = "/collections/{collection_id}"

router.add_route(_HOME + "/items/{feature_id}/history", history, methods=["GET"])
router.add_route(_HOME + "/changes", changes, methods=["GET"])
