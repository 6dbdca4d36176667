"""The schema a database gets: the declared one, however often and by however many at once it is brought up."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.conninfo import make_conninfo

from cim.collections import BUILTIN
from cim.db import migrate
from cim.db.declared import metadata
from cim.db.migrate import engine_of, upgrade
from cim.db.schema import SCHEMA
from tests.conftest import environment, named
from tests.platform.programs import CIM, run_cim

MIGRATIONS = Path(migrate.__file__).parent / "migrations"


@contextmanager
def bare(cluster: str, name: str, locale: str) -> Iterator[str]:
    """An empty database, dropped afterwards."""
    with psycopg.connect(make_conninfo(cluster, dbname="postgres"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}"'.encode())
        connection.execute(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE '{locale}'".encode())
        try:
            yield named(cluster, name)
        finally:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def index_names(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'cim'").fetchall()
    return {row[0] for row in rows}


def snapshot(url: str) -> list[tuple[object, ...]]:
    """Every column and constraint of the schema, the version, and the registry."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
            "WHERE table_schema = 'cim' "
            "UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '' FROM pg_constraint "
            "WHERE connamespace = 'cim'::regnamespace "
            "UNION ALL SELECT 'version', version_num, '', '', '' FROM alembic_version "
            "UNION ALL SELECT 'registered', id, md5(declaration::text), updated_at::text, '' FROM cim.collection "
            "ORDER BY 1, 2, 3"
        ).fetchall()


def test_each_migration_follows_one_other_and_there_is_one_head():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert len(script.get_heads()) == 1, "two migrations follow the same one: renumber the later"
    chain = [one.revision for one in script.walk_revisions()]
    named = sorted((path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("*.py")), reverse=True)
    assert [one.split("_")[0] for one in chain] == named, "numbers of files are those of the chain, each once"


def test_a_migrated_database_is_the_declared_one(database_url):
    engine = engine_of(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "compare_type": True,
                "include_name": lambda name, kind, parents: kind != "schema" or name == SCHEMA,
            },
        )
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert differences == []


def test_every_declared_index_and_check_is_there(database_url):
    declared = {index.name for table in metadata.tables.values() for index in table.indexes}
    assert len(declared) > 20
    assert declared - index_names(database_url) == set()
    checks = {c.name for t in metadata.tables.values() for c in t.constraints if c.name and c.name.endswith("_check")}
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT conname FROM pg_constraint WHERE contype = 'c'").fetchall()
    assert checks | {"load_batch_adds_up"} <= {row[0] for row in rows}


def test_upgrading_again_changes_nothing(database_url):
    before = snapshot(database_url)
    upgrade(database_url)
    assert snapshot(database_url) == before
    assert {row[1] for row in before if row[0] == "registered"} == {c.id for c in BUILTIN}


def test_two_processes_may_upgrade_an_empty_database_at_once(cluster, database_url):
    with bare(cluster, "cim_test_two_at_once", "C.UTF-8") as url:
        started = [
            subprocess.Popen(
                [*CIM, "db", "upgrade"],
                env=environment(DATABASE_URL=url),
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )
            for _ in range(2)
        ]
        said = [process.communicate(timeout=120)[1].decode() for process in started]
        assert [process.returncode for process in started] == [0, 0], said
        assert [row[:3] for row in snapshot(url)] == [row[:3] for row in snapshot(database_url)]
        assert index_names(url) == index_names(database_url)


def test_indexes_that_a_killed_load_left_off_come_back_at_upgrade(database_url):
    before = index_names(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in ("building_geom_idx", "building_area_code_idx", "camera_geom_idx"):
            connection.execute(f"DROP INDEX cim.{name}".encode())
    assert index_names(database_url) != before
    upgrade(database_url)
    assert index_names(database_url) == before


def test_a_database_whose_locale_cannot_search_chinese_is_refused_with_the_line_that_mends_it(cluster):
    with bare(cluster, "cim_test_locale_c", "C") as url:
        for words in (("db", "upgrade"), ("doctor",)):
            ran = run_cim(*words, DATABASE_URL=url)
            assert ran.code == 1
            said = ran.out + ran.err
            assert "locale C, which cannot search Chinese" in said
            assert "CREATE DATABASE cim TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'" in said
            assert "Traceback" not in said


@pytest.fixture
def clerk(cluster: str) -> Iterator[str]:
    """Name of a role without rights of its own."""
    with psycopg.connect(make_conninfo(cluster, dbname="postgres"), autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS cim_test_clerk")
        connection.execute("CREATE ROLE cim_test_clerk LOGIN PASSWORD 'word'")
        try:
            yield "cim_test_clerk"
        finally:
            connection.execute("DROP ROLE cim_test_clerk")


def test_a_role_without_rights_is_told_what_the_superuser_must_run_and_then_it_works(cluster, clerk):
    with bare(cluster, "cim_test_rights", "C.UTF-8") as url:
        theirs = make_conninfo(url, user=clerk, password="word")

        def refused(line: str) -> None:
            ran = run_cim("db", "upgrade", DATABASE_URL=theirs)
            assert (ran.code, len(ran.err.strip().splitlines())) == (1, 1), ran.err
            assert line in ran.err

        with psycopg.connect(url, autocommit=True) as superuser:
            for right in (
                f"GRANT CREATE ON SCHEMA public TO {clerk}",
                f"GRANT CREATE ON DATABASE cim_test_rights TO {clerk}",
            ):
                superuser.execute(right.encode())
            refused("psql -d cim_test_rights -c 'CREATE EXTENSION postgis' -c 'CREATE EXTENSION pg_trgm'")
            superuser.execute("CREATE EXTENSION postgis")
            superuser.execute("CREATE EXTENSION pg_trgm")
            superuser.execute(f"REVOKE CREATE ON SCHEMA public FROM {clerk}".encode())
            refused(f'ALTER DATABASE "cim_test_rights" OWNER TO "{clerk}"')
            superuser.execute(f'ALTER DATABASE "cim_test_rights" OWNER TO "{clerk}"'.encode())
        ran = run_cim("db", "upgrade", DATABASE_URL=theirs)
        assert ran.code == 0, ran.err


def test_a_database_of_a_later_version_is_left_as_it_is(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    ran = run_cim("db", "upgrade", DATABASE_URL=database_url)
    assert (ran.code, len(ran.err.strip().splitlines())) == (1, 1), ran.err
    assert "made by a later version" in ran.err


def test_a_database_without_our_tables_is_told_to_be_upgraded(cluster):
    with bare(cluster, "cim_test_bare", "C.UTF-8") as url:
        for words in ("status", "collections list", "db key list", "db rejections 1"):
            ran = run_cim(*words.split(), DATABASE_URL=url)
            assert (ran.code, len(ran.err.strip().splitlines())) == (1, 1), ran.err
            assert "cim db upgrade" in ran.err


def test_services_written_before_their_texts_stayed_uncompressed_are_written_anew(database_url):
    """0025: as 0018 found them, compressed by the default rules; the text is the same, and nothing was edited."""
    rewrite = import_module("cim.db.migrations.versions.0025_services_rewritten").REWRITE
    told = "SELECT id, searched, version, updated_at FROM cim.service ORDER BY id"
    compressed = "SELECT count(*) FROM cim.service WHERE pg_column_compression(searched) IS NOT NULL"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE cim.service RESET (toast_tuple_target)")
        connection.execute("ALTER TABLE cim.service ALTER COLUMN searched SET STORAGE EXTENDED")
        connection.execute(
            "INSERT INTO cim.service (id, kind, title_zh, title_en, description_zh, description_en) "
            "SELECT 'old-' || n, 'wms', '底图', 'Base map', repeat('城市底图服务', 60), repeat('base map of the city ', 60) "
            "FROM generate_series(1, 20) AS n"
        )
        connection.execute("ALTER TABLE cim.service SET (toast_tuple_target = 4080)")
        connection.execute("ALTER TABLE cim.service ALTER COLUMN searched SET STORAGE MAIN")
        before = connection.execute(told).fetchall()
        assert connection.execute(compressed).fetchone() == (20,)
        connection.execute(rewrite.encode())
        assert connection.execute(compressed).fetchone() == (0,)
        assert connection.execute(told).fetchall() == before


def test_services_keep_all_they_have_when_their_table_is_written_anew(cluster):
    """0026: the same rows in another order of columns, their secrets with them."""
    with bare(cluster, "cim_test_services_anew", "C.UTF-8") as url:
        engine, config = engine_of(url), Config()
        config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0025")
        engine.dispose()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO cim.organisation (id, name_zh, name_en) VALUES ('water', '水务局', 'Water')"
            )
            connection.execute(
                "INSERT INTO cim.service (id, state, kind, organisation_id, title_zh, title_en, description_zh, themes, endpoints, "
                "geom, harvest_id, remote_id, provenance, off_rank, time_from, quality, cim_level) VALUES ('pipes', 'withdrawn', "
                "'wfs', 'water', '管线', 'Pipes', %s, '[\"water\"]', '[{\"url\": \"https://w.example\"}]', "
                "ST_MakeEnvelope(113, 22, 114, 23, 4326), 'csw', 'urn:1', '{\"a\": 1}', 2, '2020-01-01', 'good', 4), "
                "('bare', 'draft', 'wms', NULL, '', 'Bare', '', '[]', '[]', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
                ["长" * 4000],
            )
            connection.execute(
                "INSERT INTO cim.service_secret (service_id, sealed, set_by) VALUES ('pipes', 'x', 'me')"
            )
            rows = "SELECT to_jsonb(s) - 'titles' - 'searched' FROM cim.service AS s ORDER BY id"
            before = connection.execute(rows.encode()).fetchall()
            upgrade(url)
            assert connection.execute(rows.encode()).fetchall() == before
            found = "SELECT id FROM cim.service WHERE cim.beginnings(searched, organisation_id, themes) @@ 'ipes':*"
            assert connection.execute("SELECT titles, searched FROM cim.service WHERE id = 'bare'").fetchone() == (
                "\x1f\x1fbare\x1f",
                "bare\x1f\x1fbare\x1f[]\x1f\x1f",
            )
            assert connection.execute(found.replace("'ipes':*", "$$'ipes':*$$").encode()).fetchall() == [("pipes",)]
            connection.execute("DELETE FROM cim.service WHERE id = 'pipes'")
            assert connection.execute("SELECT count(*) FROM cim.service_secret").fetchone() == (0,)
