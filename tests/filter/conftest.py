"""A hand-made collection, and filters run over it as the read path runs them (asyncpg, generic plans)."""

import asyncio
from collections.abc import Iterator

import pytest

from cim.crs import CRS84, Crs
from cim.db.pool import Database
from cim.model import EVERYTHING, Collection, Kind, Property, Scope
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


PROPERTIES = (
    Property("name", Kind.TEXT, "名", "name"),
    Property("use", Kind.TEXT, "用途", "use", is_indexed=True),
    Property("floors", Kind.INTEGER, "层", "floors"),
    Property("number", Kind.INTEGER, "号", "number"),
    Property("height", Kind.NUMBER, "高", "height"),
    Property("is_listed", Kind.BOOLEAN, "保", "listed"),
    Property("built", Kind.DATE, "建", "built"),
    Property("seen", Kind.INSTANT, "见", "seen"),
    Property("seen_last", Kind.INSTANT, "末见", "seen last"),
    Property("tags", Kind.JSON, "标", "tags"),
    Property("档案 号", Kind.TEXT, "档", "file number"),
    Property("secret", Kind.TEXT, "密", "secret"),
)

A = {
    "name": "København",
    "use": "office",
    "floors": 5,
    "number": 9007199254740993,
    "height": 20.5,
    "is_listed": True,
    "built": "2022-04-16",
    "seen": "2022-04-16T10:13:19Z",
    "seen_last": "2024-01-01T00:00:00Z",
    "tags": ["red", "old", 1],
    "档案 号": "甲'1",
    "secret": "x",
    "area_code": "440305001",
    "valid_from": "2020-01-01T00:00:00Z",
}
B = {
    "name": "STRASSE 100%",
    "use": "school",
    "floors": -3,
    "number": 2**63 - 1,
    "height": 0.0,
    "is_listed": False,
    "built": "2021-04-16",
    "seen": "2021-04-16T23:59:59Z",
    "seen_last": "2021-04-16T23:59:59Z",
    "tags": [],
    "档案 号": "乙\\2",
    "secret": "y",
    "area_code": "440306",
}
C = {
    "name": "がぎ_Łódź",
    "use": "shop",
    "floors": 0,
    "number": -(2**63),
    "height": 1.7e308,
    "built": "2023-04-16",
    "seen": "2023-04-17T00:00:00Z",
    "tags": {"no": "array"},
}


@pytest.fixture(scope="module")
def things(rows: Rows) -> Collection:
    """Rows a, b, c and one without anything, d."""
    made = rows.city.dataset("things", *PROPERTIES)
    rows.city.feature("things", "POLYGON((114 22,114.01 22,114.01 22.01,114 22.01,114 22))", key="a", **A)
    rows.city.feature("things", "LINESTRING(113.99 22.005,114.02 22.005)", key="b", **B)
    rows.city.feature("things", "POINT(-179.9 -10)", key="c", **C)
    rows.city.feature("things", None, key="d")
    return made
