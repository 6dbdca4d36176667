"""The city from a plan to files: communities one after another, so that memory does not grow with the city."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import shapely

from sample_data import buildings, cameras, sensors
from sample_data.areas import Area, Community, found_communities, tree
from sample_data.characters import SMALL_CITY_BUILDINGS
from sample_data.geoparquet import GeoParquetWriter
from sample_data.layout import Layout, lay_out, thinned
from sample_data.offers import write_offers
from sample_data.plan import RECENT_RESULTS_LIMIT, CityPlan
from sample_data.plane import (
    METRES_A_DEGREE_LAT,
    METRES_A_DEGREE_LON,
    Geometries,
    Integers,
    generator,
    to_degrees,
    turned,
)
from sample_data.scenes import WINDOW_M, Sight, write_scenes

ROOM = (1.03, 1.3)
"""How many footprints should fit for each that is wanted; what is too much stays open ground."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done and how many there are."""


def unseen(stage: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True, slots=True)
class Founded:
    """A city that has room for its plan: communities and how many of each kind of row each gets."""

    plan: CityPlan
    communities: list[Community]
    areas: list[Area]
    buildings: Integers
    sensors: Integers
    cameras: Integers


@dataclass(frozen=True, slots=True)
class Part:
    """Everything that stands in one community."""

    community: Community
    layout: Layout
    buildings: pa.Table
    sensors: pa.Table
    sensor_places: Geometries
    cameras: pa.Table
    camera_places: Geometries


def _per_km2(buildings: int) -> float:
    """Footprints a km² to begin with (measured, seed 4403); `founded` corrects it for other seeds."""
    return 820.0 if buildings < SMALL_CITY_BUILDINGS else 1386.0 * (buildings / 100_000) ** 0.047


def founded(plan: CityPlan, progress: Progress = unseen) -> Founded:
    """Areas of a size that holds the plan: laid out once to count, made larger or smaller where it does not fit."""
    area_m2 = plan.buildings / _per_km2(plan.buildings) * 1e6
    for _ in range(12):
        communities = found_communities(plan, float(np.round(np.sqrt(area_m2 / plan.communities), 1)))
        room = np.zeros(len(communities), np.int64)
        for i, community in enumerate(communities):
            room[i] = len(lay_out(community, plan.seed))
            progress("streets and plots", i + 1, len(communities))
        ratio = room.sum() / plan.buildings
        if ROOM[0] <= ratio <= ROOM[1] or (ratio > ROOM[0] and plan.buildings < 200):
            break
        area_m2 *= np.clip(1.12 / max(ratio, 0.1), 0.5, 3.0)
    if room.sum() < plan.buildings:
        raise ValueError(f"no room for {plan.buildings} buildings with seed {plan.seed}; choose another seed")
    counts = np.minimum(sensors.shared_out(plan.buildings, room), room)
    spare = np.flatnonzero(room > counts)
    while (short := plan.buildings - int(counts.sum())) > 0:
        counts[spare[:short]] += 1
        spare = np.flatnonzero(room > counts)
    life = counts + np.round(np.array([c.outline_m.area for c in communities]) / 2000).astype(np.int64)
    return Founded(
        plan,
        communities,
        tree(communities),
        counts,
        sensors.shared_out(plan.sensors, life),
        sensors.shared_out(plan.cameras, life),
    )


def part(city: Founded, number: int, firsts: tuple[int, int, int]) -> Part:
    """Community `number` with its rows; `firsts` are the first numbers of its buildings, sensors and cameras."""
    community, seed = city.communities[number], city.plan.seed
    layout = thinned(lay_out(community, seed), int(city.buildings[number]), generator(seed, 11, number))
    rows = buildings.building_rows(community, layout, firsts[0], seed)
    recent = city.plan.sensors <= RECENT_RESULTS_LIMIT
    sensed, sensor_places = sensors.sensor_rows(
        community, layout, rows, firsts[1], int(city.sensors[number]), recent=recent, seed=seed
    )
    seen, camera_places = cameras.camera_rows(community, layout, firsts[2], int(city.cameras[number]), seed)
    return Part(community, layout, rows, sensed, sensor_places, seen, camera_places)


def firsts_of(city: Founded) -> list[tuple[int, int, int]]:
    """First numbers of each community's buildings, sensors and cameras; numbers begin at 1."""
    begins = [1 + np.cumsum(counts) - counts for counts in (city.buildings, city.sensors, city.cameras)]
    return [(int(a), int(b), int(c)) for a, b, c in zip(*begins, strict=True)]


def write_city(plan: CityPlan, folder: Path, progress: Progress = unseen) -> dict[str, int]:
    """All files of a city into `folder`; gives the rows of each kind.

    areas.geojson, buildings.parquet, sensors.parquet, cameras.parquet, imagery/*.tif, stac/*.json,
    organisations.yaml and services.yaml. The same plan writes the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    city = founded(plan, progress)
    write_areas(folder / "areas.geojson", city.areas)
    core = max(city.communities, key=lambda c: c.centrality)
    middle_m = shapely.get_coordinates(core.outline_m.centroid)[0]
    sight = Sight((float(to_degrees(middle_m)[0]), float(to_degrees(middle_m)[1])), city.areas[0].geometry)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(GeoParquetWriter(folder / f"{name}.parquet", schema))
            for name, schema in (
                ("buildings", buildings.SCHEMA),
                ("sensors", sensors.SCHEMA),
                ("cameras", cameras.SCHEMA),
            )
        ]
        for number, firsts in enumerate(firsts_of(city)):
            made = part(city, number, firsts)
            writers[0].write(made.buildings, made.layout.geometry)
            writers[1].write(made.sensors, made.sensor_places)
            writers[2].write(made.cameras, made.camera_places)
            _see(sight, made)
            progress("buildings, sensors, cameras", number + 1, len(city.communities))
    scenes = write_scenes(folder, sight, plan.seed)
    progress("scenes", len(scenes), len(scenes))
    write_offers(folder, plan, city.areas)
    return {
        "areas": len(city.areas),
        "buildings": plan.buildings,
        "sensors": plan.sensors,
        "cameras": plan.cameras,
        "imagery": len(scenes),
        "organisations": plan.organisations,
        "services": plan.services,
    }


def write_areas(path: Path, areas: list[Area]) -> None:
    """The tree as GeoJSON (RFC 7946), a feature a line."""
    with path.open("wb") as target:
        target.write(b'{"type":"FeatureCollection","features":[\n')
        for number, area in enumerate(areas):
            properties = {
                "code": area.code,
                "name": area.name,
                "name_en": area.name_en,
                "level": area.level,
                "parent_code": area.parent_code,
            }
            shape = shapely.to_geojson(shapely.orient_polygons(area.geometry)).encode()
            feature = {"type": "Feature", "id": area.code, "properties": properties, "geometry": orjson.Fragment(shape)}
            target.write((b",\n" if number else b"") + orjson.dumps(feature))
        target.write(b"\n]}\n")


def _see(sight: Sight, made: Part) -> None:
    """Keep what the scenes will show."""
    reach = np.array([WINDOW_M / METRES_A_DEGREE_LON, WINDOW_M / METRES_A_DEGREE_LAT])
    low, high = np.array(sight.middle) - reach, np.array(sight.middle) + reach
    window = shapely.box(*low, *high)
    if not made.community.outline.intersects(window):
        return
    ground = shapely.transform(made.layout.ground_m, to_degrees)
    box = made.layout.blocks.box_m
    if len(box):
        corners = np.stack([box[:, [0, 1]], box[:, [2, 1]], box[:, [2, 3]], box[:, [0, 3]]], 1)
        blocks = shapely.polygons(to_degrees(turned(corners, made.community.angle_rad)))
        sight.blocks.append(shapely.intersection(blocks, ground))
        sight.block_kinds.append(made.layout.blocks.kind)
    near = np.flatnonzero(shapely.intersects(window, made.layout.geometry))
    table = made.buildings.take(pa.array(near))
    sight.footprints.append(made.layout.geometry[near])
    sight.heights_m.append(table.column("height_m").to_numpy())
    sight.uses.append(table.column("use").to_pylist())
    sight.statuses.append(table.column("status").to_pylist())
    sight.years.append(np.nan_to_num(table.column("year_built").to_numpy().astype(float), nan=9999.0))
