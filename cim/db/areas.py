"""The area tree and the rows that carry its codes."""

from datetime import datetime
from typing import Any

import psycopg

from cim.db.changes import record_retag
from cim.db.registry_write import all_collections
from cim.model import Collection
from cim.model.collection import LEADING
from cim.sql import Cast, Identifier, Sql


def areas_for_tagging(connection: psycopg.Connection[Any]) -> list[tuple[str, bytes]]:
    """(code, WKB) of every area that has both."""
    return connection.execute(
        "SELECT code, ST_AsBinary(geom) FROM cim.area WHERE code IS NOT NULL AND geom IS NOT NULL ORDER BY code"
    ).fetchall()


def retag_all(connection: psycopg.Connection[Any], run_id: int, by: str) -> None:
    """Bring the codes of every other collection in step with the areas, as part of the load `run_id` of areas."""
    for collection in all_collections(connection):
        if collection.kind != "areas":
            retag(connection, collection, run_id, by)


def retag(connection: psycopg.Connection[Any], collection: Collection, run_id: int, by: str) -> int:
    """Set `area_code` of a collection's rows to the smallest area holding the middle of their box; gives the rows changed.

    Run after a load of areas has changed them, so that "by area" stays an index prefix everywhere. It is a change like
    any other: the versions before go to history, and it stands in the feed as that load's. A row that lies in no area any
    more has no code; one that is written meanwhile has got its code from the same areas.
    """
    with connection.transaction():
        changed = _run(connection, _misplaced(collection)).rowcount
        if changed:
            _run(connection, _lock(collection))
            row = _run(connection, record_retag(collection.id, run_id, by)).fetchone()
            assert row is not None
            _run(connection, _keep(collection, row[0]))
            changed = _run(connection, _write(collection, row[0])).rowcount
            connection.execute("SELECT pg_notify('cim_registry', %s)", [collection.id])
        connection.execute("DROP TABLE pg_temp.misplaced")
    return changed


def _run(connection: psycopg.Connection[Any], sql: Sql) -> psycopg.Cursor[Any]:
    text, values = sql.compile_psycopg()
    return connection.execute(text.encode(), values)


def _misplaced(collection: Collection) -> Sql:
    """Note the versions that have another code than their place says."""
    return Sql.of(
        "CREATE TEMPORARY TABLE misplaced AS SELECT f.id, f.recorded_at, tag.code FROM {}.{} AS f LEFT JOIN "
        "(SELECT DISTINCT ON (f.id) f.id, a.code "
        "FROM {}.{} AS f JOIN cim.area AS a ON a.geom && f.geom AND ST_Intersects(a.geom, ST_Centroid(ST_Envelope(f.geom))) "
        "WHERE a.code IS NOT NULL ORDER BY f.id, length(a.code) DESC, a.code) AS tag USING (id) "
        "WHERE f.area_code IS DISTINCT FROM tag.code",
        *collection.table,
        *collection.table,
    )


def _lock(collection: Collection) -> Sql:
    return Sql.of(
        "SELECT FROM {}.{} AS f JOIN misplaced AS m USING (id, recorded_at) ORDER BY f.id FOR UPDATE OF f",
        *collection.table,
    )


def _keep(collection: Collection, recorded_at: datetime) -> Sql:
    names = Sql.join(", ", [Sql.of("{}", Identifier(n)) for n in (*LEADING, "recorded_at", *collection.names())])
    return Sql.of(
        "INSERT INTO {}.{} ({}, superseded_at) SELECT {}, {} FROM {}.{} JOIN misplaced AS m USING (id, recorded_at)",
        *collection.history_table,
        names,
        names,
        Cast(recorded_at, "timestamptz"),
        *collection.table,
    )


def _write(collection: Collection, recorded_at: datetime) -> Sql:
    return Sql.of(
        "UPDATE {}.{} AS f SET area_code = m.code, recorded_at = {} FROM misplaced AS m "
        "WHERE m.id = f.id AND m.recorded_at = f.recorded_at",
        *collection.table,
        Cast(recorded_at, "timestamptz"),
    )
