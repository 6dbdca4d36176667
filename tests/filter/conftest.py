"""A hand-made collection, and filters run over it as the read path runs them (asyncpg, generic plans)."""

import asyncio
from collections.abc import Iterator

import pytest

from cim.crs import CRS84, Crs
from cim.db.pool import Database
from cim.model import EVERYTHING, Collection, Scope
from cim.query.filter import Node, compile_filter, parse_json, parse_text
from cim.settings import Settings
from cim.sql import Sql
from tests.city import City


class Rows:
    """Filters over the collections of one database: which keys they select."""

    def __init__(self, url: str) -> None:
        self.city = City(url)
        self._runner = asyncio.Runner()
        self._database = Database(Settings(DATABASE_URL=url))
        self._runner.run(self._database.open())

    def close(self) -> None:
        """End both connections."""
        self._runner.run(self._database.close())
        self._runner.close()
        self.city.close()

    def fetch(self, sql: Sql) -> list[tuple[object, ...]]:
        """Run a statement."""
        return [tuple(row) for row in self._runner.run(self._database.fetch_rows(sql))]

    def find(
        self, collection: Collection, text: str | Node, *, crs: Crs = CRS84, scope: Scope = EVERYTHING
    ) -> list[str]:
        """Keys of the rows that a filter selects, in order; a text is CQL2 text, anything else CQL2-JSON."""
        node = parse_text(text) if isinstance(text, str) else parse_json(text)
        condition = compile_filter(node, collection, scope, crs)
        sql = Sql.of("SELECT source_id FROM {}.{} WHERE {} ORDER BY source_id", *collection.table, condition)
        return [str(row[0]) for row in self.fetch(sql)]

    def explain(self, collection: Collection, text: str, *, crs: Crs = CRS84) -> str:
        """The plan of a filter."""
        condition = compile_filter(parse_text(text), collection, Scope(), crs)
        rows = self.fetch(Sql.of("EXPLAIN SELECT id FROM {}.{} WHERE {}", *collection.table, condition))
        return "\n".join(str(row[0]) for row in rows)


@pytest.fixture(scope="module")
def rows(module_database_url: str) -> Iterator[Rows]:
    """Filters over a fresh database."""
    opened = Rows(module_database_url)
    yield opened
    opened.close()
