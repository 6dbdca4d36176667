"""Scenarios that their organisation shows to everybody.

Revision ID: 0022
"""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """The column; none is public before its organisation says so."""
    op.get_bind().exec_driver_sql("SET LOCAL lock_timeout = '30s'")
    op.get_bind().exec_driver_sql("ALTER TABLE cim.scenario ADD COLUMN is_public boolean NOT NULL DEFAULT false")
