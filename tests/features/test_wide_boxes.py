"""Boxes that hold many features: those at the edge are told from those outside to the last digit."""

import random
from typing import Any

import pytest
from shapely import from_wkb
from shapely.geometry import box

from tests.city import City

ITEMS = "/collections/buildings/items"
BOX = (114.0123456789, 22.5123456789, 114.0523456789, 22.5423456789)


@pytest.fixture(scope="module")
def town(city: City, client: Any) -> City:
    """Squares inside the box, and small ones about its edges, from far to less than single precision can tell."""
    draw = random.Random(4403)
    values = [(draw.uniform(BOX[0], BOX[2]), draw.uniform(BOX[1], BOX[3]), 2e-5) for _ in range(2000)]
    values += [(BOX[0] - 0.08, BOX[1] - 0.045, 1e-4), (BOX[2] + 0.08, BOX[3] + 0.045, 1e-4)]
    for side, along in ((0, 1), (2, 1), (1, 0), (3, 0)):
        for _ in range(60):
            size = 10 ** draw.uniform(-7, -4)
            place = [0.0, 0.0]
            place[side % 2] = BOX[side] + draw.uniform(-2, 1) * size
            place[along] = draw.uniform(BOX[along], BOX[along + 2])
            values.append((*place, size))
    rows = ", ".join(
        f"('edge.{n:04}', 'edge', '{n:04}', ST_Multi(ST_MakeEnvelope({x!r}, {y!r}, {x + s!r}, {y + s!r}, 4326)))"
        for n, (x, y, s) in enumerate(values)
    )
    city.buildings_sql(f"INSERT INTO cim.building (id, source, source_id, geom) VALUES {rows}")
    city.settle(client)
    return city


def test_a_box_of_many_holds_what_touches_it_and_nothing_else(town: City, client: Any) -> None:
    stored = town.run_text("SELECT id, ST_AsBinary(geom) FROM cim.building").fetchall()
    expected = {key for key, wkb in stored if from_wkb(bytes(wkb)).intersects(box(*BOX))}
    assert 2000 <= len(expected) < len(stored)
    asked = ",".join(map(repr, BOX))
    page = client.get(ITEMS, params={"bbox": asked, "limit": 10_000}).json()
    assert {feature["id"] for feature in page["features"]} == expected
    statement = "SELECT feature_count * ST_Area(ST_Intersection(bounds, ST_MakeEnvelope({}, {}, {}, {}, 4326))) / ST_Area(bounds)"
    share = town.run_text(f"{statement.format(*BOX)} FROM cim.collection_stats WHERE collection_id = 'buildings'")
    assert 50 < share.fetchone()[0] < len(stored) / 10  # many were to be expected, and not most of them


def test_a_box_that_is_a_line_or_a_point_holds_what_touches_it(town: City, client: Any) -> None:
    key, x, y = town.run_text(
        "SELECT id, ST_XMin(geom), ST_YMin(geom) FROM cim.building ORDER BY id LIMIT 1"
    ).fetchone()
    for asked in (f"{x},{y},{x},{y}", f"{x},{y},{x + 0.01},{y}", f"{x},{y - 0.001},{x},{y + 0.001}"):
        page = client.get(ITEMS, params={"bbox": asked, "limit": 1000}).json()
        assert key in {feature["id"] for feature in page["features"]}
