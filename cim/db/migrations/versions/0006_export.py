"""Exports: files that are made of a collection and kept for a while.

Revision ID: 0006
"""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """The table of exports."""
    op.execute("SET LOCAL lock_timeout = '30s'")
    op.execute(
        """
        CREATE TABLE cim.export (
            digest TEXT COLLATE "C" NOT NULL,
            collection_id TEXT COLLATE "C" NOT NULL,
            format TEXT NOT NULL,
            state TEXT DEFAULT 'queued' NOT NULL,
            request JSONB NOT NULL,
            file_name TEXT NOT NULL,
            done BIGINT DEFAULT '0' NOT NULL,
            total BIGINT,
            bytes BIGINT,
            error JSONB,
            caller TEXT NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
            started_at TIMESTAMP WITH TIME ZONE,
            ended_at TIMESTAMP WITH TIME ZONE,
            expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (digest),
            CONSTRAINT export_state_check CHECK (state IN ('queued', 'running', 'completed', 'failed', 'cancelled'))
        )
        """
    )
    op.execute("CREATE INDEX export_expires_idx ON cim.export (expires_at)")
    op.execute("COMMENT ON COLUMN cim.export.digest IS 'sha256 of the id in the address, hex: the id is the right'")
    op.execute("COMMENT ON COLUMN cim.export.request IS 'the compiled statement, under the rights of who asked'")
    op.execute("COMMENT ON COLUMN cim.export.file_name IS 'as the download is called, without its suffix'")
    op.execute("COMMENT ON COLUMN cim.export.done IS 'rows written'")
    op.execute("COMMENT ON COLUMN cim.export.total IS 'rows that match, where they were counted'")
