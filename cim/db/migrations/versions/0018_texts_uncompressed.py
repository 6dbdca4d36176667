"""The text that words are looked for in stays as it is in its row: taken out of its compression it took half of a search.

Rows written before are written anew by 0025.

Revision ID: 0018
"""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """A row of a service is compressed from 4 kB, and of its columns the searched text last."""
    op.get_bind().exec_driver_sql("SET LOCAL lock_timeout = '30s'")
    op.get_bind().exec_driver_sql("ALTER TABLE cim.service SET (toast_tuple_target = 4080)")
    op.get_bind().exec_driver_sql("ALTER TABLE cim.service ALTER COLUMN searched SET STORAGE MAIN")
