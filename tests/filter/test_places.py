"""Places in filters: distances and areas on the spheroid, other coordinate reference systems, what is written out."""

import pytest
from shapely import wkt

from cim.crs import epsg
from cim.errors import InvalidParameter
from cim.query.filter import literal_geometries, parse_text


def test_areas_and_distances_are_those_of_the_spheroid(rows, things):
    from pyproj import Geod

    geod = Geod(ellps="WGS84")
    area = abs(geod.geometry_area_perimeter(wkt.loads("POLYGON((114 22,114.01 22,114.01 22.01,114 22.01,114 22))"))[0])
    assert rows.find(things, f"abs(area_m2(geometry) - {area}) < 1") == ["a"]
    metres = geod.inv(113.99, 22.005, 114.0, 22.5)[2]
    assert metres > 50_000
    nearest = min(
        geod.inv(x / 1000, 22.01 if x <= 114_010 else 22.005, 114.0, 22.5)[2] for x in range(114_000, 114_011)
    )
    assert rows.find(things, f"abs(distance_m(geometry, POINT(114.0 22.5)) - {nearest}) < 1") == ["a"]
    assert rows.find(
        things, f"length_m(geometry) BETWEEN {geod.inv(113.99, 22.005, 114.02, 22.005)[2] - 1} AND 3100"
    ) == ["b"]


def test_a_distance_asked_for_by_index_is_the_distance_everywhere(rows):
    """The box that an index is asked for never leaves out what is near: at poles and the antimeridian neither."""
    around = rows.city.dataset("around")
    places = [
        (lon, lat)
        for lon in (-180, -179.99, -90, 0, 114, 179.99)
        for lat in (-90, -89.99, -60, 0, 22.5, 84.99, 89.9, 90)
    ]
    for lon, lat in places:
        rows.city.feature("around", f"POINT({lon} {lat})", key=f"{lon}/{lat}")
    for lon, lat in places:
        for metres in (0, 1000, 2300, 30000, 1.2e6, 2.1e7):
            distance = f"distance_m(geometry, POINT({lon} {lat}))"
            by_index = rows.find(around, f"{distance} <= {metres}")
            assert by_index == rows.find(around, f"{distance} + 0 <= {metres}"), (lon, lat, metres)
            assert f"{lon}/{lat}" in by_index
    assert rows.find(around, "distance_m(geometry, POINT(0 0)) < -5") == []
    assert len(rows.find(around, "NOT distance_m(geometry, POINT(0 0)) < 1000")) == len(places) - 1


def test_filter_crs_turns_axes_around_and_transforms_the_literal(rows, things):
    from pyproj import Transformer

    latitude_first, mercator, gauss = epsg(4326), epsg(3857), epsg(4547)
    assert latitude_first.is_swapped
    assert gauss.is_swapped
    for text in (
        "S_INTERSECTS(geometry, POINT(22.005 114.005))",
        "S_INTERSECTS(geometry, BBOX(22.004,114.004,22.006,114.006))",
    ):
        assert rows.find(things, text, crs=latitude_first) == ["a", "b"]
        with pytest.raises(InvalidParameter, match="latitudes"):
            rows.find(things, text)
    for system in (mercator, gauss):
        move = Transformer.from_crs(4326, system.srid, always_xy=True).transform
        corners = [move(x, y) for x, y in ((113.995, 21.995), (113.995, 22.02), (114.015, 22.02), (114.015, 21.995))]
        ordered = [(y, x) if system.is_swapped else (x, y) for x, y in [*corners, corners[0]]]
        ring = ",".join(f"{x} {y}" for x, y in ordered)
        assert rows.find(things, f"S_CONTAINS(POLYGON(({ring})), geometry)", crs=system) == ["a"]
        low, high = ordered[0], ordered[2]
        box = f"BBOX({low[0]},{low[1]},{high[0]},{high[1]})"
        assert rows.find(things, f"S_CONTAINS({box}, geometry)", crs=system) == ["a"]
        assert (
            rows.find(
                things,
                {
                    "op": "s_intersects",
                    "args": [{"property": "geometry"}, {"type": "Point", "coordinates": list(ordered[0])}],
                },
                crs=system,
            )
            == []
        )


def test_what_a_system_has_no_place_for_is_refused_and_the_system_named(rows, things):
    for system, text in ((epsg(3857), "POINT(1e9 0)"), (epsg(4547), "POINT(1e30 1e30)"), (epsg(4326), "POINT(114 22)")):
        with pytest.raises(InvalidParameter, match=rf"EPSG/0/{system.srid}"):
            rows.find(things, f"S_INTERSECTS(geometry, {text})", crs=system)


def test_geometries_that_a_filter_writes_out_are_listed_for_checking():
    node = parse_text(
        "S_INTERSECTS(geometry, POINT(22 114)) OR NOT S_WITHIN(buffer(POLYGON((0 0,0 1,1 1,0 0)), 5), BBOX(1,2,3,4))"
    )
    found = literal_geometries(node, epsg(4326))
    assert sorted(found) == [
        '{"type":"Point","coordinates":[114.0,22.0]}',
        '{"type":"Polygon","coordinates":[[[0.0,0.0],[1.0,0.0],[1.0,1.0],[0.0,0.0]]]}',
    ]
