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

MAX_VERTICES = 500_000
"""A geometry with more is `geometry/too-complex`."""

_POLYGON, _MULTIPOLYGON = 3, 6
_TYPE_IDS = {"Point": 0, "LineString": 1, "Polygon": 3, "MultiPoint": 4, "MultiLineString": 5, "MultiPolygon": 6}
_MULTI = {"MultiPolygon": 3, "MultiLineString": 1, "MultiPoint": 0}
_A = 6378137.0
_E2 = 0.00669437999014
_E = np.sqrt(_E2)


@dataclass(slots=True)
class Checked:
    """`geometry` in EPSG:4326 (None where bad), reasons of bad rows and of repairs: index → (code, reason, value)."""

    geometry: Geometries
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
    finite = np.isfinite(shapely.get_coordinates(geometry)).all() or np.array(
        [g is None or bool(np.isfinite(shapely.get_coordinates(g)).all()) for g in geometry]
    )
    refuse(
        present & ~finite,
        "geometry/not-finite",
        lambda i: ("a coordinate is not a finite number (after conversion to WGS 84)", _box(bounds[i])),
    )
    present = ~shapely.is_missing(geometry)
    refuse(
        present & ~(lon_ok & lat_ok),
        "geometry/out-of-range",
        lambda i: (
            "longitude lies outside -180…180"
            if not lon_ok[i]
            else "latitude lies outside -90…90; are longitude and latitude swapped?",
            _box(bounds[i]),
        ),
    )
    repaired = _mend(geometry, repairer, refuse, bad)
    geometry = _typed(geometry, geometry_type, refuse)
    return Checked(geometry, bad, repaired)


def _box(bounds: npt.NDArray[Any]) -> str:
    return "(" + ", ".join(f"{v:.7g}" for v in bounds) + ")"


def _mend(
    geometry: Geometries,
    repairer: Repairer,
    refuse: Callable[[npt.NDArray[np.bool_], str, Callable[[int], tuple[str, str | None]]], None],
    bad: dict[int, tuple[str, str, str | None]],
) -> dict[int, tuple[str, str]]:
    repaired: dict[int, tuple[str, str]] = {}
    invalid = ~shapely.is_valid(geometry) & ~shapely.is_missing(geometry)
    for index in np.flatnonzero(invalid):
        reason = shapely.is_valid_reason(geometry[index])
        mended = repairer.mend(geometry[index])
        if mended is not None:
            mended = _largest_dimension(mended, shapely.get_dimensions(geometry[index]))
        mask = np.zeros(len(geometry), bool)
        mask[index] = True
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
    refuse: Callable[[npt.NDArray[np.bool_], str, Callable[[int], tuple[str, str | None]]], None],
) -> Geometries:
    if geometry_type in ("Geometry", ""):
        return geometry
    kinds = shapely.get_type_id(geometry)
    wanted = _TYPE_IDS[geometry_type]
    single = _MULTI.get(geometry_type)
    if single is not None:
        where = np.flatnonzero(kinds == single)
        if len(where):
            maker = {3: shapely.multipolygons, 1: shapely.multilinestrings, 0: shapely.multipoints}[single]
            geometry[where] = maker(geometry[where], indices=np.arange(len(where)))
    else:
        multi = {0: 4, 1: 5, 3: 6}[wanted]
        for index in np.flatnonzero((kinds == multi) & (shapely.get_num_geometries(geometry) == 1)):
            geometry[index] = shapely.get_geometry(geometry[index], 0)
    kinds = shapely.get_type_id(geometry)
    wrong = (kinds != wanted) & (kinds != -1)
    refuse(
        wrong,
        "geometry/type",
        lambda i: (f"{geometry[i].geom_type}, where a {geometry_type} is needed", None),
    )
    return geometry


def area_m2(geometry: Geometries) -> npt.NDArray[np.float64]:
    """Areas on the WGS 84 ellipsoid of EPSG:4326 geometries, by the cylindrical equal-area projection.

    Exact for the ellipsoid but for edges being straight in that projection: below 1e-6 for a building.
    """
    coordinates = shapely.get_coordinates(geometry)
    if not len(coordinates):
        return np.zeros(len(geometry))
    sine = np.sin(np.radians(coordinates[:, 1]))
    q = (1 - _E2) * (sine / (1 - _E2 * sine * sine) - np.log((1 - _E * sine) / (1 + _E * sine)) / (2 * _E))
    flat = np.column_stack([_A * np.radians(coordinates[:, 0]), _A * q / 2])
    # areas are sums of small differences of large numbers: move each geometry near the origin
    owner = np.repeat(np.arange(len(geometry)), shapely.get_num_coordinates(geometry))
    first = np.concatenate([[True], owner[1:] != owner[:-1]])
    origin = flat[first][np.cumsum(first) - 1]
    return np.asarray(shapely.area(shapely.set_coordinates(geometry.copy(), flat - origin)), dtype=np.float64)
