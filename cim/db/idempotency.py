"""Answers kept by `Idempotency-Key`: a request that is sent twice is done once (`draft-ietf-httpapi-idempotency-key-header`)."""

from cim.sql import Cast, Sql


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
