"""Bring a database to the present schema, by Alembic; safe to call from several processes at once."""

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from cim.db.connect import connect
from cim.db.indexes import ensure_indexes
from cim.db.registry_write import all_collections, sync_builtin
from cim.errors import SetupProblem

_LOCK = 4403_0001


def engine_of(url: str) -> Engine:
    """A SQLAlchemy engine over psycopg for a libpq URL (sockets too)."""
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))


def upgrade(url: str) -> None:
    """Extensions, tables, indexes and the built-in collections, as this version declares them.

    Raises SetupProblem when PostGIS is missing or the database's locale cannot search Chinese.
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
            command.upgrade(config, "head")
            with connect(url) as writer:
                sync_builtin(writer)
                for collection in all_collections(writer):
                    ensure_indexes(writer, collection)
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.commit()
    engine.dispose()


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
