"""Places beside streets and on buildings where sensors and cameras stand."""

from dataclasses import dataclass

import numpy as np
import shapely

from sample_data.areas import Community
from sample_data.layout import Layout
from sample_data.names import POOL, Name
from sample_data.plane import Floats, Integers, generator, to_degrees, turned

KERB_M = 2.0
TRIES = 4
FROM_BORDER_M = 0.5


@dataclass(frozen=True, slots=True)
class Kerbs:
    """Points at kerbs. `at` `(n, 2)` longitude, latitude; `azimuth_deg` along the street, clockwise from north;
    `row` the row of blocks, which names the street."""

    at: Floats
    azimuth_deg: Floats
    row: Integers


def street_names(community: Community, layout: Layout, seed: int) -> list[Name]:
    """The name of the street of each row of blocks."""
    rows = int(layout.blocks.row.max(initial=0)) + 1
    return [POOL[i] for i in generator(seed, 12, community.number).integers(0, len(POOL), rows)]


def kerb_places(
    community: Community, layout: Layout, count: int, random: np.random.Generator, *, corners: bool = False
) -> Kerbs:
    """`count` places on the street sides of the community's blocks, at junctions where `corners`.

    A place that its community does not hold is moved to another; a community without blocks has them at its
    middle.
    """
    box = layout.blocks.box_m
    if count == 0 or not len(box):
        middle = shapely.get_coordinates(community.outline_m.representative_point())
        return Kerbs(to_degrees(np.repeat(middle, count, 0)), np.zeros(count), np.zeros(count, np.int64))
    many = count * TRIES
    block = random.integers(0, len(box), many)
    side = random.integers(0, 4, many)
    share = np.where(random.random(many) < 0.5, 0.0, 1.0) if corners else random.random(many)
    low, high = box[block, :2] - KERB_M, box[block, 2:] + KERB_M
    along_x = side < 2
    far = side % 2 == 1
    x = np.where(along_x, low[:, 0] + share * (high - low)[:, 0], np.where(far, high[:, 0], low[:, 0]))
    y = np.where(along_x, np.where(far, high[:, 1], low[:, 1]), low[:, 1] + share * (high - low)[:, 1])
    there = turned(np.stack([x, y], -1), community.angle_rad)
    limit = community.outline_m.buffer(-FROM_BORDER_M)
    inside = np.flatnonzero(shapely.contains_xy(limit, there[:, 0], there[:, 1]))
    if not len(inside):
        there[0] = shapely.get_coordinates(community.outline_m.representative_point())[0]
        inside = np.array([0])
    chosen = np.resize(inside, count)
    angle = np.degrees(community.angle_rad) + np.where(along_x, 0.0, 90.0)
    azimuth = np.round((90.0 - angle + np.where(share > 0.5, 180.0, 0.0)) % 360.0, 1)
    return Kerbs(to_degrees(there[chosen]), azimuth[chosen], layout.blocks.row[block[chosen]])
