"""Geometry of a batch: places, validity, types, areas, and the tag of the area that holds it."""

import json
import math
import time

import numpy as np
import pyproj
import pytest
import shapely

from cim.datum import bd09_to_wgs84, gcj02_to_wgs84, wgs84_to_bd09, wgs84_to_gcj02
from cim.errors import SourceRefused
from loaders.check import Checked, area_m2, check, to_wgs84
from loaders.repair import Repairer
from loaders.tagging import AreaIndex


def checked(*geometries: shapely.Geometry | None, into: str = "MultiPolygon", crs: str | None = None) -> Checked:
    array = np.empty(len(geometries), dtype=object)
    array[:] = geometries
    with Repairer() as repairer:
        return check(array, to_wgs84(crs, "wgs84"), into, repairer, may_be_missing=False)


def codes(result: Checked) -> dict[int, str]:
    return {index: code for index, (code, _, _) in result.bad.items()}


def star(vertices: int, seed: int) -> shapely.Polygon:
    """One ring of uniformly random vertices: it crosses itself hundreds of times."""
    random = np.random.default_rng(seed)
    return shapely.Polygon(random.uniform((114.0, 22.5), (114.01, 22.51), (vertices, 2)))


def test_B03_bow_tie_hole_outside_and_sliver_are_repaired_or_refused_with_the_reason() -> None:
    bow_tie = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    repeated = shapely.Polygon([(0, 0), (0, 0), (1, 0), (1, 1), (1, 1), (0, 0)])
    hole_outside = shapely.Polygon([(0, 0), (1, 0), (1, 1), (0, 1)], [[(5, 5), (6, 5), (6, 6), (5, 5)]])
    sliver = shapely.Polygon([(0, 0), (1, 0), (0.5, 0), (0, 0)])
    result = checked(bow_tie, repeated, hole_outside, sliver)
    assert codes(result) == {3: "geometry/invalid"}
    assert set(result.repaired) == {0, 2}
    assert "Self-intersection" in result.repaired[0][1]
    assert all(g.is_valid for g in result.geometry[:3])
    assert result.geometry[0].area == pytest.approx(0.5)


def test_B01_a_hostile_ring_is_repaired_or_refused_within_two_seconds() -> None:
    started = time.monotonic()
    result = checked(star(500, 1))
    assert codes(result) in ({}, {0: "geometry/too-complex"})
    assert time.monotonic() - started < 4.0  # the helper process starts within it


def test_B02_a_larger_hostile_ring_is_refused_before_any_server_sees_it() -> None:
    assert codes(checked(star(4000, 2))) == {0: "geometry/too-complex"}


def test_B04_infinite_swapped_and_empty_places_are_refused_each_with_its_reason() -> None:
    result = checked(
        shapely.Point(math.inf, 1),
        shapely.Point(22.5, 114.0),
        shapely.Point(114.0, 91.0),
        shapely.Point(),
        shapely.Point(math.nan, 22.5),
        None,
        shapely.Point(114.0, 22.5),
        into="Point",
    )
    bad = codes(result)
    assert bad[1] == bad[2] == "geometry/out-of-range"
    assert "swapped" in result.bad[1][1]
    assert bad[0] == "geometry/not-finite"
    assert bad[3] == "geometry/empty"
    assert bad[4] in ("geometry/empty", "geometry/not-finite")
    assert bad[5] == "geometry/missing"
    assert 6 not in bad


def test_types_single_and_multi() -> None:
    square = shapely.box(114, 22, 114.1, 22.1)
    result = checked(square, shapely.MultiPolygon([square]), shapely.Point(114, 22))
    assert codes(result) == {2: "geometry/type"}
    points = checked(shapely.MultiPoint([(114, 22)]), shapely.MultiPoint([(114, 22), (1, 2)]), into="Point")
    assert points.geometry[0].geom_type == "Point"
    assert codes(points) == {1: "geometry/type"}


@pytest.mark.parametrize("code", ["EPSG:4547", "EPSG:4526", "EPSG:4549", "EPSG:2326", "EPSG:32650", "EPSG:3857"])
def test_projected_places_come_in_easting_first_and_leave_as_longitude_latitude(code: str) -> None:
    lon, lat = 114.0579, 22.5431
    east, north = pyproj.Transformer.from_crs("EPSG:4326", code, always_xy=True).transform(lon, lat)
    (point,) = checked(shapely.Point(east, north), into="Point", crs=code).geometry
    assert (point.x, point.y) == pytest.approx((lon, lat), abs=2e-6)


def test_cgcs2000_degrees_are_not_moved() -> None:
    (point,) = checked(shapely.Point(114.05, 22.54), into="Point", crs="EPSG:4490").geometry
    assert (point.x, point.y) == (114.05, 22.54)


@pytest.mark.parametrize("code", ["EPSG:999999", "hello", "EPSG:5773"])
def test_B06_a_crs_without_a_place_is_refused_and_says_what_to_state(code: str) -> None:
    with pytest.raises(SourceRefused, match="--crs EPSG:4547"):
        to_wgs84(code, "wgs84")


def test_gcj02_and_bd09_return_to_wgs84_within_a_millimetre() -> None:
    random = np.random.default_rng(7)
    lon, lat = random.uniform(113.7, 114.7, 5000), random.uniform(22.4, 22.9, 5000)
    for there, back in ((wgs84_to_gcj02, gcj02_to_wgs84), (wgs84_to_bd09, bd09_to_wgs84)):
        moved = there(lon, lat)
        shift_m = np.hypot((moved[0] - lon) * 102_800, (moved[1] - lat) * 110_900)
        assert shift_m.min() > 300
        found = back(*moved)
        assert np.hypot((found[0] - lon) * 102_800, (found[1] - lat) * 110_900).max() < 0.001
    outside = np.array([-0.1]), np.array([51.5])
    assert wgs84_to_gcj02(*outside) == outside


def test_a_published_gcj02_point_is_met() -> None:
    """Tiananmen as the public coordtransform examples give it: 116.404, 39.915 → 116.41024, 39.91640."""
    lon, lat = wgs84_to_gcj02(np.array([116.404]), np.array([39.915]))
    assert (lon[0], lat[0]) == pytest.approx((116.41024449916938, 39.91640428150164), abs=1e-7)


def test_areas_agree_with_the_geodesic() -> None:
    shapes = np.array(
        [
            shapely.box(114.05, 22.54, 114.0505, 22.5404),
            # edges of a kilometre: the map's straight line and the geodesic are one
            shapely.segmentize(shapely.Polygon([(114.0, 22.5), (114.3, 22.52), (114.2, 22.8), (114.0, 22.7)]), 0.01),
            shapely.box(25.0, 60.1, 25.001, 60.1005),
        ],
        dtype=object,
    )
    geod = pyproj.Geod(ellps="WGS84")
    expected = [abs(geod.geometry_area_perimeter(shape)[0]) for shape in shapes]
    assert area_m2(shapes, shapely.bounds(shapes)) == pytest.approx(expected, rel=2e-5)


def test_a_feature_gets_the_code_of_the_smallest_area_that_holds_it() -> None:
    index = AreaIndex.of(
        [
            ("4403", shapely.to_wkb(shapely.box(113, 22, 115, 23))),
            ("440305", shapely.to_wkb(shapely.box(113.8, 22.4, 114.0, 22.6))),
            ("440305001", shapely.to_wkb(shapely.box(113.9, 22.5, 114.0, 22.6))),
        ]
    )
    places = np.array(
        [
            shapely.Point(113.95, 22.55),
            shapely.Point(113.85, 22.45),
            shapely.Point(114.5, 22.5),
            None,
            shapely.Point(0, 0),
        ]
    )
    assert index.codes_of(shapely.bounds(places)).to_pylist() == ["440305001", "440305", "4403", None, None]


def test_the_repair_process_survives_a_hostile_ring() -> None:
    with Repairer() as repairer:
        assert repairer.mend(star(2000, 3)) is None
        mended = repairer.mend(shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]))
    assert mended is not None
    assert mended.is_valid
    assert json.loads(shapely.to_geojson(mended))["type"] == "MultiPolygon"
