"""Tables of the meter: the ledger and its roll-ups, what could not be booked where it belongs, closes, quotas, prices.

Every unique key of a ledger table holds the day by which it is partitioned, and the organisation by which it can be
distributed. No foreign key; what comes into a partition of calls is summed by its trigger (`cim.call_summed`).
"""

from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from cim.db.schema import code_text, metadata


def _call_columns(day: str) -> list[Column[Any]]:
    """A call, as `cim.metering.call` writes it; `day` says what the day is."""
    return [
        Column("day", Date(), primary_key=True, comment=day),
        Column("call_id", Uuid(), primary_key=True),
        Column("organisation_id", code_text(), primary_key=True),
        Column("received_at", DateTime(timezone=True), nullable=False),
        Column("service_id", code_text(), nullable=False),
        Column("key_prefix", code_text(), nullable=False),
        Column("grant_id", code_text(), nullable=False),
        Column("scenario_id", code_text(), nullable=False),
        Column("method", Text(), nullable=False),
        Column("status", SmallInteger(), nullable=False),
        Column("outcome", code_text(), nullable=False),
        Column("bytes", BigInteger(), nullable=False),
        Column("rows", BigInteger(), nullable=False),
        Column("duration_ms", REAL(), nullable=False),
        Column("origin", code_text(), nullable=False, comment="here, or the node that the call came through"),
    ]


def _sums() -> list[Column[Any]]:
    """`calls` are those let through, `failed` those of them that failed through no fault of the caller."""
    return [
        Column("calls", BigInteger(), nullable=False),
        Column("denied", BigInteger(), nullable=False),
        Column("failed", BigInteger(), nullable=False),
        Column("bytes", BigInteger(), nullable=False),
        Column("rows", BigInteger(), nullable=False),
    ]


call = Table(
    "call",
    metadata,
    *_call_columns("that it is booked on: when it was received, or the first open day"),
    postgresql_partition_by="RANGE (day)",
)

call_minute = Table(
    "call_minute",
    metadata,
    Column("day", Date(), primary_key=True),
    Column("minute", DateTime(timezone=True), primary_key=True),
    Column("organisation_id", code_text(), primary_key=True),
    Column("service_id", code_text(), primary_key=True),
    *_sums(),
    postgresql_partition_by="RANGE (day)",
)

call_day = Table(
    "call_day",
    metadata,
    Column("day", Date(), primary_key=True),
    Column("organisation_id", code_text(), primary_key=True),
    Column("service_id", code_text(), primary_key=True),
    Column("scenario_id", code_text(), primary_key=True),
    *_sums(),
    *(
        Column(
            name,
            BigInteger(),
            nullable=False,
            server_default="0",
            comment="of calls that cost nothing: failed or denied",
        )
        for name in ("free_bytes", "free_rows")
    ),
)

Index("call_day_service_id_idx", call_day.c.service_id, call_day.c.day)

call_late = Table(
    "call_late",
    metadata,
    Column("day", Date(), primary_key=True, comment="in which the call was received; closed when it came"),
    Column("call_id", Uuid(), primary_key=True),
    Column("organisation_id", code_text(), primary_key=True),
    Column("booked_on", Date(), nullable=False),
)

call_quarantine = Table(
    "call_quarantine",
    metadata,
    *_call_columns("outside the window of days that are booked"),
    Column("found_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

call_close = Table(
    "call_close",
    metadata,
    Column("day", Date(), primary_key=True),
    Column("number", Integer(), nullable=False, unique=True, comment="1 and up without a gap"),
    *_sums(),
    Column(
        "rows_digest", LargeBinary(), nullable=False, comment="sha256 of the day's calls as COPY writes them, by id"
    ),
    Column("sums_digest", LargeBinary(), nullable=False, comment="the same of its rows of cim.call_day, by key"),
    Column("previous", LargeBinary(), nullable=False),
    Column("digest", LargeBinary(), nullable=False, comment="sha256 of all of this and of the close before"),
    Column("closed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

quota_use = Table(
    "quota_use",
    metadata,
    Column("grant_id", code_text(), primary_key=True),
    Column("policy", code_text(), primary_key=True),
    Column("window_start", BigInteger(), nullable=False, comment="seconds since 1970"),
    Column("taken", BigInteger(), nullable=False, comment="calls let through, and those leased"),
    Column("held", BigInteger(), nullable=False, comment="leased, and not asked for yet"),
    Column("held_until", DateTime(timezone=True), nullable=False, comment="when all of them are used or given back"),
    Column("granted", BigInteger(), nullable=False, comment="by the last statement"),
    CheckConstraint("policy IN ('day', 'rate')", name="quota_use_policy_check"),
)

price_plan = Table(
    "price_plan",
    metadata,
    Column("service_id", code_text(), primary_key=True),
    Column("valid_from", Date(), primary_key=True, comment="first day of a month"),
    Column("currency", Text(), nullable=False),
    Column("plan", JSONB(), nullable=False, comment="as cim.metering.prices reads it; amounts are decimal texts"),
    Column("set_by", Text(), nullable=False),
    Column("set_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
