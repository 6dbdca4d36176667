"""Loads that are watched and looked at: how many rows a source says it has, where rows lie that were stored or rejected.

Revision ID: 0017
"""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Columns that are empty for the runs of before."""
    for statement in (
        "ALTER TABLE cim.load_run ADD COLUMN expected bigint",
        "ALTER TABLE cim.load_batch ADD COLUMN bounds double precision[]",
        "ALTER TABLE cim.load_rejection ADD COLUMN bounds double precision[]",
        "COMMENT ON COLUMN cim.load_run.expected IS 'rows that the source says it has; NULL where it does not say'",
        "COMMENT ON COLUMN cim.load_batch.bounds IS "
        "'west, south, east, north of the rows that passed the checks, in degrees'",
        "COMMENT ON COLUMN cim.load_rejection.bounds IS "
        "'west, south, east, north in degrees; NULL where the row has no known place'",
    ):
        op.get_bind().exec_driver_sql(statement)
