"""Texts of features that are kept beside them: a page of features as they are is put together from them.

A kept text is that of one version of a row, which its id, `xmin` and `recorded_at` name: whoever writes the row, by whatever
way, makes another version, whose text is made anew until it is kept too. So what writes features knows nothing of it.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import feature_text
from cim.query.masking import sees_whole
from cim.sql import Cast, Sql

MIN_FEATURES = 10_000
"""Of smaller collections no text is kept: all their features together are made in a few hundredths of a second."""
CHUNK = 2_000
"""Features whose texts are kept by one statement."""

EVERYBODY = Scope()


def form_of(collection: Collection) -> int:
    """What texts of the collection are kept under: another table, other properties or another way of writing has another."""
    text = feature_text(collection, EVERYBODY)
    told = repr((collection.table_schema, collection.table_name, text.fragments, text.values))
    return int.from_bytes(hashlib.blake2b(told.encode(), digest_size=8).digest(), signed=True)


def reads_kept(collection: Collection, query: FeatureQuery, scope: Scope) -> bool:
    """True where features are shown as they are kept: whole, in the order of their ids, their places as they are stored."""
    return (
        collection.kept_form is not None
        and sees_whole(collection, scope)
        and query.crs.is_stored
        and query.shown is None
        and query.has_geometry
        and not query.has_areas
        and query.known_at is None
        and query.nearest is None
        and not query.sort
    )


VERSION = Sql.of("id, feature.xmin AS version, recorded_at, pg_column_size(geom) AS size")
"""Columns of the rows of `feature` that `kept_body` is an expression over."""


def kept_beside(collection: Collection) -> Sql:
    """Join behind rows `page` of `VERSION`: `kept.body` is the text of the feature in UTF-8, NULL where it is not kept.

    The OFFSET keeps it a loop, whose body goes into the page uncopied; another join would hash the whole table.
    """
    return Sql.of(
        "LEFT JOIN LATERAL (SELECT kept.body FROM cim.kept_text AS kept WHERE kept.form = (SELECT {}) AND kept.id = page.id "
        "AND kept.version = page.version AND kept.recorded_at = page.recorded_at OFFSET 0) AS kept ON TRUE",
        Cast(collection.kept_form, "bigint"),
    )


def kept_body(collection: Collection) -> Sql:
    """Expression over a row of both: the text, kept, or made now where it is not."""
    return Sql.of(
        "COALESCE(kept.body, (SELECT convert_to({}, 'UTF8') FROM {}.{} AS feature WHERE feature.id = page.id))",
        feature_text(collection, EVERYBODY),
        *collection.table,
    )


def forms() -> Sql:
    """Rows of `form` and `collection_id`, and of `version`: up to which change of the collection its texts are kept."""
    return Sql.of("SELECT form, collection_id, version FROM cim.kept_form")


def first_change(collection: Collection, version: int | None) -> Sql:
    """One row: when the rows of the changes after `version` were `recorded_at`, at the earliest; NULL for all there are."""
    if version is None:
        return Sql.of("SELECT NULL::timestamptz AS recorded_at")
    return Sql.of(
        "SELECT COALESCE(min(recorded_at), now()) AS recorded_at FROM cim.change WHERE collection_id = {} AND version > {}",
        collection.id,
        Cast(version, "bigint"),
    )


def keep_chunk(collection: Collection, after: tuple[datetime | None, str]) -> Sql:
    """Keep the texts of the next rows behind an instant and id. One row: how many rows were looked at, and the last one."""
    instant, feature_id = after
    begun = Sql.of("TRUE")
    if instant is not None:
        begun = Sql.of("(recorded_at, id) > ({}, {})", Cast(instant, "timestamptz"), Cast(feature_id, "text"))
    return Sql.of(
        "WITH part AS MATERIALIZED (SELECT id, feature.xmin AS version, recorded_at, convert_to({}, 'UTF8') AS body "
        "FROM {}.{} AS feature WHERE {} ORDER BY recorded_at, id LIMIT {}), "
        "written AS (INSERT INTO cim.kept_text AS kept (form, id, version, recorded_at, body) "
        "SELECT {}, id, version, recorded_at, body FROM part ON CONFLICT (form, id) DO UPDATE "
        "SET version = EXCLUDED.version, recorded_at = EXCLUDED.recorded_at, body = EXCLUDED.body "
        "WHERE (kept.version, kept.recorded_at) IS DISTINCT FROM (EXCLUDED.version, EXCLUDED.recorded_at)) "
        "SELECT (SELECT count(*) FROM part) AS number, last.recorded_at, last.id "
        "FROM (SELECT recorded_at, id FROM part ORDER BY recorded_at DESC, id DESC LIMIT 1) AS last",
        feature_text(collection, EVERYBODY),
        *collection.table,
        begun,
        Cast(CHUNK, "bigint"),
        Cast(form_of(collection), "bigint"),
    )


def drop_deleted(collection: Collection, since: datetime) -> Sql:
    """Drop the texts of features that were deleted since an instant."""
    return Sql.of(
        "DELETE FROM cim.kept_text AS kept USING {}.{} AS former WHERE former.superseded_at >= {} AND kept.form = {} "
        "AND kept.id = former.id AND NOT EXISTS (SELECT FROM {}.{} AS feature WHERE feature.id = kept.id)",
        *collection.history_table,
        Cast(since, "timestamptz"),
        Cast(form_of(collection), "bigint"),
        *collection.table,
    )


def note_kept(collection: Collection, version: int) -> Sql:
    """Note that texts are kept up to a version; workers are told where it is the first time."""
    return Sql.of(
        "WITH noted AS (INSERT INTO cim.kept_form AS known (form, collection_id, version) VALUES ({}, {}, {}) "
        "ON CONFLICT (form) DO UPDATE SET version = EXCLUDED.version RETURNING xmax = 0 AS is_new) "
        "SELECT pg_notify('cim_registry', {}) FROM noted WHERE is_new",
        Cast(form_of(collection), "bigint"),
        Cast(collection.id, "text"),
        Cast(version, "bigint"),
        Cast(collection.id, "text"),
    )


def drop_chunk(forms: Sequence[int]) -> Sql:
    """Drop some of the texts of forms that are no more; gives one row: how many."""
    return Sql.of(
        "WITH gone AS (DELETE FROM cim.kept_text WHERE ctid = ANY(ARRAY(SELECT ctid FROM cim.kept_text "
        "WHERE form = ANY({}) LIMIT {})) RETURNING 1) SELECT count(*) AS number FROM gone",
        Cast(list(forms), "bigint[]"),
        Cast(10 * CHUNK, "bigint"),
    )


def forget(forms: Sequence[int]) -> Sql:
    """Note that texts of these forms are no more."""
    return Sql.of("DELETE FROM cim.kept_form WHERE form = ANY({})", Cast(list(forms), "bigint[]"))
