"""Versions that wait for a review, in the order in which they do.

Revision ID: 0015
"""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """The index of the reviewers' work list."""
    op.get_bind().exec_driver_sql(
        "CREATE INDEX service_version_waiting_idx ON cim.service_version (submitted_at, service_id) "
        "WHERE state IN ('in_review', 'approved')"
    )
