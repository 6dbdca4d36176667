"""Where an image has data: a polygon in EPSG:4326 made from its validity mask."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
import shapely
from affine import Affine
from rasterio.enums import MaskFlags
from rasterio.features import shapes
from rasterio.windows import Window
from shapely.affinity import affine_transform
from shapely.geometry import shape

MASK_PIXELS = 1024
"""The mask is read at most this wide and high."""

MAX_VERTICES = 2_000
_GAP_PIXELS = 3
_EDGE_PARTS = 21
"""Edges are cut into about as many parts before they are projected (as GDAL does for bounds)."""


def valid_pixels(image: rasterio.DatasetReader) -> tuple[shapely.Geometry | None, str | None]:
    """The valid area in pixel coordinates (x right, y down), None when nothing is valid; and a note.

    The outline is exact to about one pixel of the decimated mask (at most 1024 × 1024).
    """
    whole = shapely.box(0, 0, image.width, image.height)
    if all(MaskFlags.all_valid in flags for flags in image.mask_flag_enums):
        image.read(1, window=Window(image.width - 1, image.height - 1, 1, 1))  # a cut file shows here
        return whole, None
    step = max(1.0, max(image.width, image.height) / MASK_PIXELS)
    rows, columns = max(1, round(image.height / step)), max(1, round(image.width / step))
    mask = image.dataset_mask(out_shape=(rows, columns)) > 0
    if mask.all():
        return whole, None
    if not mask.any():
        return None, None
    outline, note = _outline(mask)
    return affine_transform(outline, (image.width / columns, 0, 0, image.height / rows, 0, 0)), note


def _outline(mask: npt.NDArray[np.bool_]) -> tuple[shapely.Geometry, str | None]:
    """Polygons of a mask; of a ragged one with its gaps closed, of a hopeless one the hull."""
    outline = _traced(mask, 1.0)
    if shapely.get_num_coordinates(outline) <= MAX_VERTICES:
        return outline, None
    outline = _traced(_closed(mask, _GAP_PIXELS), 2.0)
    if shapely.get_num_coordinates(outline) <= MAX_VERTICES:
        return outline, f"the valid data is ragged: gaps of up to {2 * _GAP_PIXELS} mask pixels are closed"
    return shapely.convex_hull(outline), "the valid data is too ragged for an outline: the footprint is its convex hull"


def _traced(mask: npt.NDArray[np.bool_], tolerance: float) -> shapely.Geometry:
    polygons = np.array([shape(s) for s, _ in shapes(mask.astype(np.uint8), mask=mask)], dtype=object)
    areas = shapely.area(polygons)
    polygons = polygons[areas >= min(4.0, areas.max())]
    return _without_specks(shapely.union_all(shapely.simplify(polygons, tolerance)))


def _closed(mask: npt.NDArray[np.bool_], radius: int) -> npt.NDArray[np.bool_]:
    """The mask grown and shrunk again by `radius` pixels: small gaps are gone, the outer edge stays."""
    grown = _grown(np.pad(mask, radius), radius)
    shrunk = ~_grown(~grown, radius)
    return shrunk[radius:-radius, radius:-radius]


def _grown(mask: npt.NDArray[np.bool_], radius: int) -> npt.NDArray[np.bool_]:
    wide = mask.copy()
    for step in range(1, radius + 1):
        wide[:, step:] |= mask[:, :-step]
        wide[:, :-step] |= mask[:, step:]
    tall = wide.copy()
    for step in range(1, radius + 1):
        tall[step:] |= wide[:-step]
        tall[:-step] |= wide[step:]
    return tall


def _without_specks(outline: shapely.Geometry) -> shapely.Geometry:
    """The outline without holes of less than 16 mask pixels."""
    parts = [
        shapely.Polygon(part.exterior, [h for h in part.interiors if shapely.Polygon(h).area >= 16.0])
        for part in shapely.get_parts(outline)
        if part.geom_type == "Polygon"
    ]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def on_earth(pixels: shapely.Geometry, transform: Affine, crs: pyproj.CRS) -> shapely.Geometry:
    """A polygon in pixel coordinates as lon/lat degrees, split at the antimeridian.

    Edges are densified first: a straight edge of a projected image is a curve in degrees.
    """
    low_x, low_y, high_x, high_y = pixels.bounds
    dense = shapely.segmentize(pixels, max(high_x - low_x, high_y - low_y) / _EDGE_PARTS)
    placed = affine_transform(dense, (*transform[0:2], *transform[3:5], transform[2], transform[5]))
    transformer = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)

    def to_degrees(points: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1]))

    return _split(shapely.transform(placed, to_degrees))


def _split(polygon: shapely.Geometry) -> shapely.Geometry:
    """Two parts where an edge leaps from 180° E to 180° W (RFC 7946, 3.1.9)."""
    points = shapely.get_coordinates(polygon)
    if not np.isfinite(points).all() or not (np.abs(np.diff(points[:, 0])) > 180.0).any():
        return polygon
    eastern = shapely.transform(
        polygon, lambda p: np.column_stack([np.where(p[:, 0] < 0, p[:, 0] + 360, p[:, 0]), p[:, 1]])
    )
    if not shapely.is_valid(eastern):
        return polygon
    west = shapely.intersection(eastern, shapely.box(0, -90, 180, 90))
    east = shapely.intersection(eastern, shapely.box(180, -90, 360, 90))
    moved = affine_transform(east, (1, 0, 0, 1, -360, 0))
    parts = [p for g in (west, moved) for p in shapely.get_parts(g) if p.geom_type == "Polygon"]
    return shapely.MultiPolygon(parts)


def ground_sample_distance_m(image_size: tuple[int, int], transform: Affine, crs: pyproj.CRS) -> float | None:
    """Length of a pixel on the ground in metres, the mean of its two sides.

    Of a projected CRS it is the nominal length in metres; of a geographic CRS and of Mercator, whose scale
    changes with latitude, the length on the ellipsoid at the image's centre.
    """
    if crs.is_projected and not _is_mercator(crs):
        factor = crs.axis_info[0].unit_conversion_factor
        sides = (math.hypot(transform.a, transform.d), math.hypot(transform.b, transform.e))
        return float(sum(sides) / 2 * factor)
    column, row = image_size[0] / 2, image_size[1] / 2
    corners = [transform @ c for c in ((column, row), (column + 1, row), (column, row + 1))]
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform([c[0] for c in corners], [c[1] for c in corners])
    if not np.isfinite([*lon, *lat]).all():
        return None
    _, _, lengths = pyproj.Geod(ellps="WGS84").inv([lon[0], lon[0]], [lat[0], lat[0]], lon[1:], lat[1:])
    return float(sum(lengths) / 2)


def _is_mercator(crs: pyproj.CRS) -> bool:
    method = crs.coordinate_operation.method_name if crs.coordinate_operation else ""
    return "Mercator" in method and "Transverse" not in method and "Oblique" not in method
