"""Every shape of question that docs/asking.md and docs/changing.md tell of, and the index that answers it.

Generic plans, as the pool's own sessions make them, over 20,000 buildings, sensors and cameras each, 20,000 scenes and
20,000 former versions of buildings. What reads all that match has no index but that of its conditions.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from cim.bbox import parse_bbox
from cim.crs import CRS84
from cim.db.edit import stored_sql
from cim.db.pool import Database
from cim.db.registry import Registry
from cim.interval import parse_interval
from cim.model import Collection, Property, Scope
from cim.query.aggregate import Aggregation, aggregate_sql, shapes_sql
from cim.query.changes import Between, changes_sql, feed_sql
from cim.query.counts import count_sql
from cim.query.feature_query import FeatureQuery, Relation
from cim.query.filter import compile_filter, parse_text
from cim.query.grids import parse_tile
from cim.query.grouping import parse_groupings
from cim.query.history import history_sql
from cim.query.item import item_sql
from cim.query.items import page_sql
from cim.query.measures import default_measures
from cim.query.order import parse_sort
from cim.query.reference import one_feature, place_written
from cim.query.relations import lying_within, near, seeing
from cim.query.stac import item_sql as scene_sql
from cim.query.stac import items_sql
from cim.query.tiles import tile_sql
from cim.settings import Settings
from cim.sql import Sql
from tests.city import City

PLACES = (
    "(SELECT n, 113.9 + (n % 200) * 0.002 AS x, 22.4 + n / 200 * 0.004 AS y FROM generate_series(0, 19999) AS n) AS p"
)
SEED = (
    "INSERT INTO cim.building (id, source, source_id, area_code, geom, use, status, height_m, name, recorded_at) "
    "SELECT 't.' || lpad(n::text, 6, '0'), 't', n::text, '44030' || (1 + n % 9) || lpad((n % 20)::text, 3, '0'), "
    "ST_Multi(ST_MakeEnvelope(x, y, x + 0.0002, y + 0.0002, 4326)), 'use' || n % 50, 'state' || n % 50, n % 977, "
    f"CASE WHEN n % 2000 = 7 THEN '福田大厦' ELSE '楼' || n || '号' END, '2026-02-01'::timestamptz + n * interval '1 s' FROM {PLACES}",
    "INSERT INTO cim.building_history (id, source, source_id, area_code, geom, use, recorded_at, superseded_at) "
    "SELECT id, source, source_id, area_code, geom, use, recorded_at - interval '1 day', recorded_at FROM cim.building",
    "INSERT INTO cim.sensor (id, source, source_id, area_code, geom, kind, observed_property, status) "
    "SELECT 't.' || n, 't', n::text, '440301' || lpad((n % 100)::text, 3, '0'), ST_SetSRID(ST_MakePoint(x, y), 4326), 'kind' || n % 50, "
    f"'property' || n % 50, 'state' || n % 50 FROM {PLACES}",
    "INSERT INTO cim.camera (id, source, source_id, area_code, geom, kind, status, range_m, direction_deg, field_of_view_deg) "
    "SELECT 't.' || n, 't', n::text, '440301' || lpad((n % 100)::text, 3, '0'), ST_SetSRID(ST_MakePoint(x, y), 4326), 'kind' || n % 50, "
    f"'state' || n % 50, 100, n % 360, 60 FROM {PLACES}",
    "INSERT INTO cim.imagery (id, source, source_id, geom, stac_collection, title, datetime, valid_from, valid_to) "
    "SELECT 't.' || lpad(n::text, 6, '0'), 't', n::text, ST_Multi(ST_MakeEnvelope(x, y, x + 0.0002, y + 0.0002, 4326)), 'c' || n % 50, "
    "'影像' || n, at, at, at + interval '1 us' FROM (SELECT *, '2020-01-01'::timestamptz + n * interval '1 hour' AS at "
    f"FROM {PLACES}) AS p",
    "INSERT INTO cim.area (id, source, source_id, code, level, geom) SELECT 't.' || n, 't', n::text, (440301000 + n)::text, 'street', "
    f"ST_Multi(ST_MakeEnvelope(x, y, x + 0.002, y + 0.004, 4326)) FROM {PLACES}",
)
ANYONE = Scope()
BOX = parse_bbox("114.0,22.5,114.01,22.51")
POLYGON = '{"type":"Polygon","coordinates":[[[114.0,22.5],[114.01,22.5],[114.01,22.51],[114.0,22.5]]]}'
THEN = datetime(2026, 2, 1, 3, tzinfo=UTC)
LATER = datetime(2026, 2, 1, 3, 5, tzinfo=UTC)

Known = Callable[[str], Collection]
Ask = Callable[[Known], Sql]


def page(collection_id: str = "buildings", sort: str = "", **asked: object) -> Ask:
    """A page of items."""

    def sql(known: Known) -> Sql:
        collection = known(collection_id)
        keys = parse_sort(collection, ANYONE, sort.split(",")) if sort else ()
        return page_sql(collection, FeatureQuery(sort=keys, **asked), ANYONE)  # type: ignore[arg-type]

    return sql


def equal(collection_id: str, name: str) -> Ask:
    """`?name=value`."""

    def sql(known: Known) -> Sql:
        declared: Property = next(p for p in known(collection_id).properties if p.name == name)
        return page_sql(known(collection_id), FeatureQuery(equals=((declared, "x"),)), ANYONE)

    return sql


def filtered(collection_id: str, text: str) -> Ask:
    """`?filter=`."""

    def sql(known: Known) -> Sql:
        collection = known(collection_id)
        condition = compile_filter(parse_text(text), collection, ANYONE, CRS84)
        return page_sql(collection, FeatureQuery(filter=condition), ANYONE)

    return sql


def related(collection_id: str, relate: Callable[[Known, Collection], Relation]) -> Ask:
    """`?within=`, `?near=`, `?sees=`."""

    def sql(known: Known) -> Sql:
        collection = known(collection_id)
        return page_sql(collection, FeatureQuery(relations=(relate(known, collection),)), ANYONE)

    return sql


def statistics(group_by: str, **asked: object) -> Ask:
    """`/aggregate`."""

    def sql(known: Known) -> Sql:
        collection = known("buildings")
        groups = parse_groupings(collection, ANYONE, group_by)
        measures = default_measures(collection, ANYONE)
        return aggregate_sql(Aggregation(collection, FeatureQuery(**asked), ANYONE, groups, measures))  # type: ignore[arg-type]

    return sql


def scenes(collections: tuple[str, ...] | None = None, **asked: object) -> Ask:
    """`/stac/search`."""
    return lambda known: items_sql(FeatureQuery(**asked), collections, ANYONE, "http://x", known("imagery"))  # type: ignore[arg-type]


def tile(**asked: object) -> Ask:
    """A tile of zoom 16."""
    return lambda known: tile_sql(
        known("buildings"),
        FeatureQuery(**asked),  # type: ignore[arg-type]
        ANYONE,
        parse_tile("16", "28570", "53523"),
    )


def nearest(collection_id: str) -> Ask:
    """`?nearest=`."""
    place = place_written("nearest", "POINT", '{"type":"Point","coordinates":[114.0,22.5]}')
    return page(collection_id, nearest=place, references=(place,))


def within_area(known: Known, collection: Collection) -> Relation:
    """`within=areas/t.7`."""
    return lying_within(collection, ANYONE, one_feature("within", known("areas"), ANYONE, "t.7"))


def near_sensor(known: Known, collection: Collection) -> Relation:
    """`near=sensors/t.7&distance=200`."""
    return near(collection, ANYONE, one_feature("near", known("sensors"), ANYONE, "t.7"), 200.0)


def seeing_point(_: Known, collection: Collection) -> Relation:
    """`sees=114.06,22.54`."""
    place = place_written("sees", "114.06,22.54", '{"type":"Point","coordinates":[114.06,22.54]}')
    return seeing(collection, ANYONE, place)


NEAR_HISTORY = ("building_geom_idx", "building_history_geom_idx")
BETWEEN = Between(THEN, LATER)
EVERYTHING = FeatureQuery()
SHAPES: dict[str, tuple[Ask, tuple[str, ...]]] = {
    "a page": (page(), ("building_pkey",)),
    "ids": (page(ids=("t.000001", "t.000002")), ("building_pkey",)),
    "an item": (lambda k: item_sql(k("buildings"), ["t.000001"], ANYONE), ("building_pkey",)),
    "bbox": (page(bbox=BOX), ("building_geom_idx",)),
    "a polygon": (page(geometry=POLYGON), ("building_geom_idx",)),
    "a street": (page(area="440301001"), ("building_area_code_idx",)),
    "datetime": (page(interval=parse_interval("2026-01-01/..")), ("building_pkey",)),
    "datetime in a box": (page(interval=parse_interval("2026-01-01/.."), bbox=BOX), ("building_geom_idx",)),
    "use=": (equal("buildings", "use"), ("building_use_idx",)),
    "status=": (equal("buildings", "status"), ("building_status_idx",)),
    "filter of a property": (filtered("buildings", "use = 'use7' AND height_m > 3"), ("building_use_idx",)),
    "filter of a place": (
        filtered("buildings", "S_INTERSECTS(geometry, BBOX(114,22.5,114.01,22.51))"),
        ("building_geom_idx",),
    ),
    "filter of an id": (filtered("buildings", "id = 't.000001'"), ("building_pkey",)),
    "q": (page(terms=("福田",)), ("building_text_idx",)),
    "q in a sensor's name": (page("sensors", terms=("福田",)), ("sensor_text_idx",)),
    "q of scenes": (page("imagery", terms=("影像7",)), ("imagery_text_idx",)),
    **{
        f"sortby {sign}{name} of {c}": (page(c, sort=sign + name), (f"{table}_{name}_idx",))
        for c, table, names in (
            ("buildings", "building", ("use", "status")),
            ("sensors", "sensor", ("kind", "observed_property", "status")),
            ("cameras", "camera", ("kind", "status")),
            ("imagery", "imagery", ("stac_collection", "datetime")),
            ("areas", "area", ("code", "level", "parent_code")),
        )
        for name in names
        for sign in ("", "-")
    },
    "sortby id": (page(sort="-id"), ("building_pkey",)),
    "within an area": (related("buildings", within_area), ("area_pkey", "building_geom_idx")),
    "near a sensor": (related("buildings", near_sensor), ("sensor_pkey", "building_geom_idx")),
    "cameras that see": (related("cameras", seeing_point), ("camera_geom_idx",)),
    "nearest buildings": (nearest("buildings"), ("building_geom_idx",)),
    "nearest sensors": (nearest("sensors"), ("sensor_geom_idx",)),
    "sensors in a box": (page("sensors", bbox=BOX), ("sensor_geom_idx",)),
    "sensors of a street": (page("sensors", area="440301001"), ("sensor_area_code_idx",)),
    "sensors of a kind": (equal("sensors", "kind"), ("sensor_kind_idx",)),
    "cameras in a box": (page("cameras", bbox=BOX), ("camera_geom_idx",)),
    "cameras of a kind": (equal("cameras", "kind"), ("camera_kind_idx",)),
    "areas by code": (equal("areas", "code"), ("area_code_idx",)),
    "count=exact in a box": (
        lambda k: count_sql(k("buildings"), FeatureQuery(bbox=BOX), ANYONE),
        ("building_geom_idx",),
    ),
    "count=exact of a street": (
        lambda k: count_sql(k("buildings"), FeatureQuery(area="440301001"), ANYONE),
        ("building_area_code_idx",),
    ),
    "a tile": (tile(), ("building_geom_idx",)),
    "a tile of a street": (tile(area="440301001"), ("building_geom_idx",)),
    "statistics of a street": (statistics("use", area="440301001"), ("building_area_code_idx",)),
    "statistics in a box": (statistics("hex(500)", bbox=BOX), ("building_geom_idx",)),
    "statistics in a polygon": (statistics("district,use", geometry=POLYGON), ("building_geom_idx",)),
    "shapes of areas": (lambda k: shapes_sql(k("areas"), ANYONE, ["440301001"]), ("area_code_idx",)),
    "known-at": (page(known_at=THEN), ("building_pkey", "building_history_id_idx")),
    "known-at in a box": (page(known_at=THEN, bbox=BOX), NEAR_HISTORY),
    "known-at of an id": (page(known_at=THEN, ids=("t.000001",)), ("building_pkey", "building_history_id_idx")),
    "known-at of a street": (
        page(known_at=THEN, area="440301001"),
        ("building_area_code_idx", "building_history_area_code_idx"),
    ),
    "a feature's history": (
        lambda k: history_sql(k("buildings"), "t.000001", ANYONE, 10, None),
        ("building_pkey", "building_history_id_idx"),
    ),
    "changes between": (
        lambda k: changes_sql(k("buildings"), EVERYTHING, ANYONE, BETWEEN, 100),
        ("building_recorded_at_idx", "building_history_superseded_at_idx", "building_pkey", "building_history_id_idx"),
    ),
    "the feed": (
        lambda k: feed_sql(k("buildings"), ANYONE, 3, None, 100),
        ("building_recorded_at_idx", "building_history_superseded_at_idx"),
    ),
    "an edit's feature": (lambda k: stored_sql(k("buildings"), "t.000001", ANYONE), ("building_pkey",)),
    "scenes": (scenes(), ("imagery_pkey",)),
    "scenes in a box": (scenes(bbox=BOX), ("imagery_geom_time_idx",)),
    "scenes of a polygon": (scenes(geometry=POLYGON), ("imagery_geom_time_idx",)),
    "scenes in a box and time": (
        scenes(bbox=BOX, interval=parse_interval("2021-01-01/2021-02-01")),
        ("imagery_geom_time_idx",),
    ),
    "scenes of a time": (scenes(interval=parse_interval("2021-01-01/2021-01-02")), ("imagery_geom_time_idx",)),
    "scenes of a collection": (scenes(("c7",)), ("imagery_stac_collection_idx",)),
    "scenes by id": (scenes(ids=("t.000001",)), ("imagery_pkey",)),
    "a scene": (lambda k: scene_sql("c1", "t.000001", ANYONE, "http://x", k("imagery")), ("imagery_",)),
}


@pytest.fixture(scope="module")
def plans(module_database_url: str) -> Iterator[dict[str, str]]:
    """EXPLAIN of every shape."""
    city = City(module_database_url)
    for statement in SEED:
        city.run_text(statement)
    for collection_id in ("buildings", "sensors", "cameras", "imagery", "areas"):
        city.refresh(collection_id)
    city.run_text("VACUUM (ANALYZE)")

    async def explain() -> dict[str, str]:
        database = Database(Settings(DATABASE_URL=module_database_url))
        await database.open()
        try:
            registry = Registry(database)
            await registry.reload()
            told = {}
            for name, (ask, _) in SHAPES.items():
                rows = await database.fetch_rows(Sql.of("EXPLAIN {}", ask(registry.get)))
                told[name] = "\n".join(row[0] for row in rows)
            return told
        finally:
            await database.close()

    yield asyncio.run(explain())
    city.close()


@pytest.mark.parametrize("name", SHAPES)
def test_a_documented_question_is_answered_by_its_index(plans: dict[str, str], name: str) -> None:
    plan = plans[name]
    for index in SHAPES[name][1]:
        assert index in plan, plan
    assert not re.search(r"Seq Scan on (building|sensor|camera|imagery|area)\b", plan), plan
