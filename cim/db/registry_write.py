"""The registry's rows, written: built-in collections are kept in step, loaded ones come and go.

Every change is told to all workers by `NOTIFY cim_registry, '<collection id>'`.
"""

from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from cim.collections import BUILTIN
from cim.errors import Conflict, NotFound
from cim.model import Collection
from cim.model.declaration import collection_from, declaration_of
from cim.sql import Sql

Connection = psycopg.Connection[Any]


def find_collection(connection: Connection, collection_id: str) -> Collection | None:
    """The registered collection of that id, or None."""
    row = connection.execute("SELECT declaration FROM cim.collection WHERE id = %s", [collection_id]).fetchone()
    return collection_from(row[0]) if row else None


def all_collections(connection: Connection) -> list[Collection]:
    """Every registered collection, by id."""
    rows = connection.execute("SELECT declaration FROM cim.collection ORDER BY id").fetchall()
    return [collection_from(row[0]) for row in rows]


def register(connection: Connection, collection: Collection, *, is_builtin: bool = False) -> None:
    """Make a collection known: its registry row, its stats row and (unless built in) its tables and indexes.

    Registering the same declaration again changes nothing. The version of a collection that comes back goes on where
    it was, so that a token of its feed stays good. Raises Conflict when another collection has the id.
    """
    with connection.transaction():
        known = find_collection(connection, collection.id)
        if known is not None and not is_builtin and declaration_of(known) != declaration_of(collection):
            raise Conflict(f"a collection '{collection.id}' exists already and is declared otherwise")
        if not is_builtin:
            from cim.db.tables import (
                index_statements,
                table_statements,
            )  # half a second, which most commands need not pay

            for statement in (*table_statements(collection), *index_statements(collection).values()):
                connection.execute(statement.encode())
        connection.execute(
            "INSERT INTO cim.collection (id, declaration, is_builtin) VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE "
            "SET declaration = EXCLUDED.declaration, updated_at = now() "
            "WHERE collection.declaration IS DISTINCT FROM EXCLUDED.declaration",
            [collection.id, Jsonb(declaration_of(collection)), is_builtin],
        )
        connection.execute(
            "INSERT INTO cim.collection_stats (collection_id, version) SELECT %s, COALESCE(max(version), 0) "
            "FROM cim.change WHERE collection_id = %s ON CONFLICT DO NOTHING",
            [collection.id, collection.id],
        )
        notify(connection, collection.id)


def sync_builtin(connection: Connection) -> None:
    """Bring the built-in collections' rows in step with their declarations."""
    for collection in BUILTIN:
        register(connection, collection, is_builtin=True)


def unregister(connection: Connection, collection_id: str) -> None:
    """Drop a loaded collection with its rows and history. Raises NotFound, and Conflict for a built-in one."""
    row = connection.execute(
        "SELECT declaration, is_builtin FROM cim.collection WHERE id = %s", [collection_id]
    ).fetchone()
    if row is None:
        raise NotFound("collection", collection_id)
    if row[1]:
        raise Conflict(f"'{collection_id}' is built in and cannot be deleted")
    collection = collection_from(row[0])
    with connection.transaction():
        for table in (collection.table, collection.history_table):
            text, _ = Sql.of("DROP TABLE IF EXISTS {}.{}", *table).compile_psycopg()
            connection.execute(text.encode())
        connection.execute("DELETE FROM cim.collection WHERE id = %s", [collection_id])
        connection.execute("DELETE FROM cim.collection_stats WHERE collection_id = %s", [collection_id])
        connection.execute("DELETE FROM cim.edited WHERE collection_id = %s", [collection_id])
        notify(connection, collection_id)


def notify(connection: Connection, collection_id: str) -> None:
    """Tell every worker that the registry or a collection's statistics have changed."""
    connection.execute("SELECT pg_notify('cim_registry', %s)", [collection_id])
