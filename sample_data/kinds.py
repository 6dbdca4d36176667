"""What sensors of each kind observe, and how it runs through a day."""

from dataclasses import dataclass

import numpy as np

from sample_data.plane import Floats


@dataclass(frozen=True, slots=True)
class Channel:
    """One observed property: `unit` as UCUM; the value is around `base`, swings by `swing` with the day's
    `rhythm`, plus noise; never under `least` (nor over `most`)."""

    observed_property: str
    unit: str
    base: float
    swing: float
    noise: float
    rhythm: str
    least: float = 0.0
    most: float = 1e9
    decimals: int = 1


CHANNELS: dict[str, tuple[Channel, ...]] = {
    "air_quality": (
        Channel("PM2.5", "ug/m3", 24, 9, 4, "traffic", 1),
        Channel("PM10", "ug/m3", 43, 14, 6, "traffic", 2),
        Channel("NO2", "ug/m3", 29, 15, 5, "traffic", 1),
        Channel("O3", "ug/m3", 62, 44, 8, "afternoon", 2),
    ),
    "weather": (
        Channel("air temperature", "Cel", 23.5, 3.6, 0.4, "afternoon", -2, 42),
        Channel("relative humidity", "%", 68, -16, 3, "afternoon", 15, 100, 0),
        Channel("wind speed", "m/s", 2.3, 1.3, 0.6, "afternoon", 0, 45),
        Channel("rainfall", "mm", 0.0, 0.0, 0.12, "flat", 0, 120),
    ),
    "noise": (Channel("LAeq", "dB[A]", 57, 8, 1.6, "traffic", 30, 110),),
    "water_level": (Channel("water level", "m", 1.9, 0.5, 0.05, "tide", 0, 12, 2),),
    "water_quality": (
        Channel("pH", "[pH]", 7.3, 0.15, 0.06, "afternoon", 4, 10, 2),
        Channel("dissolved oxygen", "mg/L", 6.2, 1.2, 0.25, "afternoon", 0.2, 16, 2),
        Channel("turbidity", "[NTU]", 14, 2, 2.5, "tide", 0.1, 400),
        Channel("ammonia nitrogen", "mg/L", 0.7, 0.1, 0.1, "day", 0.01, 20, 2),
    ),
    "traffic_flow": (
        Channel("vehicle count", "/h", 820, 610, 70, "traffic", 3, 9000, 0),
        Channel("mean speed", "km/h", 41, -14, 3, "traffic", 4, 110),
        Channel("lane occupancy", "%", 19, 13, 2.5, "traffic", 0, 100),
    ),
    "structure": (
        Channel("tilt", "deg", 0.05, 0.008, 0.004, "afternoon", 0, 5, 3),
        Channel("settlement", "mm", 4.2, 0.1, 0.1, "flat", 0, 300, 2),
        Channel("vibration", "mm/s", 0.5, 0.35, 0.1, "day", 0, 60, 2),
    ),
    "energy": (
        Channel("electric power", "kW", 210, 150, 16, "office", 2, 30000),
        Channel("water flow", "m3/h", 5.2, 3.6, 0.5, "home", 0, 900, 2),
    ),
    "manhole": (
        Channel("cover tilt", "deg", 0.8, 0.0, 0.3, "flat", 0, 90),
        Channel("sewer level", "m", 0.6, 0.2, 0.04, "home", 0, 6, 2),
    ),
    "parking": (Channel("occupied spaces", "{spaces}", 118, 74, 9, "office", 0, 900, 0),),
}
"""Kind of cim.collections.sensors → its channels; sensors of a place are several channels of one kind."""

ON_BUILDINGS = ("structure", "energy")
SHARES = {
    "traffic_flow": 0.15,
    "air_quality": 0.07,
    "weather": 0.05,
    "noise": 0.08,
    "water_level": 0.05,
    "water_quality": 0.04,
    "manhole": 0.16,
    "parking": 0.1,
    "structure": 0.13,
    "energy": 0.17,
}
"""Shares of the places."""


def _hill(hour: Floats, peak: float, width: float) -> Floats:
    apart = (hour - peak + 12) % 24 - 12
    return np.exp(-((apart / width) ** 2))


def rhythm(name: str, hour: Floats) -> Floats:
    """The day's course at local `hour` (any shape), about -1 to 1."""
    if name == "traffic":
        return 2 * np.maximum(_hill(hour, 8.3, 2.2), _hill(hour, 18.2, 2.8)) + 0.7 * _hill(hour, 13, 4.5) - 1.0
    if name == "afternoon":
        return np.cos((hour - 14.5) / 24 * 2 * np.pi)
    if name == "tide":
        return np.cos(hour / 12.42 * 2 * np.pi)
    if name == "day":
        return 2 * _hill(hour, 13.5, 6.0) - 1.0
    if name == "office":
        return 2 * _hill(hour, 14, 5.0) - 1.0
    if name == "home":
        return 1.4 * _hill(hour, 7.5, 1.8) + 1.9 * _hill(hour, 20.5, 2.6) - 0.9
    return np.zeros_like(hour)
