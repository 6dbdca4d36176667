"""One column of a source → one column of the kind a property wants, and the rows that cannot be.

All functions work on whole Arrow columns; per-row Python runs only over the values that the fast way refused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cim.model import Kind, Property
from loaders import years

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "—", "无", "<null>"})
"""Texts that mean "no value" (lower case, stripped)."""

_ARROW = {
    Kind.TEXT: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATE: pa.date32(),
    Kind.INSTANT: pa.timestamp("us", tz="UTC"),
    Kind.JSON: pa.string(),
}

_METRES = {
    "": 1.0,
    "m": 1.0,
    "米": 1.0,
    "metre": 1.0,
    "metres": 1.0,
    "meters": 1.0,
    "ft": 0.3048,
    "'": 0.3048,
    "feet": 0.3048,
}
_NUMBER = re.compile(r"([+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s]*)")
_DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y年%m月%d日",
    "%Y%m%d",
    "%m/%d/%Y",
    "%Y-%m",
    "%Y/%m",
    "%Y年%m月",
    "%Y年",
    "%Y",
)
_INSTANT_FORMATS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y-%m-%d %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%Y%m%d%H%M%S",
)


class Unconvertible(ValueError):
    """One value that a property's kind cannot hold; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Converted:
    """`column` has the property's Arrow type and a null in each row of `failures` (index → value, reason).

    `rough`: rows whose text says less or more than the value does (`before 1939`, `1980年代`).
    """

    column: pa.Array
    failures: dict[int, tuple[str, str]]
    rough: frozenset[int] = frozenset()


def arrow_type(kind: Kind) -> pa.DataType:
    """The Arrow type in which the pipeline holds a property of `kind`."""
    return _ARROW[kind]


def flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array, dictionary decoded."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def convert(column: pa.Array, target: Property, *, factor: float | None = None, zone: str | None = None) -> Converted:
    """`column` as the kind of `target`, times `factor` for numbers.

    `zone` is the IANA name that instants without an offset are in; without it such a value fails.
    """
    column = flat(column)
    kind = target.kind
    if pa.types.is_null(column.type):
        return Converted(pa.nulls(len(column), _ARROW[kind]), {})
    if pa.types.is_nested(column.type):
        column = pa.array([None if v is None else _dumps(v) for v in column.to_pylist()], pa.string())
    if kind in (Kind.TEXT, Kind.JSON) and not pa.types.is_string(column.type):
        column = _as_text(column)
    fast = _fast(column, kind)
    converted = _slow(column, target, zone) if fast is None else Converted(fast, {})
    if factor is not None and kind in (Kind.NUMBER, Kind.INTEGER):
        scaled = pc.multiply(converted.column.cast(pa.float64()), factor)
        if kind is Kind.INTEGER:
            scaled = pc.round(scaled)
        converted = Converted(scaled.cast(_ARROW[kind]), converted.failures, converted.rough)
    return _in_range(converted, target)


def _dumps(value: Any) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return pa.array([None if v is None else v.hex() for v in column.to_pylist()], pa.string())
    if pa.types.is_floating(column.type):
        # 1001.0 as an id or code is a spreadsheet's way to write 1001
        values = column.to_pylist()
        return pa.array([_float_text(v) for v in values], pa.string())
    return column.cast(pa.string())


def _float_text(value: float | None) -> str | None:
    if value is None or value != value:
        return None
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _fast(column: pa.Array, kind: Kind) -> pa.Array | None:
    """The whole column at once, or None when some value needs a closer look."""
    source = column.type
    if pa.types.is_large_string(source) or pa.types.is_string_view(source):
        column = column.cast(pa.string())
        source = column.type
    if kind is Kind.JSON:
        return None
    if kind is Kind.TEXT:
        if pc.any(pc.match_substring(column, "\x00")).as_py():
            return None
        trimmed = pc.utf8_trim_whitespace(column)
        return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
    try:
        if kind is Kind.NUMBER and (
            pa.types.is_integer(source) or pa.types.is_floating(source) or pa.types.is_decimal(source)
        ):
            number = column.cast(pa.float64())
            return pc.if_else(pc.is_finite(number), number, None)
        if kind is Kind.INTEGER and (
            pa.types.is_integer(source) or pa.types.is_floating(source) or pa.types.is_decimal(source)
        ):
            if pa.types.is_floating(source):
                column = pc.if_else(pc.is_finite(column), column, None)
            return column.cast(pa.int64())
        if kind in (Kind.NUMBER, Kind.INTEGER) and pa.types.is_string(source):
            text = pc.utf8_trim_whitespace(column)
            return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text).cast(_ARROW[kind])
        if kind is Kind.BOOLEAN and (pa.types.is_boolean(source) or pa.types.is_integer(source)):
            return column.cast(pa.bool_())
        if kind is Kind.DATE and (pa.types.is_date(source) or pa.types.is_timestamp(source)):
            return column.cast(pa.date32())
        if kind is Kind.INSTANT and pa.types.is_timestamp(source) and source.tz:
            return column.cast(_ARROW[kind])
    except pa.ArrowInvalid:
        return None
    return None


def _slow(column: pa.Array, target: Property, zone: str | None) -> Converted:
    parse = _PARSERS[target.kind]
    values: list[Any] = []
    failures: dict[int, tuple[str, str]] = {}
    rough: set[int] = set()
    for index, raw in enumerate(column.to_pylist()):
        if raw is None or (isinstance(raw, str) and raw.strip().lower() in MISSING):
            values.append(None)
            continue
        if target.name == "year_built" and (said := years.read_year(str(raw))) is not None:
            values.append(said.year)
            if said.is_rough:
                rough.add(index)
            continue
        try:
            values.append(parse(raw, target, zone))
        except Unconvertible as error:
            values.append(None)
            failures[index] = (str(raw), str(error))
    return Converted(pa.array(values, _ARROW[target.kind]), failures, frozenset(rough))


def _parse_number(raw: Any, target: Property, zone: str | None) -> float | None:
    if isinstance(raw, (int, float)):
        return float(raw) if np.isfinite(raw) else None
    match = _NUMBER.fullmatch(str(raw).strip())
    unit = match.group(2).lower() if match else ""
    if match and target.unit == "m" and unit in _METRES:
        return float(match.group(1)) * _METRES[unit]
    if not match or unit not in ("", (target.unit or "").lower(), "%", "㎡", "m²", "层"):
        expected = f"a number in {target.unit}" if target.unit else "a number"
        raise Unconvertible(f"{target.name} takes {expected}")
    number = float(match.group(1))
    if not np.isfinite(number):
        raise Unconvertible(f"{target.name} takes a finite number")
    return number


def _parse_integer(raw: Any, target: Property, zone: str | None) -> int | None:
    number = _parse_number(raw, target, zone)
    if number is None:
        return None
    if not number.is_integer() or abs(number) > 2**62:
        raise Unconvertible(f"{target.name} takes a whole number")
    return int(number)


def _parse_boolean(raw: Any, target: Property, zone: str | None) -> bool:
    word = str(raw).strip().lower()
    if word in ("true", "t", "yes", "y", "1", "1.0", "是", "有"):
        return True
    if word in ("false", "f", "no", "n", "0", "0.0", "否"):
        return False
    raise Unconvertible(f"{target.name} takes true or false")


def _parse_date(raw: Any, target: Property, zone: str | None) -> date:
    if isinstance(raw, datetime):
        return raw.date()
    if isinstance(raw, date):
        return raw
    text = str(raw).strip()
    for pattern in _DATE_FORMATS:
        try:
            return datetime.strptime(text, pattern).date()
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise Unconvertible(f"{target.name} takes a date such as 2024-05-31") from None


def _parse_instant(raw: Any, target: Property, zone: str | None) -> datetime:
    found: datetime | None = raw if isinstance(raw, datetime) else None
    text = str(raw).strip()
    if found is None:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            for pattern in _INSTANT_FORMATS:
                try:
                    found = datetime.strptime(text, pattern)
                    break
                except ValueError:
                    continue
    if found is None:
        raise Unconvertible(f"{target.name} takes a time such as 2024-05-31T08:00:00+08:00")
    if found.tzinfo is None:
        if zone is None:
            raise Unconvertible(
                f"{target.name} has no UTC offset; state it by --timezone, e.g. --timezone Asia/Shanghai"
            )
        found = found.replace(tzinfo=ZoneInfo(zone))
    return found.astimezone(UTC)


def _parse_text(raw: Any, target: Property, zone: str | None) -> str:
    if "\x00" in str(raw):
        raise Unconvertible(f"{target.name} holds a NUL character, which text cannot")
    return str(raw).strip()


def _parse_json(raw: Any, target: Property, zone: str | None) -> str:
    try:
        return orjson.dumps(orjson.loads(str(raw))).decode().replace("\\u0000", "")
    except orjson.JSONDecodeError:
        raise Unconvertible(f"{target.name} takes JSON") from None


_PARSERS: dict[Kind, Callable[[Any, Property, str | None], Any]] = {
    Kind.TEXT: _parse_text,
    Kind.INTEGER: _parse_integer,
    Kind.NUMBER: _parse_number,
    Kind.BOOLEAN: _parse_boolean,
    Kind.DATE: _parse_date,
    Kind.INSTANT: _parse_instant,
    Kind.JSON: _parse_json,
}


def _in_range(converted: Converted, target: Property) -> Converted:
    if target.minimum is None and target.maximum is None:
        return converted
    column, failures = converted.column, dict(converted.failures)
    outside = pa.array(np.zeros(len(column), bool))
    if target.minimum is not None:
        outside = pc.or_(outside, pc.fill_null(pc.less(column, target.minimum), False))
    if target.maximum is not None:
        outside = pc.or_(outside, pc.fill_null(pc.greater(column, target.maximum), False))
    if not pc.any(outside).as_py():
        return converted
    allowed = (
        f"{target.name} lies between {target.minimum:g} and {target.maximum:g}"
        if target.maximum is not None
        else (f"{target.name} is at least {target.minimum:g}")
    )
    for index in np.flatnonzero(outside.to_numpy(zero_copy_only=False)):
        failures[int(index)] = (str(column[int(index)].as_py()), allowed)
    return Converted(pc.if_else(outside, pa.scalar(None, column.type), column), failures, converted.rough)
