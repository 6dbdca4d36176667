"""Statements over the health of services: due probes, what they found, days and their availability."""

from datetime import date
from typing import Any

from cim.catalogue.health import SHARES, Verdict
from cim.sql import Cast, Sql

DAYS = 30
"""Days that availability is of."""

_FACTOR = Sql.of(
    "(CASE s.share_class WHEN 'not_shared' THEN {} WHEN 'conditional' THEN {} ELSE {} END)",
    Cast(SHARES["not_shared"], "float8"),
    Cast(SHARES["conditional"], "float8"),
    Cast(SHARES["unconditional"], "float8"),
)


def due_probes_sql(interval_s: float, limit: int) -> Sql:
    """Services to probe now: those on the shelf, and those that this node suspended itself. A new one waits an interval first."""
    wait = Sql.of("make_interval(secs => {} * {})", Cast(interval_s, "float8"), _FACTOR)
    return Sql.of(
        """
        SELECT s.id, s.kind, s.state, s.share_class, s.collection_id, s.endpoints::text AS endpoints,
            (s.provenance -> 'facts')::text AS facts, ST_XMin(s.geom) AS west, ST_YMin(s.geom) AS south,
            ST_XMax(s.geom) AS east, ST_YMax(s.geom) AS north, h.failures, h.successes, h.failing_since,
            coalesce(h.is_suspended_here, false) AS is_suspended_here
        FROM cim.service AS s LEFT JOIN cim.service_health AS h ON h.service_id = s.id
        WHERE (s.state = 'published' OR (s.state = 'suspended' AND h.is_suspended_here))
            AND coalesce(h.next_at, coalesce(s.published_at, s.created_at) + {}) <= now()
        ORDER BY h.next_at NULLS FIRST, s.id LIMIT {}
        """,
        wait,
        Cast(limit, "bigint"),
    )


def put_off_sql(service_id: str, seconds: float) -> Sql:
    """Look at a service that is not probed again after a while; nothing is said of its health."""
    return Sql.of(
        "UPDATE cim.service_health SET next_at = now() + make_interval(secs => {}) WHERE service_id = {}",
        Cast(seconds, "float8"),
        service_id,
    )


def record_health_sql(service_id: str, found: Verdict, next_s: float) -> Sql:
    """Write what a probe found, into the day too; gives the failures and successes in a row and since when it fails."""
    is_down = found.state == "down"
    return Sql.of(
        """
        WITH given AS (
            SELECT {}::text AS service_id, {}::text AS state, {} AS latency_ms, {}::text AS detail,
                now() + make_interval(secs => {}) AS next_at, {} AS is_down
        ),
        day AS (
            INSERT INTO cim.service_health_day AS d (service_id, day, probes, up, degraded, latency_ms)
            SELECT service_id, (now() AT TIME ZONE 'UTC')::date, 1, (state = 'up')::int, (state = 'degraded')::int,
                coalesce(latency_ms, 0) FROM given
            ON CONFLICT (service_id, day) DO UPDATE SET probes = d.probes + 1, up = d.up + excluded.up,
                degraded = d.degraded + excluded.degraded, latency_ms = d.latency_ms + excluded.latency_ms
        )
        INSERT INTO cim.service_health AS h (service_id, state, checked_at, latency_ms, detail, since, failures, successes,
            failing_since, next_at)
        SELECT service_id, state, now(), latency_ms, detail, now(), is_down::int, (NOT is_down)::int,
            CASE WHEN is_down THEN now() END, next_at FROM given
        ON CONFLICT (service_id) DO UPDATE SET state = excluded.state, checked_at = excluded.checked_at,
            latency_ms = excluded.latency_ms, detail = excluded.detail, next_at = excluded.next_at,
            since = CASE WHEN h.state = excluded.state THEN h.since ELSE excluded.since END,
            failures = CASE WHEN excluded.failures = 0 THEN 0 ELSE h.failures + 1 END,
            successes = CASE WHEN excluded.successes = 0 THEN 0 ELSE h.successes + 1 END,
            failing_since = CASE WHEN excluded.failures = 0 THEN NULL ELSE coalesce(h.failing_since, excluded.failing_since) END
        RETURNING h.failures, h.successes, extract(epoch FROM now() - h.failing_since)::float8 AS failing_s, h.is_suspended_here
        """,
        service_id,
        found.state,
        Cast(found.latency_ms, "int"),
        found.detail,
        Cast(next_s, "float8"),
        Cast(is_down, "boolean"),
    )


def suspended_here_sql(service_id: str, *, is_suspended: bool) -> Sql:
    """Remember that this node's own rule suspended the service, or resumed it."""
    return Sql.of(
        "UPDATE cim.service_health SET is_suspended_here = {} WHERE service_id = {}",
        Cast(is_suspended, "boolean"),
        service_id,
    )


def collection_sql(collection_id: str) -> Sql:
    """A row where the collection is there, with how many features it has."""
    return Sql.of("SELECT feature_count FROM cim.collection_stats WHERE collection_id = {}", collection_id)


def health_sql(service_id: str) -> Sql:
    """The present health of a service; no row for one that was never probed."""
    return Sql.of(
        "SELECT state, checked_at, latency_ms, detail, since, failures, successes, failing_since, is_suspended_here, next_at "
        "FROM cim.service_health WHERE service_id = {}",
        service_id,
    )


def days_sql(service_id: str) -> Sql:
    """The last days of a service, the latest first."""
    return Sql.of(
        "SELECT day, probes, up, degraded, latency_ms FROM cim.service_health_day WHERE service_id = {} "
        "AND day > (now() AT TIME ZONE 'UTC')::date - {} ORDER BY day DESC",
        service_id,
        Cast(DAYS, "int"),
    )


def availability_sql() -> Sql:
    """Sub-select of the share of probes of the last 30 days that found the service `s` up or degraded, 0 to 1; NULL for none."""
    return Sql.of(
        "(SELECT (sum(d.up + d.degraded)::float8 / nullif(sum(d.probes), 0)) FROM cim.service_health_day AS d "
        "WHERE d.service_id = s.id AND d.day > (now() AT TIME ZONE 'UTC')::date - {})",
        Cast(DAYS, "int"),
    )


def purge_days_sql() -> Sql:
    """Forget days of more than a year ago."""
    return Sql.of("DELETE FROM cim.service_health_day WHERE day < (now() AT TIME ZONE 'UTC')::date - 400")


def day_document(row: Any) -> dict[str, Any]:
    """A day as JSON."""
    day: date = row["day"]
    probes = row["probes"]
    return {
        "day": day.isoformat(),
        "probes": probes,
        "up": row["up"],
        "degraded": row["degraded"],
        "down": probes - row["up"] - row["degraded"],
        "availability": round((row["up"] + row["degraded"]) / probes, 5) if probes else None,
        "latencyMs": round(row["latency_ms"] / probes) if probes else None,
    }
