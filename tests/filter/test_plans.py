"""Filters use the indexes of their collection, in generic plans as the pool makes them (20,000 rows)."""

import pytest

from cim.crs import CRS84, epsg
from cim.model import Collection, Kind, Property, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.filter import compile_filter, parse_text
from cim.query.items import page_sql
from cim.sql import Sql
from tests.filter.conftest import Rows


@pytest.fixture(scope="module")
def many(rows: Rows) -> Collection:
    made = rows.city.dataset(
        "many",
        Property("use", Kind.TEXT, "用途", "use", is_indexed=True),
        Property("floors", Kind.INTEGER, "层", "floors", is_indexed=True),
        geometry_type="Polygon",
    )
    rows.city.connection.execute(
        "INSERT INTO dataset.many (id, source, source_id, geom, use, floors) "
        "SELECT 't.' || n, 't', n::text, ST_MakeEnvelope(x, y, x + 0.0002, y + 0.0002, 4326), 'use' || n % 500, n % 900 "
        "FROM (SELECT n, 113.9 + (n % 200) * 0.002 AS x, 22.4 + n / 200 * 0.004 AS y FROM generate_series(0, 19999) AS n) AS p"
    )
    rows.city.connection.execute("ANALYZE dataset.many")
    return made


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("use = 'office'", "many_use_idx"),
        ("'office' = use", "many_use_idx"),
        ("use IN ('office', 'shop')", "many_use_idx"),
        ("floors = 5", "many_floors_idx"),
        ("floors = 5.0", "many_floors_idx"),
        ("floors IN (5, 6)", "many_floors_idx"),
        ("S_INTERSECTS(geometry, POINT(114 22.5))", "many_geom_idx"),
        ("S_INTERSECTS(geometry, BBOX(114,22.5,114.01,22.51)) AND floors > 3", "many_geom_idx"),
        ("S_WITHIN(geometry, POLYGON((114 22.5,114.01 22.5,114.01 22.51,114 22.5)))", "many_geom_idx"),
        ("S_CONTAINS(POLYGON((114 22.5,114.01 22.5,114.01 22.51,114 22.5)), geometry)", "many_geom_idx"),
        ("S_INTERSECTS(geometry, BBOX(179,22.5,-179,22.51))", "many_geom_idx"),
        ("S_INTERSECTS(geometry, buffer(POINT(114 22.5), 100))", "many_geom_idx"),
        ("distance_m(geometry, POINT(114 22.5)) < 100", "many_geom_idx"),
        ("2*50 >= distance_m(POINT(114 22.5), geometry)", "many_geom_idx"),
        ("id = 't.17'", "many_pkey"),
    ],
)
def test_a_filter_uses_the_index(rows, many, text, index):
    plan = rows.explain(many, text)
    assert index in plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("use = 'use7'", "many_use_idx"),
        ("S_INTERSECTS(geometry, BBOX(114,22.5,114.01,22.51))", "many_geom_idx"),
        ("distance_m(geometry, POINT(114 22.5)) < 100", "many_geom_idx"),
    ],
)
def test_a_page_of_what_a_filter_finds_is_gathered_by_the_index(rows, many, text, index):
    condition = compile_filter(parse_text(text), many, Scope(), CRS84)
    plan = rows.fetch(Sql.of("EXPLAIN {}", page_sql(many, FeatureQuery(filter=condition), Scope())))
    assert any(index in str(line[0]) for line in plan)
    assert not any("Seq Scan" in str(line[0]) for line in plan)


def test_a_literal_in_another_system_is_transformed_and_not_the_column(rows, many):
    plan = rows.explain(many, "S_INTERSECTS(geometry, BBOX(2490000,500000,2490100,500100))", crs=epsg(4547))
    assert "many_geom_idx" in plan
    assert "InitPlan" in plan
