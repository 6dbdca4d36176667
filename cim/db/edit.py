"""Statements that write features one by one: each is run in a transaction that locks the rows, then `begin`.

Rows come as JSON (`cim.edit.derived.json_row`), geometry among them as hexadecimal EWKB; PostgreSQL makes them rows of
the table itself, so the text of a statement depends on the collection alone.
"""

from datetime import datetime

from cim.model import Collection, Kind, Scope
from cim.model.collection import LEADING
from cim.query.item import VERSION
from cim.query.predicate import row_rule
from cim.sql import Cast, Identifier, Sql

SOURCE = "api"
"""Source of features that are made by the API: their ids are `api.<key>`."""
LOCK_TIMEOUT_MS = 5000


def stored_sql(collection: Collection, feature_id: str, scope: Scope) -> Sql:
    """One row: `version`, the values of all properties (documents as text), and what else an edit must know."""
    rule = row_rule(collection, scope)
    documents = {p.name for p in collection.properties if p.kind is Kind.JSON}
    names = [
        Sql.of("{}::text AS {}" if p.name in documents else "{}", *([p.column] * (2 if p.name in documents else 1)))
        for p in collection.properties
    ]
    return Sql.of(
        "SELECT {} AS version, recorded_at, source, source_id, area_code, valid_from, valid_to, "
        "attributes::text AS attributes, encode(ST_AsEWKB(geom), 'hex') AS geom{} FROM {}.{} WHERE id = {} AND {}",
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


def area_of_stored_sql(collection: Collection, feature_id: str) -> Sql:
    """One row `area_m2`, that of the stored geometry."""
    return Sql.of(
        "SELECT CASE WHEN ST_Dimension(geom) = 2 THEN ST_Area(geom::geography) END AS area_m2 FROM {}.{} WHERE id = {}",
        *collection.table,
        feature_id,
    )


def patience() -> Sql:
    """For the rest of the transaction: how long it waits for rows that a load is writing."""
    return Sql.of("SELECT set_config('lock_timeout', {}, true)", f"{LOCK_TIMEOUT_MS}ms")


def lock_sql(collection: Collection, feature_id: str) -> Sql:
    """One row `version`, locked until the commit; none when it has gone."""
    return Sql.of("SELECT {} AS version FROM {}.{} WHERE id = {} FOR UPDATE", VERSION, *collection.table, feature_id)


def begin(collection_id: str, by: str) -> Sql:
    """The change that the transaction is; one row `recorded_at`, later than that of every change before it."""
    return Sql.of(
        "WITH grown AS (UPDATE cim.collection_stats SET version = version + 1 WHERE collection_id = {} RETURNING version) "
        "INSERT INTO cim.change (collection_id, version, recorded_at, changed_by) "
        "SELECT {}, version, clock_timestamp(), {} FROM grown RETURNING recorded_at",
        collection_id,
        Cast(collection_id, "text"),
        Cast(by, "text"),
    )


def _columns(collection: Collection) -> list[str]:
    return [*LEADING, *collection.names()]


def _listed(names: list[str], prefix: str = "") -> Sql:
    return Sql.join(", ", [Sql.of(prefix + "{}", Identifier(name)) for name in names])


def insert_sql(collection: Collection, rows: str, recorded_at: datetime) -> Sql:
    """New features of a JSON list; gives the `id` of each that was not there."""
    names = _columns(collection)
    return Sql.of(
        "INSERT INTO {}.{} ({}, recorded_at) SELECT {}, {} FROM jsonb_populate_recordset(NULL::{}.{}, {}) AS r "
        "ON CONFLICT (id) DO NOTHING RETURNING id",
        *collection.table,
        _listed(names),
        _listed(names, "r."),
        Cast(recorded_at, "timestamptz"),
        *collection.table,
        Cast(rows, "jsonb"),
    )


def supersede_sql(collection: Collection, feature_id: str, recorded_at: datetime) -> Sql:
    """Keep the present version in history."""
    names = _listed([*_columns(collection), "recorded_at"])
    return Sql.of(
        "INSERT INTO {}.{} ({}, superseded_at) SELECT {}, {} FROM {}.{} WHERE id = {}",
        *collection.history_table,
        names,
        names,
        Cast(recorded_at, "timestamptz"),
        *collection.table,
        feature_id,
    )


def update_sql(collection: Collection, row: str, recorded_at: datetime) -> Sql:
    """Write the feature of a JSON list of one anew; its id, source and source id stay."""
    written = [n for n in _columns(collection) if n not in LEADING[:3]]
    assignments = Sql.join(", ", [Sql.of("{} = r.{}", Identifier(n), Identifier(n)) for n in written])
    return Sql.of(
        "UPDATE {}.{} AS t SET {}, recorded_at = {} FROM jsonb_populate_recordset(NULL::{}.{}, {}) AS r WHERE t.id = r.id",
        *collection.table,
        assignments,
        Cast(recorded_at, "timestamptz"),
        *collection.table,
        Cast(row, "jsonb"),
    )


def delete_sql(collection: Collection, feature_id: str) -> Sql:
    """Take the feature out of the collection."""
    return Sql.of("DELETE FROM {}.{} WHERE id = {}", *collection.table, feature_id)


def mark_sql(collection_id: str, ids: list[str], by: str) -> Sql:
    """Remember which features were edited: loads leave them alone (`cim.db.spared`)."""
    return Sql.of(
        "INSERT INTO cim.edited (collection_id, feature_id, edited_by) SELECT {}, id, {} FROM unnest({}) AS given(id) "
        "ON CONFLICT (collection_id, feature_id) DO UPDATE SET edited_at = now(), edited_by = EXCLUDED.edited_by",
        Cast(collection_id, "text"),
        Cast(by, "text"),
        Cast(ids, "text[]"),
    )


def grow_sql(collection: Collection, added: int, recorded_at: datetime) -> Sql:
    """Statistics with what was recorded at that instant: count, bounds and valid time only grow."""
    return Sql.of(
        "UPDATE cim.collection_stats AS s SET feature_count = s.feature_count + {}, "
        "bounds = COALESCE(ST_MakeEnvelope(LEAST(ST_XMin(s.bounds), ST_XMin(n.box)), LEAST(ST_YMin(s.bounds), ST_YMin(n.box)), "
        "GREATEST(ST_XMax(s.bounds), ST_XMax(n.box)), GREATEST(ST_YMax(s.bounds), ST_YMax(n.box)), 4326), s.bounds), "
        "valid_from = LEAST(s.valid_from, n.first), "
        "valid_to = CASE WHEN n.is_open THEN NULL WHEN s.feature_count = 0 THEN n.last "
        "WHEN s.valid_to IS NULL THEN NULL ELSE GREATEST(s.valid_to, n.last) END "
        "FROM (SELECT ST_Extent(geom) AS box, min(valid_from) AS first, max(valid_to) AS last, "
        "bool_or(valid_to IS NULL) AS is_open FROM {}.{} WHERE recorded_at = {}) AS n WHERE s.collection_id = {}",
        Cast(added, "bigint"),
        *collection.table,
        Cast(recorded_at, "timestamptz"),
        collection.id,
    )


def is_on_edge_sql(collection: Collection, feature_id: str) -> Sql:
    """One boolean `is_on_edge`: without the present version of the feature, bounds or valid time could be narrower."""
    return Sql.of(
        "SELECT COALESCE(ST_XMin(t.geom) <= ST_XMin(s.bounds) OR ST_YMin(t.geom) <= ST_YMin(s.bounds) "
        "OR ST_XMax(t.geom) >= ST_XMax(s.bounds) OR ST_YMax(t.geom) >= ST_YMax(s.bounds), false) "
        "OR COALESCE(t.valid_from <= s.valid_from, false) OR COALESCE(t.valid_to >= s.valid_to, false) AS is_on_edge "
        "FROM {}.{} AS t, cim.collection_stats AS s WHERE t.id = {} AND s.collection_id = {}",
        *collection.table,
        feature_id,
        collection.id,
    )


def recompute_sql(collection: Collection) -> Sql:
    """Bounds and valid time from all rows."""
    return Sql.of(
        "UPDATE cim.collection_stats AS s SET bounds = ST_MakeEnvelope(ST_XMin(n.box), ST_YMin(n.box), ST_XMax(n.box), "
        "ST_YMax(n.box), 4326), valid_from = n.first, valid_to = n.last FROM (SELECT ST_Extent(geom) AS box, min(valid_from) AS first, "
        "CASE WHEN bool_or(valid_to IS NULL) THEN NULL ELSE max(valid_to) END AS last FROM {}.{}) AS n WHERE s.collection_id = {}",
        *collection.table,
        collection.id,
    )


def tell_sql(collection_id: str) -> Sql:
    """Tell every worker, when the transaction commits."""
    return Sql.of("SELECT pg_notify('cim_registry', {})", collection_id)


def count_sql(collection_id: str, added: int) -> Sql:
    """Statistics with so many features more, or less."""
    return Sql.of(
        "UPDATE cim.collection_stats SET feature_count = feature_count + {} WHERE collection_id = {}",
        Cast(added, "bigint"),
        collection_id,
    )
