"""People: made, changed and suspended by the admins of their organisation, of its district, and of the city."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of, database_of, scope_of, settings_of
from api.documents import private_json
from api.listing import PAGING, listed
from api.params import json_object, query_parameters
from api.refusals import refuse
from api.routes.organisations import organisation_of
from cim.db.audit import record
from cim.db.keys import digest_of
from cim.db.pool import Transaction
from cim.errors import Conflict, Forbidden, InvalidParameter, NotFound
from cim.interval import instant_text
from cim.model import Scope
from cim.model.scope import DUTIES
from cim.people.document import STATES, checked_person
from cim.people.passwords import checked_password
from cim.people.rights import check_district, check_given, manages, require_side
from cim.query.people import PEOPLE, insert_person_sql, invite_sql, people_seen, update_sql
from cim.query.sessions import end_all_sql
from cim.sql import Sql

router = APIRouter(tags=["people"])

FILTERS = ("organisation", "state", "duty", *PAGING)
_OWN = ("name", "email", "password", "current_password")


def _shown(row: Any) -> Mapping[str, Any]:
    facts = {name: value for name, value in dict(row).items() if not name.startswith("organisation_")}
    return {**facts, "organisation_id": row["organisation_id"], "created_at": instant_text(row["created_at"])}


async def people(request: Request) -> Response:
    """The people that the caller acts for, and the caller."""
    scope = await scope_of(request)
    values = query_parameters(request, FILTERS)
    require_side(scope)
    conditions = people_seen(scope)
    for name, column, allowed in (("state", "p.state", STATES), ("duty", "", DUTIES)):
        if name in values and values[name] not in allowed:
            raise InvalidParameter(name, values[name], f"one of {', '.join(allowed)}")
        if name in values:
            conditions.append(Sql.of("{} = ANY(p.duties)" if not column else "p.state = {}", values[name]))
    if "organisation" in values:
        conditions.append(Sql.of("p.organisation_id = {}", values["organisation"]))
    return await listed(request, "people", PEOPLE, conditions, values, _shown)


async def _person_of(request: Request, scope: Scope) -> Any:
    """The person's row where they exist for the caller. Raises NotFound."""
    require_side(scope)
    wanted, row = request.path_params["person_id"], None
    if "\x00" not in wanted:
        row = await database_of(request).fetch_row(
            PEOPLE.page([Sql.of("p.id = {}", wanted), *people_seen(scope)], None, 1)
        )
    if row is None:
        raise NotFound("person", wanted)
    return row


async def person(request: Request) -> Response:
    """One person."""
    scope = await scope_of(request)
    query_parameters(request, ())
    return private_json(_shown(await _person_of(request, scope)))


async def create(request: Request) -> Response:
    """Make a person. Without a password or a subject the answer alone ever shows an invitation, by which they set one."""
    scope = await scope_of(request)
    require_side(scope)
    if not {"org_admin", "district_admin", "city_admin"} & scope.roles:
        await refuse(
            request, scope, "person", "new", "people are made by an org_admin, a district_admin or a city_admin"
        )
    query_parameters(request, ())
    values = checked_person({"organisation_id": scope.organisation_id, **await json_object(request)})
    home = await organisation_of(request, values["organisation_id"], scope)
    if not manages(scope, home["id"], home["area_code"]):
        await refuse(request, scope, "organisation", home["id"], "the caller does not make people of that organisation")
    await _check_duties(request, scope, values["id"], (), values)
    if "subject" in values:
        values["issuer"] = settings_of(request).oidc_issuer
        if values["issuer"] is None:
            raise InvalidParameter("subject", values["subject"], "no issuer of OpenID Connect is set up at this node")
    password, token = values.pop("password", None), None
    if password is not None:
        digest = await context_of(request).callers.passwords.digest(checked_password(password, values["login"]))
        values["password_hash"] = digest
    async with database_of(request).transaction() as transaction:
        if await transaction.fetch_row(insert_person_sql(values)) is None:
            raise Conflict(
                f"somebody has the login '{values['login']}', or that subject, already",
                rule="login-exists",
                parameter="login",
            )
        if password is None and "subject" not in values:
            token = await _invited(request, transaction, values["id"])
        await _note(transaction, scope, "person made", values, values)
    request.path_params["person_id"] = values["id"]
    made = {**_shown(await _person_of(request, scope)), "invitation": token}
    return private_json(made, 201, Location=f"/people/{values['id']}")


async def _invited(request: Request, transaction: Transaction, person_id: str) -> str:
    token = f"inv_{secrets.token_urlsafe(24)}"
    lasting = timedelta(seconds=settings_of(request).invitation_s)
    await transaction.execute(invite_sql(person_id, digest_of(token), datetime.now(UTC) + lasting))
    return token


async def invite(request: Request) -> Response:
    """A new invitation for somebody who has none, or forgot their password; one before is good no longer."""
    scope = await scope_of(request)
    query_parameters(request, ())
    row = await _person_of(request, scope)
    await _require_manager(request, scope, row)
    async with database_of(request).transaction() as transaction:
        token = await _invited(request, transaction, row["id"])
        await _note(transaction, scope, "person invited", row, {})
    return private_json({"person_id": row["id"], "invitation": token}, 201)


async def edit(request: Request) -> Response:
    """Change members of a person. One changes one's own name, address and password; duties are another's to give."""
    scope = await scope_of(request)
    query_parameters(request, ())
    row = await _person_of(request, scope)
    values = checked_person(await json_object(request), is_partial=True)
    is_self = row["id"] == scope.person_id
    beyond = sorted(set(values) - set(_OWN))
    if is_self and beyond:
        await refuse(request, scope, "person", row["id"], f"{', '.join(beyond)}: nobody changes their own")
    if not is_self:
        await _require_manager(request, scope, row)
        if "password" in values or "current_password" in values:
            await refuse(request, scope, "person", row["id"], "a password is one's own; send an invitation")
    await _check_duties(request, scope, row["id"], row["duties"], values, row)
    if "organisation_id" in values:
        home = await organisation_of(request, values["organisation_id"], scope)
        if not manages(scope, home["id"], home["area_code"]):
            await refuse(request, scope, "person", row["id"], "the caller does not make people of that organisation")
    written = await _with_digest(request, row, values)
    async with database_of(request).transaction() as transaction:
        await transaction.execute(update_sql("person", row["id"], written))
        if {"password_hash", "state", "organisation_id"} & set(written):
            await transaction.execute(end_all_sql(row["id"], but=_mine(request) if is_self else ""))
        await _note(transaction, scope, "person changed", row, written)
    return private_json(_shown(await _person_of(request, scope)))


def _mine(request: Request) -> str:
    token = context_of(request).callers.sessions.token_of(request)
    return digest_of(token) if token else ""


async def _with_digest(request: Request, row: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The columns to write. Raises Forbidden for a new password without the present one."""
    written = {name: value for name, value in values.items() if name not in ("password", "current_password")}
    if "password" not in values:
        return written
    passwords, given = context_of(request).callers.passwords, values.get("current_password")
    address = request.client.host if request.client else ""
    await passwords.verified(row["login"], given if isinstance(given, str) else "", address)
    written["password_hash"] = await passwords.digest(checked_password(values["password"], row["login"]))
    return written


async def _require_manager(request: Request, scope: Scope, row: Any) -> None:
    is_above = not scope.is_city and bool({"district_admin", "city_admin"} & set(row["duties"]))
    if is_above or not manages(scope, row["organisation_id"], row["organisation_area"]):
        await refuse(request, scope, "person", row["id"], "the caller does not act for that person")


async def _check_duties(
    request: Request, scope: Scope, person_id: str, before: Any, values: Mapping[str, Any], row: Any = None
) -> None:
    after = values.get("duties", before)
    try:
        check_given(scope, before, after)
        if "area_code" in values and not scope.is_city:
            raise Forbidden("area_code: the district of an admin is named by a city admin")
    except Forbidden as error:
        await refuse(request, scope, "person", person_id, error.detail)
    check_district(after, values.get("area_code", row["area_code"] if row is not None else None))


async def _note(transaction: Transaction, scope: Scope, event: str, whose: Any, written: Mapping[str, Any]) -> None:
    detail = {name: "…" if name == "password_hash" else value for name, value in written.items()}
    await record(
        transaction,
        scope,
        event=event,
        subject_kind="person",
        subject_id=whose["id"],
        detail=detail,
        organisation_id=whose["organisation_id"],
    )


router.add_route("/people", people, methods=["GET"])
router.add_route("/people", create, methods=["POST"])
router.add_route("/people/{person_id}", person, methods=["GET"])
router.add_route("/people/{person_id}", edit, methods=["PATCH"])
router.add_route("/people/{person_id}/invitation", invite, methods=["POST"])
