"""What the writing process is told: the compiled statement and what the file needs to say of it, as JSON and back."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from cim.model import Kind
from cim.sql import Sql


@dataclass(frozen=True, slots=True)
class Column:
    """One property of the features."""

    name: str
    kind: Kind
    title_zh: str
    title_en: str
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """`statement` gives one row a feature: the text (head and tail stand around, `separator` between), or `id`, the
    values of `columns`, and the geometry as WKB or (where `places` is not None) the cells that it names.

    `srid` is the system of the coordinates, easting or longitude first. `geometry_type` as the collection declares it.
    """

    output: str
    suffix: str
    collection: str
    title: str
    statement: Sql
    count: Sql
    types: Sql
    columns: tuple[Column, ...]
    places: tuple[str, ...] | None
    geometry_type: str
    srid: int
    head: str = ""
    separator: str = ""
    tail: str = ""
    is_text: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        document: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "output",
                "suffix",
                "collection",
                "title",
                "geometry_type",
                "srid",
                "head",
                "separator",
                "tail",
                "is_text",
            )
        }
        for name in ("statement", "count", "types"):
            document[name] = sql_to_dict(getattr(self, name))
        document["columns"] = [asdict(column) for column in self.columns]
        document["places"] = None if self.places is None else list(self.places)
        return document


def request_from(document: dict[str, Any]) -> ExportRequest:
    """What `to_dict` wrote."""
    values = dict(document)
    for name in ("statement", "count", "types"):
        values[name] = sql_from_dict(document[name])
    values["columns"] = tuple(Column(**{**one, "kind": Kind(one["kind"])}) for one in document["columns"])
    values["places"] = None if document["places"] is None else tuple(document["places"])
    return ExportRequest(**values)


def sql_to_dict(sql: Sql) -> dict[str, Any]:
    """A statement as JSON."""
    return {"fragments": list(sql.fragments), "values": [_plain(value) for value in sql.values]}


def sql_from_dict(document: dict[str, Any]) -> Sql:
    """What `sql_to_dict` wrote."""
    return Sql(tuple(document["fragments"]), tuple(_value(one) for one in document["values"]))


def _plain(value: object) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime | date):
        return {"kind": "datetime" if isinstance(value, datetime) else "date", "value": value.isoformat()}
    if isinstance(value, Decimal):
        return {"kind": "decimal", "value": str(value)}
    raise TypeError(f"a bound value of the type {type(value).__name__} cannot be kept")


_READ: dict[str, Callable[[str], object]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "decimal": Decimal,
}


def _value(document: Any) -> object:
    if isinstance(document, list):
        return [_value(one) for one in document]
    if not isinstance(document, dict):
        return document
    return _READ[document["kind"]](document["value"])
