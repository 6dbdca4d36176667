"""Rows of the buildings collection for the footprints of one community."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from sample_data.areas import Community
from sample_data.characters import BLOCKS, STOREY_M
from sample_data.layout import PODIUM, TOWER, Layout
from sample_data.names import POOL
from sample_data.places import street_names
from sample_data.plane import Booleans, Floats, Integers, generator

TODAY = np.datetime64("2026-11-01")
"""The day the city is as generated; nothing completed or demolished is later."""

DISTRICT_YEARS = {"centre": 1, "old": -5, "industry": 0, "bay": 6, "suburb": 2}
STATUSES = ("planned", "approved", "under_construction", "completed", "demolished")
MOST_FLOORS = 118
OLDEST_YEAR, NEWEST_YEAR = 1979.0, 2026.82

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("name", pa.string()),
        ("name_en", pa.string()),
        ("address", pa.string()),
        ("use", pa.string()),
        ("height_m", pa.float64()),
        ("floors_above", pa.int32()),
        ("floors_below", pa.int32()),
        ("year_built", pa.int32()),
        ("status", pa.string()),
        ("planned_on", pa.date32()),
        ("approved_on", pa.date32()),
        ("construction_started_on", pa.date32()),
        ("completed_on", pa.date32()),
        ("demolished_on", pa.date32()),
        ("part_of", pa.string()),
    ]
)
"""Columns beside the geometry. `part_of`: id of the podium that a tower stands in."""

_NAMES: dict[str, Callable[[str, str, int, int], tuple[str, str]]] = {
    "village": lambda zh, en, row, n: (f"{zh}村{row}巷{n}号", f"{en} Village Lane {row} No. {n}"),
    "oldtown": lambda zh, en, row, n: (f"{zh}里{n}号楼", f"{en} Li Building {n}"),
    "slab": lambda zh, en, row, n: (f"{zh}苑{n}栋", f"{en} Court Building {n}"),
    "tower": lambda zh, en, row, n: (f"{zh}花园{n}座", f"{en} Garden Tower {n}"),
    "cbd": lambda zh, en, row, n: (f"{zh}中心{n}号楼", f"{en} Centre Building {n}"),
    "industrial": lambda zh, en, row, n: (f"{zh}工业园{n}栋", f"{en} Industrial Park Building {n}"),
    "campus": lambda zh, en, row, n: (f"{zh}学校{n}号楼", f"{en} School Building {n}"),
    "civic": lambda zh, en, row, n: (f"{zh}公共服务中心{n}号楼", f"{en} Civic Centre Building {n}"),
    "mall": lambda zh, en, row, n: (f"{zh}广场{n}号楼", f"{en} Plaza Building {n}"),
    "green": lambda zh, en, row, n: (f"{zh}公园{n}号", f"{en} Park No. {n}"),
}


def building_rows(community: Community, layout: Layout, first: int, seed: int) -> pa.Table:
    """A row a footprint, ids from `first` on."""
    random = generator(seed, 20, community.number)
    count = len(layout)
    kind = layout.blocks.kind[layout.block]
    plot = np.unique(layout.plot, return_inverse=True)[1].astype(np.int64) if count else layout.plot
    plots = int(plot.max()) + 1 if count else 0
    use = _uses(kind, plot, plots, layout.role, random)
    floors = _floors(community, kind, layout.role, random)
    storey = np.array([STOREY_M[u] for u in use]) if count else np.empty(0)
    ground_extra = random.uniform(0.4, 1.9, count)
    height = np.round(floors * storey * random.normal(1, 0.025, count) + ground_extra, 1)
    below = np.where(floors > 9, np.clip(np.round(floors / 13 + random.normal(0.6, 0.7, count)), 0, 6), 0)
    status, days = _life(community, kind, plot, plots, random)
    names, names_en, addresses = _called(community, layout, kind, seed)
    ids = [f"B{n:06d}" for n in range(first, first + count)]
    podium = {int(p): i for p, i, role in zip(plot, ids, layout.role, strict=True) if role == PODIUM}
    completed = days[:, 3]
    years = completed.astype("datetime64[Y]").astype(np.int64) + 1970
    return pa.table(
        [
            pa.array(ids, pa.string()),
            pa.array(names, pa.string()),
            pa.array(names_en, pa.string()),
            pa.array(addresses, pa.string()),
            pa.array(use, pa.string()),
            pa.array(height),
            pa.array(floors.astype(np.int32)),
            pa.array(below.astype(np.int32)),
            pa.array(years.astype(np.int32), mask=np.isnat(completed)),
            pa.array([STATUSES[s] for s in status], pa.string()),
            *(pa.array(days[:, i], pa.date32()) for i in range(5)),
            pa.array(
                [podium.get(int(p)) if role == TOWER else None for p, role in zip(plot, layout.role, strict=True)],
                pa.string(),
            ),
        ],
        schema=SCHEMA,
    )


def _uses(kind: Integers, plot: Integers, plots: int, role: Integers, random: np.random.Generator) -> list[str]:
    draw = random.random(plots)[plot] if plots else np.empty(0)
    uses = np.empty(len(kind), object)
    for number in np.unique(kind):
        at = np.flatnonzero(kind == number)
        names, shares = list(BLOCKS[number].uses), np.cumsum(list(BLOCKS[number].uses.values()))
        picked = np.minimum(np.searchsorted(shares, draw[at], side="right"), len(names) - 1)
        uses[at] = np.array(names, object)[picked]
    uses[role == PODIUM] = "commercial"
    return list(uses)


def _floors(community: Community, kind: Integers, role: Integers, random: np.random.Generator) -> Integers:
    bounds = np.array([k.floors for k in BLOCKS], float)[kind].reshape(-1, 3)
    low, mode, high = bounds[:, 0], bounds[:, 1], bounds[:, 2]
    drawn = random.triangular(low, np.minimum(mode, high - 0.01), high) if len(kind) else low
    is_cbd = np.isin(kind, [n for n, k in enumerate(BLOCKS) if k.name == "cbd"])
    pull = 0.45 + 1.0 * community.centrality
    drawn = np.where(is_cbd, np.maximum(drawn * pull, 9), drawn)
    drawn = np.where(role == PODIUM, random.integers(3, 6, len(kind)), drawn)
    floors: Integers = np.clip(np.round(drawn), 1, MOST_FLOORS).astype(np.int64)
    return floors


def _life(
    community: Community, kind: Integers, plot: Integers, plots: int, random: np.random.Generator
) -> tuple[Integers, Floats]:
    """Status numbers `(n,)` and dates `(n, 5)` datetime64[D]: planned, approved, started, completed, demolished.

    NaT where a stage is not reached, or for older buildings where nobody wrote it down. Parts of a building
    share their life.
    """
    mean = np.array([k.year[0] for k in BLOCKS], float)[kind] + DISTRICT_YEARS[community.district_type]
    spread = np.array([k.year[1] for k in BLOCKS], float)[kind]
    year = mean + spread * random.normal(0, 1, plots)[plot] if plots else mean
    year = np.where(year < OLDEST_YEAR, OLDEST_YEAR + (OLDEST_YEAR - year) % 8, year)
    year = np.where(year > NEWEST_YEAR, NEWEST_YEAR - (year - NEWEST_YEAR) % 8, year)
    completed = np.floor((year - 1970) * 365.2425).astype(np.int64)
    building = random.integers(260, 1300, plots)[plot] if plots else completed
    waiting = random.integers(60, 500, plots)[plot] if plots else completed
    planning = random.integers(90, 800, plots)[plot] if plots else completed
    today = int((TODAY - np.datetime64("1970-01-01")).astype(np.int64))
    luck = random.random(plots)[plot] if plots else np.empty(0)
    status = np.full(len(kind), 3)
    status[luck < 0.045] = 2
    status[luck < 0.02] = 1
    status[luck < 0.012] = 0
    age = (today - completed) / 365.2425
    status[(luck > 1 - np.clip((age - 14) / 900, 0, 0.03))] = 4
    since = (random.random(plots)[plot] if plots else np.empty(0)) ** 1.3
    started = np.where(
        status == 2, today - np.floor(since * building * 0.95).astype(np.int64) - 3, completed - building
    )
    approved = np.where(status == 1, today - np.floor(since * 500).astype(np.int64) - 3, started - waiting)
    planned = np.where(status == 0, today - np.floor(since * 600).astype(np.int64) - 3, approved - planning)
    completed = np.minimum(completed, today)
    gone = completed + np.floor((today - completed) * (0.55 + 0.44 * since)).astype(np.int64)
    days = np.stack([planned, approved, started, completed, gone], -1).reshape(-1, 5).astype("datetime64[D]")
    reached = np.array([1, 2, 3, 4, 5])[status]
    days[np.arange(5)[None, :] >= reached[:, None]] = np.datetime64("NaT")
    unwritten = (reached >= 4) & (completed < 7300 + 3650 * luck)
    days[unwritten, :2] = np.datetime64("NaT")
    return status, days


def _called(community: Community, layout: Layout, kind: Integers, seed: int) -> tuple[list[str], list[str], list[str]]:
    """Names in Chinese and English, and addresses. Blocks give the name, streets the address."""
    random = generator(seed, 21, community.number)
    blocks, rows = len(layout.blocks.kind), int(layout.blocks.row.max(initial=0)) + 1
    block_names = [POOL[i] for i in random.integers(0, len(POOL), blocks)]
    roads = [name for name, _ in street_names(community, layout, seed)]
    seen = np.zeros(blocks, np.int64)
    doors = np.zeros(rows, np.int64)
    last: tuple[int, int] = (-1, -1)
    names, names_en, addresses = [], [], []
    place = f"{community.district[0]}区{community.street[0]}街道"
    suffix = "巷" if community.character == "village" else "路"
    parts = {TOWER: ("塔楼", " (tower)"), PODIUM: ("裙楼", " (podium)")}
    for b, k, p, role in zip(
        layout.block.tolist(), kind.tolist(), layout.plot.tolist(), layout.role.tolist(), strict=True
    ):
        row = int(layout.blocks.row[b])
        if (b, p) != last:
            seen[b] += 1
            doors[row] += 1
            last = (b, p)
        n = int(seen[b])
        lane, door = divmod(n - 1, 12) if BLOCKS[k].name == "village" else (0, n - 1)
        zh, en = _NAMES[BLOCKS[k].name](block_names[b][0], block_names[b][1], lane + 1, door + 1)
        zh_part, en_part = parts.get(role, ("", ""))
        names.append(zh + zh_part)
        names_en.append(en + en_part)
        addresses.append(f"{place}{roads[row]}{suffix}{2 * int(doors[row]) - row % 2}号")
    return names, names_en, addresses


def standing(table: pa.Table) -> Booleans:
    """True for buildings that are complete and not demolished."""
    return np.array([s == "completed" for s in table.column("status").to_pylist()], bool)
