"""The tree city → district → street → community as an exact partition of the city's ground.

Communities are the cells of a jittered, warped lattice; each border is bent once and used by both sides, so
that children tile their parent without gaps. Borders between communities are where the arterial roads run.
"""

from dataclasses import dataclass

import numpy as np
import shapely

from sample_data.characters import deal, mix_of
from sample_data.names import CITY, Name, shuffled
from sample_data.plan import CityPlan
from sample_data.plane import Floats, Integers, generator, to_degrees, turned

ASPECT = 1.75
DISTRICT_TYPES = ("centre", "old", "industry", "bay", "suburb", "industry", "suburb", "old", "bay", "suburb")
FIRST_DISTRICT = 440351

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Community:
    """A cell of the city. `outline_m` in metres; `outline` the same ring in degrees.

    `angle_rad` is the direction of its streets, `centrality` 1 in the middle of the city to 0 at its rim.
    """

    number: int
    code: str
    name: Name
    street: Name
    district: Name
    district_number: int
    district_type: str
    character: str
    outline_m: shapely.Polygon
    outline: shapely.Polygon
    angle_rad: float
    centrality: float


@dataclass(frozen=True, slots=True)
class Area:
    """A row of the areas collection; geometry in degrees."""

    code: str
    parent_code: str | None
    level: str
    name: str
    name_en: str
    geometry: shapely.Geometry


def _centres(plan: CityPlan, pitch_m: float) -> tuple[Floats, Integers]:
    """Lattice points `(n, 2)`, and the numbers of those that are the city, its middle first."""
    random = generator(plan.seed, 1)
    half = int(np.ceil(np.sqrt(plan.communities))) + 4
    column, row = np.meshgrid(np.arange(-2 * half, 2 * half + 1), np.arange(-half, half + 1))
    points = np.stack([column + 0.5 * (row % 2), row * 1.0], -1).reshape(-1, 2)
    points += random.uniform(-0.2, 0.2, points.shape)
    width = np.sqrt(plan.communities * ASPECT)
    phase = random.uniform(0, 2 * np.pi, 4)
    wave = 2 * np.pi / max(width * 0.8, 3.0)
    reach = 0.5 / wave
    points = points + reach * np.stack(
        [np.sin(wave * points[:, 1] + phase[0]), 0.8 * np.sin(wave * points[:, 0] + phase[1])], -1
    )
    a, b = width / 2, width / 2 / ASPECT
    x, y = points[:, 0] / a, points[:, 1] / b
    angle = np.arctan2(y, x)
    ripple = 0.08 * np.sin(3 * angle + phase[2]) + 0.05 * np.sin(7 * angle + phase[3])
    bay = 0.55 * np.exp(-(((x + 0.35) / 0.16) ** 2 + ((y + 1.0) / 0.35) ** 2))
    outward = (np.abs(x) ** 2.8 + np.abs(y) ** 2.8) ** (1 / 2.8) + ripple + bay
    chosen = np.sort(np.argsort(outward, kind="stable")[: plan.communities])
    return np.round(turned(points, np.radians(-7.0)) * pitch_m, 3), chosen


class _Borders:
    """Bent borders, each made once. Points of a border run from its lesser end to its greater."""

    def __init__(self, rings: list[list[Point]], random: np.random.Generator) -> None:
        self._uses: dict[tuple[Point, Point], int] = {}
        for ring in rings:
            for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
                self._uses[min(a, b), max(a, b)] = self._uses.get((min(a, b), max(a, b)), 0) + 1
        self._made = {ends: self._bent(ends, uses == 1, random) for ends, uses in self._uses.items()}

    @staticmethod
    def _bent(ends: tuple[Point, Point], is_coast: bool, random: np.random.Generator) -> list[Point]:
        start, stop = np.array(ends[0]), np.array(ends[1])
        steps = 24 if is_coast else 8
        t = np.linspace(0, 1, steps + 1)[:-1]
        bow = random.normal(0, 0.025) * np.sin(np.pi * t)
        if is_coast:
            for octave in (2, 3, 5, 9):
                bow += random.normal(0, 0.07 / octave) * np.sin(octave * np.pi * t)
        across = np.array([start[1] - stop[1], stop[0] - start[0]])
        points = start + (stop - start) * t[:, None] + across * bow[:, None]
        return [ends[0], *((float(x), float(y)) for x, y in np.round(points[1:], 3))]

    def ring(self, corners: list[Point]) -> list[Point]:
        """The bent ring through `corners`."""
        points: list[Point] = []
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
            made = self._made[min(a, b), max(a, b)]
            points += made if a < b else [a, *reversed(made[1:])]
        return points


def _corners(cell: shapely.Polygon) -> list[Point]:
    ring: list[Point] = []
    for x, y in np.round(shapely.get_coordinates(cell)[:-1], 3):
        if not ring or (float(x), float(y)) != ring[-1]:
            ring.append((float(x), float(y)))
    return ring[:-1] if ring[0] == ring[-1] and len(ring) > 1 else ring


def _split(points: Floats, members: Integers, parts: int, random: np.random.Generator) -> list[Integers]:
    """`members` in `parts` compact groups of about equal size, west to east within each cut."""
    if parts == 1:
        return [members]
    here = points[members] - points[members].mean(axis=0)
    long_axis = np.linalg.svd(here, full_matrices=False)[2][0] if len(here) > 1 else np.array([1.0, 0.0])
    axis = turned(long_axis if long_axis[0] >= 0 else -long_axis, random.uniform(-0.25, 0.25))
    ordered = members[np.argsort(np.round(here @ axis, 3), kind="stable")]
    first = parts // 2
    cut = min(max(round(len(members) * first / parts), first), len(members) - (parts - first))
    return [
        *_split(points, ordered[:cut], first, random),
        *_split(points, ordered[cut:], parts - first, random),
    ]


def _street_counts(plan: CityPlan, sizes: list[int]) -> list[int]:
    """Streets a district: at least one, never more than its communities, `plan.streets` in all."""
    counts = [1] * len(sizes)
    while sum(counts) < plan.streets:
        counts[int(np.argmax([s / c if s > c else 0 for s, c in zip(sizes, counts, strict=True)]))] += 1
    return counts


def _angle(corners: list[Point]) -> float:
    """Direction of the longest border, between -45° and 45°."""
    a = np.array(corners)
    sides = np.roll(a, -1, axis=0) - a
    x, y = sides[np.argmax(np.round(np.hypot(sides[:, 0], sides[:, 1]), 2))]
    return float((np.arctan2(y, x) + np.pi / 4) % (np.pi / 2) - np.pi / 4)


def found_communities(plan: CityPlan, pitch_m: float) -> list[Community]:
    """The communities in code order, each about `pitch_m` wide."""
    points, chosen = _centres(plan, pitch_m)
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.MultiPoint(points), ordered=True))
    corners = {int(i): _corners(cells[i]) for i in chosen}
    borders = _Borders(list(corners.values()), generator(plan.seed, 2))
    random = generator(plan.seed, 3)
    middle = points[chosen].mean(axis=0)
    radius = np.hypot(*(points[chosen] - middle).T).max() + 1e-9
    groups = _split(points, chosen, plan.districts, random)
    groups.sort(key=lambda group: float(np.hypot(*(points[group].mean(axis=0) - middle))))
    pool = iter(shuffled(generator(plan.seed, 4)))
    communities: list[Community] = []
    for d, (group, street_count) in enumerate(zip(groups, _street_counts(plan, [len(g) for g in groups]), strict=True)):
        kind = DISTRICT_TYPES[d]
        district = next(pool)
        near_first = group[np.argsort(np.hypot(*(points[group] - points[group].mean(axis=0)).T), kind="stable")]
        dealt = dict(zip(near_first.tolist(), deal(mix_of(kind, plan.buildings), len(group), random), strict=True))
        for s, members in enumerate(_split(points, group, street_count, random)):
            street = next(pool)
            for c, i in enumerate(members.tolist()):
                ring = np.array(borders.ring(corners[i]))
                communities.append(
                    Community(
                        number=len(communities),
                        code=f"{FIRST_DISTRICT + d}{s + 1:03d}{c + 1:03d}",
                        name=next(pool),
                        street=street,
                        district=district,
                        district_number=d,
                        district_type=kind,
                        character=dealt[i],
                        outline_m=shapely.Polygon(ring),
                        outline=shapely.Polygon(to_degrees(ring)),
                        angle_rad=_angle(corners[i]),
                        centrality=float(np.exp(-3.0 * np.hypot(*(points[i] - middle)) / radius)),
                    )
                )
    return communities


def tree(communities: list[Community]) -> list[Area]:
    """All areas, city first, parents before children. A parent is the union of its children's own vertices."""
    leaves = [
        Area(c.code, c.code[:9], "community", f"{c.name[0]}社区", f"{c.name[1]} Community", c.outline)
        for c in communities
    ]
    first = {c.code[:9]: c for c in reversed(communities)}
    first.update({c.code[:6]: c for c in reversed(communities)})

    def parent(code: str, level: str, name: str, name_en: str, above: str | None) -> Area:
        parts = [leaf.geometry for leaf in leaves if leaf.code.startswith(code)]
        return Area(code, above, level, name, name_en, shapely.coverage_union_all(parts))

    streets = sorted({leaf.code[:9] for leaf in leaves})
    districts = sorted({code[:6] for code in streets})
    return [
        parent("4403", "city", CITY[0], CITY[1], None),
        *(
            parent(d, "district", f"{first[d].district[0]}区", f"{first[d].district[1]} District", "4403")
            for d in districts
        ),
        *(
            parent(s, "street", f"{first[s].street[0]}街道", f"{first[s].street[1]} Subdistrict", s[:6])
            for s in streets
        ),
        *leaves,
    ]
