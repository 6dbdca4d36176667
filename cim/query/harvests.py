"""Statements over harvests: declared, due, run, and the services that each has brought."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from cim.sql import Cast, Identifier, Sql

MEMBERS = ("kind", "url", "organisation_id", "share_class", "area_code", "interval_s", "state")
"""Columns that a caller writes."""

_SHOWN = Sql.of(
    "h.id, h.kind, h.url, h.organisation_id, h.share_class, h.area_code, h.interval_s, h.state, h.created_by, h.created_at, "
    "h.next_at, h.failures, h.position, (SELECT max(r.id) FROM cim.intake_run AS r WHERE r.harvest_id = h.id) AS last_run, "
    "(SELECT count(*) FROM cim.service AS s WHERE s.harvest_id = h.id) AS services"
)
MAX_BACKOFF = 5
"""Doublings of the interval, at most, after runs that failed."""


def insert_harvest_sql(harvest_id: str, values: Mapping[str, Any], by: str) -> Sql:
    """A new harvest; its first scheduled run is due at once. No row when the id is taken; that of a node that was removed is not,
    for a node: it begins anew."""
    return Sql.of(
        "INSERT INTO cim.harvest (id, kind, url, organisation_id, share_class, area_code, interval_s, state, created_by, next_at) "
        "SELECT id, kind, url, owner, share, area, i, state, by, CASE WHEN i IS NOT NULL THEN now() END FROM (SELECT {}::text AS id, "
        "{}::text AS kind, {}::text AS url, {}::text AS owner, {}::text AS share, {}::text AS area, {} AS i, {}::text AS state, "
        "{}::text AS by) AS given ON CONFLICT (id) DO UPDATE SET url = excluded.url, share_class = excluded.share_class, "
        "area_code = excluded.area_code, interval_s = excluded.interval_s, state = excluded.state, created_by = excluded.created_by, "
        "next_at = excluded.next_at, failures = 0, position = NULL WHERE excluded.kind = 'node' AND harvest.kind = 'node' "
        "AND NOT EXISTS (SELECT FROM cim.node AS n WHERE n.id = harvest.id) RETURNING id",
        harvest_id,
        values["kind"],
        values["url"],
        values["organisation_id"],
        values.get("share_class") or "conditional",
        values.get("area_code"),
        Cast(values.get("interval_s"), "int"),
        values.get("state") or "active",
        by,
    )


def update_harvest_sql(harvest_id: str, values: Mapping[str, Any]) -> Sql:
    """Change members of a harvest; what is scheduled is due at once."""
    sets = [
        Sql.of("{} = {}", Identifier(name), Cast(values[name], "int") if name == "interval_s" else values[name])
        for name in MEMBERS
        if name in values
    ]
    return Sql.of(
        "UPDATE cim.harvest SET {}, failures = 0, next_at = now() WHERE id = {}", Sql.join(", ", sets), harvest_id
    )


def delete_harvest_sql(harvest_id: str) -> Sql:
    """Forget a harvest that is no node's; its services stay, as anybody's."""
    return Sql.of(
        "WITH gone AS (DELETE FROM cim.harvest WHERE id = {} AND kind <> 'node' RETURNING id) "
        "UPDATE cim.service AS s SET harvest_id = NULL FROM gone WHERE s.harvest_id = gone.id",
        harvest_id,
    )


def harvest_sql(harvest_id: str) -> Sql:
    """The row of one harvest."""
    return Sql.of("SELECT {} FROM cim.harvest AS h WHERE h.id = {}", _SHOWN, harvest_id)


def harvests_sql(organisation_id: str | None) -> Sql:
    """All harvests of an organisation, or of everybody, but for those of nodes."""
    owned = Sql() if organisation_id is None else Sql.of(" AND h.organisation_id = {}", organisation_id)
    return Sql.of("SELECT {} FROM cim.harvest AS h WHERE h.kind <> 'node'{} ORDER BY h.id", _SHOWN, owned)


def due_sql(limit: int) -> Sql:
    """Ids of harvests whose time has come, the most overdue first."""
    return Sql.of(
        "SELECT id, kind FROM cim.harvest WHERE state = 'active' AND interval_s IS NOT NULL AND next_at <= now() "
        "ORDER BY next_at LIMIT {}",
        Cast(limit, "bigint"),
    )


def scheduled_sql(harvest_id: str, *, is_failed: bool) -> Sql:
    """After a run: the next one an interval later, some a little earlier or later; after failures twice as long each time."""
    return Sql.of(
        "UPDATE cim.harvest SET failures = CASE WHEN {} THEN failures + 1 ELSE 0 END, next_at = now() + make_interval(secs => "
        "interval_s * (0.9 + 0.2 * random()) * CASE WHEN {} THEN power(2, least(failures, {})) ELSE 1 END) WHERE id = {}",
        is_failed,
        is_failed,
        Cast(MAX_BACKOFF, "int"),
        harvest_id,
    )


def position_sql(harvest_id: str, position: str | None) -> Sql:
    """Keep how far a node's feed has been taken in."""
    return Sql.of("UPDATE cim.harvest SET position = {} WHERE id = {}", position, harvest_id)


def lock_harvest_sql(harvest_id: str) -> Sql:
    """True where no other session runs this harvest; held until the session ends."""
    return Sql.of("SELECT pg_try_advisory_lock(44030002, hashtext({})) AS is_free", harvest_id)


def unlock_harvest_sql(harvest_id: str) -> Sql:
    """Let others run the harvest."""
    return Sql.of("SELECT pg_advisory_unlock(44030002, hashtext({}))", harvest_id)


def harvested_sql(harvest_id: str, remote_ids: Sequence[str] | None = None) -> Sql:
    """What a harvest has brought, or those of the remote ids: id, remote id, state of the face, provenance as JSON text."""
    named = Sql() if remote_ids is None else Sql.of(" AND s.remote_id = ANY({})", Cast(list(remote_ids), "text[]"))
    return Sql.of(
        "SELECT s.id, s.remote_id, s.state, s.provenance::text AS provenance FROM cim.service AS s WHERE s.harvest_id = {}{}",
        harvest_id,
        named,
    )


def link_sql(service_id: str, harvest_id: str, remote_id: str, provenance: Mapping[str, Any]) -> Sql:
    """Say where a service came from."""
    return Sql.of(
        "UPDATE cim.service SET harvest_id = {}, remote_id = {}, provenance = {} WHERE id = {}",
        harvest_id,
        remote_id,
        Cast(orjson.dumps(provenance).decode(), "jsonb"),
        service_id,
    )


def gone_sql(service_id: str, gone_at: str | None, reason: str | None) -> Sql:
    """Mark a service as gone from its source, or as back again."""
    if gone_at is None:
        return Sql.of("UPDATE cim.service SET provenance = provenance - 'gone_at' WHERE id = {}", service_id)
    return Sql.of(
        "UPDATE cim.service SET state_reason = {}, provenance = provenance || jsonb_build_object('gone_at', {}::text) WHERE id = {}",
        reason,
        gone_at,
        service_id,
    )
