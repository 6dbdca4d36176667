"""Runs of loads and harvests, written by the process that does them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from cim.cells import csv_table
from cim.db.services import first_row
from cim.errors import CimError, RunCancelled
from cim.query.intake import begin_sql, end_sql, fail_sql, far_sql, take_sql

Connection = psycopg.Connection[Any]

COLUMNS = ("row", "id", "field", "value", "code", "reason", "missing")
"""Of rejections as CSV."""
TELL_EVERY_S = 0.5
"""How often a run tells how far it is."""


@dataclass(slots=True)
class Run:
    """A run that goes on; what it comes to is set before its block ends. `beside`: a connection that tells how far it is."""

    id: int
    counts: Mapping[str, int] = field(default_factory=dict)
    rejections: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    beside: Connection | None = None
    _told_at: float = -TELL_EVERY_S

    def tell(self, counts: Mapping[str, int], expected: int) -> None:
        """Note how far it is, now and then. Raises RunCancelled where somebody ended it."""
        now = time.monotonic()
        if self.beside is None or now - self._told_at < TELL_EVERY_S:
            return
        self._told_at = now
        if first_row(self.beside, far_sql(self.id, counts, expected)) is None:
            raise RunCancelled("the run was ended; what was stored before stays")


@contextmanager
def run_of(
    connection: Connection,
    kind: str,
    *,
    source: str,
    by: str,
    organisation_id: str | None = None,
    harvest_id: str | None = None,
    is_dry: bool = False,
    job: int | None = None,
    beside: Connection | None = None,
) -> Iterator[Run]:
    """A run that is recorded whatever comes: completed with its account, or failed with the error, which is raised on.

    `job`: the run was queued under that number. Raises RunCancelled for one that was ended before.
    """
    begun = begin_sql(kind, harvest_id, organisation_id, source, by, is_dry=is_dry) if job is None else take_sql(job)
    row = first_row(connection, begun)
    if row is None:
        raise RunCancelled("the run has ended before it began")
    run = Run(row["id"], beside=beside)
    try:
        yield run
    except CimError as error:
        first_row(connection, fail_sql(run.id, error.code, error.detail))
        raise
    except BaseException:
        first_row(connection, fail_sql(run.id, "load-failed", "the run was stopped or failed; the log has more"))
        raise
    first_row(connection, end_sql(run.id, run.counts, run.rejections, run.notes))


def rejections_csv(rejections: Sequence[Mapping[str, Any]]) -> bytes:
    """Rejected rows as CSV, a byte order mark in front; cells are inert to spreadsheets."""
    return csv_table([{**one, "missing": ";".join(one.get("missing") or ())} for one in rejections], COLUMNS)
