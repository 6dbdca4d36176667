"""Organisations: made, changed, suspended and deleted by city admins; their own admins write the contact."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, scope_of
from api.documents import private_json
from api.listing import PAGING, listed
from api.params import json_object, query_parameters
from api.refusals import refuse
from cim.db.audit import record
from cim.errors import Conflict, InvalidParameter, NotFound
from cim.interval import instant_text
from cim.model import Scope
from cim.people.document import STATES, checked_organisation
from cim.people.rights import manages, require_caller
from cim.query.areas import parse_area_code
from cim.query.listing import within
from cim.query.people import (
    ORGANISATIONS,
    delete_organisation_sql,
    insert_organisation_sql,
    organisations_seen,
    update_sql,
)
from cim.sql import Sql

router = APIRouter(tags=["people"])

FILTERS = ("state", "area", *PAGING)


def _shown(row: Any) -> Mapping[str, Any]:
    return {**dict(row), "created_at": instant_text(row["created_at"])}


async def organisations(request: Request) -> Response:
    """Organisations by id: those in force, and for whoever acts for them those that are suspended."""
    scope = await scope_of(request)
    values = query_parameters(request, FILTERS)
    conditions = organisations_seen(scope)
    if "state" in values:
        if values["state"] not in STATES:
            raise InvalidParameter("state", values["state"], f"one of {', '.join(STATES)}")
        conditions.append(Sql.of("o.state = {}", values["state"]))
    if "area" in values:
        conditions.append(within(Sql.of("o.area_code"), parse_area_code(values["area"])))
    return await listed(request, "organisations", ORGANISATIONS, conditions, values, _shown)


async def organisation_of(request: Request, organisation_id: str, scope: Scope) -> Any:
    """The organisation's row where it exists for the caller. Raises NotFound."""
    row = None
    if "\x00" not in organisation_id:
        condition = [Sql.of("o.id = {}", organisation_id), *organisations_seen(scope)]
        row = await database_of(request).fetch_row(ORGANISATIONS.page(condition, None, 1))
    if row is None:
        raise NotFound("organisation", organisation_id)
    return row


async def organisation(request: Request) -> Response:
    """One organisation."""
    scope = await scope_of(request)
    query_parameters(request, ())
    return private_json(_shown(await organisation_of(request, request.path_params["organisation_id"], scope)))


async def create(request: Request) -> Response:
    """Make an organisation from `{"id", "name_zh", "name_en", "contact", "area_code"}` (city admins)."""
    scope = await scope_of(request)
    await _require_city(request, scope, "organisation", "new")
    query_parameters(request, ())
    values = checked_organisation(await json_object(request))
    async with database_of(request).transaction() as transaction:
        if await transaction.fetch_row(insert_organisation_sql(values)) is None:
            raise Conflict(f"an organisation '{values['id']}' exists already", rule="exists", parameter="id")
        await record(
            transaction,
            scope,
            event="organisation made",
            subject_kind="organisation",
            subject_id=values["id"],
            detail=values,
        )
    request.path_params["organisation_id"] = values["id"]
    made = _shown(await organisation_of(request, values["id"], scope))
    return private_json(made, 201, Location=f"/organisations/{values['id']}")


async def edit(request: Request) -> Response:
    """Change members of an organisation; its own admins, and those of its district, change the contact only.

    Keys and sessions of one that is suspended are refused within two seconds everywhere.
    """
    scope = await scope_of(request)
    require_caller(scope)
    query_parameters(request, ())
    row = await organisation_of(request, request.path_params["organisation_id"], scope)
    if not manages(scope, row["id"], row["area_code"]):
        await refuse(
            request, scope, "organisation", row["id"], "an organisation is changed by its org_admin or a city admin"
        )
    values = checked_organisation(await json_object(request), is_partial=True)
    beyond = sorted(set(values) - {"contact"})
    if beyond and not scope.is_city:
        await refuse(request, scope, "organisation", row["id"], f"{', '.join(beyond)}: changed by a city admin only")
    async with database_of(request).transaction() as transaction:
        await transaction.execute(update_sql("organisation", row["id"], values))
        await record(
            transaction,
            scope,
            event="organisation changed",
            subject_kind="organisation",
            subject_id=row["id"],
            organisation_id=row["id"],
            detail=values,
        )
    return private_json(_shown(await organisation_of(request, row["id"], scope)))


async def delete(request: Request) -> Response:
    """Delete an organisation that nothing hangs on (city admins); others are suspended."""
    scope = await scope_of(request)
    query_parameters(request, ())
    await _require_city(request, scope, "organisation", request.path_params["organisation_id"][:80])
    row = await organisation_of(request, request.path_params["organisation_id"], scope)
    async with database_of(request).transaction() as transaction:
        if await transaction.fetch_row(delete_organisation_sql(row["id"])) is None:
            raise Conflict(
                "services, people, keys, applications or grants hang on it; suspend it instead", rule="in-use"
            )
        await record(
            transaction,
            scope,
            event="organisation deleted",
            subject_kind="organisation",
            subject_id=row["id"],
            organisation_id=row["id"],
        )
    return Response(status_code=204)


async def _require_city(request: Request, scope: Scope, kind: str, subject_id: str) -> None:
    require_caller(scope)
    if not scope.is_city:
        await refuse(request, scope, kind, subject_id, "this is done by a city admin only")


router.add_route("/organisations", organisations, methods=["GET"])
router.add_route("/organisations", create, methods=["POST"])
router.add_route("/organisations/{organisation_id}", organisation, methods=["GET"])
router.add_route("/organisations/{organisation_id}", edit, methods=["PATCH"])
router.add_route("/organisations/{organisation_id}", delete, methods=["DELETE"])
