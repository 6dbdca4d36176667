"""Credentials of upstreams: written by a service's owner, used by the gateway, shown to nobody."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, scope_of
from api.documents import json_answer
from api.gateway.door import gateway_of
from api.params import json_object, query_parameters
from cim.db.audit import record
from cim.errors import Conflict, Forbidden, NotFound, Unauthorized
from cim.gateway.credential import checked_credential, purpose_of
from cim.interval import instant_text
from cim.model import Scope
from cim.query.upstreams import called_sql, delete_secret_sql, put_secret_sql, secret_set_sql

router = APIRouter()

MANAGERS = ("org_admin", "publisher")
"""Duties by which a member of the owner organisation sets its services' credentials."""


async def _owned(request: Request) -> tuple[Any, Scope]:
    """The service's row, for who may set its credential. Raises Unauthorized, Forbidden, NotFound."""
    scope = await scope_of(request)
    query_parameters(request, ())
    service_id = request.path_params["service_id"]
    if not scope.roles:
        raise Unauthorized("this needs the key of the service's owner, or an admin key")
    row = None if "\x00" in service_id else await database_of(request).fetch_row(called_sql(service_id))
    is_owner = (
        row is not None
        and row["organisation_id"] is not None
        and row["organisation_id"] == scope.organisation_id
        and any(duty in scope.roles for duty in MANAGERS)
    )
    if row is not None and (scope.is_city or is_owner):
        return row, scope
    if row is None or row["state"] != "published":
        raise NotFound("service", service_id)
    raise Forbidden("only the service's owner and city admins see and set how its upstream is reached")


async def show(request: Request) -> Response:
    """Whether a credential is set, when and by whom; never what it is."""
    row, _ = await _owned(request)
    stored = await database_of(request).fetch_row(secret_set_sql(row["id"]))
    return json_answer(
        request,
        {
            "service_id": row["id"],
            "is_set": stored is not None,
            "set_at": None if stored is None else instant_text(stored["set_at"]),
            "set_by": None if stored is None else stored["set_by"],
        },
    )


async def put(request: Request) -> Response:
    """Write the credential anew, sealed for this service at the address it has now; it is good within seconds everywhere."""
    row, scope = await _owned(request)
    text = checked_credential(await json_object(request))
    services = gateway_of(request).services
    origin = services.first_origin(row["endpoints"], row["kind"])
    if origin is None:
        raise Conflict("the service is answered by this node itself: it has no upstream that wants a credential")
    sealed = services.sealer().seal(text, purpose_of(row["id"], origin))
    async with database_of(request).transaction() as transaction:
        await transaction.execute(put_secret_sql(row["id"], sealed, scope.caller))
        await record(transaction, scope, event="credential-set", subject_kind="service", subject_id=row["id"])
    return Response(status_code=204)


async def delete(request: Request) -> Response:
    """Forget the credential."""
    row, scope = await _owned(request)
    async with database_of(request).transaction() as transaction:
        if await transaction.fetch_row(delete_secret_sql(row["id"])) is None:
            raise NotFound("credential of the service", row["id"])
        await record(transaction, scope, event="credential-removed", subject_kind="service", subject_id=row["id"])
    return Response(status_code=204)


router.add_route("/catalogue/items/{service_id}/credentials", show, methods=["GET"])
router.add_route("/catalogue/items/{service_id}/credentials", put, methods=["PUT"])
router.add_route("/catalogue/items/{service_id}/credentials", delete, methods=["DELETE"])
