"""The days on which one service was called are found without reading those of all.

Revision ID: 0021
"""

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """One index."""
    op.get_bind().exec_driver_sql("CREATE INDEX call_day_service_id_idx ON cim.call_day (service_id, day)")
