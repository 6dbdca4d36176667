"""What statistics are grouped by: a property, an area level, a bucket of time, a bin of numbers, a cell of a grid.

`group-by` is a list of such keys: `use`, `district`, `year(completed_on)`, `bin(height_m,10)`, `square(500)`, `hex(500)`.
"""

import re
from dataclasses import dataclass

from cim.bbox import parse_number
from cim.collections.areas import CODE_LENGTHS
from cim.errors import InvalidParameter, UnknownProperty
from cim.model import Collection, Kind, Property, Scope
from cim.query.cell_grid import KINDS, Grid
from cim.query.features import shown_properties
from cim.sql import Cast, Sql

MAX_KEYS = 3
BUCKETS = {
    "year": "YYYY",
    "quarter": 'YYYY-"Q"Q',
    "month": "YYYY-MM",
    "day": "YYYY-MM-DD",
    "hour": 'YYYY-MM-DD"T"HH24',
}
"""Unit of a time bucket → how its key is written (UTC)."""
MIN_CELL_M, MAX_CELL_M = 10.0, 1_000_000.0

_CALL = re.compile(r"([A-Za-z]+)\(([^()]*)\)")


@dataclass(frozen=True, slots=True)
class Grouping:
    """One key: `name` as the answer calls it, `key` an expression over a row of the collection.

    `area_level` and `grid` say that the groups have a shape, and which; the `key` of a grid is empty: it has steps.
    """

    name: str
    key: Sql
    is_text: bool = False
    area_level: str | None = None
    grid: Grid | None = None


def groupable(collection: Collection, scope: Scope) -> tuple[str, ...]:
    """Names that `group-by` takes as they are: properties with codes, area levels; others see `parse_groupings`."""
    coded = [p.name for p in shown_properties(collection, scope) if p.codes is not None]
    return (*coded, *(level for level in CODE_LENGTHS if level not in coded))


def parse_groupings(collection: Collection, scope: Scope, text: str, *, parameter: str = "group-by") -> list[Grouping]:
    """The keys of a `group-by` list. Raises InvalidParameter, UnknownProperty."""
    names = [name.strip() for name in re.split(r",(?![^(]*\))", text)]
    if len(names) > MAX_KEYS:
        raise InvalidParameter(parameter, text, f"at most {MAX_KEYS} keys")
    if len(set(names)) < len(names):
        raise InvalidParameter(parameter, text, "a key is given more than once")
    return [_grouping(collection, scope, name, parameter) for name in names]


def _grouping(collection: Collection, scope: Scope, name: str, parameter: str) -> Grouping:
    known = {p.name: p for p in shown_properties(collection, scope) if p.kind is not Kind.JSON}
    if name in known:
        return Grouping(name, Sql.of("{}", known[name].column), is_text=known[name].kind is Kind.TEXT)
    if name in CODE_LENGTHS:
        digits = Cast(CODE_LENGTHS[name], "int")
        key = Sql.of("CASE WHEN length(area_code) >= {} THEN left(area_code, {}) END", digits, digits)
        return Grouping(name, key, is_text=True, area_level=name)
    call = _CALL.fullmatch(name)
    if call is None:
        raise UnknownProperty(collection.id, name, [*known, *CODE_LENGTHS], parameter=parameter)
    function, arguments = call[1].lower(), [part.strip() for part in call[2].split(",")]
    if function in KINDS and len(arguments) == 1:
        return _cell(collection, name, function, arguments[0], parameter)
    if function in BUCKETS and len(arguments) == 1:
        return _bucket(collection, name, function, _of_kind(collection, known, arguments[0], parameter), parameter)
    if function == "bin" and len(arguments) == 2:
        return _bin(name, _of_kind(collection, known, arguments[0], parameter), arguments[1], parameter)
    allowed = (
        "must be properties, area levels, year|quarter|month|day|hour(property), bin(property,width), "
        "square(metres) or hex(metres)"
    )
    raise InvalidParameter(parameter, name, allowed)


def _of_kind(collection: Collection, known: dict[str, Property], name: str, parameter: str) -> Property:
    if name not in known:
        raise UnknownProperty(collection.id, name, known, parameter=parameter)
    return known[name]


def _bucket(collection: Collection, name: str, unit: str, declared: Property, parameter: str) -> Grouping:
    kinds = (Kind.INSTANT,) if unit == "hour" else (Kind.DATE, Kind.INSTANT)
    if declared.kind not in kinds:
        times = [p.name for p in collection.properties if p.kind in kinds]
        raise InvalidParameter(parameter, name, f"{unit} takes one of {', '.join([*times, 'valid_from', 'valid_to'])}")
    moment = Sql.of("{}", declared.column)
    if declared.kind is Kind.INSTANT:
        moment = Sql.of("({} AT TIME ZONE 'UTC')", moment)
    return Grouping(name, Sql.of("to_char({}, {})", moment, Cast(BUCKETS[unit], "text")), is_text=True)


def _bin(name: str, declared: Property, width_text: str, parameter: str) -> Grouping:
    width = parse_number(width_text)
    if declared.kind not in (Kind.INTEGER, Kind.NUMBER):
        raise InvalidParameter(parameter, name, "bin takes a property that is a number")
    if width is None or width <= 0:
        raise InvalidParameter(parameter, name, "the width of a bin is a number above 0")
    return Grouping(name, bin_of(declared, width))


def bin_of(declared: Property, width: float) -> Sql:
    """Lower edge of the bin that the value lies in, edges included below and not above."""
    return Sql.of(
        "floor({} / {}) * {}",
        Sql.of("{}::float8", declared.column),
        Cast(width, "float8"),
        Cast(width, "float8"),
    )


def _cell(collection: Collection, name: str, kind: str, size_text: str, parameter: str) -> Grouping:
    size_m = parse_number(size_text)
    if size_m is None or not MIN_CELL_M <= size_m <= MAX_CELL_M:
        raise InvalidParameter(parameter, name, f"a cell's edge is {MIN_CELL_M:.0f} to {MAX_CELL_M:.0f} metres")
    bounds = collection.extent.bounds_crs84
    latitude = 0 if bounds is None else max(-80, min(80, round((bounds[1] + bounds[3]) / 2)))
    return Grouping(name, Sql(), grid=Grid(kind, size_m, latitude))
