"""Statements over applications, grants and scenarios."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from cim.model import Scope
from cim.query.listing import Listing, any_of, within
from cim.query.people import hangs_on_seen
from cim.sql import Cast, Sql

APPLICATIONS = Listing(
    Sql.of(
        "SELECT a.id, a.service_id, s.title_zh, s.title_en, s.organisation_id AS owner_id, o.area_code AS owner_area, "
        "a.organisation_id, a.scenario_id, a.grant_id, a.purpose, a.wanted::text AS wanted, a.state, a.applied_by, "
        "a.applicant_id, a.applied_at, a.due_at, a.decided_by, a.decided_at, a.note, "
        "a.state = 'submitted' AND a.due_at < now() AS is_overdue, c.title_zh AS scenario_title_zh, "
        "c.title_en AS scenario_title_en FROM cim.application AS a LEFT JOIN cim.scenario AS c ON c.id = a.scenario_id "
        "LEFT JOIN cim.service AS s ON s.id = a.service_id LEFT JOIN cim.organisation AS o ON o.id = s.organisation_id"
    ),
    Sql.of("a.id"),
    kind="bigint",
    is_latest_first=True,
)
GRANTS = Listing(
    Sql.of(
        "SELECT g.id, g.service_id, s.title_zh, s.title_en, s.organisation_id AS owner_id, o.area_code AS owner_area, "
        "g.organisation_id, g.application_id, g.scenario_id, g.quota_day, g.rate_calls, g.rate_seconds, g.expires_at, "
        "g.area_code, g.hidden, g.precision_m, g.granted_by, g.granted_at, g.revoked_by, g.revoked_at, g.revoked_why, "
        "CASE WHEN g.revoked_at IS NOT NULL THEN 'revoked' WHEN g.expires_at <= now() THEN 'expired' ELSE 'in_force' END "
        "AS state, c.title_zh AS scenario_title_zh, c.title_en AS scenario_title_en, q.window_start AS quota_window, "
        "q.taken - CASE WHEN q.held_until > now() THEN q.held ELSE 0 END AS quota_taken FROM cim.service_grant AS g "
        "LEFT JOIN cim.scenario AS c ON c.id = g.scenario_id "
        "LEFT JOIN cim.quota_use AS q ON q.grant_id = g.id::text AND q.policy = 'day' "
        "LEFT JOIN cim.service AS s ON s.id = g.service_id LEFT JOIN cim.organisation AS o ON o.id = s.organisation_id"
    ),
    Sql.of("g.id"),
    kind="bigint",
    is_latest_first=True,
)
SCENARIOS = Listing(
    Sql.of(
        "SELECT c.id, c.organisation_id, c.title_zh, c.title_en, c.description, c.contact, c.url, c.state, c.is_public, c.created_by, "
        "c.created_at, ARRAY(SELECT g.id FROM cim.service_grant AS g WHERE g.scenario_id = c.id "
        "AND g.organisation_id = c.organisation_id AND g.revoked_at IS NULL "
        "AND (g.expires_at IS NULL OR g.expires_at > now()) ORDER BY g.id) AS grants FROM cim.scenario AS c"
    ),
    Sql.of("c.id"),
)
GRANT_STATES = {
    "in_force": Sql.of("(g.revoked_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > now()))"),
    "expiring": Sql.of(
        "(g.revoked_at IS NULL AND g.expires_at > now() AND g.expires_at <= now() + interval '14 days')"
    ),
    "expired": Sql.of("(g.revoked_at IS NULL AND g.expires_at <= now())"),
    "revoked": Sql.of("g.revoked_at IS NOT NULL"),
}


def both_sides_seen(scope: Scope, organisation: Sql) -> list[Sql]:
    """Rows of the caller's organisation, for its services (where the caller decides), of the district, or all."""
    if scope.is_city:
        return []
    parts = hangs_on_seen(scope, organisation)
    if scope.organisation_id is not None and {"publisher", "org_admin"} & scope.roles:
        parts.append(Sql.of("s.organisation_id = {}", scope.organisation_id))
    if "district_admin" in scope.roles and scope.area_code is not None:
        parts.append(within(Sql.of("o.area_code"), scope.area_code))
    return [any_of(parts)]


def applied_for_sql(service_id: str) -> Sql:
    """What an application must know of a service."""
    return Sql.of(
        "SELECT id, organisation_id, share_class, state, title_zh, title_en FROM cim.service WHERE id = {}", service_id
    )


def lock_organisation_sql(organisation_id: str) -> Sql:
    """One application of an organisation is written at a time."""
    return Sql.of("SELECT id FROM cim.organisation WHERE id = {} FOR NO KEY UPDATE", organisation_id)


def apply_sql(values: Mapping[str, Any], due_at: datetime) -> Sql:
    """Submit an application; no row when the same is open already."""
    scenario = Cast(values["scenario_id"], "text")
    return Sql.of(
        "INSERT INTO cim.application (service_id, organisation_id, scenario_id, grant_id, purpose, wanted, applied_by, "
        "applicant_id, due_at) SELECT {}, {}, {}, {}, {}, {}, {}, {}, {} WHERE NOT EXISTS (SELECT FROM cim.application "
        "WHERE service_id = {} AND organisation_id = {} AND scenario_id IS NOT DISTINCT FROM {} AND state = 'submitted') "
        "RETURNING id",
        Cast(values["service_id"], "text"),
        Cast(values["organisation_id"], "text"),
        scenario,
        Cast(values["grant_id"], "bigint"),
        Cast(values["purpose"], "text"),
        Cast(orjson.dumps(values["wanted"]).decode(), "jsonb"),
        Cast(values["applied_by"], "text"),
        Cast(values["applicant_id"], "text"),
        Cast(due_at, "timestamptz"),
        values["service_id"],
        values["organisation_id"],
        scenario,
    )


def lock_application_sql(application_id: int) -> Sql:
    """The application's state, which nobody else changes until the transaction ends."""
    return Sql.of("SELECT state FROM cim.application WHERE id = {} FOR UPDATE", Cast(application_id, "bigint"))


def decide_sql(application_id: int, state: str, by: str, note: str | None, grant_id: int | None) -> Sql:
    """End an application."""
    return Sql.of(
        "UPDATE cim.application SET state = {}, decided_by = {}, decided_at = now(), note = {}, "
        "grant_id = coalesce({}, grant_id) WHERE id = {}",
        state,
        by,
        Cast(note, "text"),
        Cast(grant_id, "bigint"),
        Cast(application_id, "bigint"),
    )


def make_way_sql(service_id: str, organisation_id: str, scenario_id: str | None) -> Sql:
    """A grant that has expired makes way for the one to come."""
    return Sql.of(
        "UPDATE cim.service_grant SET revoked_at = expires_at, revoked_by = 'time', revoked_why = 'expired' "
        "WHERE service_id = {} AND organisation_id = {} AND scenario_id IS NOT DISTINCT FROM {} "
        "AND revoked_at IS NULL AND expires_at <= now()",
        service_id,
        organisation_id,
        Cast(scenario_id, "text"),
    )


def _conditions(values: Mapping[str, Any]) -> Sql:
    return Sql.of(
        "{}, {}, {}, {}, {}, {}, {}",
        Cast(values["quota_day"], "bigint"),
        Cast(values["rate_calls"], "int"),
        Cast(values["rate_seconds"], "int"),
        Cast(values["expires_at"], "timestamptz"),
        Cast(values["area_code"], "text"),
        Cast(values["hidden"], "text[]"),
        Cast(values["precision_m"], "float8"),
    )


def grant_sql(application: Mapping[str, Any], conditions: Mapping[str, Any], by: str) -> Sql:
    """Make a grant; no row when one is in force for the same service, organisation and scenario."""
    return Sql.of(
        "INSERT INTO cim.service_grant (service_id, organisation_id, scenario_id, application_id, granted_by, quota_day, "
        "rate_calls, rate_seconds, expires_at, area_code, hidden, precision_m) VALUES ({}, {}, {}, {}, {}, {}) "
        "ON CONFLICT DO NOTHING RETURNING id",
        application["service_id"],
        application["organisation_id"],
        Cast(application["scenario_id"], "text"),
        Cast(application["id"], "bigint"),
        by,
        _conditions(conditions),
    )


def change_grant_sql(grant_id: int, conditions: Mapping[str, Any]) -> Sql:
    """Give a grant other conditions; no row when it is revoked."""
    return Sql.of(
        "UPDATE cim.service_grant SET (quota_day, rate_calls, rate_seconds, expires_at, area_code, hidden, precision_m) = "
        "ROW({}), reminded_at = NULL WHERE id = {} AND revoked_at IS NULL RETURNING id",
        _conditions(conditions),
        Cast(grant_id, "bigint"),
    )


def revoke_grant_sql(grant_id: int, by: str, why: str) -> Sql:
    """End a grant now; no row when it was ended before."""
    return Sql.of(
        "UPDATE cim.service_grant SET revoked_at = now(), revoked_by = {}, revoked_why = {} "
        "WHERE id = {} AND revoked_at IS NULL RETURNING id",
        by,
        why,
        Cast(grant_id, "bigint"),
    )
