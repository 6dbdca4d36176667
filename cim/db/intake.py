"""Runs of loads and harvests, written by the process that does them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from cim.cells import csv_table
from cim.db.services import first_row
from cim.errors import CimError
from cim.query.intake import begin_sql, end_sql, fail_sql

Connection = psycopg.Connection[Any]

COLUMNS = ("row", "id", "field", "value", "code", "reason", "missing")
"""Of rejections as CSV."""


@dataclass(slots=True)
class Run:
    """A run that goes on; what it comes to is set before its block ends."""

    id: int
    counts: Mapping[str, int] = field(default_factory=dict)
    rejections: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()


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
) -> Iterator[Run]:
    """A run that is recorded whatever comes: completed with its account, or failed with the error, which is raised on."""
    row = first_row(connection, begin_sql(kind, harvest_id, organisation_id, source[:500], by, is_dry=is_dry))
    assert row is not None, "an insert gives its id"
    run = Run(row["id"])
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
