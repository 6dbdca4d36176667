"""Harvests: declared, run, followed. For admins and city admins, and for organisation admins of their own organisation."""

from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of, database_of, registry_of, scope_of, settings_of
from api.documents import JSON, Link, private_json, url_of
from api.intake_jobs import run_answer
from api.params import json_object, parse_limit, query_parameters
from api.routes.service_loads import cancelled, rejections_answer, row_of_run, run_document
from cim.catalogue.harvest.declare import checked_harvest, checked_id, id_for
from cim.errors import Conflict, Forbidden, InvalidBody, InvalidParameter, NotFound, Unauthorized
from cim.gateway.policy import parse_allowed
from cim.interval import instant_text
from cim.model import Scope
from cim.query.cursor import decode_cursor, encode_cursor
from cim.query.harvests import (
    delete_harvest_sql,
    harvest_sql,
    harvests_sql,
    insert_harvest_sql,
    update_harvest_sql,
)
from cim.query.intake import begin_sql, runs_sql
from cim.query.services import organisations_sql

router = APIRouter(tags=["catalogue"])


def harvester_organisation(scope: Scope) -> str | None:
    """The organisation that the caller harvests for, None for all. Raises Unauthorized, Forbidden."""
    if not scope.roles:
        raise Unauthorized("this needs an admin's key: send 'Authorization: Bearer <key>' or 'X-API-Key: <key>'")
    if scope.is_city:
        return None
    if scope.organisation_id is None or "org_admin" not in scope.roles:
        raise Forbidden("harvests are for city admins, and for admins of an organisation")
    return scope.organisation_id


def document_of(row: Any, base: str) -> dict[str, Any]:
    """A harvest as JSON."""
    home = url_of(base, "catalogue", "harvests", row["id"])
    links = [Link(home, "self", JSON).to_dict(), Link(f"{home}/runs", "related", JSON, "Runs").to_dict()]
    return {
        **{
            name: row[name]
            for name in (
                "id",
                "kind",
                "url",
                "organisation_id",
                "share_class",
                "area_code",
                "interval_s",
                "state",
                "failures",
                "services",
            )
        },
        "createdBy": row["created_by"],
        "created": instant_text(row["created_at"]),
        "next": instant_text(row["next_at"]) if row["next_at"] and row["interval_s"] else None,
        "lastRun": row["last_run"],
        "links": links,
    }


async def harvests(request: Request) -> Response:
    """All harvests that the caller may see."""
    organisation = harvester_organisation(await scope_of(request))
    query_parameters(request, ())
    rows = await database_of(request).fetch_rows(harvests_sql(organisation))
    base = settings_of(request).public_url
    return private_json({"harvests": [document_of(row, base) for row in rows]})


async def _row(request: Request, organisation: str | None) -> Any:
    harvest_id = request.path_params["harvest_id"]
    row = None if "\x00" in harvest_id else await database_of(request).fetch_row(harvest_sql(harvest_id))
    if row is None or row["kind"] == "node" or organisation not in (None, row["organisation_id"]):
        raise NotFound("harvest", harvest_id)
    return row


async def create(request: Request) -> Response:
    """Declare a harvest from `{"url", "organisation_id", "kind", "interval_s", "share_class", "area_code"}`."""
    scope = await scope_of(request)
    organisation = harvester_organisation(scope)
    query_parameters(request, ())
    body = await json_object(request)
    if organisation is not None:
        body.setdefault("organisation_id", organisation)
    values = checked_harvest(body, allowed=parse_allowed(settings_of(request).allowed_upstreams))
    await _check_organisation(request, values, organisation)
    harvest_id = checked_id(body.get("id") or id_for(values["url"]))
    if await database_of(request).fetch_row(insert_harvest_sql(harvest_id, values, scope.caller)) is None:
        raise Conflict(f"a harvest '{harvest_id}' exists already")
    request.path_params["harvest_id"] = harvest_id
    base = settings_of(request).public_url
    return private_json(
        document_of(await _row(request, organisation), base),
        201,
        Location=url_of(base, "catalogue", "harvests", harvest_id),
    )


async def _check_organisation(request: Request, values: dict[str, Any], organisation: str | None) -> None:
    wanted = values.get("organisation_id")
    if wanted is None:
        return
    if organisation not in (None, wanted):
        raise Forbidden(f"the key sent is of '{organisation}', and harvests for no other organisation")
    if wanted not in {row["id"] for row in await database_of(request).fetch_rows(organisations_sql())}:
        raise InvalidParameter("organisation_id", wanted, "no such organisation; /catalogue/organisations lists them")


async def harvest(request: Request) -> Response:
    """One harvest."""
    organisation = harvester_organisation(await scope_of(request))
    query_parameters(request, ())
    return private_json(document_of(await _row(request, organisation), settings_of(request).public_url))


async def edit(request: Request) -> Response:
    """Change members of a harvest: its address, its interval, `state` paused or active."""
    organisation = harvester_organisation(await scope_of(request))
    query_parameters(request, ())
    row = await _row(request, organisation)
    body = await json_object(request)
    if not body or "id" in body:
        raise InvalidBody("members to change are needed; an id cannot be changed")
    for name in ("kind", "url", "organisation_id", "share_class", "state"):
        if name in body and body[name] is None:
            raise InvalidParameter(name, None, "cannot be empty")
    values = checked_harvest(body, allowed=parse_allowed(settings_of(request).allowed_upstreams), is_partial=True)
    await _check_organisation(request, values, organisation)
    await database_of(request).execute(update_harvest_sql(row["id"], values))
    return private_json(document_of(await _row(request, organisation), settings_of(request).public_url))


async def delete(request: Request) -> Response:
    """Forget a harvest; what it brought stays."""
    organisation = harvester_organisation(await scope_of(request))
    query_parameters(request, ())
    row = await _row(request, organisation)
    await database_of(request).execute(delete_harvest_sql(row["id"]))
    return Response(status_code=204)


async def run(request: Request) -> Response:
    """Queue a run of the harvest: 202 (`dry-run=true`: its account is what it would be)."""
    scope = await scope_of(request)
    organisation = harvester_organisation(scope)
    values = query_parameters(request, ("dry-run",))
    row = await _row(request, organisation)
    is_dry = values.get("dry-run", "false")
    if is_dry not in ("true", "false"):
        raise InvalidParameter("dry-run", is_dry, "true or false")
    return await run_queued(request, scope, row, "catalogue", "harvests", is_dry=is_dry == "true")


async def run_queued(request: Request, scope: Scope, row: Any, *home: str, is_dry: bool = False) -> Response:
    """Queue a run of a harvest or a node, which is at `home`."""
    jobs, path = context_of(request).intake, (*home, row["id"], "runs")
    kind = "node" if row["kind"] == "node" else "harvest"
    begin = begin_sql(kind, row["id"], row["organisation_id"], row["url"], scope.caller, is_dry=is_dry, state="queued")
    words = ["harvest", row["id"], f"--by={scope.caller}", *(["--dry-run"] if is_dry else [])]
    run_id = await jobs.queue(begin, words)
    show = partial(run_document, base=settings_of(request).public_url, path=path)
    return await run_answer(request, jobs, run_id, show, *path)


async def cancel(request: Request) -> Response:
    """End a run that waits or goes on; what it has stored stays."""
    scope = await scope_of(request)
    query_parameters(request, ())
    row = await _run_row(request)
    return await cancelled(request, scope, row, "catalogue", "harvests", row["harvest_id"], "runs")


async def runs(request: Request) -> Response:
    """Runs of a harvest, the latest first."""
    row = await _row(request, harvester_organisation(await scope_of(request)))
    return await runs_answer(request, "harvest", row["id"], "catalogue", "harvests", row["id"], "runs")


async def runs_answer(request: Request, kind: str, harvest_id: str, *path: str) -> Response:
    """Runs of a harvest or (`kind`) a node, the latest first, by the paging of the query string; `path`: where they are."""
    values = query_parameters(request, ("limit", "cursor"))
    key, base = registry_of(request).cursor_key, settings_of(request).public_url
    limit = min(parse_limit(values["limit"]), 1000) if "limit" in values else 20
    before = int(decode_cursor(key, b"harvest-runs", values["cursor"])) if "cursor" in values else 2**62
    sql = runs_sql((kind,), organisation_id=None, harvest_id=harvest_id, before=before, limit=limit)
    rows = list(await database_of(request).fetch_rows(sql))
    links = [Link(url_of(base, *path, **values), "self", JSON)]
    if len(rows) > limit:
        cursor = encode_cursor(key, b"harvest-runs", str(rows[limit - 1]["id"]))
        links.append(Link(url_of(base, *path, **{**values, "cursor": cursor}), "next", JSON))
    shown = [run_document(one, base, path) for one in rows[:limit]]
    return private_json({"runs": shown, "links": [one.to_dict() for one in links]})


async def _run_row(request: Request) -> Any:
    organisation = harvester_organisation(await scope_of(request))
    row = await _row(request, organisation)
    return await row_of_run(request, "harvest", harvest_id=row["id"])


async def one_run(request: Request) -> Response:
    """One run with its account."""
    query_parameters(request, ())
    row = await _run_row(request)
    return private_json(
        run_document(row, settings_of(request).public_url, ("catalogue", "harvests", row["harvest_id"], "runs"))
    )


async def rejections(request: Request) -> Response:
    """What was not taken, and why: as JSON, or as CSV."""
    return await rejections_answer(request, await _run_row(request))


router.add_route("/catalogue/harvests", harvests, methods=["GET"])
router.add_route("/catalogue/harvests", create, methods=["POST"])
router.add_route("/catalogue/harvests/{harvest_id}", harvest, methods=["GET"])
router.add_route("/catalogue/harvests/{harvest_id}", edit, methods=["PATCH"])
router.add_route("/catalogue/harvests/{harvest_id}", delete, methods=["DELETE"])
router.add_route("/catalogue/harvests/{harvest_id}/run", run, methods=["POST"])
router.add_route("/catalogue/harvests/{harvest_id}/runs", runs, methods=["GET"])
router.add_route("/catalogue/harvests/{harvest_id}/runs/{run_id}", one_run, methods=["GET"])
router.add_route("/catalogue/harvests/{harvest_id}/runs/{run_id}/cancel", cancel, methods=["POST"])
router.add_route("/catalogue/harvests/{harvest_id}/runs/{run_id}/rejections", rejections, methods=["GET"])
