"""What a transaction did to a collection: its statistics move on, and one row of `cim.change` says when and by whom.

The row of `cim.collection_stats` is locked from here until the commit, so the versions of a collection are in the
order of its commits: who has read version 7 can miss nothing that was given 6 or less (docs/decisions/0007).
Rows written carry the change's `recorded_at`, superseded ones have it as `superseded_at`.
"""

from cim.sql import Cast, Sql

Box = tuple[float, float, float, float]


def grow(collection_id: str, added: int, bounds: Box | None) -> Sql:
    """Statistics with `added` features more (or less), and bounds that hold `bounds` (CRS84) too; gives `version`."""
    box = bounds or (None, None, None, None)
    low_x, low_y, high_x, high_y = (Cast(value, "float8") for value in box)
    return Sql.of(
        "UPDATE cim.collection_stats SET feature_count = feature_count + {}, version = version + 1, "
        "bounds = COALESCE(ST_MakeEnvelope(LEAST(ST_XMin(bounds), {}), LEAST(ST_YMin(bounds), {}), "
        "GREATEST(ST_XMax(bounds), {}), GREATEST(ST_YMax(bounds), {}), 4326), bounds) "
        "WHERE collection_id = {} RETURNING version",
        added,
        low_x,
        low_y,
        high_x,
        high_y,
        collection_id,
    )


def record_load(collection_id: str, added: int, bounds: Box | None, run_id: int, by: str) -> Sql:
    """The change that the present transaction of a load is, its rows being recorded at `now()`."""
    return _recorded(grow(collection_id, added, bounds), "now()", collection_id, run_id, by)


def record_retag(collection_id: str, run_id: int, by: str) -> Sql:
    """The change of codes that a load of areas brings; one row `recorded_at`, later than that of every change before it."""
    grown = grow(collection_id, 0, None)
    return Sql.of("{} RETURNING recorded_at", _recorded(grown, "clock_timestamp()", collection_id, run_id, by))


def _recorded(grown: Sql, instant: str, collection_id: str, run_id: int, by: str) -> Sql:
    return Sql.of(
        "WITH grown AS ({}) INSERT INTO cim.change (collection_id, version, recorded_at, load_run_id, changed_by) "
        "SELECT {}, version, {}, {}, {} FROM grown",
        grown,
        Cast(collection_id, "text"),
        Sql.of(instant),
        Cast(run_id, "bigint"),
        Cast(by, "text"),
    )
