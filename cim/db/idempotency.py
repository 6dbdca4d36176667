"""Answers kept by `Idempotency-Key`: a request that is sent twice is done once (`draft-ietf-httpapi-idempotency-key-header`)."""

from dataclasses import dataclass

from cim.sql import Cast, Sql


@dataclass(frozen=True, slots=True)
class Key:
    """An `Idempotency-Key`: who sent it, and what makes the request the same."""

    caller: str
    key: str
    digest: bytes


def is_unused(key: Key) -> Sql:
    """The condition that no request with the key was answered within the last 24 hours."""
    return Sql.of(
        "NOT EXISTS (SELECT FROM cim.idempotency WHERE caller = {} AND key = {} AND created_at > now() - interval '24 hours')",
        Cast(key.caller, "text"),
        Cast(key.key, "text"),
    )


def kept_steps(key: Key, answer: Sql) -> Sql:
    """Steps of a statement with a step `shown`: answers of yesterday go, then `answer`, JSON over a row of it, is kept.

    Where a request with the key has committed meanwhile the statement fails, and nothing of it is done
    (`cim.db.pool` makes it a Conflict).
    """
    return Sql.of(
        "gone AS (DELETE FROM cim.idempotency WHERE (caller, key) IN (SELECT caller, key FROM cim.idempotency "
        "WHERE created_at <= now() - interval '24 hours' FOR UPDATE SKIP LOCKED) RETURNING 1), "
        "keyed AS (INSERT INTO cim.idempotency (caller, key, digest, answer) SELECT {}, {}, {}, {} FROM shown "
        "WHERE (SELECT count(*) FROM gone) >= 0)",
        Cast(key.caller, "text"),
        Cast(key.key, "text"),
        Cast(key.digest, "bytea"),
        answer,
    )


def kept_sql(caller: str, key: str) -> Sql:
    """One row `digest`, `answer` (JSON text) where the caller sent the key within the last 24 hours."""
    return Sql.of(
        "SELECT digest, answer::text AS answer FROM cim.idempotency WHERE caller = {} AND key = {} "
        "AND created_at > now() - interval '24 hours'",
        caller,
        key,
    )


def keep_sql(caller: str, key: str, digest: bytes, answer: str) -> Sql:
    """Keep an answer; no row comes back where another request with the key was first. Answers of yesterday go."""
    return Sql.of(
        "WITH gone AS (DELETE FROM cim.idempotency WHERE created_at <= now() - interval '24 hours' AND (caller, key) <> ({}, {})) "
        "INSERT INTO cim.idempotency AS kept (caller, key, digest, answer) VALUES ({}, {}, {}, {}) "
        "ON CONFLICT (caller, key) DO UPDATE SET digest = EXCLUDED.digest, answer = EXCLUDED.answer, created_at = now() "
        "WHERE kept.created_at <= now() - interval '24 hours' RETURNING key",
        Cast(caller, "text"),
        Cast(key, "text"),
        caller,
        key,
        Cast(digest, "bytea"),
        Cast(answer, "jsonb"),
    )
