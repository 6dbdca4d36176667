"""Sensors and cameras of the sample city."""

import json
from collections import Counter, defaultdict
from datetime import date

import numpy as np
import shapely

from cim.collections.cameras import CAMERAS
from cim.collections.sensors import SENSOR_KINDS, SENSORS
from sample_data.generate import founded, part
from sample_data.kinds import CHANNELS
from sample_data.plan import plan_city
from tests.sample.values import assert_declared


def test_values_are_what_the_collections_declare(generated):
    assert_declared(SENSORS, generated.rows("sensors"), beside={"id", "building_id"})
    assert_declared(CAMERAS, generated.rows("cameras"), beside={"id"})


def test_counts_are_exact_and_ids_are_unique(generated):
    assert len({row["id"] for row in generated.rows("sensors")}) == 3000
    assert len({row["id"] for row in generated.rows("cameras")}) == 500


def test_sensors_are_of_the_ten_kinds_with_their_own_channels(generated):
    kinds = defaultdict(set)
    for row in generated.rows("sensors"):
        kinds[row["kind"]].add((row["observed_property"], row["unit_of_measurement"]))
    assert set(kinds) == set(SENSOR_KINDS) - {"other"}
    assert kinds == {k: {(c.observed_property, c.unit) for c in channels} for k, channels in CHANNELS.items()}


def test_several_channels_share_a_place(generated):
    places = Counter()
    for p in generated.parts:
        places.update((row["kind"], g.wkt) for row, g in zip(p.sensors.to_pylist(), p.sensor_places, strict=True))
    assert max(places.values()) >= 4


def test_points_stand_in_their_community(generated):
    for p in generated.parts:
        assert shapely.contains(p.community.outline, p.sensor_places).all()
        assert shapely.contains(p.community.outline, p.camera_places).all()


def test_a_sensor_on_a_building_is_within_its_footprint_and_younger_than_it(generated):
    seen = 0
    for p in generated.parts:
        rows = {row["id"]: (row, g) for row, g in zip(p.buildings.to_pylist(), p.layout.geometry, strict=True)}
        for sensor, place in zip(p.sensors.to_pylist(), p.sensor_places, strict=True):
            if sensor["building_id"]:
                building, footprint = rows[sensor["building_id"]]
                assert footprint.distance(place) < 1e-7
                assert building["status"] == "completed"
                assert building["completed_on"] <= sensor["installed_on"]
                seen += 1
    assert seen > 100


def test_recent_results_are_24_hours_that_end_in_the_latest(generated):
    for row in generated.rows("sensors"):
        values = json.loads(row["recent_results"])
        assert len(values) == 24
        assert values[-1] == row["latest_result"]


def test_traffic_is_busier_by_day_than_by_night(generated):
    counts = np.array(
        [
            json.loads(r["recent_results"])
            for r in generated.rows("sensors")
            if r["observed_property"] == "vehicle count"
        ]
    )
    by_hour = counts.mean(axis=0)  # ends at 08:00: index 23 is the morning peak, index 18 is 03:00
    assert by_hour[23] > 3 * by_hour[18]


def test_a_city_of_many_sensors_leaves_recent_results_out():
    city = founded(plan_city(100, 50_001, 1))
    made = part(city, 0, (1, 1, 1))
    assert made.sensors.column("recent_results").null_count == len(made.sensors) > 0


def test_only_what_is_retired_was_removed_and_never_before_it_came(generated):
    for row in [*generated.rows("sensors"), *generated.rows("cameras")]:
        assert (row["removed_on"] is not None) == (row["status"] == "retired")
        assert row["installed_on"] <= (row["removed_on"] or date(2026, 11, 1)) <= date(2026, 11, 1)


def test_cameras_look_along_the_streets(generated):
    for p in generated.parts:
        street = 90 - np.degrees(p.community.angle_rad)
        apart = (p.cameras.column("direction_deg").to_numpy() - street + 45) % 90 - 45
        assert (np.abs(apart) < 22).all()


def test_a_panoramic_camera_sees_all_around(generated):
    assert {r["field_of_view_deg"] for r in generated.rows("cameras") if r["kind"] == "panoramic"} == {360.0}
