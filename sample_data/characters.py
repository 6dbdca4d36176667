"""What parts of the city look like: kinds of block, characters of communities, types of district."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class BlockKind:
    """How one kind of block is cut into plots and built on. Lengths in metres.

    `fill`: share of the plot's inner width and depth that the building takes (low, high); `depth_m` limits
    the depth of a building, `arm_m` the thickness of its wings. `floors`: least, most frequent, most.
    """

    name: str
    plot_m: tuple[float, float]
    margin_m: float
    fill: tuple[float, float]
    depth_m: float
    arm_m: float
    shapes: dict[str, float]
    floors: tuple[int, int, int]
    uses: dict[str, float]
    year: tuple[int, float]


BLOCKS: tuple[BlockKind, ...] = (
    BlockKind(
        "village", (11.5, 12.5), 0.7, (0.84, 1.0), 99, 5.0, {"slab": 0.93, "l": 0.07}, (2, 6, 10),
        {"residential": 0.86, "mixed": 0.11, "commercial": 0.03}, (1998, 6),
    ),
    BlockKind(
        "oldtown", (27, 23), 1.6, (0.72, 1.0), 99, 8.0,
        {"slab": 0.5, "l": 0.18, "u": 0.11, "courtyard": 0.09, "t": 0.12}, (2, 6, 9),
        {"residential": 0.62, "mixed": 0.18, "commercial": 0.14, "public": 0.06}, (1989, 6),
    ),
    BlockKind(
        "slab", (58, 31), 3.5, (0.8, 1.0), 14.5, 11.0, {"slab": 0.9, "l": 0.06, "t": 0.04}, (6, 8, 18),
        {"residential": 0.94, "mixed": 0.04, "education": 0.02}, (2001, 6),
    ),
    BlockKind(
        "tower", (41, 42), 5.0, (0.72, 0.92), 99, 10.0, {"cross": 0.55, "tower": 0.25, "octagon": 0.12, "slab": 0.08},
        (17, 31, 46), {"residential": 0.95, "mixed": 0.05}, (2012, 5),
    ),
    BlockKind(
        "cbd", (64, 58), 4.5, (0.74, 1.0), 99, 17.0,
        {"podium": 0.5, "tower": 0.22, "octagon": 0.08, "slab": 0.12, "l": 0.08}, (16, 28, 96),
        {"office": 0.64, "commercial": 0.14, "mixed": 0.16, "residential": 0.06}, (2011, 6),
    ),
    BlockKind(
        "industrial", (84, 52), 5.0, (0.7, 1.0), 46, 18.0, {"slab": 0.74, "l": 0.1, "u": 0.08, "courtyard": 0.08},
        (1, 4, 8), {"industrial": 0.84, "office": 0.08, "residential": 0.06, "transport": 0.02}, (2000, 6),
    ),
    BlockKind(
        "campus", (66, 50), 6.0, (0.66, 1.0), 99, 12.0, {"slab": 0.34, "u": 0.26, "l": 0.22, "courtyard": 0.1, "t": 0.08},
        (3, 5, 8), {"education": 1.0}, (2004, 8),
    ),
    BlockKind(
        "civic", (60, 52), 6.0, (0.66, 1.0), 99, 14.0, {"slab": 0.38, "u": 0.2, "courtyard": 0.2, "cross": 0.12, "l": 0.1},
        (4, 9, 22), {"public": 0.52, "medical": 0.36, "transport": 0.08, "other": 0.04}, (2006, 7),
    ),
    BlockKind(
        "mall", (104, 78), 6.0, (0.76, 1.0), 99, 26.0, {"slab": 0.55, "courtyard": 0.25, "octagon": 0.1, "l": 0.1},
        (3, 5, 8), {"commercial": 0.92, "transport": 0.08}, (2013, 5),
    ),
    BlockKind("green", (60, 60), 5, (1, 1), 1, 1, {"slab": 1.0}, (1, 1, 1), {"other": 1.0}, (2010, 1)),
)  # fmt: skip
KIND_NUMBERS = {kind.name: number for number, kind in enumerate(BLOCKS)}
GREEN = KIND_NUMBERS["green"]

STOREY_M = {
    "residential": 2.95,
    "commercial": 4.8,
    "office": 4.1,
    "industrial": 5.6,
    "public": 4.0,
    "education": 3.7,
    "medical": 4.0,
    "transport": 5.2,
    "mixed": 3.5,
    "other": 3.4,
}


@dataclass(frozen=True, slots=True)
class Character:
    """A community: size of its blocks, its streets and which kinds of block it has. Lengths in metres."""

    block_m: tuple[float, float]
    street_m: float
    arterial_m: float
    kinds: dict[str, float]


CHARACTERS = {
    "cbd": Character((158, 142), 17, 34, {"cbd": 0.62, "tower": 0.12, "mall": 0.08, "civic": 0.08, "green": 0.1}),
    "estate": Character(
        (176, 134), 13, 26, {"tower": 0.36, "slab": 0.38, "campus": 0.08, "mall": 0.05, "green": 0.07, "civic": 0.06}
    ),
    "village": Character(
        (92, 66), 6.5, 20, {"village": 0.86, "oldtown": 0.05, "campus": 0.03, "green": 0.03, "mall": 0.03}
    ),
    "oldtown": Character(
        (118, 84), 9, 22, {"oldtown": 0.66, "slab": 0.12, "village": 0.08, "civic": 0.06, "campus": 0.04, "green": 0.04}
    ),
    "industrial": Character(
        (196, 128), 14, 28, {"industrial": 0.76, "slab": 0.08, "village": 0.05, "cbd": 0.04, "green": 0.07}
    ),
    "campus": Character((190, 150), 11, 26, {"campus": 0.55, "green": 0.2, "civic": 0.15, "tower": 0.1}),
    "park": Character((240, 190), 8, 22, {"green": 0.94, "civic": 0.06}),
}

DISTRICTS: dict[str, tuple[tuple[str, float], ...]] = {
    "centre": (("cbd", 0.36), ("estate", 0.26), ("park", 0.08), ("oldtown", 0.14), ("village", 0.16)),
    "old": (("oldtown", 0.46), ("cbd", 0.06), ("village", 0.3), ("estate", 0.14), ("park", 0.04)),
    "industry": (("industrial", 0.42), ("village", 0.32), ("estate", 0.2), ("park", 0.06)),
    "bay": (("cbd", 0.16), ("estate", 0.36), ("campus", 0.1), ("village", 0.24), ("industrial", 0.08), ("park", 0.06)),
    "suburb": (("oldtown", 0.16), ("estate", 0.26), ("village", 0.38), ("industrial", 0.12), ("park", 0.08)),
}
"""District type → characters of its communities with their shares; the first are the middle of the district."""


SMALL_CITY_BUILDINGS = 20_000


def mix_of(district_type: str, buildings: int) -> tuple[tuple[str, float], ...]:
    """Characters of a district with their shares. A small city has fewer urban villages, so more of the rest."""
    mix = DISTRICTS[district_type]
    village = 0.45 if buildings < SMALL_CITY_BUILDINGS else 1.0
    shares = [(name, share * (village if name == "village" else 1.0)) for name, share in mix]
    total = sum(share for _, share in shares)
    return tuple((name, share / total) for name, share in shares)


def deal(mix: tuple[tuple[str, float], ...], count: int, random: np.random.Generator) -> list[str]:
    """`count` characters by their shares: the first kind stays in the middle, the others are mixed."""
    bounds = np.round(np.cumsum([share for _, share in mix]) * count).astype(int)
    sizes = np.diff(np.concatenate([[0], bounds]))
    hands = [[name] * int(size) for (name, _), size in zip(mix, sizes, strict=True)]
    rest = [name for hand in hands[1:] for name in hand]
    return [*hands[0], *(rest[i] for i in random.permutation(len(rest)))]
