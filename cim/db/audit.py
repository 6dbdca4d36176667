"""The audit: who did what, when and why, each row chained to the one before it by its digest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from cim.db.audit_heads import NotedHead
from cim.db.pool import Transaction
from cim.db.services import first_row
from cim.model import Scope
from cim.query.audit import HEAD_SQL, append_sql, digest_at_sql, entry_of, first_after_sql, first_broken_sql


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


BLOCK = 10_000
"""Rows that are checked by one statement."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The first row of the chain that is not as it was written, and what is wrong with it."""

    number: int
    why: str


def verify(
    connection: psycopg.Connection[Any], *, anchor: tuple[int, str] | None = None, noted: Sequence[NotedHead] = ()
) -> Broken | None:
    """The first row that was edited, is missing, or was put in later; None where the chain holds from its first row to its head.

    `anchor` is the number and the digest (hexadecimal) of a row as they were noted elsewhere, `noted` are those of the data
    folder: with one a chain that was written anew as a whole, or cut with its head, is found too. Memory does not grow with the audit.
    """
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        head = first_row(connection, HEAD_SQL)
        assert head is not None
        after, previous, recorded_at = 0, b"", None
        while True:
            row = first_row(connection, first_broken_sql(after, previous, recorded_at, BLOCK))
            assert row is not None
            if row["number"] is not None:
                return Broken(row["number"], row["why"])
            if row["last_number"] is None:
                later = first_row(connection, first_after_sql(after))
                if later is not None and later["number"] is not None:
                    return Broken(later["number"], "rows before it are missing")
                break
            after, previous, recorded_at = row["last_number"], bytes(row["last_digest"]), row["last_recorded_at"]
        if (after, previous.hex()) != (head["number"], head["digest"]):
            return Broken(after + 1, f"the chain ends before its head, which is row {head['number']}: its tail was cut")
        known = [(one.number, one.digest, f"it is not the row that was noted on {one.day}") for one in noted]
        if anchor is not None:
            known.append((*anchor, "it is not the row that was noted"))
        for number, digest, why in known:
            row = first_row(connection, digest_at_sql(number))
            if row is None or row["digest"] != digest.lower():
                return Broken(number, why)
    return None
