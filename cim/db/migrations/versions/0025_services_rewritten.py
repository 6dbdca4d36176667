"""Services that were written before 0018 are written anew, so that their searched text lies in its row uncompressed too.

Revision ID: 0025
"""

from alembic import op

revision = "0025"
down_revision = "0024"

REWRITE = "UPDATE cim.service SET title_zh = title_zh WHERE pg_column_compression(searched) IS NOT NULL"
"""The searched text is generated of the titles among others: naming one has it made anew. Nothing else of the row changes."""


def upgrade() -> None:
    """Those that are compressed; the others stay."""
    op.get_bind().exec_driver_sql("SET LOCAL lock_timeout = '30s'")
    op.get_bind().exec_driver_sql(REWRITE)
