"""Which area holds a feature: the smallest one that contains the middle of its bounding box."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely


@dataclass(frozen=True, slots=True)
class AreaIndex:
    """Areas as prepared polygons with codes, the longest codes (communities) first."""

    codes: npt.NDArray[np.object_]
    polygons: npt.NDArray[np.object_]
    bounds: npt.NDArray[np.float64]

    @staticmethod
    def of(areas: list[tuple[str, bytes]]) -> "AreaIndex":
        """From (code, WKB in EPSG:4326) pairs."""
        ordered = sorted(areas, key=lambda area: (-len(area[0]), area[0]))
        polygons = np.array(shapely.from_wkb([wkb for _, wkb in ordered]), dtype=object)
        shapely.prepare(polygons)
        codes = np.array([code for code, _ in ordered], dtype=object)
        return AreaIndex(codes, polygons, shapely.bounds(polygons).reshape(-1, 4))

    def codes_of(self, bounds: npt.NDArray[Any]) -> pa.Array:
        """Code of the smallest area that holds the middle of each of the `(n, 4)` bounds; null outside all."""
        found = np.full(len(bounds), None, dtype=object)
        if not len(self.codes) or not len(bounds):
            return pa.array(found, pa.string())
        x, y = (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2
        open_ = np.isfinite(x) & np.isfinite(y)
        order = np.argsort(x)
        sorted_x = x[order]
        for code, polygon, (min_x, min_y, max_x, max_y) in zip(self.codes, self.polygons, self.bounds, strict=True):
            first, last = np.searchsorted(sorted_x, min_x), np.searchsorted(sorted_x, max_x, side="right")
            near = order[first:last]
            near = near[open_[near] & (y[near] >= min_y) & (y[near] <= max_y)]
            if not len(near):
                continue
            inside = near[shapely.intersects_xy(polygon, x[near], y[near])]
            found[inside] = code
            open_[inside] = False
            if not open_.any():
                break
        return pa.array(found, pa.string())
