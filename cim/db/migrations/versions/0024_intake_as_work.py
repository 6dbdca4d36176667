"""Loads and harvests of services that wait, and how far one is.

Revision ID: 0024
"""

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """The state `queued`, and rows that are expected."""
    bind = op.get_bind()
    bind.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
    bind.exec_driver_sql(
        "ALTER TABLE cim.intake_run DROP CONSTRAINT intake_run_state_check, ADD CONSTRAINT intake_run_state_check "
        "CHECK (state IN ('queued', 'running', 'completed', 'failed')), ADD COLUMN expected bigint"
    )
    bind.exec_driver_sql("COMMENT ON COLUMN cim.intake_run.expected IS 'rows that the source has, where it was read'")
