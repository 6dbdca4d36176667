"""Bounding boxes, strictly parsed: in CRS84 (min lon, min lat, max lon, max lat) or in a system that the request names."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cim.crs import CRS84, Crs
from cim.errors import InvalidParameter

_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)

WEB_MERCATOR = 3857
HALF_M = 20037508.342789244
"""Half the side of Web Mercator's square."""

_ALLOWED = (
    "4 or 6 numbers min x,min y[,min height],max x,max y[,max height] in CRS84, or in bbox-crs with its axis order"
)


@dataclass(frozen=True, slots=True)
class Bbox:
    """A box; x is the longitude or easting, whatever the system's own order.

    In degrees `min_x > max_x` means that it crosses the antimeridian.
    """

    min_x: float
    min_y: float
    max_x: float
    max_y: float
    srid: int = 4326

    @property
    def crosses_antimeridian(self) -> bool:
        """True when the box runs east from `min_x` over ±180 to `max_x`."""
        return self.min_x > self.max_x

    def parts(self) -> tuple["Bbox", ...]:
        """The same box as one or two boxes that do not cross the antimeridian."""
        if not self.crosses_antimeridian:
            return (self,)
        return (
            Bbox(self.min_x, self.min_y, 180.0, self.max_y, self.srid),
            Bbox(-180.0, self.min_y, self.max_x, self.max_y, self.srid),
        )

    def share_of(self, bounds_crs84: tuple[float, float, float, float]) -> float:
        """Which part of the area of the bounds lies inside a box in degrees, 0 to 1; 1 for bounds without an area."""
        bounds = bounds_crs84
        whole = (bounds[2] - bounds[0]) * (bounds[3] - bounds[1])
        if whole <= 0:
            return 1.0
        inside = 0.0
        for part in self.parts():
            width = min(part.max_x, bounds[2]) - max(part.min_x, bounds[0])
            height = min(part.max_y, bounds[3]) - max(part.min_y, bounds[1])
            inside += max(width, 0.0) * max(height, 0.0)
        return inside / whole


def parse_number(text: str) -> float | None:
    """The finite decimal number that `text` is, or None: no nan, inf, underscores, spaces or other scripts' digits."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def parse_bbox(text: str, *, crs: Crs = CRS84, parameter: str = "bbox") -> Bbox:
    """The box that a query parameter names (OGC 17-069r4, 7.15.3; OGC 18-058r1, 6.2). Heights of a six-number box are ignored.

    Raises InvalidParameter.
    """
    numbers = [parse_number(part.strip(" ")) for part in text.split(",", 7)]
    if any(number is None for number in numbers):
        raise InvalidParameter(parameter, text, f"must be {_ALLOWED}")
    return bbox_of([n for n in numbers if n is not None], crs=crs, parameter=parameter, shown=text)


def bbox_of(numbers: Sequence[float], *, crs: Crs = CRS84, parameter: str = "bbox", shown: object = None) -> Bbox:
    """The box of 4 or 6 finite numbers in the axis order of `crs`. Raises InvalidParameter with `shown` as what was received."""
    received = list(numbers) if shown is None else shown
    if len(numbers) not in (4, 6):
        raise InvalidParameter(parameter, received, f"must be {_ALLOWED}; {len(numbers)} given")
    half = len(numbers) // 2
    if half == 3 and numbers[2] > numbers[5]:
        raise InvalidParameter(parameter, received, "the lower height must come first")
    lower, upper = list(numbers[:2]), list(numbers[half : half + 2])
    if crs.is_swapped:
        lower.reverse()
        upper.reverse()
    (min_x, min_y), (max_x, max_y) = lower, upper
    if crs.is_geographic:
        if not (-180 <= min_x <= 180 and -180 <= max_x <= 180):
            raise InvalidParameter(parameter, received, "longitudes must lie in [-180, 180]")
        if not (-90 <= min_y <= max_y <= 90):
            raise InvalidParameter(parameter, received, "latitudes must lie in [-90, 90], the lower one first")
    elif min_x > max_x or min_y > max_y:
        raise InvalidParameter(parameter, received, "the smaller value of each axis must come first")
    elif crs.srid == WEB_MERCATOR:  # beyond its square there is nothing, and PROJ wraps around
        min_x, min_y, max_x, max_y = (min(max(n, -HALF_M), HALF_M) for n in (min_x, min_y, max_x, max_y))
    return Bbox(float(min_x), float(min_y), float(max_x), float(max_y), crs.srid)
