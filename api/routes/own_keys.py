"""Keys of one's own organisation: made (shown once), listed, rotated, revoked. A key never has more than its maker."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, registry_of, scope_of, settings_of
from api.documents import private_json
from api.listing import PAGING, listed
from api.params import check_members, json_object, query_parameters
from api.refusals import refuse
from api.routes.organisations import organisation_of
from cim.db.audit import record
from cim.db.keys import KEYS, SHOWN, Owner, insert_sql, new_key, outlive_sql, revoke_sql
from cim.db.pool import Transaction
from cim.db.rights import MEMBERS as RIGHTS
from cim.db.rights import Rights, checked_rights
from cim.errors import Conflict, Forbidden, InvalidParameter, NotFound
from cim.interval import instant_text
from cim.model import Scope
from cim.people import keys as owned
from cim.people.members import future_member, key_member, one_of, text_member
from cim.people.rights import manages, require_side
from cim.query.grants import grant_in_force_sql
from cim.query.people import keys_seen
from cim.sql import Sql

router = APIRouter(tags=["people"])

MEMBERS = ("label", "expires_at", *RIGHTS, *owned.MEMBERS)
FILTERS = ("organisation", "person", "grant", "state", *PAGING)
STATES = {
    "in_force": Sql.of("k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())"),
    "ended": Sql.of("(k.revoked_at IS NOT NULL OR k.expires_at <= now())"),
}
MAX_OVERLAP_S = 30 * 24 * 3600


def _shown(row: Any) -> Mapping[str, Any]:
    instants = {name: instant_text(row[name]) for name in ("created_at", "expires_at", "revoked_at")}
    return {**{name: row[name] for name in SHOWN}, **instants, "is_in_force": row["is_in_force"]}


async def keys(request: Request) -> Response:
    """Keys by their prefix, the latest first: one's own, or those of the organisations that the caller acts for."""
    scope = await scope_of(request)
    values = query_parameters(request, FILTERS)
    require_side(scope)
    conditions = keys_seen(scope)
    if "organisation" in values:
        conditions.append(Sql.of("k.organisation_id = {}", values["organisation"]))
    if "person" in values:
        conditions.append(Sql.of("k.person_id = {}", values["person"]))
    if "grant" in values:
        conditions.append(Sql.of("k.grant_id::text = {}", values["grant"]))
    if "state" in values:
        conditions.append(STATES[one_of("state", values["state"], STATES)])
    return await listed(request, "keys", KEYS, conditions, values, _shown)


async def create(request: Request) -> Response:
    """Make a key for oneself, or as an admin of the organisation for it; the answer alone ever shows it."""
    scope = await scope_of(request)
    require_side(scope)
    query_parameters(request, ())
    body = await json_object(request, max_bytes=65_536)
    check_members(body, MEMBERS)
    try:
        owned.check_maker(scope)
        rights = checked_rights(body, registry_of(request))
        owned.check_within(rights, scope)
        owner = await _owner(request, body, scope)
    except Forbidden as error:
        await refuse(request, scope, "key", "new", error.detail)
    label = text_member("label", body.get("label"), 200) or ""
    expires_at = future_member("expires_at", body.get("expires_at"))
    async with database_of(request).transaction() as transaction:
        return await _made(transaction, scope, "key made", rights, label, expires_at, owner)


async def _owner(request: Request, body: Mapping[str, Any], scope: Scope) -> Owner:
    named = body.get("organisation_id", scope.organisation_id)
    home = await organisation_of(request, key_member("organisation_id", named), scope)
    may_manage = manages(scope, home["id"], home["area_code"])
    default = "person" if scope.person_id is not None and home["id"] == scope.organisation_id else "organisation"
    is_own = one_of("for", body.get("for", default), owned.FOR) == "person"
    if is_own and (scope.person_id is None or home["id"] != scope.organisation_id):
        raise Forbidden("for: a key for a person is made by that person")
    if not is_own and not may_manage:
        raise Forbidden("for: keys of the organisation are made by its org_admin")
    duties, services = owned.duties_asked(body, scope), owned.services_asked(body, scope)
    grant_id = body.get("grant_id")
    if grant_id is not None:
        services = await _service_of_grant(request, grant_id, home["id"], services)
    return Owner(home["id"], scope.person_id if is_own else None, duties, services, grant_id)


async def _service_of_grant(
    request: Request, grant_id: Any, organisation_id: str, services: tuple[str, ...] | None
) -> tuple[str, ...]:
    row = None
    if isinstance(grant_id, int) and not isinstance(grant_id, bool) and 0 < grant_id < 2**63:
        row = await database_of(request).fetch_row(grant_in_force_sql(grant_id, organisation_id))
    if row is None:
        raise InvalidParameter("grant_id", grant_id, "the id of a grant of the organisation that is in force")
    if services is not None and row["service_id"] not in services:
        raise InvalidParameter("services", list(services), f"the grant is for {row['service_id']}")
    return (row["service_id"],)


async def _made(
    transaction: Transaction,
    scope: Scope,
    event: str,
    rights: Rights,
    label: str,
    expires_at: datetime | None,
    owner: Owner,
    **more: Any,
) -> Response:
    made = new_key()
    await transaction.execute(insert_sql(made, rights, label, expires_at, owner))
    facts = {
        "prefix": made.prefix,
        "label": label,
        **rights.to_dict(),
        "organisation_id": owner.organisation_id,
        "person_id": owner.person_id,
        "duties": list(owner.duties),
        "services": None if owner.services is None else list(owner.services),
        "grant_id": owner.grant_id,
        "expires_at": instant_text(expires_at),
        **more,
    }
    await record(transaction, scope, event=event, subject_kind="key", subject_id=made.prefix, detail=facts)
    return private_json({"key": made.key, **facts}, 201, Location=f"/keys/{made.prefix}")


async def _key_of(request: Request, scope: Scope) -> Any:
    """The key's row where it exists for the caller. Raises NotFound."""
    require_side(scope)
    prefix, row = request.path_params["prefix"], None
    if "\x00" not in prefix:
        row = await database_of(request).fetch_row(
            KEYS.page([Sql.of("k.prefix = {}", prefix), *keys_seen(scope)], None, 1)
        )
    if row is None:
        raise NotFound("key with the prefix", prefix)
    return row


async def key(request: Request) -> Response:
    """One key by its prefix."""
    scope = await scope_of(request)
    query_parameters(request, ())
    return private_json(_shown(await _key_of(request, scope)))


async def revoke(request: Request) -> Response:
    """End a key; every worker refuses it within two seconds."""
    scope = await scope_of(request)
    query_parameters(request, ())
    row = await _key_of(request, scope)
    async with database_of(request).transaction() as transaction:
        if await transaction.fetch_row(revoke_sql(row["prefix"])) is None:
            raise Conflict(f"the key {row['prefix']} is revoked already", rule="revoked")
        await record(transaction, scope, event="key revoked", subject_kind="key", subject_id=row["prefix"])
    return Response(status_code=204)


async def rotate(request: Request) -> Response:
    """A new key in place of one in force, with the same rights; the old one goes on for `{"overlap_s"}`, a day by default."""
    scope = await scope_of(request)
    query_parameters(request, ())
    row = await _key_of(request, scope)
    body = await json_object(request)
    check_members(body, ("overlap_s", "expires_at"))
    overlap_s = body.get("overlap_s", settings_of(request).key_overlap_s)
    if isinstance(overlap_s, bool) or not isinstance(overlap_s, int | float) or not 0 <= overlap_s <= MAX_OVERLAP_S:
        raise InvalidParameter("overlap_s", overlap_s, f"seconds from 0 to {MAX_OVERLAP_S:,}")
    expires_at = future_member("expires_at", body.get("expires_at")) or row["expires_at"]
    rights, owner = owned.rights_of(row), owned.owner_of(row)
    try:
        owned.check_within(rights, scope)
        owned.duties_asked({"duties": list(owner.duties)}, scope)
        if row["prefix"] != scope.key_prefix:
            owned.check_maker(scope)
        if row["person_id"] not in (None, scope.person_id):
            raise Forbidden("a key of a person is rotated by that person; revoke it instead")
    except Forbidden as error:
        await refuse(request, scope, "key", row["prefix"], error.detail)
    async with database_of(request).transaction() as transaction:
        old = await transaction.fetch_row(outlive_sql(row["prefix"], float(overlap_s)))
        if old is None or not row["is_in_force"]:
            raise Conflict(f"the key {row['prefix']} is not in force: make a new one", rule="revoked")
        more = {"replaces": row["prefix"], "former_ends_at": instant_text(old["expires_at"])}
        return await _made(transaction, scope, "key rotated", rights, row["label"], expires_at, owner, **more)


router.add_route("/keys", keys, methods=["GET"])
router.add_route("/keys", create, methods=["POST"])
router.add_route("/keys/{prefix}", key, methods=["GET"])
router.add_route("/keys/{prefix}", revoke, methods=["DELETE"])
router.add_route("/keys/{prefix}/rotate", rotate, methods=["POST"])
