"""Rows of a source that were edited here: a load does not undo an edit in silence.

The rule, for a staged row whose feature stands in `cim.edited` (changed or deleted by the API):

- the source says what is stored now, or what it said before the edit: the edit stands, the row counts as unchanged;
- the source says something new: the edit stands, the row is rejected as `edited` with its original, so that a person decides.

Both are taken out of the stage. A load that replaces does not delete edited rows either.
"""

from typing import Any

from cim.db.rejected import bounds_of
from cim.model import Collection
from cim.sql import Sql

REASON = "the feature was edited or deleted here since; the edit stands. Write the row by the API, or delete and load it anew"


def has_edits(collection: Collection, source: str) -> Sql:
    """One boolean: is any feature of the source edited?"""
    return Sql.of(
        "SELECT EXISTS (SELECT FROM cim.edited WHERE collection_id = {} AND feature_id >= {} AND feature_id < {})",
        collection.id,
        source + ".",
        source + "/",
    )


def is_edited(collection: Collection, feature_id: Sql) -> Sql:
    """Condition: the feature of that id stands in `cim.edited`."""
    return Sql.of(
        "EXISTS (SELECT FROM cim.edited AS e WHERE e.collection_id = {} AND e.feature_id = {})",
        collection.id,
        feature_id,
    )


def spare(collection: Collection, same_as_stored: Sql, same_as_loaded: Sql) -> Sql:
    """Take edited features out of the stage, remembered as seen; gives (is_new, source_row, source_id, original) of each.

    `same_as_stored` compares the staged row `s` with the stored one `t`, `same_as_loaded` with the last loaded one `h`.
    """
    return Sql.of(
        "WITH spared AS (DELETE FROM stage AS s WHERE {} RETURNING s.*), "
        "remembered AS (INSERT INTO seen SELECT id FROM spared ON CONFLICT DO NOTHING) "
        "SELECT NOT (EXISTS (SELECT FROM {}.{} AS t WHERE t.id = s.id AND {}) OR COALESCE((SELECT {} FROM {}.{} AS h "
        "WHERE h.id = s.id AND h.load_run_id IS NOT NULL ORDER BY h.superseded_at DESC LIMIT 1), false)), "
        "source_row, source_id, jsonb_build_object('type', 'Feature', 'geometry', ST_AsGeoJSON(geom)::jsonb, "
        "'properties', to_jsonb(s) - 'geom') FROM spared AS s",
        is_edited(collection, Sql.of("s.id")),
        *collection.table,
        same_as_stored,
        same_as_loaded,
        *collection.history_table,
    )


def rejection(row: int, source_id: str, feature: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a row that an edit stands against."""
    return {
        "row": row,
        "code": "edited",
        "reason": REASON,
        "field": "id",
        "value": source_id,
        "original": feature,
        "is_rejected": True,
        "bounds": bounds_of(feature["geometry"]),
    }
