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
from cim.query.listing import Listing
from cim.sql import Cast, Identifier, Sql

PREFIX_CHARACTERS = 8

SHOWN = (
    *("prefix", "role", "label", "collections", "area_code", "hidden", "precision_m"),
    *("organisation_id", "person_id", "duties", "services", "grant_id"),
    *("created_at", "expires_at", "revoked_at", "last_used_on"),
)
"""What lists tell of a key."""

KEYS = Listing(
    Sql.of(
        "SELECT {}, id, revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS is_in_force "
        "FROM cim.api_key AS k",
        Sql.join(", ", [Sql.of("{}", Identifier(name)) for name in SHOWN]),
    ),
    Sql.of("k.id"),
    kind="bigint",
    is_latest_first=True,
)
"""Keys without their digests, by the order in which they were made."""

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


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a key acts for in the catalogue, and by which duties; `services` and `grant_id` limit what it may call."""

    organisation_id: str | None = None
    person_id: str | None = None
    duties: tuple[str, ...] = ()
    services: tuple[str, ...] | None = None
    grant_id: int | None = None

    def bound(self) -> Sql:
        """The values of its columns, to stand in VALUES."""
        return Sql.of(
            "{}, {}, {}, {}, {}",
            Cast(self.organisation_id, "text"),
            Cast(self.person_id, "text"),
            Cast(list(self.duties), "text[]"),
            Cast(None if self.services is None else list(self.services), "text[]"),
            Cast(self.grant_id, "bigint"),
        )


NOBODY = Owner()


def insert_sql(
    made: NewKey, rights: Rights, label: str, expires_at: datetime | None = None, owner: Owner = NOBODY
) -> Sql:
    """Keep what is kept of a key, with what it is allowed and whom it acts for."""
    return Sql.of(
        "INSERT INTO cim.api_key (prefix, digest, label, expires_at, role, collections, area_code, hidden, precision_m, "
        "organisation_id, person_id, duties, services, grant_id) VALUES ({}, {}, {}, {}, {}, {})",
        made.prefix,
        made.digest,
        label,
        Cast(expires_at, "timestamptz"),
        rights.bound(),
        owner.bound(),
    )


def in_force_sql(digest: str, timezone: str) -> Sql:
    """The key of that digest where it is in force, and so are its organisation and the person it was made for.

    Duties that the person has no longer are the key's no longer. `is_first_today`: to be noted by `used_sql`.
    """
    return Sql.of(
        "SELECT k.role, k.collections, k.area_code, k.hidden, k.precision_m, k.prefix, k.label, k.organisation_id, "
        "k.person_id, k.services, k.grant_id, CASE WHEN k.person_id IS NULL OR 'city_admin' = ANY(p.duties) THEN k.duties "
        "ELSE ARRAY(SELECT duty FROM unnest(k.duties) AS duty WHERE duty = ANY(p.duties)) END AS duties, "
        "k.last_used_on IS DISTINCT FROM (now() AT TIME ZONE {})::date AS is_first_today "
        "FROM cim.api_key AS k LEFT JOIN cim.organisation AS o ON o.id = k.organisation_id "
        "LEFT JOIN cim.person AS p ON p.id = k.person_id "
        "WHERE k.digest = {} AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) "
        "AND (o.state IS NULL OR o.state = 'active') "
        "AND (k.person_id IS NULL OR p.state = 'active' AND p.organisation_id = k.organisation_id)",
        timezone,
        digest,
    )


def used_sql(digest: str, timezone: str) -> Sql:
    """The key was used today: a day of the platform."""
    return Sql.of(
        "UPDATE cim.api_key SET last_used_on = (now() AT TIME ZONE {})::date WHERE digest = {}", timezone, digest
    )


def revoke_sql(prefix: str) -> Sql:
    """End a key now; no row when there is none in force of that prefix."""
    return Sql.of(
        "UPDATE cim.api_key SET revoked_at = now() WHERE prefix = {} AND revoked_at IS NULL RETURNING prefix", prefix
    )


def outlive_sql(prefix: str, seconds: float) -> Sql:
    """A key goes on for some seconds at most: another has taken its place."""
    return Sql.of(
        "UPDATE cim.api_key SET expires_at = least(expires_at, now() + make_interval(secs => {})) "
        "WHERE prefix = {} AND revoked_at IS NULL RETURNING expires_at",
        Cast(seconds, "float8"),
        prefix,
    )


def create_key(connection: psycopg.Connection[Any], rights: Rights, *, label: str, owner: Owner = NOBODY) -> str:
    """A new key, which cannot be had again."""
    made = new_key()
    text, values = insert_sql(made, rights, label, owner=owner).compile_psycopg()
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
