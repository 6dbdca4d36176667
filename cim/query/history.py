"""All versions of one feature, the latest first."""

from datetime import datetime

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import feature_text
from cim.query.predicate import where
from cim.query.source import all_versions
from cim.sql import Cast, Sql


def history_sql(collection: Collection, feature_id: str, scope: Scope, limit: int, before: datetime | None) -> Sql:
    """A row a version: `body`, `recorded_at`, `superseded_at`, who wrote and superseded it, and by which load.

    Those that the caller may not see are left out. `before`: recorded earlier than that.
    """
    known_before = Sql() if before is None else Sql.of(" AND recorded_at < {}", Cast(before, "timestamptz"))
    return Sql.of(
        "SELECT v.body, v.recorded_at, v.superseded_at, v.load_run_id, r.source AS load_source, "
        "COALESCE(wrote.changed_by, r.loaded_by) AS changed_by, ended.changed_by AS superseded_by "
        "FROM (SELECT convert_to({}, 'UTF8') AS body, recorded_at, superseded_at, load_run_id FROM {} AS feature "
        "WHERE id = {} AND ({}){} ORDER BY recorded_at DESC, superseded_at DESC NULLS FIRST LIMIT {}) AS v "
        "LEFT JOIN cim.load_run AS r ON r.id = v.load_run_id LEFT JOIN LATERAL (SELECT changed_by FROM cim.change AS c "
        "WHERE c.collection_id = {} AND c.recorded_at = v.recorded_at LIMIT 1) AS wrote ON true "
        "LEFT JOIN LATERAL (SELECT changed_by FROM cim.change AS c "
        "WHERE c.collection_id = {} AND c.recorded_at = v.superseded_at LIMIT 1) AS ended ON true "
        "ORDER BY v.recorded_at DESC, v.superseded_at DESC NULLS FIRST",
        feature_text(collection, scope, is_whole=True),
        all_versions(collection, scope),
        feature_id,
        where(collection, FeatureQuery(), scope),
        known_before,
        Cast(limit, "bigint"),
        collection.id,
        collection.id,
    )
