"""Keys of callers: made and revoked here, checked by the API. A key is shown once and kept as a digest."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from cim.db.rights import Rights
from cim.errors import NotFound
from cim.sql import Cast, Identifier, Sql

PREFIX_CHARACTERS = 8

SHOWN = (
    *("prefix", "role", "label", "collections", "area_code", "hidden", "precision_m"),
    *("created_at", "expires_at", "revoked_at"),
)
"""What lists tell of a key."""

LIST_SQL = Sql.of(
    "SELECT {} FROM cim.api_key ORDER BY id", Sql.join(", ", [Sql.of("{}", Identifier(name)) for name in SHOWN])
)
"""Every key without its digest, oldest first."""


def digest_of(key: str) -> str:
    """What `cim.api_key.digest` holds of a key: its SHA-256 in hexadecimal (keys have 192 random bits)."""
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key nobody knows yet, with what is kept of it."""

    key: str
    prefix: str
    digest: str


def new_key() -> NewKey:
    """A random key of 192 bits."""
    key = "cim_" + secrets.token_urlsafe(24)
    return NewKey(key, key[: 4 + PREFIX_CHARACTERS], digest_of(key))


def insert_sql(made: NewKey, rights: Rights, label: str, expires_at: datetime | None = None) -> Sql:
    """Keep what is kept of a key, with what it is allowed."""
    return Sql.of(
        "INSERT INTO cim.api_key (prefix, digest, label, expires_at, role, collections, area_code, hidden, precision_m) "
        "VALUES ({}, {}, {}, {}, {})",
        made.prefix,
        made.digest,
        label,
        Cast(expires_at, "timestamptz"),
        rights.bound(),
    )


def create_key(connection: psycopg.Connection[Any], rights: Rights, *, label: str) -> str:
    """A new key, which cannot be had again."""
    made = new_key()
    text, values = insert_sql(made, rights, label).compile_psycopg()
    connection.execute(text.encode(), values)
    return made.key


def list_keys(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Every key without its digest, oldest first."""
    cursor = connection.cursor(row_factory=dict_row)
    text, values = LIST_SQL.compile_psycopg()
    return cursor.execute(text.encode(), values).fetchall()


def revoke_key(connection: psycopg.Connection[Any], prefix: str) -> None:
    """End a key now. Raises NotFound for a prefix of none that is in force."""
    done = connection.execute(
        "UPDATE cim.api_key SET revoked_at = now() WHERE prefix = %s AND revoked_at IS NULL", [prefix]
    ).rowcount
    if not done:
        raise NotFound("key in force with the prefix", prefix)
