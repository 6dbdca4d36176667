"""Price plans as they are stored: one a service and month from which it holds."""

from datetime import date

import orjson

from cim.metering.prices import Plan
from cim.sql import Cast, Sql


def plans_sql(service_id: str | None = None) -> Sql:
    """Plans with their service's state and owner, by service and month."""
    where = Sql.of("true") if service_id is None else Sql.of("p.service_id = {}", service_id)
    return Sql.of(
        "SELECT p.service_id, p.valid_from, p.currency, p.plan::text AS plan, s.state, s.organisation_id "
        "FROM cim.price_plan AS p LEFT JOIN cim.service AS s ON s.id = p.service_id WHERE {} ORDER BY 1, 2",
        where,
    )


def put_sql(plan: Plan, set_by: str) -> Sql:
    """Writes a plan, in place of one of the same month."""
    return Sql.of(
        "INSERT INTO cim.price_plan (service_id, valid_from, currency, plan, set_by) VALUES ({}, {}, {}, {}, {}) "
        "ON CONFLICT (service_id, valid_from) DO UPDATE SET currency = excluded.currency, plan = excluded.plan, "
        "set_by = excluded.set_by, set_at = now()",
        plan.service_id,
        plan.valid_from,
        plan.currency,
        Cast(orjson.dumps(plan.to_dict()).decode(), "jsonb"),
        set_by,
    )


def delete_sql(service_id: str, valid_from: date) -> Sql:
    """Removes a plan."""
    return Sql.of("DELETE FROM cim.price_plan WHERE service_id = {} AND valid_from = {}", service_id, valid_from)
