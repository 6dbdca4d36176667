"""Statements over two tiers: the feed of a catalogue, nodes of the other tier, calls that came through one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cim.sql import Cast, Sql


@dataclass(frozen=True, slots=True)
class Step:
    """How far a comparison of two ledgers has come: all services, the buckets of one, the calls of one bucket."""

    service: str | None = None
    bucket: str | None = None


def feed_sql(position: int, after: str, limit: int) -> Sql:
    """Services that changed behind (position, after), in the order of their last change: what is on the shelf with its
    document, what left it with its state. `position` is a number of the audit, which is in the order of commits; 0 for a service
    that was never audited.
    """
    start, name = Cast(position, "bigint"), after
    since = Sql.of("a.number > {} AND ", start) if position > 0 else Sql()
    return Sql.of(
        """
        WITH touched AS (
            SELECT a.subject_id AS id, max(a.number) AS position FROM cim.audit AS a
            WHERE {} a.subject_kind = 'service' GROUP BY a.subject_id
        ),
        listed AS ({})
        SELECT listed.position, s.id, s.state, s.share_class, s.version, s.content_hash, v.document::text AS document,
            o.name_zh AS organisation_zh, o.name_en AS organisation_en, s.updated_at
        FROM listed JOIN cim.service AS s ON s.id = listed.id
        LEFT JOIN cim.service_version AS v ON v.service_id = s.id AND v.number = s.version
        LEFT JOIN cim.organisation AS o ON o.id = s.organisation_id
        WHERE (listed.position, listed.id) > ({}, {}) AND s.published_at IS NOT NULL
        ORDER BY listed.position, listed.id LIMIT {}
        """,
        since,
        _listed(position),
        start,
        name,
        Cast(limit + 1, "bigint"),
    )


def _listed(position: int) -> Sql:
    """From the beginning: every service, audited or not."""
    if position > 0:
        return Sql.of("SELECT id, position FROM touched")
    return Sql.of(
        "SELECT s.id, coalesce(t.position, 0) AS position FROM cim.service AS s LEFT JOIN touched AS t ON t.id = s.id"
    )


def insert_node_sql(node_id: str, values: Mapping[str, Any], sealed: bytes) -> Sql:
    """A node; its harvest is there."""
    return Sql.of(
        "INSERT INTO cim.node (id, kind, title_zh, title_en, area_code, sealed_key) VALUES ({}, 'district', {}, {}, {}, {})",
        node_id,
        values["title_zh"],
        values["title_en"],
        values["area_code"],
        sealed,
    )


def delete_node_sql(node_id: str) -> Sql:
    """Forget a node and its harvest."""
    return Sql.of(
        "WITH gone AS (DELETE FROM cim.node WHERE id = {} RETURNING id) UPDATE cim.harvest AS h SET state = 'paused', "
        "interval_s = NULL FROM gone WHERE h.id = gone.id RETURNING h.id",
        node_id,
    )


def forget_digests_sql(node_id: str) -> Sql:
    """Have everything that a node brought taken in again when it is registered anew: its key is sealed with each service."""
    return Sql.of(
        "UPDATE cim.service SET provenance = provenance - 'digest' WHERE harvest_id = {} AND provenance ? 'digest'",
        node_id,
    )


def nodes_sql(node_id: str | None = None) -> Sql:
    """Nodes, or one, with how far their catalogues have been taken in."""
    one = Sql() if node_id is None else Sql.of(" WHERE n.id = {}", node_id)
    return Sql.of(
        "SELECT n.id, n.kind, n.title_zh, n.title_en, n.area_code, h.url, h.interval_s, h.state, h.failures, h.next_at, h.position, "
        "h.share_class, h.organisation_id, h.created_at, (SELECT count(*) FROM cim.service AS s WHERE s.harvest_id = n.id "
        "AND s.state = 'published') AS services, (SELECT max(r.id) FROM cim.intake_run AS r WHERE r.harvest_id = n.id) AS last_run "
        "FROM cim.node AS n JOIN cim.harvest AS h ON h.id = n.id{} ORDER BY n.id",
        one,
    )


def node_key_sql(node_id: str) -> Sql:
    """The sealed key and the area of a node."""
    return Sql.of("SELECT sealed_key, area_code FROM cim.node WHERE id = {}", node_id)


_LET_THROUGH = Sql.of("c.outcome NOT IN ('refused', 'quota')")
_MIXED = Sql.of("md5(c.call_id::text)")
BUCKET = 3
"""Hexadecimal digits of a call's bucket: 4,096 of them."""


def relayed_sql(day: date, origin: str, step: Step) -> Sql:
    """Calls that were let through and came through the node `origin`."""
    source = Sql.of("cim.call AS c WHERE c.origin = {} AND {}", origin, _LET_THROUGH)
    return _compared(source, Sql.of("c.service_id"), day, step)


def sent_sql(day: date, node_id: str, step: Step) -> Sql:
    """Calls that this node let through to services of a node, by their ids there."""
    source = Sql.of(
        "cim.call AS c JOIN cim.service AS s ON s.id = c.service_id WHERE s.harvest_id = {} AND {}",
        node_id,
        _LET_THROUGH,
    )
    return _compared(source, Sql.of("s.remote_id"), day, step)


def _compared(source: Sql, service: Sql, day: date, step: Step) -> Sql:
    """Rows (`name`, `calls`, `digest`): a service each; of one service a bucket each; of one bucket a call each.

    The digest is a sum over the calls, so it needs no order; a bucket is the beginning of a hash of the id. A call is told with
    `calls` 1 on the day, 0 on the day before or after: clocks differ at midnight.
    """
    of_day, near = (Sql.of("c.day BETWEEN {} AND {}", *_days(day, by)) for by in (0, 1))
    digest = Sql.of("count(*) AS calls, sum(('x' || substr({}, 5, 15))::bit(60)::bigint)::text AS digest", _MIXED)
    if step.service is None:
        return Sql.of("SELECT {} AS name, {} FROM {} AND {} GROUP BY 1 ORDER BY 1", service, digest, source, of_day)
    one = Sql.of("{} AND {} = {}", source, service, step.service)
    bucket = Sql.of("substr({}, 1, {})", _MIXED, Cast(BUCKET, "integer"))
    if step.bucket is None:
        return Sql.of("SELECT {} AS name, {} FROM {} AND {} GROUP BY 1 ORDER BY 1", bucket, digest, one, of_day)
    return Sql.of(
        "SELECT c.call_id::text AS name, ({})::integer AS calls, '' AS digest FROM {} AND {} AND {} = {} ORDER BY 1",
        of_day, one, near, bucket, step.bucket,
    )  # fmt: skip


def _days(day: date, by: int) -> tuple[Cast, Cast]:
    return Cast(day - timedelta(days=by), "date"), Cast(day + timedelta(days=by), "date")
