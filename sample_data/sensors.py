"""Rows of the sensors collection: several channels at one place, along streets and on buildings."""

import math

import numpy as np
import orjson
import pyarrow as pa
import shapely

from sample_data.areas import Community
from sample_data.buildings import TODAY, standing
from sample_data.kinds import CHANNELS, ON_BUILDINGS, SHARES, rhythm
from sample_data.layout import Layout
from sample_data.places import kerb_places, street_names
from sample_data.plane import Floats, Geometries, Integers, generator

NOW = np.datetime64("2026-11-01T00:00")
"""UTC: 08:00 in the city. Latest results are of the quarter of an hour before."""
LOCAL_HOURS = 8.0
FIRST_SENSORS = np.datetime64("2012-01-01")
KIND_NAMES = {
    "air_quality": ("空气监测站", "生态环境局"),
    "weather": ("气象站", "气象局"),
    "noise": ("噪声监测点", "生态环境局"),
    "water_level": ("水位站", "水务局"),
    "water_quality": ("水质监测点", "水务局"),
    "traffic_flow": ("交通流量检测器", "交通运输局"),
    "structure": ("结构监测点", "住房和建设局"),
    "energy": ("能耗监测点", "发展和改革委员会"),
    "manhole": ("智慧井盖", "水务局"),
    "parking": ("停车场感知点", "交通运输局"),
}
"""Kind → (what stands there, who runs it)."""

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("name", pa.string()),
        ("kind", pa.string()),
        ("observed_property", pa.string()),
        ("unit_of_measurement", pa.string()),
        ("operator", pa.string()),
        ("status", pa.string()),
        ("elevation_m", pa.float64()),
        ("installed_on", pa.date32()),
        ("removed_on", pa.date32()),
        ("latest_result", pa.float64()),
        ("latest_time", pa.timestamp("ms", "UTC")),
        ("recent_results", pa.string()),
        ("building_id", pa.string()),
    ]
)

_KINDS = tuple(CHANNELS)
_FLAT = tuple((k, channel) for k in _KINDS for channel in CHANNELS[k])
_SIZES = np.array([len(CHANNELS[k]) for k in _KINDS])
_BEGINS = np.cumsum(_SIZES) - _SIZES


def sensor_rows(
    community: Community, layout: Layout, buildings: pa.Table, first: int, count: int, *, recent: bool, seed: int
) -> tuple[pa.Table, Geometries]:
    """`count` channels with ids from `first` on, and their points."""
    random = generator(seed, 30, community.number)
    kind, place, channel = _channels(count, random)
    places = int(place[-1]) + 1 if count else 0
    kind_of_place = kind[np.searchsorted(place, np.arange(places))] if places else kind
    kerbs = kerb_places(community, layout, places, random)
    at = kerbs.at.copy()
    elevation = np.round(4 + 22 * (1 - community.centrality) + random.normal(0, 2.5, places), 1)
    installed = (TODAY - random.integers(40, 4200, places)).astype("datetime64[D]")
    building_of_place = _on_buildings(
        buildings, np.isin(kind_of_place, [_KINDS.index(k) for k in ON_BUILDINGS]), random
    )
    inside = np.flatnonzero(building_of_place >= 0)
    if len(inside):
        chosen = building_of_place[inside]
        at[inside] = shapely.get_coordinates(shapely.point_on_surface(layout.geometry[chosen])).round(7)
        elevation[inside] += buildings.column("height_m").to_numpy()[chosen].round(1)
        completed = buildings.column("completed_on").to_numpy()[chosen].astype("datetime64[D]")
        completed = np.maximum(completed, FIRST_SENSORS)
        span = (TODAY - completed).astype(np.int64)
        installed[inside] = completed + np.floor(random.random(len(inside)) * np.maximum(span - 1, 0)).astype(np.int64)
    states, removed = _states(installed[place] if count else installed, random)
    values, times = _results(channel, states, random, hours=24 if recent else 1)
    ids = buildings.column("id").to_pylist()
    road = [name for name, _ in street_names(community, layout, seed)]
    flat = [_FLAT[c] for c in channel.tolist()]
    place_list = place.tolist()
    names = [
        f"{community.name[0]}{road[int(kerbs.row[p])]}路{KIND_NAMES[k][0]}{p + 1:03d}·{c.observed_property}"
        for (k, c), p in zip(flat, place_list, strict=True)
    ]
    table = pa.table(
        [
            pa.array([f"S{n:07d}" for n in range(first, first + count)], pa.string()),
            pa.array(names, pa.string()),
            pa.array([k for k, _ in flat], pa.string()),
            pa.array([c.observed_property for _, c in flat], pa.string()),
            pa.array([c.unit for _, c in flat], pa.string()),
            pa.array([f"{community.district[0]}区{KIND_NAMES[k][1]}" for k, _ in flat], pa.string()),
            pa.array(states, pa.string()),
            pa.array(elevation[place].round(1) if count else np.empty(0)),
            pa.array(installed[place] if count else installed, pa.date32()),
            pa.array(removed, pa.date32()),
            pa.array(values[:, -1] if count else np.empty(0)),
            pa.array(times, pa.timestamp("ms", "UTC")),
            pa.array([orjson.dumps(v).decode() for v in values.tolist()] if recent else [None] * count, pa.string()),
            pa.array(
                [ids[building_of_place[p]] if building_of_place[p] >= 0 else None for p in place_list], pa.string()
            ),
        ],
        schema=SCHEMA,
    )
    return table, shapely.points(at[place]) if count else np.empty(0, object)


def _channels(count: int, random: np.random.Generator) -> tuple[Integers, Integers, Integers]:
    """Kind, place and channel (into _FLAT) of `count` channels, place by place."""
    shares = np.array([SHARES[k] for k in _KINDS])
    kinds = random.choice(len(_KINDS), count, p=shares / shares.sum())
    place = np.repeat(np.arange(count), _SIZES[kinds])
    step = np.arange(len(place)) - np.repeat(np.cumsum(_SIZES[kinds]) - _SIZES[kinds], _SIZES[kinds])
    kind = np.repeat(kinds, _SIZES[kinds])
    return kind[:count], place[:count], (_BEGINS[kind] + step)[:count]


def _on_buildings(
    buildings: pa.Table, wanted: "np.ndarray[tuple[int], np.dtype[np.bool_]]", random: np.random.Generator
) -> Integers:
    """A standing building for each wanted place; -1 for places beside a street."""
    found = np.full(len(wanted), -1)
    possible = np.flatnonzero(standing(buildings))
    if len(possible):
        found[wanted] = random.choice(possible, int(wanted.sum()))
    return found


def _states(installed: Integers, random: np.random.Generator) -> tuple[list[str], Integers]:
    luck = random.random(len(installed))
    states = np.where(luck < 0.945, "active", np.where(luck < 0.985, "faulty", "retired"))
    age = (TODAY - installed).astype(np.int64)
    removed = installed + np.floor(age * (0.5 + 0.45 * random.random(len(installed)))).astype(np.int64)
    removed[states != "retired"] = np.datetime64("NaT")
    return states.tolist(), removed


def _results(
    channel: Integers, states: list[str], random: np.random.Generator, *, hours: int
) -> tuple[Floats, Integers]:
    """Hourly values `(n, hours)`, the last at the times `(n,)` (UTC). A faulty channel stopped days ago."""
    count = len(channel)
    stopped = np.array([s != "active" for s in states], bool)
    late = random.integers(0, 15, count) + np.where(stopped, random.integers(1, 40, count) * 1440, 0)
    times = NOW - late.astype("timedelta64[m]")
    hour = LOCAL_HOURS - (late % 1440)[:, None] / 60.0 + np.arange(1 - hours, 1)[None, :]
    level = random.normal(1.0, 0.16, (count, 1))
    noise = random.normal(0, 1, (count, hours))
    values = np.empty((count, hours))
    for number in np.unique(channel):
        at, of = np.flatnonzero(channel == number), _FLAT[number][1]
        day = of.swing * rhythm(of.rhythm, hour[at])
        drawn = of.base + (day + of.base * 0.3 * (level[at] - 1.0) / 0.3 * 0.3) + of.noise * noise[at]
        values[at] = np.round(np.clip(drawn, of.least, of.most), of.decimals) + 0.0
    return values, times.astype("datetime64[ms]")


def shared_out(total: int, weights: Integers) -> Integers:
    """`total` over places by weight, whole numbers that add up exactly (largest remainders)."""
    if not len(weights) or weights.sum() == 0:
        weights = np.ones_like(weights)
    exact = total * (weights / math.fsum(weights.tolist()))
    counts = np.floor(exact).astype(np.int64)
    rest = np.argsort(-(exact - counts).round(9), kind="stable")[: total - int(counts.sum())]
    counts[rest] += 1
    return counts
