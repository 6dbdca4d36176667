"""Statements of the table of exports. An export is known by the digest of the id in its address."""

import hashlib

from cim.sql import Cast, Sql

MAX_WAITING = 100
"""Exports that may wait or run at once on one database."""
MAX_OF_CALLER = 10
MAX_OF_OTHERS = 50
"""Of all callers without a key together, so that they leave room for those with one."""

_COLUMNS = Sql.of(
    "digest, collection_id, format, state, file_name, done, total, bytes, error::text AS error, "
    "created_at, started_at, ended_at, expires_at"
)


def digest_of(export_id: str) -> str:
    """What the database knows of an id, so that a copy of it opens no file."""
    return hashlib.sha256(export_id.encode("utf-8", "replace")).hexdigest()


def create(
    digest: str,
    collection_id: str,
    output: str,
    request: str,
    file_name: str,
    caller: str,
    total: int | None,
    ttl_s: float,
) -> Sql:
    """Queue an export; no row comes back where too many wait, of all or of the caller."""
    return Sql.of(
        "INSERT INTO cim.export (digest, collection_id, format, request, file_name, caller, total, expires_at) "
        "SELECT {}, {}, {}, {}, {}, {}, {}, now() + make_interval(secs => {}) "
        "WHERE (SELECT count(*) FROM cim.export WHERE state IN ('queued', 'running')) < {} AND ({}) < {} RETURNING digest",
        Cast(digest, "text"),
        Cast(collection_id, "text"),
        Cast(output, "text"),
        Cast(request, "jsonb"),
        Cast(file_name, "text"),
        Cast(caller, "text"),
        Cast(total, "bigint"),
        Cast(ttl_s, "float8"),
        Cast(MAX_WAITING, "int"),
        unfinished_of(caller),
        Cast(most_of(caller), "int"),
    )


def most_of(caller: str) -> int:
    """How many exports of a caller may wait or run at once; all those without a name are one."""
    return MAX_OF_CALLER if caller else MAX_OF_OTHERS


def unfinished_of(caller: str) -> Sql:
    """One row `unfinished`: exports of a caller that wait or run."""
    return Sql.of(
        "SELECT count(*) AS unfinished FROM cim.export WHERE state IN ('queued', 'running') AND caller = {}",
        Cast(caller, "text"),
    )


def find(digest: str) -> Sql:
    """The export, unless it has expired."""
    return Sql.of("SELECT {} FROM cim.export WHERE digest = {} AND expires_at > now()", _COLUMNS, digest)


def begin(digest: str) -> Sql:
    """Mark as running: one row where it is still to be made."""
    return Sql.of(
        "UPDATE cim.export SET state = 'running', started_at = now(), done = 0 "
        "WHERE digest = {} AND state IN ('queued', 'running') AND expires_at > now() RETURNING digest",
        digest,
    )


def request_of(digest: str) -> Sql:
    """What a running export is to write."""
    return Sql.of("SELECT request::text, total FROM cim.export WHERE digest = {} AND state = 'running'", digest)


def progress(digest: str, done: int, total: int | None) -> Sql:
    """Tell how far it is: no row where it was cancelled meanwhile."""
    return Sql.of(
        "UPDATE cim.export SET done = {}, total = COALESCE({}, total) WHERE digest = {} AND state = 'running' RETURNING digest",
        Cast(done, "bigint"),
        Cast(total, "bigint"),
        digest,
    )


def complete(digest: str, done: int, size: int, ttl_s: float) -> Sql:
    """The file is whole; it is kept from now on for `ttl_s` seconds."""
    return Sql.of(
        "UPDATE cim.export SET state = 'completed', done = {}, total = {}, bytes = {}, ended_at = now(), "
        "expires_at = now() + make_interval(secs => {}) WHERE digest = {} AND state = 'running' RETURNING digest",
        Cast(done, "bigint"),
        Cast(done, "bigint"),
        Cast(size, "bigint"),
        Cast(ttl_s, "float8"),
        digest,
    )


def fail(digest: str, error: str) -> Sql:
    """It cannot be made: `error` is JSON with code and detail."""
    return Sql.of(
        "UPDATE cim.export SET state = 'failed', ended_at = now(), error = {} "
        "WHERE digest = {} AND state IN ('queued', 'running')",
        Cast(error, "jsonb"),
        digest,
    )


def cancel(digest: str) -> Sql:
    """Give it up; the file goes with it."""
    return Sql.of(
        "UPDATE cim.export SET state = 'cancelled', ended_at = COALESCE(ended_at, now()), bytes = NULL "
        "WHERE digest = {} AND state <> 'cancelled' AND expires_at > now()",
        digest,
    )


def forget(digest: str) -> Sql:
    """Delete it."""
    return Sql.of("DELETE FROM cim.export WHERE digest = {}", digest)


def forget_expired() -> Sql:
    """Delete what has expired; gives the digests."""
    return Sql.of("DELETE FROM cim.export WHERE expires_at <= now() RETURNING digest")


def known(digests: list[str]) -> Sql:
    """Those of `digests` that there are."""
    return Sql.of("SELECT digest FROM cim.export WHERE digest = ANY({})", Cast(digests, "text[]"))
