"""Refusals that are kept: somebody tried to take more than they have (catalogue B41)."""

from typing import NoReturn

from starlette.requests import Request

from api.context import database_of
from cim.db.audit import record
from cim.errors import Forbidden
from cim.model import Scope


async def refuse(request: Request, scope: Scope, kind: str, subject_id: str, why: str) -> NoReturn:
    """Write the attempt into the audit, and raise Forbidden with the reason."""
    async with database_of(request).transaction() as transaction:
        await record(transaction, scope, event="refused", subject_kind=kind, subject_id=subject_id, why=why)
    raise Forbidden(why)
