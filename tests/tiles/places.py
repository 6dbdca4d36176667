"""Where tiles are, computed by pyproj."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

TO_3857 = Transformer.from_crs(4326, 3857, always_xy=True)
HALF = 20037508.342789244
GRIDS = ("WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad")


@dataclass(frozen=True)
class Tile:
    """A tile of a grid."""

    grid: str
    zoom: int
    row: int
    col: int

    def path(self, collection: str) -> str:
        """Its address."""
        return f"/collections/{collection}/tiles/{self.grid}/{self.zoom}/{self.row}/{self.col}"

    def drawn(self, geometry: BaseGeometry) -> BaseGeometry:
        """A geometry in degrees, vertex by vertex in tile coordinates, cut at the margin of 64."""
        columns = 1 if self.grid == "WebMercatorQuad" else 2
        side = 4096 * 2**self.zoom

        def place(points: np.ndarray) -> np.ndarray:
            across, down = parts(self.grid, points[:, 0], points[:, 1])
            return np.column_stack([across * columns * side - self.col * 4096, down * side - self.row * 4096])

        return shapely.transform(geometry, place).intersection(shapely.box(-64, -64, 4160, 4160))


def parts(grid: str, lon: Any, lat: Any) -> tuple[Any, Any]:
    """How far a place is across and down the grid, 0 to 1."""
    if grid != "WebMercatorQuad":
        return (lon + 180) / 360, (90 - lat) / 180
    x, y = TO_3857.transform(lon, lat)
    return (x + HALF) / (2 * HALF), (HALF - y) / (2 * HALF)


def tile_at(grid: str, zoom: int, lon: float, lat: float) -> Tile:
    """The tile that holds a place."""
    across, down = parts(grid, lon, lat)
    columns = 1 if grid == "WebMercatorQuad" else 2
    return Tile(grid, zoom, int(down * 2**zoom), int(across * columns * 2**zoom))
