"""`FeatureQuery`: what is asked of a collection, the same for items, search, tiles, statistics and exports."""

import hashlib
from dataclasses import dataclass, field, replace

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
class FeatureQuery:
    """Conditions that a feature must all meet, and how the features are wanted.

    `geometry` is checked GeoJSON text in CRS84 (`cim.query.geometry`). `area` is a trimmed code: features of that
    area and of the areas in it. `filter` is a compiled CQL2 expression over the collection's columns
    (`cim.query.filter`), `filter_areas` GeoJSON text of the polygons it writes out, which may cross themselves.
    `crs`: system of the coordinates in the answer. `after` is the id that the page begins behind, taken out of a cursor.
    """

    bbox: Bbox | None = None
    geometry: str | None = None
    interval: Interval | None = None
    ids: tuple[str, ...] | None = None
    area: str | None = None
    equals: tuple[tuple[Property, EqualValue], ...] = field(default=())
    filter: Sql | None = None
    filter_areas: str | None = None
    crs: Crs = CRS84
    limit: int = DEFAULT_LIMIT
    after: str | None = None

    @property
    def is_unfiltered(self) -> bool:
        """True when every feature of the collection meets it."""
        return self._conditions() == FeatureQuery()

    def _conditions(self) -> "FeatureQuery":
        return replace(self, crs=CRS84, limit=DEFAULT_LIMIT, after=None)

    def fingerprint(self) -> bytes:
        """The conditions, without page size, position and system: what a cursor is bound to."""
        equals = [(p.name, value) for p, value in self.equals]
        conditions = replace(self._conditions(), equals=())
        return hashlib.sha256(repr((conditions, equals)).encode("utf-8", "surrogatepass")).digest()
