"""Scenes of a place and a time: one index finds them, whatever ends their valid time has."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from cim.bbox import parse_bbox
from cim.collections import IMAGERY
from cim.db.pool import Database
from cim.interval import parse_interval
from cim.model import Scope
from cim.query.feature_query import FeatureQuery
from cim.query.stac import items_sql
from cim.settings import Settings
from cim.sql import Sql
from tests.city import City
from tests.conftest import serving

FAR = datetime(9000, 1, 1, tzinfo=UTC)
TIMES: tuple[tuple[str | None, str | None], ...] = (
    ("2024-01-01", "2024-02-01"),
    ("2024-02-01", "2024-02-01"),
    ("2024-03-01", "2024-01-15"),
    (None, "2024-01-20"),
    ("2024-01-25", None),
    (None, None),
    ("-infinity", "2023-01-01"),
    ("2024-01-31", "infinity"),
)
"""Begin and end of scenes at one place: ordinary, of no length, the wrong way round, open, endless."""

SEED = """
INSERT INTO cim.imagery (id, source, source_id, stac_collection, datetime, valid_from, valid_to, geom)
SELECT 'many.' || lpad(n::text, 5, '0'), 'many', n::text, 'many', taken, taken, taken + interval '1 millisecond',
       ST_MakeEnvelope(x, y, x + 0.05, y + 0.05, 4326)
FROM (SELECT n, timestamptz '2010-01-01 00:00Z' + n % 3600 * interval '1 day' AS taken, 100 + n % 40 * 0.05 AS x, n % 37 * 0.05 AS y
      FROM generate_series(1, 20000) AS n) AS places
"""


@pytest.fixture(scope="module")
def url(module_database_url: str) -> Iterator[str]:
    """20,000 scenes elsewhere and those of TIMES, behind a server."""
    city = City(module_database_url)
    city.connection.execute(SEED)
    city.refresh("imagery")
    for number, ends in enumerate(TIMES):
        city.connection.execute(
            "INSERT INTO cim.imagery (id, source, source_id, stac_collection, valid_from, valid_to, geom) "
            "VALUES ('time.' || %s, 'time', %s, 'time', %s, %s, ST_MakeEnvelope(114, 22, 114.1, 22.1, 4326))",
            [number, str(number), *(f"{end}T00:00:00Z" if end and end[0] == "2" else end for end in ends)],
        )
    city.connection.execute("ANALYZE cim.imagery")
    with serving(module_database_url) as server:
        yield server.url
    city.close()


def end_of(text: str | None, *, is_begin: bool) -> datetime:
    if text is None or text.endswith("infinity"):
        before = text == "-infinity" or (text is None and is_begin)
        return datetime(1, 1, 1, tzinfo=UTC) if before else FAR
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "asked",
    ["2024-01-10/2024-01-16", "2024-02-01T00:00:00Z", "../2022-06-01", "2024-02-20/..", "2024-03-01/2025-01-01"],
)
def test_times_of_any_kind_are_found_as_they_are_without_the_index(url: str, asked: str) -> None:
    interval = parse_interval(asked)
    begin, until = interval.begin or datetime(1, 1, 1, tzinfo=UTC), interval.end or FAR - timedelta(1)
    expected = {
        f"time.{number}"
        for number, (first, last) in enumerate(TIMES)
        if end_of(first, is_begin=True) <= until and end_of(last, is_begin=False) > begin
    }
    query = {"datetime": asked, "bbox": "114,22,115,23"}
    found = httpx2.get(f"{url}/collections/imagery/items", params={**query, "limit": "100"}).json()
    assert {feature["id"] for feature in found["features"]} == expected


def test_a_place_and_a_time_are_one_look_into_one_index(module_database_url: str, url: str) -> None:
    query = FeatureQuery(bbox=parse_bbox("101,0.5,101.2,0.7"), interval=parse_interval("2014-01-01/2014-03-31"))

    async def explained() -> str:
        database = Database(Settings(DATABASE_URL=module_database_url))
        await database.open()
        try:
            sql = items_sql(query, None, Scope(), "http://127.0.0.1", IMAGERY)
            return "\n".join(row[0] for row in await database.fetch_rows(Sql.of("EXPLAIN {}", sql)))
        finally:
            await database.close()

    text = asyncio.run(explained())
    condition = next(line for line in text.splitlines() if "Index Cond" in line and "tstzrange" in line)
    assert "geom &&" in condition
    assert "imagery_geom_time_idx" in text
    assert "Seq Scan" not in text
