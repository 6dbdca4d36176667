"""Scenes have one index of place and valid time instead of one of place.

Revision ID: 0007
"""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """No old index: an upgrade makes every declared index that is missing."""
    op.execute("SET LOCAL lock_timeout = '30s'")
    op.execute("DROP INDEX IF EXISTS cim.imagery_geom_idx")
