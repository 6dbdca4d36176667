"""What changed when, and by whom: indexes of times, changes of a collection, edits of loaded rows, kept answers.

Revision ID: 0005
"""

from alembic import op

revision = "0005"
down_revision = "0004"

_TABLES = ("area", "building", "camera", "imagery", "sensor")

_STATEMENTS = (
    'CREATE TABLE cim.change (collection_id TEXT COLLATE "C" NOT NULL, version BIGINT NOT NULL, '
    "recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, load_run_id BIGINT, changed_by TEXT NOT NULL, "
    "PRIMARY KEY (collection_id, version))",
    "COMMENT ON COLUMN cim.change.version IS 'of collection_stats, in order of commit'",
    "COMMENT ON COLUMN cim.change.recorded_at IS 'of the rows it wrote or superseded'",
    "CREATE INDEX change_recorded_at_idx ON cim.change (collection_id, recorded_at)",
    'CREATE TABLE cim.edited (collection_id TEXT COLLATE "C" NOT NULL, feature_id TEXT COLLATE "C" NOT NULL, '
    "edited_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, edited_by TEXT NOT NULL, "
    "PRIMARY KEY (collection_id, feature_id))",
    "COMMENT ON COLUMN cim.edited.feature_id IS 'of a loaded source, changed or deleted by the API'",
    "CREATE TABLE cim.idempotency (caller TEXT NOT NULL, key TEXT NOT NULL, digest BYTEA NOT NULL, answer JSONB NOT NULL, "
    "created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, PRIMARY KEY (caller, key))",
    "COMMENT ON COLUMN cim.idempotency.key IS 'Idempotency-Key, kept for 24 hours'",
    "COMMENT ON COLUMN cim.idempotency.digest IS 'sha256 of what was asked'",
    "COMMENT ON COLUMN cim.idempotency.answer IS 'status, headers and body that it got'",
    "CREATE INDEX idempotency_created_at_idx ON cim.idempotency (created_at)",
)


def upgrade() -> None:
    """Tables of changes, edits and kept answers; indexes by time. Those of loaded datasets follow after every upgrade."""
    op.execute("SET LOCAL lock_timeout = '30s'")
    for statement in _STATEMENTS:
        op.execute(statement)
    for name in _TABLES:
        op.execute(f"CREATE INDEX {name}_recorded_at_idx ON cim.{name} (recorded_at, id)")
        op.execute(f"CREATE INDEX {name}_history_recorded_at_idx ON cim.{name}_history (recorded_at, id)")
        op.execute(f"CREATE INDEX {name}_history_superseded_at_idx ON cim.{name}_history (superseded_at, id)")
        op.execute(f"CREATE INDEX {name}_history_geom_idx ON cim.{name}_history USING gist (geom)")
