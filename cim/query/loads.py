"""Statements over load runs: listed, looked at, their rejections by page and by place."""

from collections.abc import Sequence

from cim.query.listing import Listing
from cim.sql import Cast, Sql

RUNS = Listing(
    Sql.of(
        "SELECT r.id, r.collection_id, r.source, r.kind, r.state, r.mode, r.origin, r.fingerprint, r.options::text AS options, "
        "r.notes::text AS notes, r.licence, r.attribution, r.loaded_by, r.started_at, r.ended_at, r.deleted, r.expected, "
        "r.error::text AS error, a.read, a.inserted, a.updated, a.unchanged, a.rejected, a.repaired, a.extent "
        "FROM cim.load_run AS r CROSS JOIN LATERAL (SELECT COALESCE(sum(read), 0)::bigint AS read, "
        "COALESCE(sum(inserted), 0)::bigint AS inserted, COALESCE(sum(updated), 0)::bigint AS updated, "
        "COALESCE(sum(unchanged), 0)::bigint AS unchanged, COALESCE(sum(rejected), 0)::bigint AS rejected, "
        "COALESCE(sum(repaired), 0)::bigint AS repaired, "
        "ARRAY[min(bounds[1]), min(bounds[2]), max(bounds[3]), max(bounds[4])] AS extent "
        "FROM cim.load_batch WHERE load_run_id = r.id) AS a"
    ),
    Sql.of("r.id"),
    "bigint",
    is_latest_first=True,
)
"""A run with its account, the latest first. `extent`: west, south, east, north in degrees of what passed the checks."""

FILTERS = {
    "kind": Sql.of("r.kind"),
    "collection": Sql.of("r.collection_id"),
    "source": Sql.of("r.source"),
    "state": Sql.of("r.state"),
    "by": Sql.of("r.loaded_by"),
}
"""Parameter of the list → what it is compared with."""


def run_sql(run_id: int) -> Sql:
    """One run."""
    return Sql.of("{} WHERE r.id = {}", RUNS.select, Cast(run_id, "bigint"))


def queue_sql(
    collection: str,
    source: str,
    kind: str,
    mode: str,
    origin: str,
    options: str,
    loaded_by: str,
    licence: str | None,
    attribution: str | None,
) -> Sql:
    """A new run that waits for its turn; gives its id. `options` is JSON text of what was stated."""
    return Sql.of(
        "INSERT INTO cim.load_run (collection_id, source, kind, state, mode, origin, fingerprint, options, loaded_by, "
        "licence, attribution) VALUES ({}, {}, {}, 'queued', {}, {}, '', {}, {}, {}, {}) RETURNING id",
        collection,
        source,
        kind,
        mode,
        origin,
        Cast(options, "jsonb"),
        loaded_by,
        licence,
        attribution,
    )


def forget_sql(run_id: int) -> Sql:
    """Take back a run that was queued and whose file could not be put in its place."""
    return Sql.of("DELETE FROM cim.load_run WHERE id = {}", Cast(run_id, "bigint"))


def fail_sql(run_id: int, error: str) -> Sql:
    """A run that has not ended becomes one that failed; `error` is JSON text. Gives its id."""
    return Sql.of(
        "UPDATE cim.load_run SET state = 'failed', ended_at = now(), error = {} WHERE id = {} AND state IN ('queued', 'running') "
        "RETURNING id",
        Cast(error, "jsonb"),
        Cast(run_id, "bigint"),
    )


def reasons_sql(run_id: int) -> Sql:
    """Rejections of a run by code: how many, how many of them with a known place; the most first."""
    return Sql.of(
        "SELECT code, is_rejected, count(*) AS count, count(bounds) AS placed FROM cim.load_rejection WHERE load_run_id = {} "
        "GROUP BY code, is_rejected ORDER BY is_rejected DESC, count DESC, code",
        Cast(run_id, "bigint"),
    )


def rejections_sql(
    run_id: int, after: tuple[int, str], limit: int, code: str | None, *, is_placed: bool = False
) -> Sql:
    """A page of rejections behind row and code `after`, in the order of the source; `is_placed`: those with a known place."""
    conditions: list[Sql] = [] if code is None else [Sql.of("code = {}", code)]
    if is_placed:
        conditions.append(Sql.of("bounds IS NOT NULL"))
    return _rejections(run_id, after, limit, conditions)


def _rejections(run_id: int, after: tuple[int, str], limit: int, conditions: Sequence[Sql]) -> Sql:
    return Sql.of(
        "SELECT source_row, code, reason, field, value, is_rejected, original::text AS original, bounds FROM cim.load_rejection "
        "WHERE {} ORDER BY source_row, code LIMIT {}",
        Sql.join(
            " AND ",
            [
                Sql.of("load_run_id = {}", Cast(run_id, "bigint")),
                Sql.of("(source_row, code) > ({}, {})", Cast(after[0], "bigint"), after[1]),
                *conditions,
            ],
        ),
        Cast(limit, "bigint"),
    )
