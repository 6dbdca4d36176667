"""Bytes and rows of calls that cost nothing, beside the sums of all; for the days that are open they are made of the calls.

Revision ID: 0019
"""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """What is closed stays as it was."""
    for statement in (
        "ALTER TABLE cim.call_day ADD COLUMN free_bytes bigint NOT NULL DEFAULT 0, ADD COLUMN free_rows bigint NOT NULL DEFAULT 0",
        "COMMENT ON COLUMN cim.call_day.free_bytes IS 'of calls that cost nothing: failed or denied'",
        "COMMENT ON COLUMN cim.call_day.free_rows IS 'of calls that cost nothing: failed or denied'",
        "UPDATE cim.call_day AS d SET free_bytes = f.bytes, free_rows = f.rows FROM (SELECT day, organisation_id, service_id, "
        "scenario_id, sum(bytes) AS bytes, sum(rows) AS rows FROM cim.call "
        "WHERE (status >= 500 OR outcome IN ('upstream-timeout', 'upstream-error', 'refused', 'quota')) "
        "AND day > coalesce((SELECT max(day) FROM cim.call_close), '-infinity') GROUP BY 1, 2, 3, 4) AS f "
        "WHERE (d.day, d.organisation_id, d.service_id, d.scenario_id) = (f.day, f.organisation_id, f.service_id, f.scenario_id)",
    ):
        op.get_bind().exec_driver_sql(statement)
