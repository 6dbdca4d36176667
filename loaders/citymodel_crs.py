"""The CRS of a city model: names of compound systems, and which coordinate comes first."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyproj

from loaders.base import SourceOptions
from loaders.reference import settle

_URN_CODE = re.compile(r"EPSG:[^:,]*:(\d+)", re.I)
_URL_CODE = re.compile(r"/EPSG/[^/]*/(\d+)", re.I)
_GERMAN = re.compile(r"^urn:adv:crs:ETRS89_UTM(3[123])\b", re.I)
_PADDING_DEGREES = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """`crs` is the horizontal system; `is_north_first` says that coordinates must be swapped."""

    crs: str
    is_geographic: bool
    is_north_first: bool
    metres_per_height_unit: float
    notes: tuple[str, ...]


def code_of(name: str) -> str:
    """`EPSG:<code>` of a name in URN or URL form, the horizontal part of a compound one; else the name itself."""
    found = _URN_CODE.search(name) or _URL_CODE.search(name)
    if found:
        return f"EPSG:{found.group(1)}"
    german = _GERMAN.match(name.strip())
    return f"EPSG:258{german.group(1)}" if german else name.strip()


def place_of(found: str | None, options: SourceOptions, what: str, sample: npt.NDArray[np.float64]) -> Place:
    """The horizontal CRS of a model and the order of its coordinates; `sample` is `(n, 2)` as they stand.

    Coordinates are in the order of the CRS's definition (OGC 20-010, CityGML 3.0; EPSG:6697 is latitude,
    longitude, height) unless that puts them outside the CRS's area of use and the other order does not.
    Raises SourceRefused without a CRS, or for one that PROJ does not know.
    """
    code, notes = settle(code_of(found) if found else None, options, what)
    full = pyproj.CRS.from_user_input(code)
    crs = full.sub_crs_list[0] if full.is_compound else full
    authority = crs.to_authority(min_confidence=100)
    is_north_first = crs.axis_info[0].direction in ("north", "south") and len(crs.axis_info) > 1
    if is_north_first and len(sample):
        x, y = np.median(sample, axis=0)
        if not _is_inside(crs, y, x) and _is_inside(crs, x, y):
            is_north_first = False
            notes = [*notes, f"{code} lists northing first, the coordinates are easting first and are read so"]
    vertical = full.axis_info[2] if len(full.axis_info) > 2 else None
    factor = vertical.unit_conversion_factor if vertical and vertical.unit_conversion_factor else 1.0
    return Place(
        crs=":".join(authority) if authority else crs.to_wkt(),
        is_geographic=bool(crs.is_geographic),
        is_north_first=is_north_first,
        metres_per_height_unit=float(factor),
        notes=tuple(notes),
    )


def _is_inside(crs: pyproj.CRS, east: float, north: float) -> bool:
    """True when a coordinate lies in the CRS's area of use, a degree around it included."""
    area = crs.area_of_use
    if area is None:
        return False
    lon, lat = pyproj.Transformer.from_crs(crs.to_2d(), "EPSG:4326", always_xy=True).transform(east, north)
    if not (np.isfinite(lon) and np.isfinite(lat)):
        return False
    return bool(
        area.west - _PADDING_DEGREES <= lon <= area.east + _PADDING_DEGREES
        and area.south - _PADDING_DEGREES <= lat <= area.north + _PADDING_DEGREES
    )
