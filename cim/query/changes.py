"""What became different between two instants, feature by feature, and what one change of a collection did.

Both are read from the versions themselves: one is of an instant where `recorded_at` is not later and `superseded_at` is.
All of it passes the caller's rules twice, for the version before and the one after.
"""

from dataclasses import dataclass
from datetime import datetime

from cim.crs import CRS84, Crs
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import feature_text, shown_columns
from cim.query.predicate import row_rule, where
from cim.query.source import all_versions
from cim.sql import Cast, Sql


@dataclass(frozen=True, slots=True)
class Between:
    """From what was recorded at `since` to what was at `until`."""

    since: datetime
    until: datetime


def changes_sql(collection: Collection, query: FeatureQuery, scope: Scope, between: Between, limit: int) -> Sql:
    """A row a feature, in the order of ids: `id`, `change` (NULL where nothing that the caller sees differs), `old`,
    `new` (the feature as GeoJSON text), `is_moved`. `query.after`: behind that id.
    """
    return Sql.of(
        "SELECT ids.id, {} AS change, {} AS is_moved, old.body AS old, new.body AS new FROM ({}) AS ids {} ORDER BY ids.id",
        _change(),
        Sql.of("old.geom IS DISTINCT FROM new.geom"),
        _touched(collection, query, scope, between, limit),
        _both(collection, scope, between, query.crs),
    )


def change_counts_sql(collection: Collection, query: FeatureQuery, scope: Scope, between: Between) -> Sql:
    """A row a kind of change: `change`, `count`."""
    return Sql.of(
        "SELECT change, count(*) AS count FROM (SELECT {} AS change FROM ({}) AS ids {}) AS changes "
        "WHERE change IS NOT NULL GROUP BY change",
        _change(),
        _touched(collection, query, scope, between, None),
        _both(collection, scope, between, None),
    )


def _known(at: datetime) -> Sql:
    instant = Cast(at, "timestamptz")
    return Sql.of("recorded_at <= {} AND (superseded_at IS NULL OR superseded_at > {})", instant, instant)


def _touched(collection: Collection, query: FeatureQuery, scope: Scope, between: Between, limit: int | None) -> Sql:
    """Ids of features written or superseded in between that meet the conditions before or after."""
    since, until = Cast(between.since, "timestamptz"), Cast(between.until, "timestamptz")
    end = Sql() if limit is None else Sql.of(" ORDER BY id LIMIT {}", Cast(limit, "bigint"))
    versions, condition = all_versions(collection, scope), where(collection, query, scope)
    return Sql.of(
        "SELECT DISTINCT id FROM ((SELECT id FROM {} AS feature WHERE recorded_at > {} AND {} AND {}{}) UNION ALL "
        "(SELECT id FROM {} AS feature WHERE recorded_at <= {} AND superseded_at > {} AND superseded_at <= {} AND {}{})) AS t{}",
        versions,
        since,
        _known(between.until),
        condition,
        end,
        versions,
        since,
        since,
        until,
        condition,
        end,
        end,
    )


def _both(collection: Collection, scope: Scope, between: Between, crs: Crs | None) -> Sql:
    """Joins of the version before and the one after, as `old` and `new`; without a text where no `crs` is wanted."""
    rule = row_rule(collection, scope) or Sql.of("TRUE")
    body = Sql.of("NULL") if crs is None else feature_text(collection, scope, crs=crs)
    parts = (shown_columns(collection, scope), body, all_versions(collection, scope))
    one = "(SELECT id, geom, ROW({}) AS shown, {} AS body FROM {} AS feature WHERE id = ids.id AND {} AND {} LIMIT 1)"
    old = Sql.of(one, *parts, _known(between.since), rule)
    new = Sql.of(one, *parts, _known(between.until), rule)
    return Sql.of("LEFT JOIN LATERAL {} AS old ON true LEFT JOIN LATERAL {} AS new ON true", old, new)


def _change() -> Sql:
    return Sql.of(
        "CASE WHEN old.id IS NULL AND new.id IS NOT NULL THEN 'added' WHEN new.id IS NULL AND old.id IS NOT NULL THEN 'removed' "
        "WHEN old.geom IS DISTINCT FROM new.geom OR old.shown IS DISTINCT FROM new.shown THEN 'altered' END"
    )


def feed_sql(collection: Collection, scope: Scope, version: int, after: str | None, limit: int) -> Sql:
    """Changes from `version` on, of that one only ids behind `after`: a row a feature in the order of (version, id).

    `version`, `recorded_at`, `load_run_id`, `id`, `change` (created, replaced, deleted), `body` (the feature that came to be).
    A change of which the caller sees nothing is one row without an id, so that a reader gets past it.
    """
    rule = row_rule(collection, scope) or Sql.of("TRUE")
    versions = all_versions(collection, scope)
    behind = Sql()
    if after is not None:  # one comparison, so that the index on (recorded_at, id) begins there
        behind = Sql.of(
            " AND id > CASE WHEN c.version = {} THEN {} ELSE '' END", Cast(version, "bigint"), Cast(after, "text")
        )
    count = Cast(limit, "bigint")
    return Sql.of(
        "SELECT c.version, c.recorded_at, c.load_run_id, e.id, e.change, e.body FROM (SELECT version, recorded_at, load_run_id "
        "FROM cim.change WHERE collection_id = {} AND version >= {} ORDER BY version LIMIT {}) AS c LEFT JOIN LATERAL ("
        "SELECT id, CASE WHEN old.is_there IS NULL THEN 'created' WHEN new.body IS NULL THEN 'deleted' ELSE 'replaced' END AS change, "
        "new.body FROM (SELECT id, {} AS body FROM (SELECT * FROM {} AS feature "
        "WHERE recorded_at = c.recorded_at AND {}{} ORDER BY id LIMIT {}) AS feature) AS new "
        "FULL JOIN (SELECT id, true AS is_there FROM {} AS feature WHERE superseded_at = c.recorded_at AND {}{} "
        "ORDER BY id LIMIT {}) AS old USING (id) ORDER BY id LIMIT {}) AS e ON true ORDER BY c.version, e.id LIMIT {}",
        collection.id,
        Cast(version, "bigint"),
        count,
        feature_text(collection, scope, crs=CRS84),
        versions,
        rule,
        behind,
        count,
        versions,
        rule,
        behind,
        count,
        count,
        count,
    )


def last_version_sql(collection_id: str) -> Sql:
    """One row `version`: that of the latest change, 0 before the first."""
    return Sql.of("SELECT COALESCE(max(version), 0) AS version FROM cim.change WHERE collection_id = {}", collection_id)
