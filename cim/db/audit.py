"""The audit: who did what, when and why, each row chained to the one before it by its digest."""

from collections.abc import Mapping
from typing import Any

from cim.db.pool import Transaction
from cim.model import Scope
from cim.query.audit import append_sql, entry_of


async def record(
    transaction: Transaction,
    scope: Scope,
    *,
    event: str,
    subject_kind: str,
    subject_id: str,
    why: str | None = None,
    detail: Mapping[str, Any] | None = None,
    organisation_id: str | None = None,
) -> None:
    """Append a row in the transaction of the change that it tells of; rows are in the order of commits.

    `organisation_id`: whom it concerns, the caller's where it is not given. The head of the chain is locked until the
    transaction ends: call it last.
    """
    entry = entry_of(scope, event, subject_kind, subject_id, why=why, detail=detail, organisation_id=organisation_id)
    await transaction.fetch_row(append_sql([entry]))
