"""The foundation: schemas, extensions, the registry, feature tables, load ledger, catalogue, keys.

Revision ID: 0001
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the frozen DDL beside this file."""
    op.execute("SET LOCAL lock_timeout = '30s'")
    script = (Path(__file__).parent / "0001_foundation.sql").read_text(encoding="utf-8")
    for statement in script.split(";\n"):
        if statement.strip():
            op.execute(statement)
