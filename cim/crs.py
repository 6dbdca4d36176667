"""Coordinate reference systems that a request may name (OGC 18-058r1, Features Part 2).

Stored geometry is EPSG:4326 with x = longitude. A `Crs` says how coordinates leave or enter: by which SRID of the
database, and whether the authority puts the northing or latitude first, so that the pair is turned around.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from cim.errors import InvalidParameter

_URI = re.compile(r"https?://www\.opengis\.net/def/crs/EPSG/[0-9.]+/(\d{4,6})", re.ASCII)
_SHORT = re.compile(r"(?:\[EPSG:(\d{4,6})\]|EPSG:(\d{4,6}))", re.ASCII)
_CRS84_NAMES = (
    "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
    "https://www.opengis.net/def/crs/OGC/1.3/CRS84",
    "http://www.opengis.net/def/crs/OGC/0/CRS84",
    "[OGC:CRS84]",
    "OGC:CRS84",
    "CRS84",
)
DEGREE_DECIMALS = 7
METRE_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Crs:
    """One system: `srid` as PostGIS knows it, `is_swapped` where north or latitude comes first.

    `bounds_crs84` is where it may be used: (min lon, min lat, max lon, max lat); None for everywhere.
    """

    uri: str
    srid: int
    is_swapped: bool = False
    is_geographic: bool = True
    bounds_crs84: tuple[float, float, float, float] | None = None

    @property
    def is_stored(self) -> bool:
        """True when stored coordinates are what it asks for."""
        return self.srid == 4326 and not self.is_swapped

    @property
    def decimals(self) -> int:
        """Digits of a coordinate: about a centimetre in degrees, a millimetre in metres."""
        return DEGREE_DECIMALS if self.is_geographic else METRE_DECIMALS


CRS84 = Crs("http://www.opengis.net/def/crs/OGC/1.3/CRS84", 4326)


@lru_cache(maxsize=512)
def epsg(code: int) -> Crs | None:
    """The system EPSG:`code` with its axes as the authority orders them; None for one that has no two axes in the plane."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        found = CRS.from_epsg(code)
    except CRSError:
        return None
    directions = [axis.direction for axis in found.axis_info]
    if len(directions) != 2 or sorted(directions) != ["east", "north"]:
        return None
    use = found.area_of_use
    bounds = None if use is None else (use.west, use.south, use.east, use.north)
    uri = f"http://www.opengis.net/def/crs/EPSG/0/{code}"
    return Crs(uri, code, directions[0] == "north", found.is_geographic, bounds)


def parse_codes(text: str) -> tuple[int, ...]:
    """EPSG codes of a setting: `4326,4490,4513-4554`. Raises ValueError."""
    codes: list[int] = []
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        codes.extend(range(int(first), int(last) + 1) if dash else [int(first)])
    return tuple(dict.fromkeys(codes))


class CrsList:
    """The systems a node offers: CRS84 first, then those of its setting that PROJ knows."""

    def __init__(self, codes: Iterable[int]) -> None:
        known = [found for found in map(epsg, codes) if found is not None]
        self.offered: tuple[Crs, ...] = (CRS84, *known)
        self.uris: tuple[str, ...] = tuple(one.uri for one in self.offered)
        self._by_code = {one.srid: one for one in known}

    def parse(self, text: str, *, parameter: str = "crs") -> Crs:
        """The system that a URI, `[EPSG:4547]` or `EPSG:4547` names (/req/crs/fc-crs-valid-value).

        Raises InvalidParameter for one that is not offered here.
        """
        if text in _CRS84_NAMES:
            return CRS84
        match = _URI.fullmatch(text) or _SHORT.fullmatch(text)
        if match:
            found = self._by_code.get(int(next(group for group in match.groups() if group)))
            if found is not None:
                return found
        raise InvalidParameter(
            parameter,
            text,
            f"must be one of the systems that 'crs' of the collections lists, such as {CRS84.uri} or "
            "http://www.opengis.net/def/crs/EPSG/0/4326",
        )


DATUMS = ("wgs84", "gcj02", "bd09")
"""What coordinates of a source may be said to carry; the offsets (`cim.datum`) are no systems that can be asked for."""


def check_datum(datum: str) -> None:
    """Raise InvalidParameter for a datum that is none of DATUMS: an unknown one never passes for WGS 84 (catalogue B48)."""
    if datum not in DATUMS:
        raise InvalidParameter("datum", datum, f"one of {', '.join(DATUMS)}")
