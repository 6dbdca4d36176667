"""Words of services are looked up by what stands at each place of their texts; what is counted and ordered stands first in a row.

PostgreSQL reads a row from its beginning, and a row of the catalogue is 2 kB: the table is written anew with the short
columns before the long ones.

Revision ID: 0026
"""

from pathlib import Path

from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """The functions, the table with its indexes, and the view, as `0026_words.sql` writes them."""
    for statement in Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
