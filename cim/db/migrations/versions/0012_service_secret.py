"""Sealed credentials of upstreams.

Revision ID: 0012
"""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """One row a service at most; what is sealed is opened by the node's master key only."""
    op.execute("""
        CREATE TABLE cim.service_secret (
            service_id text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES cim.service (id) ON DELETE CASCADE,
            sealed bytea NOT NULL,
            set_at timestamptz NOT NULL DEFAULT now(),
            set_by text NOT NULL
        )
    """)
    op.execute("COMMENT ON COLUMN cim.service_secret.sealed IS 'AES-256-GCM under the node''s master key'")
