"""The plane the city is drawn in: metres east and north of a point, and back to degrees."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
Geometries = npt.NDArray[Any]

CENTRE_LON, CENTRE_LAT = 114.1, 22.6
METRES_A_DEGREE_LON, METRES_A_DEGREE_LAT = 102_823.0, 110_738.0
"""On the WGS 84 ellipsoid at 22.6 N; over the city's 20 km the plane is true to 0.2 %."""

DECIMALS = 7
"""Of a degree: about 1 cm; also hides the last bits in which machines may differ."""


def to_degrees(xy_m: Floats) -> Floats:
    """`(…, 2)` metres to `(…, 2)` longitude, latitude, rounded to DECIMALS."""
    scaled = xy_m / np.array([METRES_A_DEGREE_LON, METRES_A_DEGREE_LAT]) + np.array([CENTRE_LON, CENTRE_LAT])
    rounded: Floats = np.round(scaled, DECIMALS)
    return rounded


def turned(xy_m: Floats, angle_rad: float) -> Floats:
    """`(…, 2)` points turned anticlockwise about the origin."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.stack([xy_m[..., 0] * cosine - xy_m[..., 1] * sine, xy_m[..., 0] * sine + xy_m[..., 1] * cosine], -1)


def generator(seed: int, *parts: int) -> np.random.Generator:
    """Random numbers of one place and purpose: independent of what was generated before."""
    return np.random.default_rng([seed, *parts])
