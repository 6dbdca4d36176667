"""Keys are limited in collections, area, properties and precision; the role of an editor.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Columns of `cim.api_key`, each without a limit for the keys there are."""
    op.execute("SET LOCAL lock_timeout = '30s'")
    op.execute(
        'ALTER TABLE cim.api_key ADD COLUMN collections TEXT[], ADD COLUMN area_code TEXT COLLATE "C", '
        "ADD COLUMN hidden TEXT[] NOT NULL DEFAULT '{}', ADD COLUMN precision_m DOUBLE PRECISION, "
        "DROP CONSTRAINT api_key_role_check, "
        "ADD CONSTRAINT api_key_role_check CHECK (role IN ('reader', 'editor', 'admin')), "
        "ADD CONSTRAINT api_key_limits_check CHECK (role = 'reader' OR (hidden = '{}' AND precision_m IS NULL AND "
        "(role = 'editor' OR (collections IS NULL AND area_code IS NULL))))"
    )
    op.execute("COMMENT ON COLUMN cim.api_key.collections IS 'ids that exist for the caller; NULL for all'")
    op.execute("COMMENT ON COLUMN cim.api_key.area_code IS 'rows outside of it do not exist for the caller'")
    op.execute("COMMENT ON COLUMN cim.api_key.hidden IS 'property or collection.property'")
    op.execute("COMMENT ON COLUMN cim.api_key.precision_m IS 'cells of this size stand for places'")
