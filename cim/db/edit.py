"""Statements that write features: one statement is one change, whole or not at all.

Each takes its locks in the order of the loaders, first the feature and then the statistics of its collection, and reads
the clock behind the second: so the instants of a collection's changes are in the order of its versions (`cim.db.changes`).
What it knows of the statistics it has from the row that it locked, never from the snapshot of before the wait.

Rows come as JSON (`cim.edit.derived.json_row`), geometry among them as hexadecimal EWKB; PostgreSQL makes them rows of
the table itself, so the text of a statement depends on the collection alone.
"""

from collections.abc import Sequence

from cim.db.idempotency import Key, is_unused, kept_steps
from cim.model import Collection, Kind, Scope
from cim.model.collection import LEADING
from cim.query.feature_query import FeatureQuery
from cim.query.features import feature_text
from cim.query.item import VERSION
from cim.query.predicate import row_rule, where
from cim.query.source import rows
from cim.sql import Cast, Identifier, Sql

SOURCE = "api"
"""Source of features that are made by the API: their ids are `api.<key>`."""
LOCK_TIMEOUT_MS = 5000
"""How long a change waits for rows that a load is writing."""

_AS_IT_IS = FeatureQuery()


def stored_sql(collection: Collection, feature_id: str, scope: Scope) -> Sql:
    """One row: `version`, the values of all properties (documents as text), and what else an edit must know.

    `stored_m2` is the area of its geometry.
    """
    rule = row_rule(collection, scope)
    documents = {p.name for p in collection.properties if p.kind is Kind.JSON}
    names = [
        Sql.of("{}::text AS {}" if p.name in documents else "{}", *([p.column] * (2 if p.name in documents else 1)))
        for p in collection.properties
    ]
    return Sql.of(
        "SELECT {} AS version, recorded_at, source, source_id, area_code, valid_from, valid_to, "
        "attributes::text AS attributes, encode(ST_AsEWKB(geom), 'hex') AS geom, "
        "CASE WHEN ST_Dimension(geom) = 2 THEN ST_Area(geom::geography) END AS stored_m2{} FROM {}.{} WHERE id = {} AND {}",
        VERSION,
        Sql.join("", [Sql.of(", {}", name) for name in names]),
        *collection.table,
        feature_id,
        rule if rule else Sql.of("TRUE"),
    )


def places_sql(collection: Collection, geometries: list[str | None]) -> Sql:
    """Of each checked GeoJSON text in turn: `geom` (hexadecimal EWKB), `reason` where it is not valid, `area_m2`, `area_code`."""
    made = Sql.of("ST_Multi(g)") if collection.geometry_type.startswith("Multi") else Sql.of("g")
    return Sql.of(
        "SELECT encode(ST_AsEWKB({}), 'hex') AS geom, CASE WHEN NOT ST_IsValid(g) THEN ST_IsValidReason(g) END AS reason, "
        "CASE WHEN ST_IsValid(g) AND ST_Dimension(g) = 2 THEN ST_Area(g::geography) END AS area_m2, tag.code AS area_code "
        "FROM (SELECT number, ST_SetSRID(ST_GeomFromGeoJSON(text), 4326) AS g "
        "FROM unnest({}) WITH ORDINALITY AS given(text, number)) AS made LEFT JOIN LATERAL (SELECT a.code FROM cim.area AS a "
        "WHERE a.code IS NOT NULL AND a.geom && g AND ST_Intersects(a.geom, ST_Centroid(ST_Envelope(g))) "
        "ORDER BY length(a.code) DESC, a.code LIMIT 1) AS tag ON true ORDER BY number",
        made,
        Cast(geometries, "text[]"),
    )


def _columns(collection: Collection) -> list[str]:
    return [*LEADING, *collection.names()]


def _listed(names: Sequence[str], prefix: str = "") -> Sql:
    return Sql.join(", ", [Sql.of(prefix + "{}", Identifier(name)) for name in names])


def insert_sql(collection: Collection, new: str, scope: Scope, *, is_one: bool, key: Key | None = None) -> Sql:
    """Store the features of a JSON list that are not there yet; a row for each: its `id`, or (`is_one`) as `update_sql`.

    None of them is new: nothing has changed; nor has it where `key` was used before. With a `key`, the answer is kept.
    """
    names = _columns(collection)
    made = Sql.of(
        "INSERT INTO {}.{} ({}, recorded_at) SELECT {}, m.at FROM moment AS m, jsonb_populate_recordset(NULL::{}.{}, {}) AS r "
        "ON CONFLICT (id) DO NOTHING RETURNING *",
        *collection.table,
        _listed(names),
        _listed(names, "r."),
        *collection.table,
        Cast(new, "jsonb"),
    )
    gained = Sql.of(
        "gained AS MATERIALIZED (SELECT count(*) AS added, ST_Extent(geom) AS box, min(valid_from) AS first, "
        "max(valid_to) AS last, bool_or(valid_to IS NULL) AS is_open FROM written HAVING count(*) > 0), "
    )
    return Sql.of(
        "WITH {}, {}, written AS ({}), {}{}{}",
        _waiting(key),
        _moment(collection, Sql.of("(SELECT {} FROM waiting)", Cast(collection.id, "text"))),
        made,
        gained,
        _accounted(collection, scope, Sql.of("gained.added"), Sql.of("gained"), Sql.of(", false AS is_too_wide")),
        _told(_shown(collection, scope) if is_one else Sql.of("SELECT id FROM written ORDER BY id"), key, 201),
    )


def update_sql(
    collection: Collection, feature_id: str, version: str, new: str, scope: Scope, key: Key | None = None
) -> Sql:
    """Write the feature of a JSON list of one over the version that was read, which goes to history.

    One row: `version` and `body` (the feature as UTF-8, NULL where the caller may no longer see it) and `is_too_wide`: the
    statistics of the collection may be, `narrow_sql` mends that. No row: there is another version, or `key` was used before;
    nothing has changed. With a `key`, the answer is kept.
    """
    names = [n for n in _columns(collection) if n not in LEADING[:3]]
    written = Sql.of(
        "UPDATE {}.{} AS t SET {}, recorded_at = m.at FROM moment AS m, jsonb_populate_recordset(NULL::{}.{}, {}) AS r "
        "WHERE t.id = (SELECT id FROM former) RETURNING t.*",
        *collection.table,
        Sql.join(", ", [Sql.of("{} = r.{}", Identifier(n), Identifier(n)) for n in names]),
        *collection.table,
        Cast(new, "jsonb"),
    )
    gained = Sql.of(
        "gained AS MATERIALIZED (SELECT geom::box2d AS box, valid_from AS first, valid_to AS last, valid_to IS NULL AS is_open "
        "FROM written), "
    )
    return _superseding(collection, feature_id, version, scope, written, gained, _shown(collection, scope), key=key)


def delete_sql(collection: Collection, feature_id: str, version: str, scope: Scope, key: Key | None = None) -> Sql:
    """Take the version that was read out of the collection, into history; one row `is_too_wide`, none as `update_sql`."""
    written = Sql.of(
        "DELETE FROM {}.{} AS t USING moment WHERE t.id = (SELECT id FROM former) RETURNING t.id", *collection.table
    )
    gained = Sql.of(
        "gained AS MATERIALIZED (SELECT NULL::box2d AS box, NULL::timestamptz AS first, NULL::timestamptz AS last, "
        "NULL::boolean AS is_open FROM written), "
    )
    return _superseding(collection, feature_id, version, scope, written, gained, Sql(), key=key, added=-1)


def _superseding(
    collection: Collection,
    feature_id: str,
    version: str,
    scope: Scope,
    written: Sql,
    gained: Sql,
    shown: Sql,
    *,
    key: Key | None,
    added: int = 0,
) -> Sql:
    names = _listed([*_columns(collection), "recorded_at"])
    former = Sql.of(
        "former AS MATERIALIZED (SELECT * FROM {}.{} WHERE id = (SELECT {} FROM waiting) AND {} = {} FOR UPDATE)",
        *collection.table,
        Cast(feature_id, "text"),
        VERSION,
        Cast(version, "text"),
    )
    kept = Sql.of(
        "kept AS (INSERT INTO {}.{} ({}, superseded_at) SELECT {}, m.at FROM former, moment AS m)",
        *collection.history_table,
        names,
        names,
    )
    return Sql.of(
        "WITH {}, {}, {}, {}, written AS ({}), {}{}{}",
        _waiting(key),
        former,
        _moment(collection, Sql.of("(SELECT {} FROM former)", Cast(collection.id, "text"))),
        kept,
        written,
        gained,
        _accounted(collection, scope, Sql.of("{}", Cast(added, "bigint")), Sql.of("gained, former AS f"), _TOO_WIDE),
        _told(
            shown if shown else Sql.of("SELECT NULL AS version, NULL::bytea AS body, is_too_wide FROM grown"),
            key,
            200 if shown else 204,
        ),
    )


def _waiting(key: Key | None) -> Sql:
    """A step that comes before every lock; for the rest of the transaction. No row where `key` was used before."""
    return Sql.of(
        "waiting AS MATERIALIZED (SELECT set_config('lock_timeout', {}, true){})",
        f"{LOCK_TIMEOUT_MS}ms",
        Sql() if key is None else Sql.of(" WHERE {}", is_unused(key)),
    )


def _told(shown: Sql, key: Key | None, status: int) -> Sql:
    """The end of a statement: its rows; the one is kept under the key if there is one, as `status`, `version` and `feature`."""
    if key is None:
        return Sql.of(" {}", shown)
    answer = Sql.of(
        "jsonb_build_object('status', {}, 'version', version, 'feature', convert_from(body, 'UTF8'))",
        Cast(status, "int"),
    )
    return Sql.of(", shown AS MATERIALIZED ({}), {} SELECT * FROM shown", shown, kept_steps(key, answer))


def _moment(collection: Collection, collection_id: Sql) -> Sql:
    """The instant of the change, behind the lock of the statistics; no row where `collection_id` is NULL."""
    return Sql.of(
        "stats AS MATERIALIZED (SELECT 1 FROM cim.collection_stats WHERE collection_id = {} FOR UPDATE), "
        "moment AS MATERIALIZED (SELECT clock_timestamp() AS at FROM stats)",
        collection_id,
    )


_TOO_WIDE = Sql.of(
    ", COALESCE(ST_XMin(f.geom) <= ST_XMin(s.bounds) AND ST_XMin(gained.box) IS DISTINCT FROM ST_XMin(s.bounds) "
    "OR ST_YMin(f.geom) <= ST_YMin(s.bounds) AND ST_YMin(gained.box) IS DISTINCT FROM ST_YMin(s.bounds) "
    "OR ST_XMax(f.geom) >= ST_XMax(s.bounds) AND ST_XMax(gained.box) IS DISTINCT FROM ST_XMax(s.bounds) "
    "OR ST_YMax(f.geom) >= ST_YMax(s.bounds) AND ST_YMax(gained.box) IS DISTINCT FROM ST_YMax(s.bounds), false) "
    "OR COALESCE(f.valid_from <= s.valid_from, false) AND gained.first IS DISTINCT FROM s.valid_from "
    "OR COALESCE(f.valid_to >= s.valid_to, false) AND gained.last IS DISTINCT FROM s.valid_to AS is_too_wide"
)
"""Of the statistics as they have become: the former version reaches their edge, and the new one does not."""


def _accounted(collection: Collection, scope: Scope, added: Sql, gained: Sql, told: Sql) -> Sql:
    """Steps after the rows are written: statistics grow, the change has its row, loads will spare the features, workers know."""
    return Sql.of(
        "grown AS (UPDATE cim.collection_stats AS s SET version = s.version + 1, feature_count = s.feature_count + {}, "
        "bounds = COALESCE(ST_MakeEnvelope(LEAST(ST_XMin(s.bounds), ST_XMin(gained.box)), LEAST(ST_YMin(s.bounds), ST_YMin(gained.box)), "
        "GREATEST(ST_XMax(s.bounds), ST_XMax(gained.box)), GREATEST(ST_YMax(s.bounds), ST_YMax(gained.box)), 4326), s.bounds), "
        "valid_from = LEAST(s.valid_from, gained.first), valid_to = CASE WHEN gained.is_open THEN NULL "
        "WHEN s.feature_count = 0 THEN gained.last WHEN s.valid_to IS NULL THEN NULL ELSE GREATEST(s.valid_to, gained.last) END "
        "FROM {} WHERE s.collection_id = {} RETURNING s.version{}), "
        "changed AS (INSERT INTO cim.change (collection_id, version, recorded_at, changed_by) "
        "SELECT {}, g.version, m.at, {} FROM grown AS g, moment AS m RETURNING pg_notify('cim_registry', collection_id)), "
        "marked AS (INSERT INTO cim.edited (collection_id, feature_id, edited_by) SELECT {}, id, {} FROM written "
        "ON CONFLICT (collection_id, feature_id) DO UPDATE SET edited_at = now(), edited_by = EXCLUDED.edited_by)",
        added,
        gained,
        collection.id,
        told,
        Cast(collection.id, "text"),
        Cast(scope.caller, "text"),
        Cast(collection.id, "text"),
        Cast(scope.caller, "text"),
    )


def _shown(collection: Collection, scope: Scope) -> Sql:
    """The feature that was written as the caller may see it, as `cim.query.item` gives it."""
    return Sql.of(
        "SELECT {} AS version, (SELECT convert_to({}, 'UTF8') FROM {} AS feature WHERE {}) AS body, g.is_too_wide FROM written, grown AS g",
        VERSION,
        feature_text(collection, scope, is_whole=True),
        rows(collection, _AS_IT_IS, scope, table=Sql.of("written")),
        where(collection, _AS_IT_IS, scope),
    )


def lock_stats_sql(collection_id: str) -> Sql:
    """Hold the statistics until the commit: what is read after this has every change before it."""
    return Sql.of("SELECT version FROM cim.collection_stats WHERE collection_id = {} FOR UPDATE", collection_id)


def narrow_sql(collection: Collection) -> Sql:
    """Bounds and valid time from all rows, under `lock_stats_sql`; workers are told."""
    return Sql.of(
        "UPDATE cim.collection_stats AS s SET bounds = ST_MakeEnvelope(ST_XMin(n.box), ST_YMin(n.box), ST_XMax(n.box), "
        "ST_YMax(n.box), 4326), valid_from = n.first, valid_to = n.last FROM (SELECT ST_Extent(geom) AS box, min(valid_from) AS first, "
        "CASE WHEN bool_or(valid_to IS NULL) THEN NULL ELSE max(valid_to) END AS last FROM {}.{}) AS n WHERE s.collection_id = {} "
        "RETURNING pg_notify('cim_registry', s.collection_id)",
        *collection.table,
        collection.id,
    )
