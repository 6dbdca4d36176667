"""Statements over versions of services: locked, written, moved, shown. The document of a version is what a review is of."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from cim.sql import Cast, Identifier, Sql

_HASH = Sql.of("encode(sha256(convert_to(document::text, 'UTF8')), 'hex')")


def who(name: str, of: str = "service_version") -> Sql:
    """Who did it as the audit names them: a person by login, where the person is still there. `of`: the table, or its alias."""
    column = Sql.of("{}.{}", Identifier(of), Identifier(name))
    return Sql.of(
        "COALESCE((SELECT 'person ' || p.login FROM cim.person AS p WHERE {} LIKE 'person %' AND p.id = substr({}, 8)), {}) AS {}",
        *(column,) * 3,
        Identifier(name),
    )


_VERSION = Sql.of(
    "number, state, content_hash, {}, edited_at, {}, submitted_at, {}, reviewed_at, review_note, {}, published_at",
    *(who(f"{done}_by") for done in ("edited", "submitted", "reviewed", "published")),
)


def lock_sql(service_id: str) -> Sql:
    """Hold the service until the transaction ends; no row when there is none. Whoever writes a version holds it."""
    return Sql.of("SELECT id FROM cim.service WHERE id = {} FOR UPDATE", service_id)


def standing_sql(service_id: str) -> Sql:
    """Where a service stands: its face, and the version that is worked on. Read behind `lock_sql` by those who write."""
    return Sql.of(
        """
        SELECT s.id, s.state, s.state_reason, s.off_rank, s.version, s.organisation_id, s.area_code, o.area_code AS organisation_area,
            f.document::text AS face_document, f.content_hash AS face_hash,
            w.number AS working_number, w.state AS working_state, w.content_hash AS working_hash,
            w.document::text AS working_document,
            (SELECT max(number) FROM cim.service_version AS v WHERE v.service_id = s.id) AS last_number
        FROM cim.service AS s
        LEFT JOIN cim.organisation AS o ON o.id = s.organisation_id
        LEFT JOIN cim.service_version AS f ON f.service_id = s.id AND f.number = s.version
        LEFT JOIN cim.service_version AS w ON w.service_id = s.id AND w.state IN ('draft', 'in_review', 'approved')
        WHERE s.id = {}
        """,
        service_id,
    )


def organisation_sql(organisation_id: str) -> Sql:
    """The district that an organisation is of; no row when there is no such organisation."""
    return Sql.of("SELECT area_code FROM cim.organisation WHERE id = {}", organisation_id)


def insert_face_sql(service_id: str, kind: str, by: str) -> Sql:
    """A service without content; no row when the id is taken."""
    return Sql.of(
        "INSERT INTO cim.service (id, kind, title_zh, title_en, registered_by) VALUES ({}, {}, '', '', {}) "
        "ON CONFLICT (id) DO NOTHING RETURNING id",
        service_id,
        kind,
        by,
    )


def add_version_sql(service_id: str, number: int, state: str, document: Mapping[str, Any], by: str) -> Sql:
    """Write a version; gives its hash. One of `FACES` was published by who wrote it."""
    return Sql.of(
        "INSERT INTO cim.service_version (service_id, number, state, document, content_hash, edited_by, published_by, "
        "published_at) SELECT {}, {}, state, document, {}, by, CASE WHEN shown THEN by END, CASE WHEN shown THEN now() END "
        "FROM (SELECT {}::text AS state, {} AS document, {}::text AS by) AS given, "
        "LATERAL (SELECT state NOT IN ('draft', 'in_review', 'approved') AS shown) AS s RETURNING content_hash",
        service_id,
        Cast(number, "int"),
        _HASH,
        state,
        Cast(orjson.dumps(document).decode(), "jsonb"),
        by,
    )


def is_same_sql(service_id: str, number: int, document: Mapping[str, Any]) -> Sql:
    """A row when the version has this content already."""
    return Sql.of(
        "SELECT number FROM cim.service_version WHERE service_id = {} AND number = {} AND document = {}",
        service_id,
        Cast(number, "int"),
        Cast(orjson.dumps(document).decode(), "jsonb"),
    )


def editors_sql(service_id: str, number: int) -> Sql:
    """Who edited or submitted what the version holds since the content was last on the shelf."""
    return Sql.of(
        """
        WITH since AS (
            SELECT coalesce(max(number), 0) AS number FROM cim.service_version
            WHERE service_id = {} AND number < {} AND published_at IS NOT NULL
        )
        SELECT array_agg(DISTINCT who) AS people FROM cim.service_version AS v, since, unnest(ARRAY[edited_by, submitted_by]) AS who
        WHERE v.service_id = {} AND v.number > since.number AND v.number <= {} AND who IS NOT NULL
        """,
        service_id,
        Cast(number, "int"),
        service_id,
        Cast(number, "int"),
    )


def move_version_sql(service_id: str, number: int, event: str, state: str, by: str, why: str | None) -> Sql:
    """Take a version to `state`, with who did it and when."""
    match event:
        case "submit":
            stamps = Sql.of(
                ", submitted_by = {}, submitted_at = now(), reviewed_by = NULL, reviewed_at = NULL, review_note = NULL",
                by,
            )
        case "approve" | "return":
            stamps = Sql.of(", reviewed_by = {}, reviewed_at = now(), review_note = {}", by, why)
        case "publish":
            stamps = Sql.of(", published_by = {}, published_at = now()", by)
        case _:
            stamps = Sql()
    return Sql.of(
        "UPDATE cim.service_version SET state = {}{} WHERE service_id = {} AND number = {}",
        state,
        stamps,
        service_id,
        Cast(number, "int"),
    )


def show_sql(service_id: str, number: int) -> Sql:
    """Make the face what the version says, content, hash, number and state alike."""
    return Sql.of(
        """
        UPDATE cim.service AS s SET state = v.state, version = v.number,
            off_rank = CASE WHEN v.state = 'published' THEN NULL ELSE s.off_rank END, content_hash = v.content_hash, updated_at = now(),
            published_at = v.published_at, kind = d ->> 'kind', organisation_id = d ->> 'organisation_id',
            title_zh = coalesce(d ->> 'title_zh', ''), title_en = coalesce(d ->> 'title_en', ''),
            description_zh = coalesce(d ->> 'description_zh', ''), description_en = coalesce(d ->> 'description_en', ''),
            themes = coalesce(d -> 'themes', '[]'), endpoints = coalesce(d -> 'endpoints', '[]'),
            collection_id = d ->> 'collection_id', share_class = coalesce(d ->> 'share_class', 'conditional'),
            cim_level = (d ->> 'cim_level')::int, area_code = d ->> 'area_code', licence = d ->> 'licence',
            contact = d ->> 'contact', update_cycle = d ->> 'update_cycle', time_from = (d ->> 'time_from')::date,
            time_to = (d ->> 'time_to')::date, quality = d ->> 'quality',
            geom = CASE WHEN d ? 'bbox' THEN ST_MakeEnvelope((d #>> '{bbox,0}')::float8, (d #>> '{bbox,1}')::float8,
                (d #>> '{bbox,2}')::float8, (d #>> '{bbox,3}')::float8, 4326) END
        FROM (SELECT state, number, content_hash, published_at, document AS d FROM cim.service_version
            WHERE service_id = {} AND number = {}) AS v
        WHERE s.id = {}
        """,
        service_id,
        Cast(number, "int"),
        service_id,
    )


def state_sql(service_id: str, state: str, why: str | None, off_rank: int | None) -> Sql:
    """Take the face to `state`; the reason, and the rank of who took it off, are kept while it is off the shelf."""
    return Sql.of(
        "UPDATE cim.service SET state = {}, state_reason = {}, off_rank = {}, updated_at = now() WHERE id = {}",
        state,
        why,
        Cast(off_rank, "int"),
        service_id,
    )


def delete_sql(service_id: str) -> Sql:
    """Delete a service that never was on the shelf, with its versions."""
    return Sql.of(
        "WITH gone AS (DELETE FROM cim.service_version WHERE service_id = {}) DELETE FROM cim.service WHERE id = {}",
        service_id,
        service_id,
    )


def working_sql(service_ids: Sequence[str]) -> Sql:
    """Number and state of the version in work of each of the services that has one."""
    return Sql.of(
        "SELECT service_id, number, state FROM cim.service_version "
        "WHERE service_id = ANY({}) AND state IN ('draft', 'in_review', 'approved')",
        Cast(list(service_ids), "text[]"),
    )


def versions_sql(service_id: str, *, before: int | None, limit: int) -> Sql:
    """Versions of a service, the latest first, one more than the limit."""
    return Sql.of(
        "SELECT {} FROM cim.service_version WHERE service_id = {}{} ORDER BY number DESC LIMIT {}",
        _VERSION,
        service_id,
        Sql() if before is None else Sql.of(" AND number < {}", Cast(before, "int")),
        Cast(limit + 1, "bigint"),
    )


def version_sql(service_id: str, number: int) -> Sql:
    """One version with its document."""
    return Sql.of(
        "SELECT {}, document::text AS document FROM cim.service_version WHERE service_id = {} AND number = {}",
        _VERSION,
        service_id,
        Cast(number, "int"),
    )
