"""Features by other features: within, meeting, near, nearest, in sight; checked with shapely and pyproj's geodesics."""

import random
from typing import Any

import pytest
from pyproj import Geod
from shapely.geometry import Point, Polygon, box, mapping
from shapely.ops import nearest_points

from tests.city import City, square
from tests.problems import assert_problem

GEOD = Geod(ellps="WGS84")
BUILDINGS = "/collections/buildings/items"
SENSORS = "/collections/sensors/items"
CAMERAS = "/collections/cameras/items"

FUTIAN = Polygon([(114.0, 22.5), (114.05, 22.5), (114.05, 22.53), (114.02, 22.55), (114.0, 22.53), (114.0, 22.5)])
NANSHAN = box(113.9, 22.48, 114.0, 22.56)


def metres(one: Any, other: Any) -> float:
    """Distance on the spheroid between the planar nearest points: exact to a millimetre over some hundred metres."""
    first, second = nearest_points(one, other)
    return float(GEOD.inv(first.x, first.y, second.x, second.y)[2])


@pytest.fixture(scope="module")
def town(city: City, client: Any) -> dict[str, Any]:
    """Two districts, 120 buildings, 60 sensors, 60 cameras at random places."""
    random.seed(44)
    places: dict[str, Any] = {}
    places["areas"] = {
        city.feature("areas", FUTIAN, key="futian", name="福田区", level="district", code="440304"): FUTIAN,
        city.feature("areas", NANSHAN, key="nanshan", name="南山区", level="district", code="440305"): NANSHAN,
        city.feature("areas", None, key="nowhere", name="无", level="street", code="440304001"): None,
    }
    places["buildings"], places["sensors"], places["cameras"], places["sight"] = {}, {}, {}, {}
    for n in range(120):
        shape = square(random.uniform(113.95, 114.07), random.uniform(22.49, 22.56), 0.002)
        use = "office" if n % 10 == 0 else "residential"
        made = city.building(shape, key=f"b{n:03}", use=use, height_m=float(n), name="科技 a/b?c" if n == 5 else None)
        places["buildings"][made] = shape
    for n in range(60):
        point = Point(random.uniform(113.95, 114.07), random.uniform(22.49, 22.56))
        kind = "weather" if n % 6 == 0 else "air_quality"
        places["sensors"][city.feature("sensors", point, key=f"s{n:02}", kind=kind)] = point
    for n in range(60):
        point = Point(random.uniform(114.0, 114.02), random.uniform(22.5, 22.52))
        sight = (
            random.choice([None, 0.0, 355.0, 90.0, 200.0]),
            random.choice([None, 40.0, 180.0, 360.0]),
            random.choice([None, 400.0, 1500.0]),
        )
        facts = dict(zip(("direction_deg", "field_of_view_deg", "range_m"), sight, strict=True))
        made = city.feature("cameras", point, key=f"c{n:02}", **facts)
        places["cameras"][made], places["sight"][made] = point, sight
    city.settle(client)
    return places


def found(client: Any, path: str, **parameters: Any) -> set[str]:
    """By GET, walked in pages, by items and by aggregate alike."""
    answer = client.get(path, params={"limit": 1000, **parameters})
    assert answer.status_code == 200, answer.text
    ids = {feature["id"] for feature in answer.json()["features"]}
    total = client.get(path.replace("items", "aggregate"), params=parameters).json()["total"]["count"]
    assert total == len(ids)
    return ids


@pytest.mark.parametrize("reference", ["areas/test.futian", "areas?name='福田区'", FUTIAN.wkt, "feature"])
def test_what_meets_and_what_lies_within_a_named_area(town: Any, client: Any, reference: str) -> None:
    meeting = {made for made, shape in town["buildings"].items() if shape.intersects(FUTIAN)}
    within = {made for made, shape in town["buildings"].items() if FUTIAN.covers(shape)}
    assert within < meeting
    if reference == "feature":
        asked = [
            {"filter": f"S_{word}(geometry, feature('areas', 'test.futian'))"} for word in ("INTERSECTS", "WITHIN")
        ]
    else:
        asked = [{"intersects": reference}, {"within": reference}]
    assert found(client, BUILDINGS, **asked[0]) == meeting
    assert found(client, BUILDINGS, **asked[1]) == within


def test_what_lies_within_one_of_several(town: Any, client: Any) -> None:
    shapes = town["buildings"].values()
    within = {made for made, shape in town["buildings"].items() if FUTIAN.covers(shape) or NANSHAN.covers(shape)}
    assert found(client, BUILDINGS, within="areas?level='district'") == within
    assert len(within) < len(shapes)
    points = {m for m, point in town["sensors"].items() if FUTIAN.covers(point) or NANSHAN.covers(point)}
    assert found(client, SENSORS, within="areas?level='district'") == points
    assert found(client, SENSORS, filter="S_WITHIN(geometry, features('areas', 'level=''district'''))") == points
    assert found(client, SENSORS, within="areas?name='none'") == set()


@pytest.mark.parametrize("distance", [0, 150, 200.5, 1500])
def test_what_is_near_a_station(town: Any, client: Any, distance: float) -> None:
    station = town["sensors"]["test.s07"]
    expected = {made for made, shape in town["buildings"].items() if metres(shape, station) <= distance}
    assert found(client, BUILDINGS, near="sensors/test.s07", distance=distance) == expected
    assert found(client, BUILDINGS, near=f"{station.x!r},{station.y!r}", distance=distance) == expected
    assert (
        found(client, BUILDINGS, filter=f"distance_m(geometry, feature('sensors', 'test.s07')) <= {distance}")
        == expected
    )
    body = {"near": {"collection": "sensors", "id": "test.s07", "distance_m": distance}, "limit": 1000}
    answer = client.post("/collections/buildings/search", json=body)
    assert {feature["id"] for feature in answer.json()["features"]} == expected
    if distance == 1500:
        assert expected


def test_what_is_near_one_of_several(town: Any, client: Any) -> None:
    offices = [shape for n, shape in enumerate(town["buildings"].values()) if n % 10 == 0]
    expected = {made for made, point in town["sensors"].items() if min(metres(one, point) for one in offices) <= 300}
    assert 0 < len(expected) < 60
    assert found(client, SENSORS, near="buildings?use='office'", distance=300) == expected
    reference = {"collection": "buildings", "filter": {"op": "=", "args": [{"property": "use"}, "office"]}}
    body = {"near": {**reference, "distance_m": 300}, "limit": 10, "sortby": "-kind"}
    seen: list[str] = []
    while body:
        document = client.post("/collections/sensors/search", json=body).json()
        seen += [feature["id"] for feature in document["features"]]
        body = next((link["body"] for link in document["links"] if link["rel"] == "next"), None)
    assert sorted(seen) == sorted(expected)


def test_sensors_inside_a_building_whose_id_is_awkward(city: City, client: Any, town: Any) -> None:
    shape = square(114.2, 22.6, 0.004)
    made = city.building(shape, key="a/b?c=d e")
    inside = city.feature("sensors", Point(114.202, 22.602), key="inside", kind="weather")
    city.settle(client)
    assert found(client, SENSORS, within=f"buildings/{made}") == {inside}
    city.connection.execute("DELETE FROM cim.building WHERE id = %s", [made])
    city.connection.execute("DELETE FROM cim.sensor WHERE id = %s", [inside])


def sees(camera: Point, sight: Any, target: Point) -> bool:
    direction, view, reach = sight
    azimuth, _, away = GEOD.inv(camera.x, camera.y, target.x, target.y)
    if reach is None or away > reach or view is None:
        return False
    if view >= 360:
        return True
    return direction is not None and abs((azimuth - direction + 180) % 360 - 180) <= view / 2


@pytest.mark.parametrize("target", [Point(114.01, 22.51), Point(114.004, 22.519), Point(114.3, 22.51)])
def test_cameras_that_see_a_point(town: Any, client: Any, target: Point) -> None:
    expected = {made for made, camera in town["cameras"].items() if sees(camera, town["sight"][made], target)}
    assert found(client, CAMERAS, sees=f"{target.x},{target.y}") == expected
    body = {"sees": {"geometry": mapping(target)}, "limit": 1000}
    answer = client.post("/collections/cameras/search", json=body).json()
    assert {feature["id"] for feature in answer["features"]} == expected
    if target.x < 114.2:
        assert 3 < len(expected) < 40


def test_cameras_that_see_one_of_several_sensors(city: City, client: Any, town: Any) -> None:
    stations = [point for n, point in enumerate(town["sensors"].values()) if n % 6 == 0]
    expected = {
        made
        for made, camera in town["cameras"].items()
        if any(sees(camera, town["sight"][made], station) for station in stations)
    }
    assert found(client, CAMERAS, sees="sensors?kind='weather'") == expected
    at_home = town["cameras"]["test.c00"]
    assert ("test.c00" in found(client, CAMERAS, sees="cameras/test.c00")) is sees(
        at_home, town["sight"]["test.c00"], at_home
    )


@pytest.mark.parametrize("reference", ["114.01,22.51", "sensors/test.s03", "areas/test.nanshan"])
@pytest.mark.parametrize("condition", [{}, {"use": "residential"}, {"bbox": "114.0,22.5,114.03,22.53"}])
def test_the_nearest_come_first_with_their_distance(town: Any, client: Any, reference: str, condition: Any) -> None:
    other = {"sensors/test.s03": town["sensors"]["test.s03"], "areas/test.nanshan": NANSHAN}.get(
        reference, Point(114.01, 22.51)
    )
    kept = found(client, BUILDINGS, **condition)
    expected = sorted((metres(town["buildings"][made], other), made) for made in kept)[:7]
    document = client.get(BUILDINGS, params={"nearest": reference, "limit": 7, **condition}).json()
    distances = [feature["properties"]["distance_m"] for feature in document["features"]]
    assert distances == pytest.approx([away for away, _ in expected], abs=0.5)
    assert distances == sorted(distances)
    assert {feature["id"] for feature in document["features"]} == {made for _, made in expected}
    assert not [link for link in document["links"] if link["rel"] == "next"]
    assert "numberMatched" not in document or condition == {}


def test_degrees_are_not_metres(city: City, client: Any, town: Any) -> None:
    """At 60° north a degree of longitude is half as long: what is nearest in degrees is not."""
    city.dataset("north")
    east = city.feature("north", "POINT(10.0015 60)", key="east")
    north = city.feature("north", "POINT(10 60.001)", key="north")
    city.settle(client)
    document = client.get("/collections/north/items", params={"nearest": "10,60", "limit": 1}).json()
    assert [one["id"] for one in document["features"]] == [east]
    away = GEOD.inv(10, 60, 10.0015, 60)[2]
    assert document["features"][0]["properties"]["distance_m"] == pytest.approx(away, abs=0.01)
    near_by = client.get("/collections/north/items", params={"near": "10,60", "distance": 100}).json()["features"]
    assert [one["id"] for one in near_by] == [east]
    assert found(client, "/collections/north/items", near="10,60", distance=112) == {east, north}


def test_near_the_antimeridian_and_the_pole(city: City, client: Any, town: Any) -> None:
    city.dataset("edge")
    west = city.feature("edge", "POINT(-179.9995 10)", key="west")
    pole = city.feature("edge", "POINT(90 89.9999)", key="pole")
    world = city.feature("edge", box(-180, -90, 180, 90), key="world")
    city.settle(client)
    path = "/collections/edge/items"
    assert found(client, path, near="179.9995,10", distance=120) == {west}
    assert found(client, path, near="-90,89.9999", distance=30) == {pole}
    assert found(client, path, intersects="0,0") == {world}
    document = client.get(path, params={"nearest": "179.9995,10", "limit": 2}).json()
    assert [feature["id"] for feature in document["features"]] == [west, pole]


@pytest.mark.parametrize(
    ("path", "parameters", "parameter"),
    [
        (BUILDINGS, {"within": "areas/none"}, "within"),
        (BUILDINGS, {"within": "areas/test.nowhere"}, "within"),
        (BUILDINGS, {"within": "secrets/1"}, "within"),
        (BUILDINGS, {"within": "somewhere"}, "within"),
        (BUILDINGS, {"within": "POLYGON((0 0, 2 2, 2 0, 0 2, 0 0))"}, "within"),
        (BUILDINGS, {"intersects": "POINT(200 10)"}, "intersects"),
        (BUILDINGS, {"near": "114,22"}, "distance"),
        (BUILDINGS, {"near": "114,22", "distance": "far"}, "distance"),
        (BUILDINGS, {"near": "114,22", "distance": "1e9"}, "distance"),
        (BUILDINGS, {"distance": "5"}, "distance"),
        (BUILDINGS, {"sees": "114,22"}, "sees"),
        (CAMERAS, {"sees": "buildings/none"}, "sees"),
        (BUILDINGS, {"nearest": "114,22", "sortby": "name"}, "sortby"),
        (BUILDINGS, {"nearest": "114,22", "cursor": "abc"}, "cursor"),
        (BUILDINGS, {"nearest": "sensors/none"}, "nearest"),
        (BUILDINGS, {"within": "areas?naame='x'"}, "filter"),
        (BUILDINGS, {"within": "areas?S_WITHIN(geometry, feature('areas','test.futian'))"}, "filter"),
        (BUILDINGS, {"filter": "S_WITHIN(geometry, feature('areas','none'))"}, "filter"),
        (BUILDINGS, {"filter": "S_WITHIN(geometry, feature(name,'none'))"}, "filter"),
        ("/collections/buildings/aggregate", {"within": "areas/none"}, "within"),
        ("/collections/buildings/tiles/WebMercatorQuad/14/7141/13377", {"within": "areas/none"}, "within"),
    ],
)
def test_a_reference_that_cannot_be(town: Any, client: Any, path: str, parameters: Any, parameter: str) -> None:
    answer = client.get(path, params=parameters)
    code = "unknown-property" if "naame" in str(parameters) else "invalid-parameter"
    assert_problem(answer, status=400, code=code, parameter=parameter)


@pytest.mark.parametrize(
    "reference",
    [7, [], {}, {"collection": "areas"}, {"collection": "areas", "id": 3}, {"collection": "areas", "filter": None},
     {"collection": "areas", "id": "x", "filter": True}, {"geometry": {"type": "Point"}}, {"id": "x"}, "a\u0000b"],
)  # fmt: skip
def test_a_reference_of_a_body_that_cannot_be(town: Any, client: Any, reference: Any) -> None:
    answer = client.post("/collections/buildings/search", json={"within": reference})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="within")


def test_too_many_others_are_counted(city: City, client: Any, town: Any) -> None:
    city.dataset("many")
    city.connection.execute(
        "INSERT INTO dataset.many (id, source, source_id, geom) SELECT 'many.' || n, 'many', n, "
        "ST_Point(114 + n * 1e-5, 22.5, 4326) FROM generate_series(1, 1001) AS n"
    )
    city.refresh("many")
    city.settle(client)
    answer = client.get(BUILDINGS, params={"near": "many?id LIKE 'many.%'", "distance": 10})
    document = assert_problem(answer, status=400, code="invalid-parameter", parameter="near")
    assert "1,001 features" in document["detail"]
    city.connection.execute("DELETE FROM dataset.many WHERE source_id = '1001'")
    points = [Point(114 + n * 1e-5, 22.5) for n in range(1, 1001)]
    expected = {
        made for made, shape in town["buildings"].items() if min(metres(shape, point) for point in points) <= 10
    }
    assert found(client, BUILDINGS, near="many?id LIKE 'many.%'", distance=10) == expected
