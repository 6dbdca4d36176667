"""Texts of features kept beside them.

Revision ID: 0016
"""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Unlogged: what is lost with a crash is made again, both tables together."""
    op.execute("""
        CREATE UNLOGGED TABLE cim.kept_text (
            form bigint NOT NULL,
            id text COLLATE "C" NOT NULL,
            version xid NOT NULL,
            recorded_at timestamptz NOT NULL,
            body bytea NOT NULL,
            PRIMARY KEY (form, id)
        )
    """)
    op.execute("COMMENT ON COLUMN cim.kept_text.version IS 'xmin of the row of which it is the text'")
    op.execute("COMMENT ON COLUMN cim.kept_text.recorded_at IS 'of that row'")
    op.execute("""
        CREATE UNLOGGED TABLE cim.kept_form (
            form bigint NOT NULL PRIMARY KEY,
            collection_id text COLLATE "C" NOT NULL,
            version bigint NOT NULL
        )
    """)
    op.execute("COMMENT ON COLUMN cim.kept_form.version IS 'up to which change the texts are kept'")
