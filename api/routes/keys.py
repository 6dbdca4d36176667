"""Keys of callers: made (shown once), listed by prefix, revoked. Admins only."""

from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, registry_of, scope_of
from api.documents import private_json
from api.params import check_members, json_object, query_parameters
from api.security import require_admin
from cim.db.audit import record
from cim.db.keys import LIST_SQL, SHOWN, insert_sql, new_key, revoke_sql
from cim.db.rights import MEMBERS, checked_rights
from cim.errors import InvalidParameter, NotFound
from cim.interval import instant_text, parse_instant

router = APIRouter(tags=["admin"])


async def create(request: Request) -> Response:
    """Make a key from `{"role", "label", "expires_at"}` and the limits of `cim.db.rights`; the answer alone ever shows it."""
    scope = await scope_of(request)
    require_admin(scope)
    query_parameters(request, ())
    body = await json_object(request)
    check_members(body, ("label", "expires_at", *MEMBERS))
    rights = checked_rights(body, registry_of(request))
    label, expires = body.get("label", ""), body.get("expires_at")
    if not isinstance(label, str) or len(label) > 200 or "\x00" in label:
        raise InvalidParameter("label", label, "a text of at most 200 characters")
    expires_at = parse_instant(expires) if isinstance(expires, str) else None
    if expires is not None and (expires_at is None or expires_at <= datetime.now(UTC)):
        raise InvalidParameter("expires_at", expires, "an RFC 3339 instant in the future")
    made = new_key()
    facts = {
        "prefix": made.prefix,
        "label": label,
        **rights.to_dict(),
        "expires_at": instant_text(expires_at),
    }
    async with database_of(request).transaction() as transaction:
        await transaction.execute(insert_sql(made, rights, label, expires_at))
        await record(transaction, scope, event="key made", subject_kind="key", subject_id=made.prefix, detail=facts)
    return private_json({"key": made.key, **facts}, 201, Location=f"/admin/keys/{made.prefix}")


async def list_keys(request: Request) -> Response:
    """Every key by its prefix, oldest first; never a digest."""
    require_admin(await scope_of(request))
    query_parameters(request, ())
    rows = await database_of(request).fetch_rows(LIST_SQL)
    return private_json({"keys": [{name: row[name] for name in SHOWN} for row in rows]})


async def revoke(request: Request) -> Response:
    """End a key; every worker refuses it within two seconds."""
    scope = await scope_of(request)
    require_admin(scope)
    query_parameters(request, ())
    prefix = request.path_params["prefix"]
    async with database_of(request).transaction() as transaction:
        if "\x00" in prefix or await transaction.fetch_row(revoke_sql(prefix)) is None:
            raise NotFound("key in force with the prefix", prefix)
        await record(transaction, scope, event="key revoked", subject_kind="key", subject_id=prefix)
    return Response(status_code=204)


router.add_route("/admin/keys", create, methods=["POST"])
router.add_route("/admin/keys", list_keys, methods=["GET"])
router.add_route("/admin/keys/{prefix}", revoke, methods=["DELETE"])
