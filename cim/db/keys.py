"""Keys of callers: made and revoked here, checked by the API. A key is shown once and kept as a digest."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from cim.errors import InvalidParameter, NotFound

ROLES = ("reader", "admin")
PREFIX_CHARACTERS = 8


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


def create_key(connection: psycopg.Connection[Any], *, role: str, label: str, expires_at: str | None = None) -> str:
    """A new key, which cannot be had again. Raises InvalidParameter for an unknown role."""
    if role not in ROLES:
        raise InvalidParameter("role", role, f"one of {', '.join(ROLES)}")
    made = new_key()
    connection.execute(
        "INSERT INTO cim.api_key (prefix, digest, role, label, expires_at) VALUES (%s, %s, %s, %s, %s)",
        [made.prefix, made.digest, role, label, expires_at],
    )
    return made.key


def list_keys(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Every key without its digest, oldest first."""
    cursor = connection.cursor(row_factory=dict_row)
    return cursor.execute(
        "SELECT prefix, role, label, created_at, expires_at, revoked_at FROM cim.api_key ORDER BY id"
    ).fetchall()


def revoke_key(connection: psycopg.Connection[Any], prefix: str) -> None:
    """End a key now. Raises NotFound for a prefix of none that is in force."""
    done = connection.execute(
        "UPDATE cim.api_key SET revoked_at = now() WHERE prefix = %s AND revoked_at IS NULL", [prefix]
    ).rowcount
    if not done:
        raise NotFound("key in force with the prefix", prefix)
