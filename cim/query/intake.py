"""Statements over runs of loads and harvests: begun, ended, listed."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from cim.sql import Cast, Sql

COUNTS = ("read", "inserted", "updated", "unchanged", "rejected", "withdrawn")

_SHOWN = Sql.of(
    "r.id, r.kind, r.harvest_id, r.organisation_id, r.source, r.started_by, r.started_at, r.ended_at, r.state, r.is_dry, "
    "r.read, r.inserted, r.updated, r.unchanged, r.rejected, r.withdrawn, r.expected, r.error::text AS error, r.notes::text AS notes"
)


def begin_sql(
    kind: str,
    harvest_id: str | None,
    organisation_id: str | None,
    source: str,
    started_by: str,
    *,
    is_dry: bool,
    state: str = "running",
) -> Sql:
    """A new run, running or `queued`; gives its id."""
    return Sql.of(
        "INSERT INTO cim.intake_run (kind, harvest_id, organisation_id, source, started_by, is_dry, state) "
        "VALUES ({}, {}, {}, {}, {}, {}, {}) RETURNING id",
        kind,
        harvest_id,
        organisation_id,
        source[:500],
        started_by,
        is_dry,
        state,
    )


def take_sql(run_id: int) -> Sql:
    """A run that waited, or whose process was killed, runs now; no row for one that has ended."""
    return Sql.of(
        "UPDATE cim.intake_run SET started_at = CASE state WHEN 'queued' THEN now() ELSE started_at END, state = 'running' "
        "WHERE id = {} AND state IN ('queued', 'running') RETURNING id",
        Cast(run_id, "bigint"),
    )


def far_sql(run_id: int, counts: Mapping[str, int], expected: int) -> Sql:
    """How far a run is; no row for one that somebody ended."""
    return Sql.of(
        "UPDATE cim.intake_run SET read = {}, inserted = {}, updated = {}, unchanged = {}, rejected = {}, withdrawn = {}, "
        "expected = {} WHERE id = {} AND state = 'running' RETURNING id",
        *(Cast(counts.get(name, 0), "bigint") for name in COUNTS),
        Cast(expected, "bigint"),
        Cast(run_id, "bigint"),
    )


def end_sql(run_id: int, counts: Mapping[str, int], rejections: Sequence[Any], notes: Sequence[str]) -> Sql:
    """A run that is done, with its account; one that somebody ended stays so. Gives its id."""
    return Sql.of(
        "UPDATE cim.intake_run SET state = 'completed', ended_at = now(), read = {}, inserted = {}, updated = {}, "
        "unchanged = {}, rejected = {}, withdrawn = {}, rejections = {}, notes = {} WHERE id = {} AND state = 'running' RETURNING id",
        *(Cast(counts.get(name, 0), "bigint") for name in COUNTS),
        Cast(orjson.dumps(list(rejections)).decode(), "jsonb"),
        Cast(orjson.dumps(list(notes)).decode(), "jsonb"),
        Cast(run_id, "bigint"),
    )


def fail_sql(run_id: int, code: str, detail: str) -> Sql:
    """A run that came to nothing; one that has ended stays as it is. Gives its id."""
    return Sql.of(
        "UPDATE cim.intake_run SET state = 'failed', ended_at = now(), error = {} WHERE id = {} "
        "AND state IN ('queued', 'running') RETURNING id",
        Cast(orjson.dumps({"code": code, "detail": detail}).decode(), "jsonb"),
        Cast(run_id, "bigint"),
    )


def forget_run_sql(run_id: int) -> Sql:
    """Forget a run that could not be queued."""
    return Sql.of("DELETE FROM cim.intake_run WHERE id = {} AND state = 'queued'", Cast(run_id, "bigint"))


def stopped_sql(harvest_id: str, run_id: int) -> Sql:
    """Earlier runs of a harvest that were killed: said to have failed, by the run that holds the harvest now."""
    told = {"code": "load-failed", "detail": "the process was stopped; the next run went on where it was"}
    return Sql.of(
        "UPDATE cim.intake_run SET state = 'failed', ended_at = now(), error = {} WHERE harvest_id = {} AND state = 'running' "
        "AND id < {}",
        Cast(orjson.dumps(told).decode(), "jsonb"),
        harvest_id,
        Cast(run_id, "bigint"),
    )


def run_sql(run_id: int) -> Sql:
    """The row of one run."""
    return Sql.of("SELECT {} FROM cim.intake_run AS r WHERE r.id = {}", _SHOWN, Cast(run_id, "bigint"))


def runs_sql(
    kinds: Sequence[str], *, organisation_id: str | None, harvest_id: str | None, before: int, limit: int
) -> Sql:
    """Rows of runs, the latest first, one more than the limit; None for those of any organisation or harvest."""
    conditions = [Sql.of("r.kind = ANY({}) AND r.id < {}", Cast(list(kinds), "text[]"), Cast(before, "bigint"))]
    if organisation_id is not None:
        conditions.append(Sql.of("r.organisation_id = {}", organisation_id))
    if harvest_id is not None:
        conditions.append(Sql.of("r.harvest_id = {}", harvest_id))
    return Sql.of(
        "SELECT {} FROM cim.intake_run AS r WHERE {} ORDER BY r.id DESC LIMIT {}",
        _SHOWN,
        Sql.join(" AND ", conditions),
        Cast(limit + 1, "bigint"),
    )


def rejections_sql(run_id: int, limit: int | None = None) -> Sql:
    """The rejections of one run, or the first `limit` of them, as JSON text."""
    if limit is not None:
        return Sql.of(
            "SELECT coalesce((SELECT jsonb_agg(first.one ORDER BY first.place) FROM (SELECT one, place FROM "
            "jsonb_array_elements(r.rejections) WITH ORDINALITY AS listed(one, place) ORDER BY place LIMIT {}) AS first), "
            "'[]'::jsonb)::text AS rejections FROM cim.intake_run AS r WHERE r.id = {}",
            Cast(limit, "bigint"),
            Cast(run_id, "bigint"),
        )
    return Sql.of(
        "SELECT r.rejections::text AS rejections FROM cim.intake_run AS r WHERE r.id = {}", Cast(run_id, "bigint")
    )


def own_services_sql(organisation_id: str | None) -> Sql:
    """Registrations of an organisation's services, or of all, as JSON texts in the order of ids: what a table of them holds."""
    owned = Sql.of(" WHERE s.organisation_id = {}", organisation_id) if organisation_id is not None else Sql()
    return Sql.of(
        """
        SELECT jsonb_strip_nulls(jsonb_build_object(
            'id', s.id, 'state', CASE WHEN s.state = 'published' THEN s.state END, 'kind', s.kind,
            'organisation_id', s.organisation_id, 'title_zh', s.title_zh, 'title_en', s.title_en,
            'description_zh', s.description_zh, 'description_en', s.description_en, 'themes', s.themes,
            'endpoints', s.endpoints, 'collection_id', s.collection_id, 'share_class', s.share_class,
            'cim_level', s.cim_level, 'area_code', s.area_code, 'licence', s.licence, 'contact', s.contact,
            'update_cycle', s.update_cycle,
            'bbox', CASE WHEN s.geom IS NOT NULL THEN
                jsonb_build_array(ST_XMin(s.geom), ST_YMin(s.geom), ST_XMax(s.geom), ST_YMax(s.geom)) END
        ))::text AS document
        FROM cim.service AS s{} ORDER BY s.id
        """,
        owned,
    )
