"""Tables of how services come in: harvests, runs of loads and harvests, health, and the nodes of the other tier."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from cim.db.schema import code_text, metadata


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger(), nullable=False, server_default="0")


harvest = Table(
    "harvest",
    metadata,
    Column("id", code_text(), primary_key=True),
    Column("kind", code_text(), nullable=False, comment="of cim.catalogue.harvest.HARVESTERS, auto, or node"),
    Column("url", Text(), nullable=False),
    Column("organisation_id", code_text(), ForeignKey("cim.organisation.id"), nullable=False),
    Column("share_class", Text(), nullable=False, server_default="conditional"),
    Column("area_code", code_text()),
    Column("interval_s", Integer(), comment="seconds from one run to the next; NULL for runs by hand only"),
    Column("state", Text(), nullable=False, server_default="active"),
    Column("created_by", Text(), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("next_at", DateTime(timezone=True), comment="when the next run is due"),
    Column("failures", Integer(), nullable=False, server_default="0", comment="runs that failed in a row"),
    Column("position", Text(), comment="of a node's feed: what has been taken in"),
    CheckConstraint("state IN ('active', 'paused')", name="harvest_state_check"),
    CheckConstraint("interval_s >= 60", name="harvest_interval_check"),
)
Index("harvest_due_idx", harvest.c.next_at, postgresql_where=harvest.c.state == "active")

node = Table(
    "node",
    metadata,
    Column("id", code_text(), ForeignKey("cim.harvest.id"), primary_key=True),
    Column("kind", Text(), nullable=False, server_default="district"),
    Column("title_zh", Text(), nullable=False),
    Column("title_en", Text(), nullable=False),
    Column("area_code", code_text(), nullable=False),
    Column("sealed_key", LargeBinary(), nullable=False, comment="of the district, as cim.gateway.sealing seals it"),
    CheckConstraint("kind IN ('city', 'district')", name="node_kind_check"),
)

intake_run = Table(
    "intake_run",
    metadata,
    Column("id", BigInteger(), Identity(), primary_key=True),
    Column("kind", Text(), nullable=False),
    Column("harvest_id", code_text()),
    Column("organisation_id", code_text(), comment="whose services came; NULL for those of several"),
    Column("source", Text(), nullable=False),
    Column("started_by", Text(), nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_at", DateTime(timezone=True)),
    Column("state", Text(), nullable=False, server_default="running"),
    Column("is_dry", Boolean(), nullable=False, server_default="false"),
    _count("read"),
    _count("inserted"),
    _count("updated"),
    _count("unchanged"),
    _count("rejected"),
    _count("withdrawn"),
    Column("error", JSONB()),
    Column("notes", JSONB(), nullable=False, server_default="[]"),
    Column("rejections", JSONB(), nullable=False, server_default="[]"),
    Column("expected", BigInteger(), comment="rows that the source has, where it was read"),
    CheckConstraint("kind IN ('load', 'harvest', 'node')", name="intake_run_kind_check"),
    CheckConstraint("state IN ('queued', 'running', 'completed', 'failed')", name="intake_run_state_check"),
    CheckConstraint("read = inserted + updated + unchanged + rejected", name="intake_run_adds_up_check"),
)
Index("intake_run_harvest_id_idx", intake_run.c.harvest_id, intake_run.c.id)
Index("intake_run_organisation_id_idx", intake_run.c.organisation_id, intake_run.c.id)

service_health = Table(
    "service_health",
    metadata,
    Column("service_id", code_text(), primary_key=True),
    Column("state", Text(), nullable=False),
    Column("checked_at", DateTime(timezone=True), nullable=False),
    Column("latency_ms", Integer()),
    Column("detail", Text(), comment="what went wrong"),
    Column("since", DateTime(timezone=True), nullable=False, comment="when it came into this state"),
    Column("failures", Integer(), nullable=False, server_default="0", comment="probes that failed in a row"),
    Column("successes", Integer(), nullable=False, server_default="0", comment="probes that succeeded in a row"),
    Column("failing_since", DateTime(timezone=True)),
    Column("is_suspended_here", Boolean(), nullable=False, server_default="false", comment="by this node's own rule"),
    Column("next_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("state IN ('up', 'degraded', 'down')", name="service_health_state_check"),
)
Index("service_health_next_idx", service_health.c.next_at)

service_health_day = Table(
    "service_health_day",
    metadata,
    Column("service_id", code_text(), primary_key=True),
    Column("day", Date(), primary_key=True, comment="of UTC"),
    _count("probes"),
    _count("up"),
    _count("degraded"),
    _count("latency_ms"),
)
