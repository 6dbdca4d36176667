"""Tile matrix sets (OGC 17-083r4) and the places of their tiles: WebMercatorQuad, WorldCRS84Quad, CGCS2000Quad.

Stored coordinates are degrees. A tile of a set in degrees is a linear picture of them; a Mercator tile of a city is
one but for `bow`, which falls with the zoom: from about zoom 12 on it is less than a tile coordinate can say.
"""

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cim.bbox import Bbox
from cim.errors import NotFound

EXTENT = 4096
"""Tile coordinates of a side."""
BUFFER = 64
"""Tile coordinates that a tile reaches beyond its edges."""
EVEN_BOW = 0.5
"""Half a tile coordinate: what bows less is scaled as if it were straight."""

_MAX_LATITUDE = 85.06
_DIGITS = re.compile(r"0|[1-9]\d{0,8}", re.ASCII)
_HALF_M = 20037508.3427892  # half the side of Web Mercator's square
_MERCATOR_CELL_M = 156543.033928041
_MERCATOR_DENOMINATOR = 559082264.028717
_PIXELS = 256  # of a side, as the registry has it


@dataclass(frozen=True, slots=True)
class Grid:
    """A tile matrix set: zoom 0 has `columns` tiles side by side and one row; each zoom halves them.

    `uri`: where it is registered, None for one of our own. `is_mercator`: in metres of EPSG:3857, else in degrees.
    `is_swapped`: its CRS names the latitude first.
    """

    id: str
    title: str
    crs: str
    uri: str | None
    well_known: str | None
    columns: int
    max_zoom: int
    is_mercator: bool = False
    is_swapped: bool = False

    def document(self) -> dict[str, Any]:
        """The definition as JSON (OGC 17-083r4, /req/json-tilematrixset/definition)."""
        axes = ["X", "Y"] if self.is_mercator else ["Lat", "Lon"] if self.is_swapped else ["Lon", "Lat"]
        document: dict[str, Any] = {"id": self.id, "title": self.title, "crs": self.crs, "orderedAxes": axes}
        if self.uri is not None:
            document["uri"] = self.uri
        if self.well_known is not None:
            document["wellKnownScaleSet"] = self.well_known
        document["tileMatrices"] = [self._matrix(zoom) for zoom in range(self.max_zoom + 1)]
        return document

    def _matrix(self, zoom: int) -> dict[str, Any]:
        cell, denominator = _MERCATOR_CELL_M, _MERCATOR_DENOMINATOR
        origin = [-_HALF_M, _HALF_M]
        if not self.is_mercator:
            cell, denominator = 180 / _PIXELS, _MERCATOR_DENOMINATOR / 2
            origin = [90, -180] if self.is_swapped else [-180, 90]
        return {
            "id": str(zoom),
            "scaleDenominator": denominator / 2**zoom,
            "cellSize": cell / 2**zoom,
            "cornerOfOrigin": "topLeft",
            "pointOfOrigin": origin,
            "tileWidth": _PIXELS,
            "tileHeight": _PIXELS,
            "matrixWidth": self.columns * 2**zoom,
            "matrixHeight": 2**zoom,
        }


_OGC = "http://www.opengis.net/def"
WEB_MERCATOR_QUAD = Grid(
    "WebMercatorQuad",
    "Google Maps Compatible for the World",
    f"{_OGC}/crs/EPSG/0/3857",
    f"{_OGC}/tilematrixset/OGC/1.0/WebMercatorQuad",
    f"{_OGC}/wkss/OGC/1.0/GoogleMapsCompatible",
    columns=1,
    max_zoom=24,
    is_mercator=True,
)
WORLD_CRS84_QUAD = Grid(
    "WorldCRS84Quad",
    "CRS84 for the World",
    f"{_OGC}/crs/OGC/1.3/CRS84",
    f"{_OGC}/tilematrixset/OGC/1.0/WorldCRS84Quad",
    f"{_OGC}/wkss/OGC/1.0/GoogleCRS84Quad",
    columns=2,
    max_zoom=23,
)
CGCS2000_QUAD = Grid(
    "CGCS2000Quad",
    "CGCS2000 for the World 国家大地坐标系",
    f"{_OGC}/crs/EPSG/0/4490",
    uri=None,
    well_known=None,
    columns=2,
    max_zoom=23,
    is_swapped=True,
)
GRIDS = (WEB_MERCATOR_QUAD, WORLD_CRS84_QUAD, CGCS2000_QUAD)
_BY_ID = {grid.id: grid for grid in GRIDS}


def grid_of(name: str) -> Grid:
    """The tile matrix set of that id. Raises NotFound."""
    found = _BY_ID.get(name)
    if found is None:
        raise NotFound("tile matrix set", name, list(_BY_ID))
    return found


@dataclass(frozen=True)
class TileCoord:
    """A tile; row 0 is the northernmost, col 0 begins at 180° west."""

    zoom: int
    row: int
    col: int
    grid: Grid = WEB_MERCATOR_QUAD

    def bbox(self, *, margin: float = BUFFER / EXTENT) -> Bbox:
        """Where features of the tile lie, in degrees, with a margin in parts of the tile.

        Cut at the antimeridian, and at the poles or (in Web Mercator, which does not reach them) at ±85.06°.
        """
        limit = _MAX_LATITUDE if self.grid.is_mercator else 90.0
        return Bbox(
            max(-180.0, self.longitude(self.col - margin)),
            max(-limit, self.latitude(self.row + 1 + margin)),
            min(180.0, self.longitude(self.col + 1 + margin)),
            min(limit, self.latitude(self.row - margin)),
        )

    def longitude(self, column: float) -> float:
        """Longitude of the left edge of a column, which may be a fraction."""
        return column / (self.grid.columns << self.zoom) * 360 - 180

    def latitude(self, row: float) -> float:
        """Latitude of the upper edge of a row, which may be a fraction."""
        part = row / (1 << self.zoom)
        if not self.grid.is_mercator:
            return 90 - part * 180
        return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * part))))

    @cached_property
    def bow(self) -> float:
        """How far, in tile coordinates, the tile is from being a linear picture of degrees that is true at its edges.

        Mercator's northing bends by R sin φ / cos² φ over (height · cos φ / R)² / 8, height being that of the tile.
        """
        if not self.grid.is_mercator:
            return 0.0
        lower, upper = abs(self.latitude(self.row + 1)), abs(self.latitude(self.row))
        return EXTENT * math.pi / 4 * math.sin(math.radians(max(lower, upper))) / (1 << self.zoom)

    @property
    def is_even(self) -> bool:
        """True where degrees can be scaled to tile coordinates as they are."""
        return self.bow <= EVEN_BOW

    @cached_property
    def scale(self) -> tuple[float, float, float, float]:
        """What to add to x and y, then to multiply them by, to get tile coordinates (y down, 4096 a side).

        From degrees where the tile `is_even`, else from metres of EPSG:3857.
        """
        west, east = self.longitude(self.col), self.longitude(self.col + 1)
        north, south = self.latitude(self.row), self.latitude(self.row + 1)
        if not self.is_even:
            size = 2 * _HALF_M / (1 << self.zoom)
            west, north = self.col * size - _HALF_M, _HALF_M - self.row * size
            east, south = west + size, north - size
        return -west, -north, EXTENT / (east - west), -EXTENT / (north - south)


def parse_tile(
    zoom: str, row: str, col: str, grid: Grid = WEB_MERCATOR_QUAD, *, deepest: int | None = None
) -> TileCoord:
    """The tile that three path segments name. Raises NotFound when there is no such tile (catalogue B24)."""
    name = f"{zoom}/{row}/{col}"[:60]
    last = grid.max_zoom if deepest is None else deepest
    if not all(_DIGITS.fullmatch(part) for part in (zoom, row, col)) or int(zoom) > last:
        raise NotFound(f"tile of zoom 0 to {last}", name)
    tile = TileCoord(int(zoom), int(row), int(col), grid)
    rows, columns = 2**tile.zoom, grid.columns * 2**tile.zoom
    if tile.row >= rows or tile.col >= columns:
        raise NotFound(f"tile in a matrix of {rows:,} rows and {columns:,} columns", name)
    return tile


def limits(grid: Grid, bounds_crs84: tuple[float, float, float, float]) -> list[dict[str, Any]]:
    """Rows and columns that hold something of the bounds, for each zoom (OGC 17-083r4, TileMatrixSetLimits)."""
    found = []
    for zoom in range(grid.max_zoom + 1):
        west, north = _cell_of(grid, zoom, bounds_crs84[0], bounds_crs84[3])
        east, south = _cell_of(grid, zoom, bounds_crs84[2], bounds_crs84[1])
        found.append(
            {"tileMatrix": str(zoom), "minTileRow": north, "maxTileRow": south, "minTileCol": west, "maxTileCol": east}
        )
    return found


def _cell_of(grid: Grid, zoom: int, longitude: float, latitude: float) -> tuple[int, int]:
    """Column and row of the tile that holds a place; places beyond the square count as on its edge."""
    rows = 2**zoom
    part = (90 - latitude) / 180
    if grid.is_mercator:
        bounded = math.radians(min(max(latitude, -85.0511287), 85.0511287))
        part = (1 - math.asinh(math.tan(bounded)) / math.pi) / 2
    column = int((longitude + 180) / 360 * grid.columns * rows)
    return min(max(column, 0), grid.columns * rows - 1), min(max(int(part * rows), 0), rows - 1)
