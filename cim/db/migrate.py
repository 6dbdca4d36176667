"""Bring a database to the present schema, by Alembic; safe to call from several processes at once."""

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from cim.db.connect import connect, shown
from cim.db.guard import ensure_guard
from cim.db.indexes import ensure_indexes
from cim.db.registry_write import all_collections, sync_builtin
from cim.errors import CimError, SetupProblem, Unavailable

_LOCK = 4403_0001


def engine_of(url: str) -> Engine:
    """A SQLAlchemy engine over psycopg for a libpq URL (sockets too)."""
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))


def upgrade(url: str) -> None:
    """Extensions, tables, indexes and the built-in collections, as this version declares them.

    Raises SetupProblem when PostGIS is missing, the database's locale cannot search Chinese, the role lacks rights,
    or a later version made the tables; Unavailable when a session holds a lock that the upgrade needs.
    """
    check(url)
    engine = engine_of(url)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        connection.commit()
        try:
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except (DBAPIError, CommandError) as error:
                problem = _problem_of(error, url)
                if problem is None:
                    raise
                raise problem from error
            with connect(url) as writer:
                sync_builtin(writer)
                for collection in all_collections(writer):
                    ensure_indexes(writer, collection)
                ensure_guard(writer)
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.commit()
    engine.dispose()


def _problem_of(error: DBAPIError | CommandError, url: str) -> CimError | None:
    """What a user can mend about a failed upgrade; None where that is not known."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    facts = psycopg.conninfo.conninfo_to_dict(url)
    if isinstance(cause, psycopg.errors.InsufficientPrivilege) and "extension" in str(cause):
        return SetupProblem(
            f"{shown(url)} may not make PostGIS; let the database's superuser run: "
            f"psql -d {facts.get('dbname')} -c 'CREATE EXTENSION postgis' -c 'CREATE EXTENSION pg_trgm'"
        )
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        return SetupProblem(
            f"{shown(url)} may not make tables; let the database's owner or superuser run: "
            f'ALTER DATABASE "{facts.get("dbname")}" OWNER TO "{facts.get("user")}"'
        )
    if isinstance(cause, psycopg.errors.LockNotAvailable):
        return Unavailable(f"{shown(url)} is in use by a session that holds a lock on a table; try again later")
    if isinstance(error, CommandError) and "locate revision" in str(error):
        return SetupProblem(f"{shown(url)} was made by a later version of OpenCIM; start that version, or a newer one")
    return None


def check(url: str) -> None:
    """Raise SetupProblem for a database that cannot hold a city: encoding, locale, PostGIS, PostgreSQL's version."""
    with connect(url) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version_num')::int, pg_encoding_to_char(encoding), datctype, datcollate, "
            "EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgis') FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    version, encoding, ctype, _, has_postgis = row
    if version < 150000:
        raise SetupProblem(f"PostgreSQL {version // 10000} is too old; 15 or later is needed")
    if encoding != "UTF8" or ctype in ("C", "POSIX"):
        raise SetupProblem(
            f"the database has encoding {encoding} and locale {ctype}, which cannot search Chinese; make it anew: "
            "CREATE DATABASE cim TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
        )
    if not has_postgis:
        raise SetupProblem("PostGIS is not installed beside PostgreSQL: apt-get install postgresql-15-postgis-3")
