"""Statements over log-ins: sessions, people by what they log in with, wrong guesses."""

from datetime import datetime

from cim.query.listing import Listing
from cim.sql import Cast, Sql

_PERSON = Sql.of(
    "p.id AS person_id, p.login, p.name, p.organisation_id, p.duties, p.area_code, p.password_hash "
    "FROM cim.person AS p JOIN cim.organisation AS o ON o.id = p.organisation_id"
)
_IN_FORCE = Sql.of("p.state = 'active' AND o.state = 'active'")

SESSIONS = Listing(
    Sql.of("SELECT s.id, s.agent, s.created_at, s.seen_at, s.expires_at, s.digest FROM cim.session AS s"),
    Sql.of("s.id"),
    kind="bigint",
    is_latest_first=True,
)


def session_sql(digest: str, idle_s: float) -> Sql:
    """Whose session it is, where session, person and organisation are in force; `is_stale` once a minute."""
    return Sql.of(
        "SELECT s.id AS session_id, s.seen_at < now() - interval '1 minute' AS is_stale, {} "
        "JOIN cim.session AS s ON s.person_id = p.id WHERE s.digest = {} AND s.expires_at > now() "
        "AND s.seen_at > now() - make_interval(secs => {}) AND {}",
        _PERSON,
        digest,
        Cast(idle_s, "float8"),
        _IN_FORCE,
    )


def seen_sql(session_id: int) -> Sql:
    """The session was used now."""
    return Sql.of("UPDATE cim.session SET seen_at = now() WHERE id = {}", session_id)


def begin_sql(digest: str, person_id: str, agent: str, expires_at: datetime) -> Sql:
    """A new session; those of everybody that are over go."""
    return Sql.of(
        "WITH over AS (DELETE FROM cim.session WHERE expires_at < now()) "
        "INSERT INTO cim.session (digest, person_id, agent, expires_at) VALUES ({}, {}, {}, {})",
        digest,
        person_id,
        agent,
        Cast(expires_at, "timestamptz"),
    )


def end_sql(digest: str) -> Sql:
    """End the session of that cookie."""
    return Sql.of("DELETE FROM cim.session WHERE digest = {}", digest)


def end_one_sql(session_id: int, person_id: str) -> Sql:
    """End a session of the person; no row when it is not theirs."""
    return Sql.of(
        "DELETE FROM cim.session WHERE id = {} AND person_id = {} RETURNING digest",
        Cast(session_id, "bigint"),
        person_id,
    )


def end_all_sql(person_id: str, *, but: str = "") -> Sql:
    """End the sessions of a person, except that with the digest `but`."""
    return Sql.of("DELETE FROM cim.session WHERE person_id = {} AND digest <> {}", person_id, but)


def by_login_sql(login: str) -> Sql:
    """Somebody in force, by their log-in."""
    return Sql.of("SELECT {} WHERE p.login = {} AND {}", _PERSON, login, _IN_FORCE)


def by_subject_sql(issuer: str, subject: str) -> Sql:
    """Somebody in force, by what the issuer of OpenID Connect calls them."""
    return Sql.of("SELECT {} WHERE p.issuer = {} AND p.subject = {} AND {}", _PERSON, issuer, subject, _IN_FORCE)


def guess_sql(subject: str, free: int) -> Sql:
    """Count a try at a password; no row while one must wait: 1, 2, 4 … 900 seconds once `free` tries were wrong.

    An hour without a try is a new beginning. One statement, so that tries at once are counted one by one.
    """
    return Sql.of(
        "INSERT INTO cim.login_guess AS g (subject, failures) VALUES ({}, 1) ON CONFLICT (subject) DO UPDATE "
        "SET failures = CASE WHEN g.failed_at < now() - interval '1 hour' THEN 1 ELSE g.failures + 1 END, "
        "failed_at = clock_timestamp() "
        "WHERE g.failures < {} OR g.failed_at + {} <= clock_timestamp() RETURNING failures",
        subject,
        Cast(free, "int"),
        _pause(free),
    )


def wait_sql(subject: str, free: int) -> Sql:
    """Seconds until the next try is taken."""
    return Sql.of(
        "SELECT ceil(extract(epoch FROM g.failed_at + {} - clock_timestamp()))::int AS seconds FROM cim.login_guess AS g "
        "WHERE subject = {}",
        _pause(free),
        subject,
    )


def _pause(free: int) -> Sql:
    return Sql.of("make_interval(secs => least(900, 2 ^ least(greatest(g.failures - {}, 0), 20)))", Cast(free, "int"))


def guessed_sql(subjects: list[str]) -> Sql:
    """The password was right: forget the tries before, and those of yesterday."""
    return Sql.of(
        "DELETE FROM cim.login_guess WHERE subject = ANY({}) OR failed_at < now() - interval '1 day'",
        Cast(subjects, "text[]"),
    )
