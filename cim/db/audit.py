"""The audit: who did what, when and why, each row chained to the one before it by its digest."""

from collections.abc import Mapping
from typing import Any

import orjson

from cim.db.pool import Transaction
from cim.model import Scope
from cim.sql import Cast, Sql


async def record(
    transaction: Transaction,
    scope: Scope,
    *,
    event: str,
    subject_kind: str,
    subject_id: str,
    why: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append a row in the transaction of the change that it tells of; rows are in the order of commits.

    The head of the chain is locked until the transaction ends: call it last.
    """
    text = orjson.dumps(dict(detail or {})).decode()
    await transaction.execute(
        record_sql(scope.caller or "anonymous", scope.organisation_id, event, subject_kind, subject_id, why, text)
    )


def record_sql(
    actor: str,
    organisation_id: str | None,
    event: str,
    subject_kind: str,
    subject_id: str,
    why: str | None,
    detail: str,
) -> Sql:
    """Appends one row; `detail` is JSON. `digest` is sha256 of the digest before, and of the row as JSON without the two."""
    return Sql.of(
        """
        WITH head AS (SELECT number, digest FROM cim.audit_head WHERE name = 'audit' FOR UPDATE),
        entry AS (
            SELECT head.number + 1 AS number, clock_timestamp() AS recorded_at, {}::text AS event, {}::text AS actor,
                {}::text AS organisation_id, {}::text AS subject_kind, {}::text AS subject_id, {}::text AS why,
                {} AS detail, head.digest AS previous
            FROM head
        ),
        chained AS (
            SELECT entry.*, sha256(previous || convert_to(jsonb_build_array(
                number, extract(epoch FROM recorded_at), event, actor, organisation_id, subject_kind, subject_id, why, detail
            )::text, 'UTF8')) AS digest
            FROM entry
        ),
        written AS (
            INSERT INTO cim.audit (number, recorded_at, event, actor, organisation_id, subject_kind, subject_id, why, detail,
                previous, digest)
            SELECT number, recorded_at, event, actor, organisation_id, subject_kind, subject_id, why, detail, previous, digest
            FROM chained
        )
        UPDATE cim.audit_head AS h SET number = chained.number, digest = chained.digest FROM chained WHERE h.name = 'audit'
        """,
        event,
        actor,
        organisation_id,
        subject_kind,
        subject_id,
        why,
        Cast(detail, "jsonb"),
    )
