"""The buildings of the sample city stand where buildings can and live as buildings do."""

from collections import Counter
from datetime import date

import numpy as np
import pytest
import shapely

from cim.collections.buildings import BUILDINGS
from sample_data.characters import GREEN
from sample_data.layout import PODIUM, TOWER
from sample_data.plane import METRES_A_DEGREE_LAT, METRES_A_DEGREE_LON, to_degrees, turned
from tests.sample.values import assert_declared

SLIVER_DEG2 = 0.01 / (METRES_A_DEGREE_LON * METRES_A_DEGREE_LAT)
"""0.01 m²."""
STAGES = ("planned_on", "approved_on", "construction_started_on", "completed_on", "demolished_on")


def test_there_are_as_many_buildings_as_asked_with_ids_in_order(generated):
    ids = [row["id"] for row in generated.rows("buildings")]
    assert ids == [f"B{n:06d}" for n in range(1, 2001)]


def test_values_are_what_the_collection_declares(generated):
    assert_declared(BUILDINGS, generated.rows("buildings"), beside={"id", "part_of"})


def test_footprints_are_valid_and_inside_their_community(generated):
    for part in generated.parts:
        assert shapely.is_valid(part.layout.geometry).all()
        assert shapely.contains_properly(part.community.outline, part.layout.geometry).all()


def test_footprints_are_inside_their_block_and_none_stands_in_a_park(generated):
    for part in generated.parts:
        box = part.layout.blocks.box_m + np.array([-0.05, -0.05, 0.05, 0.05])
        corners = np.stack([box[:, [0, 1]], box[:, [2, 1]], box[:, [2, 3]], box[:, [0, 3]]], 1)
        blocks = shapely.polygons(to_degrees(turned(corners, part.community.angle_rad)))
        assert shapely.covers(blocks[part.layout.block], part.layout.geometry).all()
        assert not (part.layout.blocks.kind[part.layout.block] == GREEN).any()


def test_no_two_footprints_overlap(generated):
    shapes = np.concatenate([part.layout.geometry for part in generated.parts])
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = one < other
    overlap = shapely.area(shapely.intersection(shapes[one[pairs]], shapes[other[pairs]]))
    assert overlap.max(initial=0) <= SLIVER_DEG2


def test_a_tower_stands_in_the_hole_of_its_podium(generated):
    shape = {}
    for part in generated.parts:
        shape.update(zip(part.buildings.column("id").to_pylist(), part.layout.geometry, strict=True))
    towers = [row for row in generated.rows("buildings") if row["part_of"]]
    assert len(towers) >= 3
    rows = {row["id"]: row for row in generated.rows("buildings")}
    for tower in towers:
        podium = rows[tower["part_of"]]
        assert tower["floors_above"] > podium["floors_above"]
        hole = shapely.Polygon(shape[podium["id"]].interiors[0])
        assert shapely.equals(hole, shape[tower["id"]])
    assert all((p.layout.role == TOWER).sum() == (p.layout.role == PODIUM).sum() for p in generated.parts)


def test_footprints_have_several_shapes(generated):
    shapes = [g for part in generated.parts for g in part.layout.geometry]
    corners = Counter(len(g.exterior.coords) - 1 for g in shapes)
    assert {4, 6, 8, 12} <= set(corners)
    assert any(len(g.interiors) for g in shapes)


def test_stages_of_a_life_come_in_order_and_agree_with_the_status(generated):
    last = {"planned": 0, "approved": 1, "under_construction": 2, "completed": 3, "demolished": 4}
    rows = generated.rows("buildings")
    assert set(last) == {row["status"] for row in rows}
    for row in rows:
        days = [row[stage] for stage in STAGES]
        known = [day for day in days if day]
        assert known == sorted(known)
        assert max(known) <= date(2026, 11, 1)
        assert days[last[row["status"]]] is not None
        assert all(day is None for day in days[last[row["status"]] + 1 :])
        assert row["year_built"] == (row["completed_on"].year if row["completed_on"] else None)


def test_heights_follow_floors(generated):
    for row in generated.rows("buildings"):
        assert 2.6 < row["height_m"] / row["floors_above"] < 8.2


def test_the_middle_is_taller_than_the_rim(generated):
    tallest = {}
    for part in generated.parts:
        heights = part.buildings.column("height_m").to_numpy()
        if len(heights):
            tallest.setdefault(part.community.character, []).append(heights.max())
    assert np.mean(tallest["cbd"]) > 90 > 55 > np.mean(tallest["oldtown"])


@pytest.mark.parametrize("count", [10, 37, 120, 999])
def test_any_number_of_buildings_is_met_exactly(count):
    from sample_data.generate import founded
    from sample_data.plan import plan_city

    city = founded(plan_city(count, 7, 3))
    assert (city.buildings.sum(), city.sensors.sum(), city.cameras.sum()) == (count, 7, 3)
