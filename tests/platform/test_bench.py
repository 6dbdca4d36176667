"""The measuring device itself: what is asked is what it says, and the raw script reaches every place."""

import numpy as np
import pyproj
import pytest

from cim.collections.buildings import BUILDINGS
from cim.collections.imagery import IMAGERY
from cim.sql import Sql
from tools.bench import places, report
from tools.bench.raw import Statement, script
from tools.bench.rows import Row, rows

GEOD = pyproj.Geod(ellps="WGS84")


def test_a_drawn_polygon_is_closed_and_holds_a_square_kilometre():
    for seed in range(5):
        ring = places._ring(114.05, 22.54, np.random.default_rng(seed))
        assert ring[0] == ring[-1]
        area_m2, _ = GEOD.polygon_area_perimeter(*zip(*ring, strict=True))
        assert abs(area_m2) == pytest.approx(1e6, rel=0.01)


def test_a_box_about_a_building_holds_as_many_middles_as_it_says():
    middles = np.random.default_rng(1).uniform(0, 1, (500, 2))
    box = places._box(middles, 7, 25)
    inside = (middles >= box[:2]) & (middles <= box[2:])
    assert inside.all(axis=1).sum() == 25


def test_a_tile_holds_its_place():
    x, y = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(114.0579, 22.5431)
    zoom, row, col = places._tile(14, 114.0579, 22.5431)
    half, size = 20037508.342789244, 2 * 20037508.342789244 / 2**14
    assert zoom == 14
    assert -half + col * size <= x < -half + (col + 1) * size
    assert half - (row + 1) * size < y <= half - row * size


def followed(text: str, place: int) -> str:
    """The statement that the script's tree leads to, walked by hand."""
    taken: list[bool] = []
    for line in text.splitlines()[text.splitlines().index("\\endif") + 1 :]:
        if line.startswith("\\if"):
            taken.append(place < int(line.rpartition("<")[2]))
        elif line == "\\else":
            taken[-1] = not taken[-1]
        elif line == "\\endif":
            taken.pop()
        elif all(taken):
            return line
    raise AssertionError("no statement is reached")


def test_the_raw_script_prepares_once_and_reaches_every_place():
    statement = Statement("plain", tuple(Sql.of("SELECT {}::float8, {}", n, "it's") for n in range(37)))
    text = script(statement)
    assert text.count("PREPARE") == 1
    for number in range(37):
        assert followed(text, number) == f"EXECUTE q0({number}, 'it''s');"


def test_every_row_asks_us_and_the_database_about_every_place():
    ring = places._ring(114.05, 22.54, np.random.default_rng(1))
    box = (114.0, 22.5, 114.01, 22.51)
    two = places.Places(
        boxes_10=(box, box),
        boxes_1000=(box, box),
        ids=("a.1", "a.2"),
        rings=(ring, ring),
        tiles_14=((14, 7138, 13382),) * 2,
        tiles_16=((16, 28552, 53530),) * 2,
        districts=("440303", "440305"),
        searches=((box, "2020-01-01T00:00:00Z/2020-04-01T00:00:00Z"),) * 2,
    )
    for row in rows(two, BUILDINGS, IMAGERY):
        assert {len(asks) for asks in row.asks.values()} == {2}, row.key
        assert "ours" in row.asks
        assert {len(statement.places) for statement in row.statements} == {2}, row.key
        for statement in row.statements:
            assert "EXECUTE q0(" in script(statement), row.key


@pytest.mark.parametrize(
    ("raw", "ours", "tipg", "verdict"),
    [(100, 81, 4, "yes"), (100, 79, 4, "no"), (100, 81, 5, "no"), (100, 81, None, "?"), (None, 81, 4, "?")],
)
def test_a_reach_is_met_only_when_both_ratios_are(raw, ours, tipg, verdict):
    row = Row("box", "features", {}, reach_raw=0.8, reach_peer=("tipg", 20))
    outcome = report.Outcome(row)
    outcome.raw = {"plan": raw} if raw else {}
    outcome.rates = {"ours": ours, **({"tipg": tipg} if tipg else {})}
    assert outcome.verdict() == verdict
