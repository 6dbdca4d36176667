"""The area tree and the rows that carry its codes."""

from typing import Any

import psycopg

from cim.model import Collection
from cim.sql import Sql


def areas_for_tagging(connection: psycopg.Connection[Any]) -> list[tuple[str, bytes]]:
    """(code, WKB) of every area that has both."""
    return connection.execute(
        "SELECT code, ST_AsBinary(geom) FROM cim.area WHERE code IS NOT NULL AND geom IS NOT NULL ORDER BY code"
    ).fetchall()


def retag(connection: psycopg.Connection[Any], collection: Collection) -> int:
    """Set `area_code` of a collection's rows to the smallest area holding the middle of their box; gives the rows changed.

    Run after areas have changed, so that "by area" stays an index prefix everywhere.
    """
    text, values = Sql.of(
        "WITH tag AS MATERIALIZED (SELECT DISTINCT ON (f.id) f.id, a.code FROM {}.{} AS f JOIN cim.area AS a "
        "ON a.geom && f.geom AND ST_Intersects(a.geom, ST_Centroid(ST_Envelope(f.geom))) WHERE a.code IS NOT NULL "
        "ORDER BY f.id, length(a.code) DESC, a.code) "
        "UPDATE {}.{} AS f SET area_code = tag.code FROM tag WHERE tag.id = f.id AND f.area_code IS DISTINCT FROM tag.code",
        *collection.table,
        *collection.table,
    ).compile_psycopg()
    with connection.transaction():
        changed = connection.execute(text.encode(), values).rowcount
        if changed:
            connection.execute(
                "UPDATE cim.collection_stats SET version = version + 1 WHERE collection_id = %s", [collection.id]
            )
            connection.execute("SELECT pg_notify('cim_registry', %s)", [collection.id])
    return changed
