"""Where is asked: boxes, ids, polygons, tiles, districts and times, drawn from the city by one seed, shuffled."""

import math
from dataclasses import dataclass

import numpy as np
import psycopg

from tools.bench.city import SCENE_REGION

COUNT = 400
SEED = 4403
M_A_DEGREE = 111_320.0
SQUARE_KM_RADIUS_M = 1000 / math.sqrt(math.pi)
CORNERS = 12

Box = tuple[float, float, float, float]
"""West, south, east, north in CRS84."""


@dataclass(frozen=True, slots=True)
class Places:
    """The same lists for every contender. Boxes and rings are lon, lat in CRS84; tiles are zoom, row, column."""

    boxes_10: tuple[Box, ...]
    boxes_1000: tuple[Box, ...]
    ids: tuple[str, ...]
    rings: tuple[tuple[tuple[float, float], ...], ...]
    tiles_14: tuple[tuple[int, int, int], ...]
    tiles_16: tuple[tuple[int, int, int], ...]
    districts: tuple[str, ...]
    searches: tuple[tuple[Box, str], ...]


def places(connection: psycopg.Connection) -> Places:
    """Draw them: the middle of a random building is the middle of each place."""
    rows = connection.execute(
        "SELECT id, (ST_XMin(geom) + ST_XMax(geom)) / 2, (ST_YMin(geom) + ST_YMax(geom)) / 2 FROM cim.building ORDER BY id"
    ).fetchall()
    middles = np.array([row[1:] for row in rows], np.float64)
    random = np.random.default_rng(SEED)

    def drawn() -> np.ndarray:
        return random.integers(0, len(rows), COUNT)

    def tiles(zoom: int) -> tuple[tuple[int, int, int], ...]:
        return tuple(dict.fromkeys(_tile(zoom, *middles[i]) for i in drawn()))

    districts = connection.execute(
        "SELECT DISTINCT left(area_code, 6) FROM cim.building WHERE length(area_code) >= 6 ORDER BY 1"
    ).fetchall()
    return Places(
        boxes_10=tuple(_box(middles, i, 10) for i in drawn()),
        boxes_1000=tuple(_box(middles, i, 1000) for i in drawn()),
        ids=tuple(rows[i][0] for i in drawn()),
        rings=tuple(_ring(*middles[i], random) for i in drawn()),
        tiles_14=tiles(14),
        tiles_16=tiles(16),
        districts=tuple(row[0] for row in districts),
        searches=tuple(_search(random) for _ in range(COUNT)),
    )


def _box(middles: np.ndarray, number: int, count: int) -> Box:
    """The square (in degrees) about a building's middle that holds the middles of `count`."""
    x, y = (float(part) for part in middles[number])
    far = np.abs(middles - (x, y)).max(axis=1)
    half = float(np.partition(far, count - 1)[count - 1]) + 1e-7
    return round(x - half, 7), round(y - half, 7), round(x + half, 7), round(y + half, 7)


def _ring(lon: float, lat: float, random: np.random.Generator) -> tuple[tuple[float, float], ...]:
    """A closed ring of 12 uneven corners about a place that encloses about 1 km²."""
    angle = np.sort(np.arange(CORNERS) / CORNERS * 2 * np.pi + random.uniform(-0.2, 0.2, CORNERS))
    radius = random.uniform(0.8, 1.2, CORNERS)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    area = abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2
    scale = SQUARE_KM_RADIUS_M * math.sqrt(math.pi / area) / M_A_DEGREE
    points = [
        (round(float(lon + a * scale / math.cos(math.radians(lat))), 6), round(float(lat + b * scale), 6))
        for a, b in zip(x, y, strict=True)
    ]
    return (*points, points[0])


def _tile(zoom: int, lon: float, lat: float) -> tuple[int, int, int]:
    count = 2**zoom
    row = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * count
    return zoom, int(row), int((lon + 180) / 360 * count)


def _search(random: np.random.Generator) -> tuple[Box, str]:
    """A box of a tenth of a degree and three months: some 50 scenes."""
    west, south, east, north = SCENE_REGION
    x, y = float(random.uniform(west, east - 0.1)), float(random.uniform(south, north - 0.1))
    begin = np.datetime64("2016-01-01") + int(random.integers(0, 3500))
    box = (round(x, 4), round(y, 4), round(x + 0.1, 4), round(y + 0.1, 4))
    return box, f"{begin}T00:00:00Z/{begin + 90}T00:00:00Z"
