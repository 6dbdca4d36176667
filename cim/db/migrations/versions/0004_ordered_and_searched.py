"""Indexes on properties hold the id too; texts are searched by the pairs of characters in them (21 bits a character).

Revision ID: 0004
"""

from alembic import op

revision = "0004"
down_revision = "0003"

_FOLDED = """
CREATE FUNCTION cim.folded(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
$$ SELECT lower(regexp_replace(normalize(value COLLATE "default", NFKC), '\\s+', ' ', 'g')) $$
"""

_BIGRAMS = """
CREATE FUNCTION cim.bigrams(texts text[]) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 500 AS
$$
DECLARE
    letter text;
    before bigint;
    code bigint;
    pairs bigint[] := '{}';
    place int := 0;
BEGIN
    FOREACH letter IN ARRAY
        string_to_array(lower(normalize(array_to_string(texts, E'\\n') COLLATE "default", NFKC)), NULL)
    LOOP
        code := ascii(letter);
        IF place > 0 THEN
            pairs[place] := (before << 21) | code;
        END IF;
        before := code;
        place := place + 1;
    END LOOP;
    RETURN pairs;
END
$$
"""

_INDEXES = (
    *("area_code_idx", "area_level_idx", "area_parent_code_idx", "building_use_idx", "building_status_idx"),
    *("camera_kind_idx", "camera_status_idx", "sensor_kind_idx", "sensor_status_idx", "sensor_observed_property_idx"),
    *("imagery_stac_collection_idx", "imagery_datetime_idx"),
)


def upgrade() -> None:
    """The functions; and no old index on a property: an upgrade makes every declared index that is missing."""
    op.execute("SET LOCAL lock_timeout = '30s'")
    op.execute(_FOLDED)
    op.execute(_BIGRAMS)
    for name in _INDEXES:
        op.execute(f"DROP INDEX IF EXISTS cim.{name}")
