"""Collection and Property: the registry's rows as values."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from cim.errors import UnknownProperty
from cim.sql import Identifier

LEADING = (
    *("id", "source", "source_id", "geom", "area_code", "valid_from", "valid_to"),
    *("load_run_id", "source_row", "attributes"),
)
"""Columns of a block of loaded rows before the collection's properties, in this order; all of a table but `recorded_at`."""


class Kind(StrEnum):
    """What a property's values are; decides SQL type, JSON Schema type and how a parameter is parsed."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    INSTANT = "instant"
    JSON = "json"

    @property
    def sql_type(self) -> str:
        """PostgreSQL's name of the column type."""
        return _SQL_TYPES[self]


_SQL_TYPES = {
    Kind.TEXT: "text",
    Kind.INTEGER: "bigint",
    Kind.NUMBER: "double precision",
    Kind.BOOLEAN: "boolean",
    Kind.DATE: "date",
    Kind.INSTANT: "timestamptz",
    Kind.JSON: "jsonb",
}


@dataclass(frozen=True, slots=True)
class Property:
    """One attribute of a collection: the column has the same name.

    `unit` is a UCUM code (m, m2, deg); `codes` closes the list of values (value → (zh, en) title);
    `aliases` are names under which real files carry it (compared in lower case, spaces and `_-.:` alike);
    `is_indexed` says that equality on it may be offered on a large collection;
    `is_searchable` marks a text that `q` looks into;
    `is_filled` marks a value that the pipeline computes when the source has none (area, floor area);
    `reveals_place` one that tells where the feature is: it goes with the exact place (`Scope.precision_m`).
    """

    name: str
    kind: Kind
    title_zh: str
    title_en: str
    unit: str | None = None
    codes: dict[str, tuple[str, str]] | None = None
    aliases: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    is_indexed: bool = False
    is_filled: bool = False
    is_searchable: bool = False
    reveals_place: bool = False

    @property
    def column(self) -> Identifier:
        """The column that holds it."""
        return Identifier(self.name)


@dataclass(frozen=True, slots=True)
class Extent:
    """Where and when a collection has something: bounds in CRS84 (min lon, min lat, max lon, max lat)."""

    bounds_crs84: tuple[float, float, float, float] | None = None
    begin: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """A queryable set of features: one table whose fixed columns are those of `cim.db.tables.FIXED_COLUMNS`.

    `geometry_type` is one of Point, LineString, Polygon, MultiPolygon, Geometry, … (OGC names); the column
    is `geom`, stored in `srid` (EPSG:4326, x = longitude). `kind` is the loader kind that fills it.
    `feature_count` and `extent` are kept by the loader and the API in the same transaction as the rows; None where
    the caller may not know them. `is_maskable` is False where the places are known to everybody (areas).
    `searched`: columns of the index of words, where some of them are hidden from the caller.
    `kept_form`: what texts of its features are kept under (`cim.query.kept`), None where none are.
    """

    id: str
    kind: str
    title_zh: str
    title_en: str
    description_zh: str
    description_en: str
    table_schema: str
    table_name: str
    geometry_type: str
    properties: tuple[Property, ...]
    srid: int = 4326
    licence: str | None = None
    attribution: str | None = None
    is_maskable: bool = True
    feature_count: int | None = 0
    extent: Extent = Extent()
    searched: tuple[str, ...] = ()
    kept_form: int | None = None

    @property
    def table(self) -> tuple[Identifier, Identifier]:
        """Schema and table, to be written `{}.{}`."""
        return Identifier(self.table_schema), Identifier(self.table_name)

    @property
    def history_table(self) -> tuple[Identifier, Identifier]:
        """Where superseded versions go: `<table>_history` in the same schema."""
        return Identifier(self.table_schema), Identifier(self.table_name + "_history")

    @property
    def has_time_index(self) -> bool:
        """True where many features of one place differ in time (scenes): one index holds place and valid time."""
        return self.kind == "imagery"

    def names(self) -> Iterator[str]:
        """Names of the properties, in declared order."""
        return (p.name for p in self.properties)

    def searched_columns(self) -> tuple[str, ...]:
        """Names of the columns that its index of words covers, whoever asks."""
        return self.searched or tuple(p.name for p in self.properties if p.is_searchable)

    @property
    def needs_geometry(self) -> bool:
        """True where a feature without a place makes no sense; areas may be a code table, a dataset anything."""
        return self.kind not in ("areas", "dataset")

    def property(self, name: str, *, parameter: str | None = None) -> Property:
        """The property called `name`. Raises UnknownProperty."""
        for candidate in self.properties:
            if candidate.name == name:
                return candidate
        raise UnknownProperty(self.id, name, self.names(), parameter=parameter)

    def has(self, name: str) -> bool:
        """True when there is a property of that name."""
        return any(p.name == name for p in self.properties)

    def with_stats(self, feature_count: int, extent: Extent) -> "Collection":
        """The same collection with what the stats table says of it."""
        return replace(self, feature_count=feature_count, extent=extent)
