"""Keys that all workers of all nodes on one database share.

Revision ID: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """A table of secrets, and the key that signs paging cursors (32 random bytes)."""
    op.execute("SET LOCAL lock_timeout = '30s'")
    op.execute('CREATE TABLE cim.secret (name TEXT COLLATE "C" NOT NULL, value BYTEA NOT NULL, PRIMARY KEY (name))')
    op.execute("COMMENT ON COLUMN cim.secret.name IS 'cursor: signs paging cursors of every worker and node'")
    op.execute(
        "INSERT INTO cim.secret (name, value) "
        "VALUES ('cursor', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')))"
    )
