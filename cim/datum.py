"""GCJ-02 and BD-09: offsets that Chinese map services put on WGS 84 coordinates.

They are declared, never guessed, and never an EPSG code. All functions take and give `(n,) float64`
longitude and latitude in degrees and are the identity outside China's box.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Degrees = npt.NDArray[np.float64]

_SEMI_MAJOR_M = 6378245.0  # Krasovsky 1940, which the offset was made for
_E2 = 0.00669342162296594323
_STEPS = 3  # of the fixed point: 0.1 mm over Shenzhen (docs/decisions/0003)


def _inside(lon: Degrees, lat: Degrees) -> npt.NDArray[np.bool_]:
    return (lon >= 72.004) & (lon <= 137.8347) & (lat >= 0.8293) & (lat <= 55.8271)


def wgs84_to_gcj02(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """GCJ-02 longitude and latitude of WGS 84 ones."""
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    wave = (20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + wave
    north += (20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
    north += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + wave
    east += (20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
    east += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    phi = np.radians(lat)
    magic = 1.0 - _E2 * np.sin(phi) ** 2
    north = np.degrees(north * magic * np.sqrt(magic) / (_SEMI_MAJOR_M * (1.0 - _E2)))
    east = np.degrees(east * np.sqrt(magic) / (_SEMI_MAJOR_M * np.cos(phi)))
    inside = _inside(lon, lat)
    return lon + np.where(inside, east, 0.0), lat + np.where(inside, north, 0.0)


def _bd09_of_gcj02(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    turn = np.pi * 3000.0 / 180.0
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * turn)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * turn)
    inside = _inside(lon, lat)
    return (
        np.where(inside, radius * np.cos(angle) + 0.0065, lon),
        np.where(inside, radius * np.sin(angle) + 0.006, lat),
    )


def wgs84_to_bd09(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """BD-09 longitude and latitude of WGS 84 ones."""
    return _bd09_of_gcj02(*wgs84_to_gcj02(lon, lat))


def _inverse(
    forward: Callable[[Degrees, Degrees], tuple[Degrees, Degrees]], lon: Degrees, lat: Degrees, steps: int
) -> tuple[Degrees, Degrees]:
    found_lon, found_lat = lon, lat
    for _ in range(steps):
        there_lon, there_lat = forward(found_lon, found_lat)
        found_lon, found_lat = found_lon + (lon - there_lon), found_lat + (lat - there_lat)
    return found_lon, found_lat


def gcj02_to_wgs84(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """WGS 84 longitude and latitude of GCJ-02 ones, to better than 1 mm in China."""
    return _inverse(wgs84_to_gcj02, lon, lat, _STEPS)


def bd09_to_wgs84(lon: Degrees, lat: Degrees) -> tuple[Degrees, Degrees]:
    """WGS 84 longitude and latitude of BD-09 ones, to better than 1 mm in China."""
    return _inverse(wgs84_to_bd09, lon, lat, _STEPS + 2)


TO_WGS84 = {"gcj02": gcj02_to_wgs84, "bd09": bd09_to_wgs84}
"""Datum word → function to WGS 84; `wgs84` (and CGCS2000, which agrees to centimetres) needs none."""
