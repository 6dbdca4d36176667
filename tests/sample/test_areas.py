"""The areas of the sample city are a tree that tiles the ground."""

from collections import Counter

import pytest
import shapely

from cim.collections.areas import CODE_LENGTHS
from sample_data.areas import found_communities, tree
from sample_data.plan import plan_city

TOLERANCE_DEG2 = 1e-9 * 1e-9


def children(areas, parent):
    return [a for a in areas if a.parent_code == parent.code]


def test_a_small_city_has_1_3_9_36_areas(generated):
    assert Counter(a.level for a in generated.founded.areas) == {"city": 1, "district": 3, "street": 9, "community": 36}


def test_the_reference_city_has_10_districts_74_streets_650_communities():
    areas = tree(found_communities(plan_city(1_000_000), 1075.0))
    assert Counter(a.level for a in areas) == {"city": 1, "district": 10, "street": 74, "community": 650}
    west, south, east, north = areas[0].geometry.bounds
    assert 113.8 < west < east < 114.4
    assert 22.45 < south < north < 22.75
    assert len({a.code for a in areas}) == len({(a.level, a.name) for a in areas}) == 735


def test_children_tile_their_parent_exactly(generated):
    areas = generated.founded.areas
    for parent in areas:
        parts = [a.geometry for a in children(areas, parent)]
        if parent.level == "community":
            assert not parts
            continue
        assert shapely.symmetric_difference(parent.geometry, shapely.union_all(parts)).area <= TOLERANCE_DEG2
        assert sum(p.area for p in parts) == pytest.approx(parent.geometry.area, rel=1e-9)
        vertices = {tuple(v) for p in parts for v in shapely.get_coordinates(p)}
        assert {tuple(v) for v in shapely.get_coordinates(parent.geometry)} <= vertices


def test_neighbours_share_their_border_without_overlap_or_gap(generated):
    leaves = [c.outline for c in generated.founded.communities]
    assert shapely.coverage_is_valid(leaves)
    assert shapely.is_valid([a.geometry for a in generated.founded.areas]).all()


@pytest.mark.parametrize("seed", [1, 2, 7, 2026])
@pytest.mark.parametrize("buildings", [50, 2000, 40_000])
def test_every_seed_and_size_partitions_its_ground(seed, buildings):
    communities = found_communities(plan_city(buildings, seed=seed), 200.0)
    outlines = [c.outline for c in communities]
    assert shapely.is_valid(outlines).all()
    assert shapely.coverage_is_valid(outlines)


def test_codes_have_the_length_of_their_level_and_begin_with_the_parents(generated):
    for area in generated.founded.areas:
        assert len(area.code) == CODE_LENGTHS[area.level]
        assert area.code.isdigit()
        assert area.parent_code is None or area.code.startswith(area.parent_code)
    assert generated.founded.areas[0].code == "4403"


def test_names_are_in_chinese_and_english(generated):
    for area in generated.founded.areas:
        assert all("\u4e00" <= c <= "\u9fff" for c in area.name)
        assert area.name_en.isascii()
