"""Streets, blocks, plots and footprints of one community, all plots at once.

A community's ground is what its arterial roads leave. It is cut in rows of blocks along the community's own
direction; a block is cut into plots; a plot takes one building, or a podium with a tower standing in it.
"""

from dataclasses import dataclass

import numpy as np
import shapely

from sample_data.areas import Community
from sample_data.characters import BLOCKS, CHARACTERS, GREEN, Character
from sample_data.plane import Booleans, Floats, Geometries, Integers, generator, to_degrees, turned
from sample_data.shapes import NUMBERS, SHAPES, court_ring, outer_ring, polygons

LEAST_BLOCK_M = 14.0
WIDE_STREET_EVERY = 4
TOWER_SIDE_M = {"tower": 31.0, "cbd": 46.0, "civic": 38.0, "mall": 70.0}
WHOLE, TOWER, PODIUM = 0, 1, 2
"""Roles of a footprint: a building of its own, or a part of one."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """`box_m` `(n, 4)`: min x, min y, max x, max y in the community's turned plane; `kind` into BLOCKS."""

    box_m: Floats
    row: Integers
    kind: Integers


@dataclass(frozen=True, slots=True)
class Layout:
    """Footprints of a community that fit; equal-length arrays but for `blocks` and `ground_m`.

    `plot` counts plots of the community: the two parts of a building share it. `centre_m` is in the plane.
    `ground_m` is what the arterial roads leave, in the plane.
    """

    blocks: Blocks
    ground_m: shapely.Geometry
    geometry: Geometries
    block: Integers
    plot: Integers
    shape: Integers
    role: Integers
    centre_m: Floats

    def __len__(self) -> int:
        return len(self.geometry)

    def kept(self, index: Integers) -> "Layout":
        """The footprints at `index`."""
        return Layout(
            self.blocks,
            self.ground_m,
            self.geometry[index],
            self.block[index],
            self.plot[index],
            self.shape[index],
            self.role[index],
            self.centre_m[index],
        )


@dataclass(frozen=True, slots=True)
class _Plots:
    """Plots with the building on each, in the turned plane: centre, width, depth, wing, flip and tower."""

    block: Integers
    plot: Integers
    shape: Integers
    centre_m: Floats
    size_m: Floats
    arm_m: Floats
    flip: Floats
    tower_m: Floats
    tower_at_m: Floats


def lay_out(community: Community, seed: int) -> Layout:
    """Every footprint that fits in the community, block by block."""
    random = generator(seed, 10, community.number)
    character = CHARACTERS[community.character]
    arterial_m = min(character.arterial_m, 0.085 * float(np.sqrt(community.outline_m.area)))
    ground = community.outline_m.buffer(-arterial_m / 2, join_style="mitre")
    empty = np.empty(0, np.int64)
    if ground.is_empty:
        none = Blocks(np.empty((0, 4)), empty, empty)
        return Layout(none, ground, np.empty(0, object), empty, empty, empty, empty, np.empty((0, 2)))
    turned_ground = shapely.transform(ground, lambda xy: turned(xy, -community.angle_rad))
    blocks = _cut_blocks(turned_ground, character, random)
    plots = _cut_plots(blocks, turned_ground, random)
    limit = shapely.transform(ground, to_degrees)
    shapely.prepare(limit)
    geometry, index, role = _fitting(plots, community.angle_rad, limit)
    others = np.setdiff1d(np.arange(len(plots.plot)), index)
    smaller = _smaller(plots, others, turned_ground)
    more, more_index, more_role = _fitting(smaller, community.angle_rad, limit)
    index = np.concatenate([index, others[more_index]])
    order = np.argsort(index, kind="stable")
    geometry, role = np.concatenate([geometry, more])[order], np.concatenate([role, more_role])[order]
    index, shape = index[order], plots.shape.copy()
    shape[others] = smaller.shape
    centre = plots.centre_m.copy()
    centre[others] = smaller.centre_m
    return Layout(
        blocks,
        ground,
        geometry,
        plots.block[index],
        plots.plot[index],
        shape[index],
        role,
        turned(centre[index], community.angle_rad),
    )


def thinned(layout: Layout, count: int, random: np.random.Generator) -> Layout:
    """`count` of the footprints, in their order. A tower may lose its podium, a podium not its tower."""
    if count >= len(layout):
        return layout
    key = random.permutation(int(layout.plot.max()) + 1)[layout.plot]
    order = np.lexsort((layout.role, key))[:count]
    kept = layout.kept(np.sort(order))
    alone = (kept.role == TOWER) & ~np.isin(kept.plot, kept.plot[kept.role == PODIUM])
    kept.role[alone] = WHOLE
    return kept


def _fitting(plots: _Plots, angle_rad: float, limit: shapely.Geometry) -> tuple[Geometries, Integers, Integers]:
    """As `_draw`, of the plots whose parts are all within `limit`."""
    geometry, index, role = _draw(plots, angle_rad)
    fits: Booleans = shapely.contains(limit, geometry) if len(geometry) else np.empty(0, bool)
    whole = fits & ~np.isin(index, index[~fits])
    return geometry[whole], index[whole], role[whole]


def _smaller(plots: _Plots, at: Integers, ground: shapely.Geometry) -> _Plots:
    """The buildings `at`, which reach over an arterial road, smaller and moved within where they were."""
    inward = shapely.get_coordinates(ground.representative_point())[0] - plots.centre_m[at]
    away = np.hypot(inward[:, 0], inward[:, 1])[:, None] + 1e-9
    centre = plots.centre_m[at] + inward / away * plots.size_m[at].min(axis=1)[:, None] * 0.18
    shape = np.where(plots.shape[at] == NUMBERS["podium"], NUMBERS["tower"], plots.shape[at])
    return _Plots(
        plots.block[at],
        plots.plot[at],
        shape,
        centre,
        plots.size_m[at] * 0.62,
        plots.arm_m[at] * 0.62,
        plots.flip[at],
        plots.tower_m[at],
        plots.tower_at_m[at],
    )


def _spans(length_m: float, wanted_m: float, street_m: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Starts and ends of blocks that fill `length_m` with streets between them."""
    count = max(1, round(length_m / (wanted_m + street_m)))
    gaps = np.where(np.arange(count - 1) % WIDE_STREET_EVERY == 1, 1.8, 1.0) * street_m
    parts = random.uniform(0.78, 1.22, count)
    parts *= max(length_m - gaps.sum(), 1.0) / parts.sum()
    starts = np.concatenate([[0.0], np.cumsum(parts[:-1] + gaps)])
    return starts, starts + parts


def _cut_blocks(ground: shapely.Geometry, character: Character, random: np.random.Generator) -> Blocks:
    x0, y0, x1, y1 = ground.bounds
    boxes, rows = [], []
    for number, (low, high) in enumerate(
        zip(*_spans(y1 - y0, character.block_m[1], character.street_m, random), strict=True)
    ):
        west, east = _spans(x1 - x0, character.block_m[0], character.street_m, random)
        boxes.append(np.stack([x0 + west, np.full(len(west), y0 + low), x0 + east, np.full(len(west), y0 + high)], -1))
        rows += [number] * len(west)
    box = np.concatenate(boxes)
    numbers = np.array([number for number, kind in enumerate(BLOCKS) if kind.name in character.kinds])
    shares = np.array([character.kinds[BLOCKS[n].name] for n in numbers])
    kind = random.choice(numbers, len(box), p=shares / shares.sum())
    return Blocks(box, np.array(rows), kind)


def _lines(count: Integers, random: np.random.Generator) -> tuple[Floats, Integers]:
    """Plot borders as shares of a block, for all blocks one after another, and where each block's begin."""
    begin = np.concatenate([[0], np.cumsum(count + 1)])
    block = np.repeat(np.arange(len(count)), count + 1)
    step = np.arange(begin[-1]) - begin[block]
    inside = (step > 0) & (step < count[block])
    shift = np.where(inside, random.uniform(-0.1, 0.1, len(step)), 0.0)
    return (step + shift) / count[block], begin[:-1]


def _cut_plots(blocks: Blocks, ground: shapely.Geometry, random: np.random.Generator) -> _Plots:
    size = blocks.box_m[:, 2:] - blocks.box_m[:, :2]
    wanted = np.array([kind.plot_m for kind in BLOCKS])[blocks.kind] * random.uniform(0.92, 1.14, (len(size), 2))
    count = np.maximum(1, np.round(size / wanted)).astype(np.int64)
    built = (blocks.kind != GREEN) & (size.min(axis=1) >= LEAST_BLOCK_M)
    plots = np.where(built, count[:, 0] * count[:, 1], 0)
    block = np.repeat(np.arange(len(plots)), plots)
    step = np.arange(len(block)) - np.repeat(np.cumsum(plots) - plots, plots)
    column, row = step % count[block, 0], step // count[block, 0]
    across, begin_x = _lines(count[:, 0], random)
    along, begin_y = _lines(count[:, 1], random)
    ix, iy = begin_x[block] + column, begin_y[block] + row
    low = blocks.box_m[block, :2] + np.stack([across[ix], along[iy]], -1) * size[block]
    high = blocks.box_m[block, :2] + np.stack([across[ix + 1], along[iy + 1]], -1) * size[block]
    centre = (low + high) / 2
    inside = shapely.contains_xy(ground, centre[:, 0], centre[:, 1]) if len(centre) else np.empty(0, bool)
    return _place(blocks.kind[block[inside]], block[inside], low[inside], high[inside], random)


def _place(kind: Integers, block: Integers, low: Floats, high: Floats, random: np.random.Generator) -> _Plots:
    """A building for each plot."""
    count = len(kind)
    shape = np.zeros(count, np.int64)
    size, arm = np.empty((count, 2)), np.empty(count)
    room = np.empty((count, 2))
    for number in np.unique(kind):
        of = BLOCKS[number]
        at = np.flatnonzero(kind == number)
        shape[at] = random.choice([NUMBERS[s] for s in of.shapes], len(at), p=list(of.shapes.values()))
        room[at] = high[at] - low[at] - 2 * of.margin_m
        size[at] = room[at] * random.uniform(of.fill[0], of.fill[1], (len(at), 2))
        size[at, 1] = np.minimum(size[at, 1], of.depth_m * random.uniform(0.88, 1.0, len(at)))
        side = TOWER_SIDE_M.get(of.name, 99.0) * random.uniform(0.78, 1.0, len(at))
        square = np.isin(shape[at], [NUMBERS["tower"], NUMBERS["cross"], NUMBERS["octagon"]])
        size[at] = np.where(square[:, None], np.minimum(size[at], side[:, None]), size[at])
        arm[at] = of.arm_m
    small = size.min(axis=1)
    shape[(shape == NUMBERS["podium"]) & (small < 34)] = NUMBERS["tower"]
    shape[np.isin(shape, [NUMBERS[s] for s in ("l", "u", "t", "courtyard")]) & (small < 9)] = NUMBERS["slab"]
    arm = np.minimum(arm, small * 0.36)
    centre = (low + high) / 2 + (room - size) * random.uniform(-0.4, 0.4, (count, 2))
    tower = small[:, None] * random.uniform(0.44, 0.62, (count, 1)) * random.uniform(0.9, 1.1, (count, 2))
    tower = np.clip(tower, 18.0, 44.0)
    shift = np.maximum((size - tower) / 2 - 4.0, 0.0) * random.uniform(-0.9, 0.9, (count, 2))
    flip = np.where(random.random((count, 2)) < 0.5, -1.0, 1.0)
    usable = small >= 4.5
    pick = np.flatnonzero(usable)
    return _Plots(
        block[pick],
        np.arange(len(pick)),
        shape[pick],
        centre[pick],
        size[pick],
        arm[pick],
        flip[pick],
        tower[pick],
        shift[pick],
    )


def _draw(plots: _Plots, angle_rad: float) -> tuple[Geometries, Integers, Integers]:
    """Footprints in degrees with the index of their plot and their role, ordered by plot, tower before podium."""
    geometry: list[Geometries] = []
    index: list[Integers] = []
    role: list[Integers] = []

    def there(ring: Floats, at: Integers, shift: Floats | None = None) -> Floats:
        centre = plots.centre_m[at] + (0.0 if shift is None else shift)
        return to_degrees(turned(ring * plots.flip[at][:, None, :] + centre[:, None, :], angle_rad))

    def add(made: Geometries, at: Integers, part: int) -> None:
        geometry.append(made)
        index.append(at)
        role.append(np.full(len(at), part))

    for number, name in enumerate(SHAPES):
        at = np.flatnonzero(plots.shape == number)
        if not len(at):
            continue
        width, depth, arm = plots.size_m[at, 0], plots.size_m[at, 1], plots.arm_m[at]
        outer = there(outer_ring(name, width, depth, arm), at)
        if name == "courtyard":
            add(
                polygons(outer, there(court_ring(width, depth, np.minimum(arm, 0.3 * np.minimum(width, depth))), at)),
                at,
                WHOLE,
            )
        elif name == "podium":
            tower = there(outer_ring("slab", plots.tower_m[at, 0], plots.tower_m[at, 1], arm), at, plots.tower_at_m[at])
            add(polygons(tower), at, TOWER)
            add(polygons(outer, tower), at, PODIUM)
        else:
            add(polygons(outer), at, WHOLE)
    if not index:
        return np.empty(0, object), np.empty(0, np.int64), np.empty(0, np.int64)
    all_index, all_role = np.concatenate(index), np.concatenate(role)
    order = np.lexsort((all_role, all_index))
    return np.concatenate(geometry)[order], all_index[order], all_role[order]
