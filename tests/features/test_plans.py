"""The plans that the read path leans on, as the pool's own sessions make them (generic, on 20,000 buildings)."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cim.bbox import parse_bbox
from cim.collections import BUILDINGS
from cim.db.pool import Database
from cim.db.registry import Registry
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery, Reference, SortKey
from cim.query.grids import parse_tile
from cim.query.item import item_sql
from cim.query.items import box_shape, page_sql
from cim.query.order import parse_sort
from cim.query.output import GEOJSON
from cim.query.reference import one_feature, place_written, some_features
from cim.query.relations import intersecting, lying_within, near
from cim.query.tiles import tile_sql
from cim.settings import Settings
from cim.sql import Sql
from tests.city import City

SEED = """
INSERT INTO cim.building (id, source, source_id, area_code, geom, use, height_m, name)
SELECT 'test.' || lpad(n::text, 6, '0'), 'test', n::text, '44030' || (1 + n % 9) || lpad((n % 20)::text, 3, '0'),
       ST_Multi(ST_MakeEnvelope(x, y, x + 0.0002, y + 0.0002, 4326)), (ARRAY['office', 'public', 'mixed', NULL])[1 + n % 4],
       n % 977, CASE WHEN n % 2000 = 7 THEN '福田大厦' WHEN n % 3 = 0 THEN '楼' || n || '号' END
FROM (SELECT n, 113.9 + (n % 200) * 0.002 AS x, 22.4 + n / 200 * 0.004 AS y FROM generate_series(0, 19999) AS n) AS places
"""


@pytest.fixture(scope="module")
def seeded(module_database_url: str) -> Iterator[str]:
    """A database of 20,000 buildings over 0.4 by 0.4 degrees."""
    city = City(module_database_url)
    city.buildings_sql(SEED)
    city.connection.execute("ANALYZE cim.building")
    yield module_database_url
    city.close()


def buffers(url: str, query: FeatureQuery) -> int:
    """Pages of the database that the page reads."""
    return int(re.findall(r"Buffers: shared hit=(\d+)", plan(url, query, how="EXPLAIN (ANALYZE, BUFFERS)"))[0])


def plan(
    url: str,
    query: FeatureQuery | None,
    *,
    tile: tuple[str, str, str] | None = None,
    scope: Scope | None = None,
    how: str = "EXPLAIN",
) -> str:
    """EXPLAIN of the page, the tile, or (without a query) of one feature."""
    scope = scope or Scope()

    async def explain() -> str:
        database = Database(Settings(DATABASE_URL=url))
        await database.open()
        try:
            registry = Registry(database)
            await registry.reload()
            buildings: Collection = registry.get("buildings")
            if tile is not None:
                sql = tile_sql(buildings, FeatureQuery(), scope, parse_tile(*tile))
            elif query is None:
                sql = item_sql(buildings, ["test.000001"], scope)
            else:
                sql = page_sql(buildings, query, scope)
            rows = await database.fetch_rows(Sql.of(how + " {}", sql))
            return "\n".join(row[0] for row in rows)
        finally:
            await database.close()

    return asyncio.run(explain())


def test_a_small_box_is_gathered_from_the_spatial_index(seeded: str) -> None:
    text = plan(seeded, FeatureQuery(bbox=parse_bbox("114.0,22.5,114.01,22.51")))
    assert "building_geom_idx" in text
    assert "building_no_geom_idx" in text
    assert "Seq Scan" not in text
    assert "InitPlan" in text  # the box is made once, not once a row


def test_small_boxes_of_one_statement_are_each_gathered_from_the_spatial_index(seeded: str) -> None:
    boxes = [parse_bbox("114.0,22.5,114.01,22.51"), parse_bbox("114.1,22.6,114.11,22.61")]

    async def explain() -> str:
        database = Database(Settings(DATABASE_URL=seeded))
        await database.open()
        try:
            registry = Registry(database)
            await registry.reload()
            shape = box_shape(registry.get("buildings"), FeatureQuery(bbox=boxes[0]), Scope(), GEOJSON)
            assert shape is not None
            rows = await database.fetch_rows(Sql.of("EXPLAIN {}", shape.sql(boxes)))
            return "\n".join(row[0] for row in rows)
        finally:
            await database.close()

    text = asyncio.run(explain())
    assert "building_geom_idx" in text
    assert "Seq Scan" not in text
    assert "InitPlan" in text


def test_a_box_across_the_antimeridian_uses_the_index_twice(seeded: str) -> None:
    text = plan(seeded, FeatureQuery(bbox=parse_bbox("179,22.5,-179,22.51")))
    assert text.count("building_geom_idx") == 2


def test_a_box_over_everything_is_walked_by_id(seeded: str) -> None:
    text = plan(seeded, FeatureQuery(bbox=parse_bbox("113,22,115,23")))
    assert "building_pkey" in text
    assert "building_geom_idx" not in text
    assert "Sort" not in text


def test_the_next_page_begins_in_the_primary_key(seeded: str) -> None:
    text = plan(seeded, FeatureQuery(after="test.010000"))
    assert "Index Cond: (id > " in text
    assert "Sort" not in text


def test_an_area_is_a_range_of_its_index(seeded: str) -> None:
    for query in (FeatureQuery(area="440301001"), FeatureQuery(area="440301", after="test.000100")):
        assert "building_area_code_idx" in plan(seeded, query)
    assert "building_area_code_idx" not in plan(seeded, FeatureQuery(area="4403"))


def test_one_feature_is_one_look_into_the_primary_key(seeded: str) -> None:
    text = plan(seeded, None)
    assert "Index Scan using building_pkey" in text


def test_a_tile_uses_the_spatial_index(seeded: str) -> None:
    assert "building_geom_idx" in plan(seeded, None, tile=("16", "28570", "53523"))
    reduced = plan(seeded, None, tile=("12", "1785", "3345"))
    assert reduced.count("building_geom_idx") + reduced.count("building_pkey") == 2
    assert "Seq Scan on building" not in reduced


MASKED = Scope(precision_m=200.0)


def test_masked_places_are_gathered_from_the_spatial_index_too(seeded: str) -> None:
    polygon = '{"type":"Polygon","coordinates":[[[114.0,22.5],[114.01,22.5],[114.01,22.51],[114.0,22.5]]]}'
    for query in (FeatureQuery(bbox=parse_bbox("114.0,22.5,114.01,22.51")), FeatureQuery(geometry=polygon)):
        text = plan(seeded, query, scope=MASKED)
        assert "building_geom_idx" in text
        assert "Seq Scan" not in text
    assert "building_geom_idx" in plan(seeded, None, tile=("9", "222", "418"), scope=MASKED)


def test_masked_features_are_found_by_id_area_and_page_as_others_are(seeded: str) -> None:
    assert "Index Scan using building_pkey" in plan(seeded, None, scope=MASKED)
    assert "Index Cond: (id > " in plan(seeded, FeatureQuery(after="test.010000"), scope=MASKED)
    assert "building_area_code_idx" in plan(seeded, FeatureQuery(area="440301"), scope=MASKED)
    limited = Scope(precision_m=200.0, area_code="440301001")
    assert "building_area_code_idx" in plan(seeded, FeatureQuery(), scope=limited)


def test_the_rows_of_a_district_are_a_range_of_its_index(seeded: str) -> None:
    assert "building_area_code_idx" in plan(seeded, FeatureQuery(), scope=Scope(area_code="440301001"))


def by(*keys: str) -> tuple[SortKey, ...]:
    return parse_sort(BUILDINGS, Scope(), keys)


@pytest.mark.parametrize("key", ["use", "-use"])
def test_a_sort_by_an_indexed_property_walks_its_index(seeded: str, key: str) -> None:
    """The first page, and one in the middle: both read no more than they show."""
    first = FeatureQuery(sort=by(key))
    later = FeatureQuery(sort=by(key), after_values=("office", "test.010000"))
    for query in (first, later):
        text = plan(seeded, query)
        assert "building_use_idx" in text
        assert "Seq Scan" not in text
        assert re.search(r"Scan( Backward)? using building_use_idx", text)
    assert ("Backward" in text) is key.startswith("-")
    assert "Index Cond: (ROW(use, id) " in text
    reads = [buffers(seeded, query) for query in (first, later)]
    assert reads[1] <= 1.5 * reads[0]


def test_a_page_deep_in_the_ids_reads_what_the_first_reads(seeded: str) -> None:
    reads = [buffers(seeded, FeatureQuery(after=after, limit=100)) for after in (None, "test.000100", "test.019000")]
    assert max(reads) <= 1.5 * min(reads)
    backwards = [FeatureQuery(sort=by("-id"), after_values=values, limit=100) for values in ((), ("test.000900",))]
    assert "Scan Backward using building_pkey" in plan(seeded, backwards[1])
    assert buffers(seeded, backwards[1]) <= 1.5 * buffers(seeded, backwards[0])


def test_the_rows_without_a_value_are_not_gathered(seeded: str) -> None:
    without = FeatureQuery(sort=by("use"), after_values=(None, "test.000103"), limit=100)
    assert "Sort" not in plan(seeded, without)
    assert buffers(seeded, without) <= 1.5 * buffers(seeded, FeatureQuery(limit=400))


def test_a_sort_within_a_narrow_condition_sorts_the_few(seeded: str) -> None:
    for key in ("-height_m", "use", "name"):
        box = FeatureQuery(bbox=parse_bbox("114.0,22.5,114.01,22.51"), sort=by(key))
        assert "building_geom_idx" in plan(seeded, box)
        assert "building_area_code_idx" in plan(seeded, FeatureQuery(area="440301001", sort=by(key)))


@pytest.mark.parametrize("sort", [(), ("-height_m",), ("use",)])
def test_words_are_found_by_their_index(seeded: str, sort: tuple[str, ...]) -> None:
    text = plan(seeded, FeatureQuery(terms=("福田", "futian tower"), sort=by(*sort) if sort else ()))
    assert text.count("building_text_idx") >= 2  # once a term
    assert "Seq Scan" not in text


def station() -> Reference:
    return one_feature("near", BUILDINGS, Scope(), "test.000100")


def offices() -> Reference:
    few = FeatureQuery(area="440301001")
    return some_features("near", "buildings?…", BUILDINGS, Scope(), few)


@pytest.mark.parametrize("relate", [intersecting, lying_within, lambda *args: near(*args, 200.0)])
def test_one_other_feature_is_taken_once_and_its_box_from_the_index(seeded: str, relate: Any) -> None:
    text = plan(seeded, FeatureQuery(relations=(relate(BUILDINGS, Scope(), station()),)))
    assert re.search(r"InitPlan \d+ \(returns", text)
    assert "Bitmap Index Scan on building_geom_idx" in text or "Index Scan using building_geom_idx" in text
    assert "building_pkey" in text  # the other feature
    assert "Seq Scan" not in text


@pytest.mark.parametrize("relate", [intersecting, lying_within, lambda *args: near(*args, 200.0)])
def test_several_other_features_are_looked_up_one_by_one(seeded: str, relate: Any) -> None:
    text = plan(seeded, FeatureQuery(relations=(relate(BUILDINGS, Scope(), offices()),)))
    assert "CTE others" in text
    assert "Index Scan using building_geom_idx" in text or "Bitmap Index Scan on building_geom_idx" in text
    assert re.search(r"Index Cond: \(id = ANY \(", text)
    assert "Seq Scan" not in text


def test_the_nearest_are_walked_to_in_the_spatial_index(seeded: str) -> None:
    place = place_written("nearest", "POINT", '{"type":"Point","coordinates":[114.0,22.5]}')
    nearest = FeatureQuery(nearest=place, references=(place,))
    text = plan(seeded, nearest)
    assert "Order By: (geom <-> " in text
    assert "Seq Scan" not in text
    assert buffers(seeded, nearest) < 500
    within = plan(seeded, FeatureQuery(nearest=place, area="440301001"))
    assert "building_area_code_idx" in within
    assert "<->" not in within


def test_the_text_depends_on_the_shape_of_a_question_only() -> None:
    def text(query: FeatureQuery) -> str:
        return page_sql(BUILDINGS, query, Scope()).compile()[0]

    one = text(FeatureQuery(bbox=parse_bbox("1,1,2,2"), area="440301", limit=5, after="a.b"))
    other = text(FeatureQuery(bbox=parse_bbox("3,3,4,4"), area="440302", limit=500, after="c'd"))
    assert one == other
    assert "440301" not in one
