"""Where a table says its rows are: longitude and latitude columns, or a column of WKT.

Shared by CSV, spreadsheets and plain Parquet. Columns are taken from the options or found by their names in
English and Chinese; eastings and northings, and WKT, need a stated CRS.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from shapely.errors import ShapelyError

from cim.db.rejections import PLACE
from cim.errors import SourceRefused
from cim.quoting import nearest
from loaders.base import MAX_CHOICES, Batch, Rejection, SourceOptions
from loaders.mapping import plain
from loaders.reference import CRS84, HOW, by_rule, settle
from loaders.wkb import MAX_NESTING

_DEGREES = (
    ("longitude", "latitude"),
    ("lon", "lat"),
    ("lng", "lat"),
    ("long", "lat"),
    ("经度", "纬度"),
    ("經度", "緯度"),
    ("coordinates longitude", "coordinates latitude"),
    ("location longitude", "location latitude"),
    ("x coordinate longitude", "y coordinate latitude"),
    ("gps lon", "gps lat"),
    ("gps lng", "gps lat"),
    ("wgs84 lon", "wgs84 lat"),
    ("wgs84 lng", "wgs84 lat"),
    ("lon wgs84", "lat wgs84"),
    ("lng wgs84", "lat wgs84"),
    ("point lon", "point lat"),
    ("经度坐标", "纬度坐标"),
    ("东经", "北纬"),
    ("jd", "wd"),
)
_GRID = (
    ("easting", "northing"),
    ("东坐标", "北坐标"),
    ("x coordinate", "y coordinate"),
    ("coord x", "coord y"),
    ("point x", "point y"),
    ("x坐标", "y坐标"),
    ("坐标x", "坐标y"),
    ("x", "y"),
)
_WKT = (
    "wkt",
    "geometry",
    "geom",
    "the geom",
    "geometry wkt",
    "wkt geometry",
    "几何",
    "图形",
    "坐标",
    "shape",
    "location",
)

_PAIR = ("location", "coordinates", "coordinate", "坐标", "经纬度", "位置坐标", "lnglat", "lonlat", "latlng", "latlon")
_PAIR_TEXT = r"^[\s(\[]*(?P<a>[+-]?\d+(?:\.\d+)?)[\s,，;]+(?P<b>[+-]?\d+(?:\.\d+)?)[\s)\]]*$"

_WKT_START = re.compile(
    r"\s*(SRID=(\d+);)?\s*(POINT|LINESTRING|POLYGON|MULTI(?:POINT|LINESTRING|POLYGON)|GEOMETRYCOLLECTION)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Place:
    """The columns that hold the place: `x` and `y`, `wkt`, or `pair` (two numbers in one text); and their CRS."""

    crs: str
    x: str | None = None
    y: str | None = None
    wkt: str | None = None
    pair: str | None = None
    pair_is_lon_first: bool = True
    notes: tuple[str, ...] = ()

    @property
    def geometry_type(self) -> str:
        """Point for two numbers; a WKT column may hold anything."""
        return "Point" if self.wkt is None else "Geometry"


def find_place(sample: pa.Table, options: SourceOptions, what: str) -> Place | None:
    """The place columns of a table, or None for a table without a place. `sample` is its first batch.

    Raises SourceRefused for an option that names no column, and for a place whose CRS is not known.
    """
    names = sample.column_names
    if options.wkt is not None:
        return _wkt_place(_named(names, options.wkt, "wkt"), sample, options, what)
    if options.lon is not None or options.lat is not None:
        if options.lon is None or options.lat is None:
            raise SourceRefused("--lon and --lat go together", parameter="lon" if options.lon is None else "lat")
        x, y = _named(names, options.lon, "lon"), _named(names, options.lat, "lat")
        return _degrees(x, y, sample, options, what)
    if PLACE in names:
        return _wkt_place(PLACE, sample, options, what)
    by_name = {plain(name): name for name in reversed(names)}
    for one, other in _DEGREES:
        if one in by_name and other in by_name:
            return _beside(_degrees(by_name[one], by_name[other], sample, options, what), by_name)
    for word in _WKT:
        if word in by_name and _looks_like_wkt(sample.column(by_name[word])):
            return _wkt_place(by_name[word], sample, options, what)
    for word in _PAIR:
        if word in by_name and (place := _pair_place(by_name[word], sample, options, what)):
            return place
    for one, other in _GRID:
        if (
            one in by_name
            and other in by_name
            and (options.crs is not None or _all_numbers(sample, by_name, one, other))
        ):
            crs, notes = settle(None, options, f"{what}: columns {by_name[one]} and {by_name[other]}: it")
            note = f"{by_name[one]} is the easting, {by_name[other]} the northing, in {crs}"
            return Place(crs, by_name[one], by_name[other], notes=(note, *notes))
    return None


def _beside(place: Place, by_name: dict[str, str]) -> Place:
    """`place` with a note of a second pair of columns that could hold it too."""
    for one, other in _GRID[:-1]:
        if one in by_name and other in by_name:
            note = f"{by_name[one]} and {by_name[other]} are not used; use them by --lon, --lat and --crs"
            return replace(place, notes=(*place.notes, note))
    return place


def _named(names: Sequence[str], wanted: str, option: str) -> str:
    if wanted in names:
        return wanted
    hint = nearest(wanted, names)
    raise SourceRefused(
        f"--{option} {wanted[:80]}: no such column" + (f"; did you mean '{hint}'?" if hint else "")
        + f" Columns: {', '.join(names)[:400]}",
        parameter=option,
        facts={"choices": list(names[:MAX_CHOICES])},
    )  # fmt: skip


def _all_numbers(sample: pa.Table, by_name: dict[str, str], one: str, other: str) -> bool:
    return all(np.isfinite(numbers(sample.column(by_name[name]))).any() for name in (one, other))


def _degrees(x: str, y: str, sample: pa.Table, options: SourceOptions, what: str) -> Place:
    if options.crs is not None:
        crs, notes = settle(None, options, what)
        return Place(crs, x, y, notes=(f"{x} and {y} are in {crs}", *notes))
    with np.errstate(invalid="ignore"):
        far = np.abs(numbers(sample.column(x))) > 400, np.abs(numbers(sample.column(y))) > 400
    if far[0].sum() > len(sample) / 2 or far[1].sum() > len(sample) / 2:
        raise SourceRefused(f"{what}: {x} and {y} hold no degrees and no CRS is stated; {HOW}", parameter="crs")
    return Place(CRS84, x, y, notes=(f"{x} and {y} are taken as WGS 84 degrees",))


def _wkt_place(column: str, sample: pa.Table, options: SourceOptions, what: str) -> Place:
    found = next((m for v in sample.column(column).to_pylist() if v and (m := _WKT_START.match(str(v)))), None)
    code = f"EPSG:{found.group(2)}" if found and found.group(2) else None
    crs, notes = settle(code, options, f"{what}: the WKT of column {column}")
    return Place(crs, wkt=column, notes=(f"{column} holds WKT in {crs}", *notes))


def _pair_place(column: str, sample: pa.Table, options: SourceOptions, what: str) -> Place | None:
    """Two degrees in one text, where the values themselves tell which is the longitude; None otherwise."""
    first, second = _pairs(sample.column(column))
    known = np.isfinite(first) & np.isfinite(second)
    if not known.any() or pa.types.is_nested(sample.column(column).type):
        return None
    is_lon_first = bool((np.abs(first[known]) > 90).any())
    is_lat_first = bool((np.abs(second[known]) > 90).any())
    if is_lon_first == is_lat_first or max(np.abs(first[known]).max(), np.abs(second[known]).max()) > 180:
        return None
    order = "longitude, latitude" if is_lon_first else "latitude, longitude"
    crs, notes = by_rule(CRS84, options, what)
    note = f"{column} holds {order} (one of them is beyond 90) in {crs}"
    return Place(crs, pair=column, pair_is_lon_first=is_lon_first, notes=(note, *notes))


def _pairs(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The two numbers of each text, nan where it is no pair."""
    parts = pc.extract_regex(column.cast(pa.string()), _PAIR_TEXT)
    return numbers(pc.struct_field(parts, "a")), numbers(pc.struct_field(parts, "b"))


def _looks_like_wkt(column: pa.ChunkedArray) -> bool:
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        return False
    values = [v for v in column.slice(0, 100).to_pylist() if v]
    return bool(values) and sum(bool(_WKT_START.match(v)) for v in values) * 2 > len(values)


def numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """A column as `(n,) float64`; nan for null and for what is no number."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    try:
        return np.asarray(text.cast(pa.float64()).to_numpy(), dtype=np.float64)
    except pa.ArrowInvalid:
        return np.array([_number(value) for value in text.to_pylist()], dtype=np.float64)


def _number(value: str | None) -> float:
    try:
        return float("nan") if value is None or "_" in value else float(value)
    except ValueError:
        return float("nan")


def placed(table: pa.Table, place: Place | None, rows: npt.NDArray[np.int64]) -> Batch:
    """A batch of a table whose place, if any, is in its columns."""
    if place is None:
        return Batch(table, np.full(len(rows), None, dtype=object), rows)
    geometry, bad = geometries(table, place, rows)
    if not bad:
        return Batch(table, geometry, rows)
    kept = np.ones(len(rows), bool)
    kept[list(bad)] = False
    rejections: tuple[Rejection, ...] = tuple(bad[index] for index in sorted(bad))
    return Batch(table.filter(pa.array(kept)), geometry[kept], rows[kept], rejections)


def geometries(
    table: pa.Table, place: Place, rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[Any], dict[int, Rejection]]:
    """`(n,)` geometries, None where the place is empty; index → rejection where it is not one."""
    if place.wkt is not None:
        return _from_wkt(table, place.wkt, rows)
    return _from_pairs(table, place, rows) if place.pair is not None else _from_numbers(table, place, rows)


def _from_pairs(
    table: pa.Table, place: Place, rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[Any], dict[int, Rejection]]:
    assert place.pair is not None
    first, second = _pairs(table.column(place.pair))
    x, y = (first, second) if place.pair_is_lon_first else (second, first)
    bad: dict[int, Rejection] = {}
    for index in np.flatnonzero(~(np.isfinite(x) & np.isfinite(y))).tolist():
        raw = table.column(place.pair)[index].as_py()
        if raw is not None and raw.strip():
            reason = f"{place.pair} is not a pair of numbers"
            bad[index] = _rejection(table, rows, index, "geometry/invalid", reason, place.pair, raw)
    return _points(x, y), bad


def _from_numbers(
    table: pa.Table, place: Place, rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[Any], dict[int, Rejection]]:
    assert place.x is not None
    assert place.y is not None
    x, y = numbers(table.column(place.x)), numbers(table.column(place.y))
    bad: dict[int, Rejection] = {}
    for name, values in ((place.y, y), (place.x, x)):
        for index in np.flatnonzero(~np.isfinite(values)):
            raw = table.column(name)[int(index)].as_py()
            if raw is not None and str(raw).strip().lower() not in ("", "na", "n/a", "null", "none", "-"):
                reason = f"{name} is not a finite number"
                bad[int(index)] = _rejection(table, rows, int(index), "geometry/not-finite", reason, name, str(raw))
    return _points(x, y), bad


def _points(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """`(n,)` points, None where a number is missing."""
    geometry = np.full(len(x), None, dtype=object)
    present = np.isfinite(x) & np.isfinite(y)
    geometry[present] = shapely.points(x[present], y[present])
    return geometry


def _from_wkt(table: pa.Table, name: str, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], dict[int, Rejection]]:
    texts = table.column(name).cast(pa.string()).to_pylist()
    bad: dict[int, Rejection] = {}
    for index, text in enumerate(texts):
        if text is None or not text.strip():
            texts[index] = None
            continue
        if (depth := wkt_depth(text)) > 3 + MAX_NESTING:
            reason = f"parentheses nested {depth} deep; at most {3 + MAX_NESTING} are taken"
            bad[index] = _rejection(table, rows, index, "geometry/nesting", reason, name, text)
            texts[index] = None
        elif ";" in text[:20]:
            texts[index] = text.partition(";")[2]
    geometry = np.asarray(shapely.from_wkt(texts, on_invalid="ignore"), dtype=object)
    for missing in np.flatnonzero(shapely.is_missing(geometry)):
        index = int(missing)
        text = texts[index]
        if text is not None:
            reason = f"{name} is not WKT: {_why(text)}"
            bad[index] = _rejection(table, rows, index, "geometry/invalid", reason, name, text)
    return geometry, bad


def _why(text: str) -> str:
    try:
        shapely.from_wkt(text)
    except (ShapelyError, ValueError) as error:
        return str(error).strip()[:150]
    return "no geometry"


def wkt_depth(text: str) -> int:
    """The deepest nesting of parentheses."""
    if text.count("(") <= MAX_NESTING:
        return text.count("(")
    raw = np.frombuffer(text.encode(), np.uint8)
    return int(np.cumsum((raw == 40).astype(np.int64) - (raw == 41)).max(initial=0))


def _rejection(
    table: pa.Table, rows: npt.NDArray[np.int64], index: int, code: str, reason: str, field: str, value: str
) -> Rejection:
    properties = {name: _shown(table.column(name)[index].as_py()) for name in table.column_names}
    original = {"type": "Feature", "geometry": None, "properties": properties}
    return Rejection(int(rows[index]), code, reason, field, value[:200], original)


def _shown(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
