"""The role that the API's sessions run as: it reads and writes the city, and cannot change a row of the audit (catalogue B46).

Sessions that make tables (loads, upgrades, the command line) are the owner's; those of the API take the role with their
start-up packet, which costs nothing afterwards. Where the owner may not make roles the audit is guarded by its chain alone.
"""

from typing import Any

import psycopg
import psycopg.sql

from cim.errors import SetupProblem
from cim.sql import Identifier, Sql

ROLE = "cim_app"
LOGIN = "cim_api"
"""Logs in for the API's sessions; it owns nothing, and may nothing but take `ROLE`."""
LEDGER = ("call", "call_minute", "call_day", "call_late", "call_quarantine", "call_close")
"""Tables of the meter that its own sessions write."""
GUARDED = ("audit", "audit_head", *LEDGER)
"""Tables that the role may read only; `cim.audit_append` writes those of the audit."""

SCHEMAS = ("cim", "dataset")
"""Where tables are, those of datasets among them."""

Connection = psycopg.Connection[Any]


def ensure_guard(connection: Connection) -> bool:
    """Make the role and its rights, as far as the owner may; gives whether the API can take it. Safe to repeat."""
    try:
        with connection.transaction():
            if not may_take_role(connection):
                _make_role(connection)
            if not _has_login(connection):
                _make_login(connection)
            _grant(connection)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidGrantOperation):
        return False
    return may_take_role(connection)


def may_take_role(connection: Connection) -> bool:
    """True when the role is there and this session's user may become it."""
    row = connection.execute(
        "SELECT pg_has_role(session_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = %s", [ROLE]
    ).fetchone()
    return row is not None and bool(row[0])


def is_guarded(connection: Connection) -> bool:
    """True when the API's sessions can take the role, and the role cannot change the audit."""
    if not may_take_role(connection):
        return False
    row = connection.execute(
        "SELECT has_table_privilege(%s, 'cim.service', 'UPDATE') AND NOT bool_or(has_table_privilege(%s, t, 'INSERT, UPDATE, "
        "DELETE, TRUNCATE')) FROM unnest(ARRAY['cim.audit', 'cim.audit_head']) AS t",
        [ROLE, ROLE],
    ).fetchone()
    return row is not None and bool(row[0])


def _make_role(connection: Connection) -> None:
    """The role belongs to the server and not to one database: another may be making it at this moment."""
    role = Identifier(ROLE)
    try:
        with connection.transaction():
            _run(connection, Sql.of("CREATE ROLE {} NOLOGIN", role))
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        pass
    if not may_take_role(connection):
        _run(connection, Sql.of("GRANT {} TO CURRENT_USER", role))


def _has_login(connection: Connection) -> bool:
    """True when the login of the API is there and may take the role."""
    row = connection.execute(
        "SELECT pg_has_role(l.oid, r.oid, 'MEMBER') FROM pg_roles AS l, pg_roles AS r WHERE l.rolname = %s AND r.rolname = %s",
        [LOGIN, ROLE],
    ).fetchone()
    return row is not None and bool(row[0])


def _make_login(connection: Connection) -> None:
    """Without a password: nobody logs in by it over the network before it has one."""
    try:
        with connection.transaction():
            _run(connection, Sql.of("CREATE ROLE {} LOGIN NOINHERIT", Identifier(LOGIN)))
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        pass
    _run(connection, Sql.of("GRANT {} TO {}", Identifier(ROLE), Identifier(LOGIN)))


def set_api_password(connection: Connection, password: str) -> None:
    """Give the login of the API a password; the server gets its SCRAM verifier only. Raises SetupProblem without the right to."""
    verifier = connection.pgconn.encrypt_password(password.encode(), LOGIN.encode(), b"scram-sha-256").decode()
    try:
        connection.execute(psycopg.sql.SQL("ALTER ROLE {} PASSWORD {}").format(psycopg.sql.Identifier(LOGIN), verifier))
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject) as error:
        raise SetupProblem(
            f"the role {LOGIN} has no password, which the owner of the tables may not give: let the superuser run "
            f"CREATE ROLE {LOGIN} LOGIN NOINHERIT PASSWORD '…' and GRANT {ROLE} TO {LOGIN}"
        ) from error


def _grant(connection: Connection) -> None:
    """Everything of the schemas, also what the owner makes later, but writing the audit."""
    role = Identifier(ROLE)
    for text in (
        "GRANT USAGE ON SCHEMA {} TO {}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {} TO {}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {} TO {}",
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {} TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT USAGE, SELECT ON SEQUENCES TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT EXECUTE ON FUNCTIONS TO {}",
    ):
        for schema in SCHEMAS:
            _run(connection, Sql.of(text, Identifier(schema), role))
    for name in GUARDED:
        _run(
            connection,
            Sql.of("REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON cim.{} FROM {}", Identifier(name), role),
        )


def guard_table(connection: Connection, name: str) -> None:
    """Let the role read a table of `cim` only, which was made just now."""
    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone() is not None:
        text = "REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON cim.{} FROM {}"
        _run(connection, Sql.of(text, Identifier(name), Identifier(ROLE)))


def _run(connection: Connection, sql: Sql) -> None:
    connection.execute(sql.compile_psycopg()[0].encode())
