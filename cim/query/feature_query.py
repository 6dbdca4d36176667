"""`FeatureQuery`: what is asked of a collection, the same for items, search, tiles and statistics."""

import hashlib
from dataclasses import dataclass, field, replace

from cim.bbox import Bbox
from cim.interval import Interval
from cim.model import Property

DEFAULT_LIMIT = 10
MAX_LIMIT = 10_000

EqualValue = object
"""A value of the property's kind (str, int, float, bool, date, datetime), or None for "has none"."""


@dataclass(frozen=True, slots=True)
class FeatureQuery:
    """Conditions that a feature must all meet. `geometry` is checked GeoJSON text in CRS84 (`cim.query.geometry`).

    `area` is a trimmed code: features of that area and of the areas in it. `after` is the id that the page
    begins behind, taken out of a cursor.
    """

    bbox: Bbox | None = None
    geometry: str | None = None
    interval: Interval | None = None
    ids: tuple[str, ...] | None = None
    area: str | None = None
    equals: tuple[tuple[Property, EqualValue], ...] = field(default=())
    limit: int = DEFAULT_LIMIT
    after: str | None = None

    @property
    def is_unfiltered(self) -> bool:
        """True when every feature of the collection meets it."""
        return replace(self, limit=DEFAULT_LIMIT, after=None) == FeatureQuery()

    def fingerprint(self) -> bytes:
        """The conditions, without page size and position: what a cursor is bound to."""
        equals = [(p.name, value) for p, value in self.equals]
        conditions = (self.bbox, self.geometry, self.interval, self.ids, self.area, equals)
        return hashlib.sha256(repr(conditions).encode("utf-8", "surrogatepass")).digest()
