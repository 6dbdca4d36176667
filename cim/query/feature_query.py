"""`FeatureQuery`: what is asked of a collection, the same for items, search, tiles, statistics and exports."""

import hashlib
from dataclasses import dataclass, field, fields
from datetime import datetime

from cim.bbox import Bbox
from cim.crs import CRS84, Crs
from cim.interval import Interval
from cim.model import Property
from cim.sql import Sql

DEFAULT_LIMIT = 10
MAX_LIMIT = 10_000

EqualValue = object
"""A value of the property's kind (str, int, float, bool, date, datetime), or None for "has none"."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """A property that features are ordered by. `is_never_null`: none is without a value, so that no place is made for those."""

    property: Property
    is_descending: bool = False
    is_never_null: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """Other features, or a place, that a parameter names (`cim.query.reference`); `shown` is what messages call them.

    `geometry`: all of them in one, evaluated once a statement; NULL where there is none. `several`: a statement of the
    `place` of each, where they may be several. `counted`: asks how many were `found`, and how many `placed`: the caller
    of the query asks it first, and whether `areas` (GeoJSON text of polygons that were written out) are valid.
    """

    parameter: str
    shown: str
    geometry: Sql
    several: Sql | None = None
    counted: Sql | None = None
    areas: str | None = None
    is_one: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    """How features lie to others, as a condition (`cim.query.relations`); `box`: what their box must meet, where known."""

    condition: Sql
    box: Sql | None = None


@dataclass(frozen=True, slots=True)
class FeatureQuery:
    """Conditions that a feature must all meet, and how the features are wanted.

    `geometry` is checked GeoJSON text in CRS84 (`cim.query.geometry`). `area` is a trimmed code: features of that
    area and of the areas in it. `filter` is a compiled CQL2 expression over the collection's columns
    (`cim.query.filter`), `filter_areas` GeoJSON text of the polygons it writes out, which may cross themselves.
    `terms`: words to search texts for (`cim.query.text_search`), a feature has one of them. `known_at`: of what was
    recorded at that instant. `relations` to other features; `references`: all features that the conditions and
    `nearest` refer to.

    `sort`: order of the features, by id where it is empty; `nearest`: by their distance to this, one page only.
    `after` is the id that the page begins behind, taken out of a cursor; of a sorted query it is `after_values`, the
    sort values and then the id. `crs`: system of the coordinates in the answer. `shown`: names of the properties in
    the answer, None for all. `has_geometry`: False leaves it out. `has_areas`: with the names of its areas.
    """

    bbox: Bbox | None = None
    geometry: str | None = None
    interval: Interval | None = None
    ids: tuple[str, ...] | None = None
    area: str | None = None
    equals: tuple[tuple[Property, EqualValue], ...] = field(default=())
    filter: Sql | None = None
    filter_areas: str | None = None
    terms: tuple[str, ...] = ()
    known_at: datetime | None = None
    relations: tuple[Relation, ...] = ()
    references: tuple[Reference, ...] = ()
    sort: tuple[SortKey, ...] = ()
    nearest: Reference | None = None
    crs: Crs = CRS84
    shown: tuple[str, ...] | None = None
    has_geometry: bool = True
    has_areas: bool = False
    limit: int = DEFAULT_LIMIT
    after: str | None = None
    after_values: tuple[object, ...] = ()

    @property
    def is_first_page(self) -> bool:
        """True when the page begins with the first feature."""
        return self.after is None and not self.after_values

    @property
    def is_unfiltered(self) -> bool:
        """True when every feature of the collection meets it."""
        return all(getattr(self, name) == getattr(_UNFILTERED, name) for name in (*_CONDITIONS, "equals"))

    def fingerprint(self) -> bytes:
        """The conditions and the order, without page size, position and what is shown: what a cursor is bound to."""
        equals = [(p.name, value) for p, value in self.equals]
        sort = [(key.property.name, key.is_descending) for key in self.sort]
        stated = [(name, getattr(self, name)) for name in _CONDITIONS]
        conditions = [(name, value) for name, value in stated if value is not None and value != ()]
        return hashlib.sha256(repr((conditions, equals, sort)).encode("utf-8", "surrogatepass")).digest()


_NO_CONDITIONS = frozenset(
    {"sort", "nearest", "references", "crs", "shown", "has_geometry", "has_areas", "limit", "after", "after_values"}
)
"""Fields that decide what is shown of the features that match, and in which order, not which ones do."""
_CONDITIONS = tuple(one.name for one in fields(FeatureQuery) if one.name not in _NO_CONDITIONS | {"equals"})
_UNFILTERED = FeatureQuery()
