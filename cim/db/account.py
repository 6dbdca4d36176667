"""What a load run did, computed from its rows: read = inserted + updated + unchanged + rejected."""

from dataclasses import asdict, dataclass
from typing import Any

import psycopg

from cim.errors import Conflict


@dataclass(frozen=True, slots=True)
class Account:
    """What a run did, computed from the database: read = inserted + updated + unchanged + rejected."""

    run_id: int
    read: int
    inserted: int
    updated: int
    unchanged: int
    rejected: int
    repaired: int
    deleted: int
    batches: int
    skipped_batches: int = 0

    def to_dict(self) -> dict[str, int]:
        """For JSON."""
        return asdict(self)


def last_state(connection: psycopg.Connection[Any], kind: str, *, loaded_by: str) -> str | None:
    """The state of the last run of a kind that `loaded_by` made, None where there is none."""
    row = connection.execute(
        "SELECT state FROM cim.load_run WHERE kind = %s AND loaded_by = %s ORDER BY id DESC LIMIT 1", [kind, loaded_by]
    ).fetchone()
    return row[0] if row else None


def account_of(connection: psycopg.Connection[Any], run_id: int, *, skipped_batches: int = 0) -> Account:
    """The account of a run from its rows; raises Conflict when the rejections kept do not match the batches."""
    row = connection.execute(
        "SELECT coalesce(sum(b.read), 0), coalesce(sum(b.inserted), 0), coalesce(sum(b.updated), 0), "
        "coalesce(sum(b.unchanged), 0), coalesce(sum(b.rejected), 0), coalesce(sum(b.repaired), 0), count(b.number), "
        "(SELECT deleted FROM cim.load_run WHERE id = %(run)s), "
        "(SELECT count(DISTINCT source_row) FROM cim.load_rejection WHERE load_run_id = %(run)s AND is_rejected) "
        "FROM cim.load_batch AS b WHERE b.load_run_id = %(run)s",
        {"run": run_id},
    ).fetchone()
    assert row is not None
    read, inserted, updated, unchanged, rejected, repaired, batches, deleted, kept = (int(v or 0) for v in row)
    if kept != rejected:
        raise Conflict(f"run {run_id}: {rejected} rows counted as rejected, {kept} kept")
    return Account(run_id, read, inserted, updated, unchanged, rejected, repaired, deleted, batches, skipped_batches)
