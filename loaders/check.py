"""Geometries of a batch: into EPSG:4326, checked cheaply, repaired only where invalid.

Everything works on whole `(n,) object` arrays of shapely geometries; a reason per bad row comes out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from pyproj.exceptions import CRSError

from cim.datum import TO_WGS84
from cim.errors import SourceRefused
from loaders.repair import Repairer

Geometries = npt.NDArray[np.object_]
_Refuse = Callable[[npt.NDArray[np.bool_], str, Callable[[int], tuple[str, str | None]]], None]

MAX_VERTICES = 500_000
"""A geometry with more is `geometry/too-complex`."""

_TYPE_IDS = {"Point": 0, "LineString": 1, "Polygon": 3, "MultiPoint": 4, "MultiLineString": 5, "MultiPolygon": 6}

MULTI = {"MultiPolygon": 3, "MultiLineString": 1, "MultiPoint": 0}
"""Stored type → type id of the single geometry that it also takes; `loaders.blocks` wraps it on the way out."""
_A = 6378137.0
_E2 = 0.00669437999014
_E = np.sqrt(_E2)


@dataclass(slots=True)
class Checked:
    """`geometry` in EPSG:4326 (None where bad), its `(n, 4)` bounds, reasons of bad rows and of repairs by index."""

    geometry: Geometries
    bounds: npt.NDArray[np.float64]
    bad: dict[int, tuple[str, str, str | None]] = field(default_factory=dict)
    repaired: dict[int, tuple[str, str]] = field(default_factory=dict)


def to_wgs84(crs: str | None, datum: str) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None:
    """A function from (n, 2) easting/longitude-first coordinates in `crs` to WGS 84, or None when they are that.

    Raises SourceRefused for a CRS that PROJ does not know or that has no horizontal place on Earth.
    """
    steps: list[Callable[[npt.NDArray[Any], npt.NDArray[Any]], tuple[npt.NDArray[Any], npt.NDArray[Any]]]] = []
    if crs is not None:
        try:
            source = pyproj.CRS.from_user_input(crs)
        except CRSError as error:
            raise SourceRefused(
                f"CRS '{crs[:120]}' is not known to PROJ; state one by --crs, e.g. --crs EPSG:4547"
            ) from error
        if source.is_compound:
            source = source.sub_crs_list[0]
        if not (source.is_geographic or source.is_projected or source.is_derived):
            raise SourceRefused(f"CRS '{source.name}' has no place on Earth; state one by --crs, e.g. --crs EPSG:4547")
        if not _is_wgs84_like(source):
            transformer = pyproj.Transformer.from_crs(source.to_2d(), "EPSG:4326", always_xy=True)
            steps.append(lambda x, y: transformer.transform(x, y))
    if datum in TO_WGS84:
        steps.append(TO_WGS84[datum])
    if not steps:
        return None

    def convert(coordinates: npt.NDArray[Any]) -> npt.NDArray[Any]:
        x, y = coordinates[:, 0], coordinates[:, 1]
        for step in steps:
            x, y = step(x, y)
        return np.column_stack([x, y])

    return convert


def _is_wgs84_like(crs: pyproj.CRS) -> bool:
    """WGS 84 itself and CGCS2000, which coincide within the data's accuracy."""
    if crs.to_authority() in (
        ("EPSG", "4326"),
        ("OGC", "CRS84"),
        ("EPSG", "4490"),
        ("EPSG", "4979"),
        ("OGC", "CRS84h"),
    ):
        return True
    return bool(crs.is_geographic and crs.to_epsg(min_confidence=90) in (4326, 4490))


def check(
    geometry: Geometries,
    convert: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None,
    geometry_type: str,
    repairer: Repairer,
    *,
    may_be_missing: bool,
) -> Checked:
    """`geometry` as what a column of `geometry_type` (OGC name; Geometry takes all) stores, with reasons."""
    geometry = geometry.copy()
    bad: dict[int, tuple[str, str, str | None]] = {}

    def refuse(mask: npt.NDArray[np.bool_], code: str, reason: Callable[[int], tuple[str, str | None]]) -> None:
        for index in np.flatnonzero(mask):
            bad[int(index)] = (code, *reason(int(index)))
        geometry[mask] = None

    missing = shapely.is_missing(geometry)
    if not may_be_missing and missing.any():
        refuse(missing, "geometry/missing", lambda i: ("the row has no geometry", None))
    refuse(shapely.is_empty(geometry), "geometry/empty", lambda i: ("the geometry is empty", None))
    counts = shapely.get_num_coordinates(geometry)
    refuse(
        counts > MAX_VERTICES,
        "geometry/too-complex",
        lambda i: (f"{counts[i]} vertices; at most {MAX_VERTICES} are taken", None),
    )
    if shapely.has_z(geometry).any() or (shapely.get_coordinate_dimension(geometry) > 2).any():
        geometry = shapely.force_2d(geometry)
    if convert is not None and len(geometry):
        coordinates = shapely.get_coordinates(geometry)
        if len(coordinates):
            geometry = shapely.set_coordinates(geometry, convert(coordinates))
    bounds = shapely.bounds(geometry)
    with np.errstate(invalid="ignore"):
        lon_ok = (bounds[:, 0] >= -180.0) & (bounds[:, 2] <= 180.0)
        lat_ok = (bounds[:, 1] >= -90.0) & (bounds[:, 3] <= 90.0)
    present = ~shapely.is_missing(geometry)
    refuse(
        present & ~(lon_ok & lat_ok) & np.isfinite(bounds).all(axis=1),
        "geometry/out-of-range",
        lambda i: (
            "longitude lies outside -180…180"
            if not lon_ok[i]
            else "latitude lies outside -90…90; are longitude and latitude swapped?",
            _box(bounds[i]),
        ),
    )
    repaired = _mend(geometry, repairer, refuse)
    geometry = _typed(geometry, geometry_type, refuse)
    return Checked(geometry, bounds, bad, repaired)


def _box(bounds: npt.NDArray[Any]) -> str:
    return "(" + ", ".join(f"{v:.7g}" for v in bounds) + ")"


def _mend(
    geometry: Geometries,
    repairer: Repairer,
    refuse: _Refuse,
) -> dict[int, tuple[str, str]]:
    repaired: dict[int, tuple[str, str]] = {}
    invalid = ~shapely.is_valid(geometry) & ~shapely.is_missing(geometry)
    for index in np.flatnonzero(invalid):
        if not np.isfinite(shapely.get_coordinates(geometry[index])).all():
            mask = np.arange(len(geometry)) == index
            reason = "a coordinate is not a finite number (after conversion to WGS 84)"
            refuse(mask, "geometry/not-finite", lambda i: (reason, shapely.to_wkt(geometry[i])[:200]))  # noqa: B023
            continue
        reason = shapely.is_valid_reason(geometry[index])
        mended = repairer.mend(geometry[index])
        if mended is not None:
            mended = _largest_dimension(mended, shapely.get_dimensions(geometry[index]))
        mask = np.arange(len(geometry)) == index
        if mended is None:
            refuse(mask, "geometry/too-complex", lambda i: (f"invalid ({reason}) and not repaired within 1 s", None))  # noqa: B023
        elif mended.is_empty or not mended.is_valid:
            refuse(mask, "geometry/invalid", lambda i: (f"{reason}; nothing is left after repair", None))  # noqa: B023
        else:
            geometry[index] = mended
            repaired[int(index)] = ("geometry/repaired", f"{reason}; repaired by the structure method")
    return repaired


def _largest_dimension(geometry: shapely.Geometry, dimension: int) -> shapely.Geometry:
    """Of a collection that repair left, the parts of the dimension that the original had."""
    if geometry.geom_type != "GeometryCollection":
        return geometry if shapely.get_dimensions(geometry) == dimension else shapely.MultiPolygon()
    parts = [p for p in geometry.geoms if shapely.get_dimensions(p) == dimension]
    return shapely.union_all(parts) if parts else shapely.MultiPolygon()


def _typed(
    geometry: Geometries,
    geometry_type: str,
    refuse: _Refuse,
) -> Geometries:
    if geometry_type in ("Geometry", ""):
        return geometry
    kinds = shapely.get_type_id(geometry)
    wanted = _TYPE_IDS[geometry_type]
    if geometry_type not in MULTI:
        multi = {0: 4, 1: 5, 3: 6}[wanted]
        for index in np.flatnonzero((kinds == multi) & (shapely.get_num_geometries(geometry) == 1)):
            geometry[index] = shapely.get_geometry(geometry[index], 0)
    kinds = shapely.get_type_id(geometry)
    wrong = (kinds != wanted) & (kinds != MULTI.get(geometry_type, wanted)) & (kinds != -1)
    refuse(
        wrong,
        "geometry/type",
        lambda i: (f"{geometry[i].geom_type}, where a {geometry_type} is needed", None),
    )
    return geometry


SMALL_DEG = 0.01
"""Geometries lower than this have their area by the scale at their middle: error below 1e-5."""


def area_m2(geometry: Geometries, bounds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Areas on the WGS 84 ellipsoid of EPSG:4326 geometries with these `(n, 4)` bounds; nan for None."""
    with np.errstate(invalid="ignore"):
        phi = np.radians((bounds[:, 1] + bounds[:, 3]) / 2)
        w2 = 1 - _E2 * np.sin(phi) ** 2
        square_degree = np.radians(1.0) ** 2 * _A * _A * (1 - _E2) * np.cos(phi) / (w2 * w2)
        areas = np.asarray(shapely.area(geometry), dtype=np.float64) * square_degree
        large = np.flatnonzero(bounds[:, 3] - bounds[:, 1] > SMALL_DEG)
    if len(large):
        areas[large] = shapely.area(shapely.transform(geometry[large], _equal_area))
    return np.asarray(areas, dtype=np.float64)


def _equal_area(coordinates: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Metres of the cylindrical equal-area projection of longitude, latitude: exact for the ellipsoid."""
    sine = np.sin(np.radians(coordinates[:, 1]))
    q = (1 - _E2) * (sine / (1 - _E2 * sine * sine) - np.log((1 - _E * sine) / (1 + _E * sine)) / (2 * _E))
    return np.column_stack([_A * np.radians(coordinates[:, 0]), _A * q / 2])
