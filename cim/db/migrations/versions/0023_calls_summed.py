"""Sums of calls are made by the partition that they come into, statement by statement, not by the session that books them.

Revision ID: 0023
"""

from pathlib import Path

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """The function, and its trigger on every partition that there is."""
    connection = op.get_bind()
    connection.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
    connection.exec_driver_sql(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
    partitions = connection.exec_driver_sql(
        "SELECT quote_ident(c.relname) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'cim.call'::regclass"
    ).fetchall()
    for (name,) in partitions:
        connection.exec_driver_sql(
            f"CREATE TRIGGER summed AFTER INSERT ON cim.{name} REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT "
            "EXECUTE FUNCTION cim.call_summed()"
        )
