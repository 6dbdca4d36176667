"""Where an IFC model stands: one rule of precedence, and what was used is said.

IfcMapConversion with its IfcProjectedCRS comes first, then the property sets ePSet_MapConversion and ePSet_ProjectedCRS
(buildingSMART's form for IFC 2x3), then latitude and longitude of IfcSite, then what the caller states. A program's
default site and 0, 0 are no places.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ifcopenshell.util.element
import ifcopenshell.util.placement
import ifcopenshell.util.unit
import numpy as np
import numpy.typing as npt
import pyproj

from loaders.base import SourceOptions
from loaders.citymodel_crs import code_of
from loaders.reference import settle

Points = npt.NDArray[np.float64]

_DISAGREEMENT_M = 1_000.0
_SAME_DEGREES = 2e-4
_DEFAULT_SITES = (
    (42.358662, -71.056740, "Revit's default site (Boston, 42°21'31.18\" N 71°3'24.26\" W)"),
    (0.0, 0.0, "0° N 0° E"),
)
HOW = "give the site by --lon and --lat in degrees, or --crs where the model's coordinates are map coordinates"


@dataclass(frozen=True, slots=True)
class Place:
    """`to_degrees` takes `(n, 2)` model coordinates in project units to lon, lat. `source` says what was used."""

    to_degrees: Callable[[Points], Points]
    source: str


@dataclass(frozen=True, slots=True)
class NoPlace:
    """Why a model cannot be put on a map; `code` is that of the rejection."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class MapConversion:
    """From project units to a map: eastings and northings in map units, direction of the x axis, scale."""

    crs: str | None
    eastings: float
    northings: float
    abscissa: float
    ordinate: float
    scale: float | None
    map_unit_m: float | None
    source: str


def place_of(model: Any, options: SourceOptions, what: str) -> tuple[Place | NoPlace, list[str]]:
    """The place of a model and notes. Raises SourceRefused for a map CRS that PROJ does not know."""
    notes: list[str] = []
    unit_m = float(ifcopenshell.util.unit.calculate_unit_scale(model))
    conversion = _map_conversion(model) or _property_sets(model)
    site = next((s for s in model.by_type("IfcSite") if s.RefLatitude and s.RefLongitude), None)
    latlon = (degrees(site.RefLatitude), degrees(site.RefLongitude)) if site is not None else None
    default = _default_site(*latlon) if latlon else None
    if conversion is not None:
        place, used_notes = _by_conversion(conversion, unit_m, options, what)
        notes += used_notes
        if latlon and not default:
            notes += _disagreement(place, latlon, conversion.source)
        return place, notes
    if latlon and not default:
        return _by_site(model, *latlon, site, unit_m, "IfcSite RefLatitude, RefLongitude"), notes
    if default:
        notes.append(f"IfcSite lies at {default}: a default of the program, not a place")
    stated = _stated(model, options, unit_m, what)
    if stated is not None:
        return stated, notes
    if default:
        return NoPlace("place/default", f"IfcSite lies at {default}, a default and not a place; {HOW}"), notes
    return NoPlace("place/missing", f"the model has no map conversion and no latitude and longitude; {HOW}"), notes


def degrees(parts: Any) -> float:
    """Degrees of an IfcCompoundPlaneAngleMeasure (degrees, minutes, seconds, millionths; all of one sign)."""
    sign = -1.0 if any(p < 0 for p in parts) else 1.0
    sizes = (1.0, 60.0, 3600.0, 3600.0e6)
    return float(sign * sum(abs(p) / size for p, size in zip(parts, sizes, strict=False)))


def _default_site(lat: float, lon: float) -> str | None:
    return next(
        (text for y, x, text in _DEFAULT_SITES if abs(lat - y) < _SAME_DEGREES and abs(lon - x) < _SAME_DEGREES), None
    )


def _map_conversion(model: Any) -> MapConversion | None:
    try:
        found = model.by_type("IfcMapConversion")
    except RuntimeError:  # IFC 2x3 has no such class
        return None
    if not found:
        return None
    conversion = found[0]
    crs = conversion.TargetCRS
    unit = getattr(crs, "MapUnit", None)
    return MapConversion(
        crs=crs.Name,
        eastings=float(conversion.Eastings),
        northings=float(conversion.Northings),
        abscissa=float(1.0 if conversion.XAxisAbscissa is None else conversion.XAxisAbscissa),
        ordinate=float(0.0 if conversion.XAxisOrdinate is None else conversion.XAxisOrdinate),
        scale=conversion.Scale,
        map_unit_m=_unit_m(unit) if unit is not None else None,
        source="IfcMapConversion",
    )


def _unit_m(unit: Any) -> float:
    """Metres of an IfcSIUnit or IfcConversionBasedUnit of length."""
    if unit.is_a("IfcConversionBasedUnit"):
        factor = unit.ConversionFactor
        return float(factor.ValueComponent.wrappedValue) * _unit_m(factor.UnitComponent)
    return float(ifcopenshell.util.unit.get_prefix_multiplier(unit.Prefix)) if unit.Prefix else 1.0


def _property_sets(model: Any) -> MapConversion | None:
    for holder in [*model.by_type("IfcSite"), *model.by_type("IfcProject")]:
        sets = {name.lower(): values for name, values in ifcopenshell.util.element.get_psets(holder).items()}
        found, crs = sets.get("epset_mapconversion"), sets.get("epset_projectedcrs")
        if not found or "Eastings" not in found or "Northings" not in found:
            continue
        return MapConversion(
            crs=str(crs["Name"]) if crs and crs.get("Name") else None,
            eastings=float(found["Eastings"]),
            northings=float(found["Northings"]),
            abscissa=float(found.get("XAxisAbscissa", 1.0)),
            ordinate=float(found.get("XAxisOrdinate", 0.0)),
            scale=found.get("Scale"),
            map_unit_m=None,
            source="ePSet_MapConversion",
        )
    return None


def _by_conversion(
    conversion: MapConversion, unit_m: float, options: SourceOptions, what: str
) -> tuple[Place, list[str]]:
    code, notes = settle(code_of(conversion.crs) if conversion.crs else None, options, what)
    crs = pyproj.CRS.from_user_input(code)
    crs = (crs.sub_crs_list[0] if crs.is_compound else crs).to_2d()
    crs_unit_m = float(crs.axis_info[0].unit_conversion_factor)
    map_unit_m = conversion.map_unit_m or crs_unit_m
    units = unit_m / map_unit_m
    scale = 1.0 if conversion.scale is None else float(conversion.scale)
    if abs(scale - 1.0) < 0.01 and not math.isclose(units, 1.0, rel_tol=1e-6):
        scale *= units
        notes = [
            *notes,
            f"Scale of {conversion.source} leaves out the units: a model unit is taken as {units:g} map units",
        ]
    length = math.hypot(conversion.abscissa, conversion.ordinate) or 1.0
    cos, sin = conversion.abscissa / length * scale, conversion.ordinate / length * scale
    transformer = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    to_crs = map_unit_m / crs_unit_m

    def to_degrees(points: Points) -> Points:
        x = conversion.eastings + cos * points[:, 0] - sin * points[:, 1]
        y = conversion.northings + sin * points[:, 0] + cos * points[:, 1]
        return np.column_stack(transformer.transform(x * to_crs, y * to_crs))

    return Place(to_degrees, f"{conversion.source}, {conversion.crs or code}"), notes


def _disagreement(place: Place, latlon: tuple[float, float], source: str) -> list[str]:
    """A note where the map conversion and IfcSite put the model more than 1 km apart."""
    lon, lat = place.to_degrees(np.zeros((1, 2)))[0]
    if not np.isfinite([lon, lat]).all():
        return []
    _, _, apart_m = pyproj.Geod(ellps="WGS84").inv(lon, lat, latlon[1], latlon[0])
    if apart_m <= _DISAGREEMENT_M:
        return []
    return [
        f"two places that are {apart_m / 1000:,.0f} km apart: {source} says {lat:.5f}, {lon:.5f}, IfcSite says "
        f"{latlon[0]:.5f}, {latlon[1]:.5f}; {source} is used"
    ]


def _by_site(model: Any, lat: float, lon: float, site: Any, unit_m: float, source: str) -> Place:
    """Around a point on Earth: the site's origin lies there, y is turned to true north."""
    placement = site.ObjectPlacement if site is not None else None
    matrix = np.array(ifcopenshell.util.placement.get_local_placement(placement)) if placement else np.eye(4)
    origin = matrix[:2, 3]
    contexts = model.by_type("IfcGeometricRepresentationContext", include_subtypes=False)
    north = next((c.TrueNorth.DirectionRatios for c in contexts if c.TrueNorth is not None), (0.0, 1.0))
    length = math.hypot(north[0], north[1]) or 1.0
    north_x, north_y = north[0] / length, north[1] / length
    local = pyproj.CRS.from_proj4(f"+proj=aeqd +lat_0={lat!r} +lon_0={lon!r} +datum=WGS84 +units=m")
    transformer = pyproj.Transformer.from_crs(local, "EPSG:4326", always_xy=True)

    def to_degrees(points: Points) -> Points:
        moved = (points - origin) * unit_m
        east = moved[:, 0] * north_y - moved[:, 1] * north_x
        return np.column_stack(transformer.transform(east, moved[:, 0] * north_x + moved[:, 1] * north_y))

    return Place(to_degrees, source)


def _stated(model: Any, options: SourceOptions, unit_m: float, what: str) -> Place | None:
    """What the caller says: lon and lat as numbers, or a CRS that the model's coordinates are in."""
    try:
        lon, lat = float(options.lon or ""), float(options.lat or "")
    except ValueError:
        lon = lat = math.nan
    if -180 <= lon <= 180 and -90 <= lat <= 90:
        site = next(iter(model.by_type("IfcSite")), None)
        return _by_site(model, lat, lon, site, unit_m, "stated: --lon and --lat")
    if options.crs is None:
        return None
    conversion = MapConversion(None, 0.0, 0.0, 1.0, 0.0, None, None, "model coordinates")
    place, _ = _by_conversion(conversion, unit_m, options, what)
    return Place(place.to_degrees, f"stated: model coordinates in {options.crs}")
