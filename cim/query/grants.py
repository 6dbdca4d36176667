"""Statements over grants: those in force, for the calls of one organisation to one service."""

from cim.sql import Cast, Sql

_SHOWN = Sql.of(
    "id, service_id, organisation_id, application_id, scenario_id, quota_day, rate_calls, rate_seconds, expires_at, "
    "area_code, hidden, precision_m"
)


def in_force_sql(service_id: str, organisation_id: str) -> Sql:
    """Grants that are neither revoked nor expired, that without a scenario first, then by age."""
    return Sql.of(
        "SELECT {} FROM cim.service_grant WHERE service_id = {} AND organisation_id = {} AND revoked_at IS NULL "
        "AND (expires_at IS NULL OR expires_at > now()) ORDER BY scenario_id IS NOT NULL, id",
        _SHOWN,
        service_id,
        organisation_id,
    )


def grant_in_force_sql(grant_id: int, organisation_id: str) -> Sql:
    """The grant, where it is the organisation's and in force."""
    return Sql.of(
        "SELECT {} FROM cim.service_grant WHERE id = {} AND organisation_id = {} AND revoked_at IS NULL "
        "AND (expires_at IS NULL OR expires_at > now())",
        _SHOWN,
        Cast(grant_id, "bigint"),
        organisation_id,
    )
