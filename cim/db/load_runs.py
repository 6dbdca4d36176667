"""Load runs: begun, or gone on with after a kill; ended by a failure."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from cim.errors import CimError, NotFound
from cim.model import Collection
from cim.sql import Sql


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What identifies a load run: the same request after a kill goes on with the same run."""

    collection: Collection
    source: str
    origin: str
    fingerprint: str
    options: dict[str, Any]
    loaded_by: str
    mode: str = "merge"
    licence: str | None = None
    attribution: str | None = None
    is_dry: bool = False
    job_id: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run, and how many of its batches were committed before."""

    id: int
    done_batches: int = 0


def begin(connection: psycopg.Connection[Any], request: RunRequest, *, is_whole: bool) -> Run:
    """The run of the request: its queued job, the one that was stopped, or a new one. Raises NotFound.

    `is_whole`: one transaction, which is never gone on with.
    """
    if request.job_id is not None:
        return _taken(connection, request, request.job_id)
    found = None if is_whole else _stopped(connection, request)
    if found is not None:
        go_on = "UPDATE cim.load_run SET state = 'running', error = NULL, ended_at = NULL WHERE id = {}"
        _execute(connection, Sql.of(go_on, found))
        return Run(found, _done_batches(connection, found))
    row = _execute(
        connection,
        Sql.of(
            "INSERT INTO cim.load_run (collection_id, source, kind, mode, origin, fingerprint, options, licence, "
            "attribution, loaded_by, is_dry) VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}) RETURNING id",
            request.collection.id,
            request.source,
            request.collection.kind,
            request.mode,
            request.origin,
            request.fingerprint,
            Jsonb(request.options),
            request.licence,
            request.attribution,
            request.loaded_by,
            request.is_dry,
        ),
    ).fetchone()
    assert row is not None
    return Run(row[0])


def fail(connection: psycopg.Connection[Any], run_id: int, error: BaseException) -> None:
    """Mark a run as failed; the same request goes on with it."""
    facts = error.told() if isinstance(error, CimError) else {"code": "interrupted", "detail": "the load was stopped"}
    ended = "UPDATE cim.load_run SET state = 'failed', ended_at = now(), error = {} WHERE id = {} AND state <> 'failed'"
    _execute(connection, Sql.of(ended, Jsonb(facts), run_id))


def _execute(connection: psycopg.Connection[Any], sql: Sql) -> psycopg.Cursor[Any]:
    text, values = sql.compile_psycopg()
    return connection.execute(text.encode(), values)


def _stopped(connection: psycopg.Connection[Any], request: RunRequest) -> int | None:
    found = _execute(
        connection,
        Sql.of(
            "SELECT id FROM cim.load_run WHERE collection_id = {} AND source = {} AND fingerprint = {} "
            "AND options = {}::jsonb AND mode = {} AND state IN ('running', 'failed') "
            "AND id = (SELECT max(id) FROM cim.load_run WHERE collection_id = {} AND source = {} AND NOT is_dry)",
            request.collection.id,
            request.source,
            request.fingerprint,
            Jsonb(request.options),
            request.mode,
            request.collection.id,
            request.source,
        ),
    ).fetchone()
    return None if found is None else int(found[0])


def _taken(connection: psycopg.Connection[Any], request: RunRequest, job_id: int) -> Run:
    taken = _execute(
        connection,
        Sql.of(
            "UPDATE cim.load_run SET state = 'running', collection_id = {}, source = {}, mode = {}, fingerprint = {}, "
            "options = {}, error = NULL, ended_at = NULL WHERE id = {} AND state IN ('queued', 'running') RETURNING id",
            request.collection.id,
            request.source,
            request.mode,
            request.fingerprint,
            Jsonb(request.options),
            job_id,
        ),
    ).fetchone()
    if taken is None:
        raise NotFound("queued load", job_id)
    return Run(job_id, _done_batches(connection, job_id))


def _done_batches(connection: psycopg.Connection[Any], run_id: int) -> int:
    row = _execute(connection, Sql.of("SELECT count(*) FROM cim.load_batch WHERE load_run_id = {}", run_id)).fetchone()
    return int(row[0]) if row else 0
