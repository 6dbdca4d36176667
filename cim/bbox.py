"""Bounding boxes in CRS84: (min lon, min lat, max lon, max lat), strictly parsed."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cim.errors import InvalidParameter

_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)

_ALLOWED = "4 or 6 numbers min lon,min lat[,min height],max lon,max lat[,max height] in CRS84"


@dataclass(frozen=True, slots=True)
class Bbox:
    """A box in degrees; `min_lon > max_lon` means that it crosses the antimeridian."""

    min_lon: float
    min_lat: float
    max_lon: float
    max_lat: float

    @property
    def crosses_antimeridian(self) -> bool:
        """True when the box runs east from `min_lon` over ±180 to `max_lon`."""
        return self.min_lon > self.max_lon

    def parts(self) -> tuple["Bbox", ...]:
        """The same box as one or two boxes that do not cross the antimeridian."""
        if not self.crosses_antimeridian:
            return (self,)
        return (
            Bbox(self.min_lon, self.min_lat, 180.0, self.max_lat),
            Bbox(-180.0, self.min_lat, self.max_lon, self.max_lat),
        )

    def share_of(self, bounds: tuple[float, float, float, float]) -> float:
        """Which part of the area of `bounds` lies inside the box, 0 to 1; 1 for bounds without an area."""
        whole = (bounds[2] - bounds[0]) * (bounds[3] - bounds[1])
        if whole <= 0:
            return 1.0
        inside = 0.0
        for part in self.parts():
            width = min(part.max_lon, bounds[2]) - max(part.min_lon, bounds[0])
            height = min(part.max_lat, bounds[3]) - max(part.min_lat, bounds[1])
            inside += max(width, 0.0) * max(height, 0.0)
        return inside / whole


def parse_number(text: str) -> float | None:
    """The finite decimal number that `text` is, or None: no nan, inf, underscores, spaces or other scripts' digits."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def parse_bbox(text: str, *, parameter: str = "bbox") -> Bbox:
    """The box that a query parameter names (OGC 17-069r4, 7.15.3). Heights of a six-number box are ignored.

    Raises InvalidParameter.
    """
    numbers = [parse_number(part.strip(" ")) for part in text.split(",", 7)]
    if any(number is None for number in numbers):
        raise InvalidParameter(parameter, text, f"must be {_ALLOWED}")
    return bbox_of([n for n in numbers if n is not None], parameter=parameter, shown=text)


def bbox_of(numbers: Sequence[float], *, parameter: str = "bbox", shown: object = None) -> Bbox:
    """The box of 4 or 6 finite numbers. Raises InvalidParameter with `shown` as what was received."""
    received = list(numbers) if shown is None else shown
    if len(numbers) not in (4, 6):
        raise InvalidParameter(parameter, received, f"must be {_ALLOWED}; {len(numbers)} given")
    half = len(numbers) // 2
    min_lon, min_lat, max_lon, max_lat = numbers[0], numbers[1], numbers[half], numbers[half + 1]
    if not (-180 <= min_lon <= 180 and -180 <= max_lon <= 180):
        raise InvalidParameter(parameter, received, "longitudes must lie in [-180, 180]")
    if not (-90 <= min_lat <= max_lat <= 90):
        raise InvalidParameter(parameter, received, "latitudes must lie in [-90, 90], the lower one first")
    if half == 3 and numbers[2] > numbers[5]:
        raise InvalidParameter(parameter, received, "the lower height must come first")
    return Bbox(float(min_lon), float(min_lat), float(max_lon), float(max_lat))
