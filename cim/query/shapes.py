"""Statements of questions that differ in a few values only: put together once a shape, filled in afterwards.

Most questions ask for a box, a page or an id and nothing else. Composing their statement costs more than finding the
rows by an index does, and all of it but those values is the same each time.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from cim.bbox import Bbox
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.masking import sees_whole
from cim.query.predicate import STORED_SRID, is_broad, is_wide
from cim.sql import Cast, Sql

MAX_SHAPES = 1_024

Values = tuple[object, ...]
Compose = Callable[[FeatureQuery], Sql]
"""The statement of a query, by the ordinary way."""

_LIMIT = 1_000_003
"""A page size that no query has: it shows where the size, and one more, stand among the values."""
_TEXT = "\ue000 a text that nobody asks for"
_IDS = [_TEXT]
_SIDES = ("west", "south", "east", "north")
_FIRST_SIDE = 3
"""Where a box stands in `_given`."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """`fill` takes the values of a statement out of those given and the constants behind them."""

    collection: Collection
    fragments: tuple[str, ...]
    constants: Values
    places: tuple[int, ...]
    fill: Callable[[Values], Values]


@dataclass(frozen=True, slots=True, eq=False)
class BoxShape:
    """A page of each of some boxes, all else being equal, by one statement."""

    fragments: tuple[str, ...]
    values: Values

    def sql(self, boxes: Sequence[Bbox]) -> Sql:
        """The rows of the pages of all boxes, each with its `number` from 1 on."""
        sides = ([b.min_x for b in boxes], [b.min_y for b in boxes], [b.max_x for b in boxes], [b.max_y for b in boxes])
        return Sql(self.fragments, (*sides, *self.values))


class Shapes:
    """Statements by shape; a shape is that of one collection as it is declared and counted now."""

    def __init__(self) -> None:
        self._known: dict[Hashable, _Shape] = {}
        self._boxes: dict[Hashable, tuple[Collection, BoxShape]] = {}

    def page(self, collection: Collection, query: FeatureQuery, scope: Scope, form: Hashable, compose: Compose) -> Sql:
        """What `compose(query)` gives; `form` is what the statement depends on beside collection, query and scope."""
        if not is_plain(query) or not is_open(collection, scope):
            return compose(query)
        shape = self._page_shape(_page_key(collection, query, scope, form), collection, query, compose)
        return Sql(shape.fragments, shape.fill((*_given(query), *shape.constants)))

    def boxes(
        self, collection: Collection, query: FeatureQuery, scope: Scope, form: Hashable, compose: Compose
    ) -> BoxShape:
        """The same for many boxes at once; `query` is plain, and of a box."""
        page_key = _page_key(collection, query, scope, form)
        key = (page_key, query.limit)
        known = self._boxes.get(key)
        if known is None or known[0] is not collection:
            if len(self._boxes) >= MAX_SHAPES:
                self._boxes.clear()
            shape = self._page_shape(page_key, collection, query, compose)
            known = self._boxes[key] = collection, BoxShape(*_of_boxes(shape, query))
        return known[1]

    def _page_shape(self, key: Hashable, collection: Collection, query: FeatureQuery, compose: Compose) -> _Shape:
        shape = self._of(key, collection)
        if shape is None:
            marked = _marked(query)
            shape = self._keep(key, _learnt(collection, compose(marked), _given(marked)))
        return shape

    def item(
        self,
        collection: Collection,
        ids: list[str],
        query: FeatureQuery,
        scope: Scope,
        compose: Callable[[list[str]], Sql],
    ) -> Sql:
        """What `compose(ids)` gives: the statement of features by their ids."""
        if not is_plain(query) or query.bbox is not None or not is_open(collection, scope):
            return compose(ids)
        key = (id(collection), scope, query.crs, query.shown, query.has_geometry)
        shape = self._of(key, collection)
        if shape is None:
            shape = self._keep(key, _learnt(collection, compose(_IDS), (_IDS,)))
        return Sql(shape.fragments, shape.fill((ids, *shape.constants)))

    def _of(self, key: Hashable, collection: Collection) -> _Shape | None:
        shape = self._known.get(key)
        return shape if shape is not None and shape.collection is collection else None

    def _keep(self, key: Hashable, shape: _Shape) -> _Shape:
        if len(self._known) >= MAX_SHAPES:
            self._known.clear()
        self._known[key] = shape
        return shape


def _page_key(collection: Collection, query: FeatureQuery, scope: Scope, form: Hashable) -> Hashable:
    has_box = query.bbox is not None
    broad = has_box and is_broad(collection, query)
    is_first, wide = query.after is None, has_box and is_wide(collection, query)
    return (id(collection), scope, form, has_box, broad, wide, is_first, query.crs, query.shown, query.has_geometry)


def _of_boxes(shape: _Shape, query: FeatureQuery) -> tuple[tuple[str, ...], Values]:
    """The statement of a page, as one of every row of boxes: its sides are columns where they were values."""
    values = (*_given(query), *shape.constants)
    fragments, kept = [shape.fragments[0]], []
    for place, fragment in zip(shape.places, shape.fragments[1:], strict=True):
        if 0 <= place - _FIRST_SIDE < len(_SIDES):
            fragments[-1] += f"asked.{_SIDES[place - _FIRST_SIDE]}{fragment}"
        else:
            kept.append(values[place])
            fragments.append(fragment)
    arrays = [Cast([], "float8[]") for _ in _SIDES]
    whole = Sql.of(
        "SELECT asked.number, made.* FROM unnest({}, {}, {}, {}) WITH ORDINALITY AS asked(west, south, east, north, number), "
        "LATERAL ({}) AS made",
        *arrays,
        Sql(tuple(fragments), tuple(kept)),
    )
    return whole.fragments, tuple(kept)


def is_open(collection: Collection, scope: Scope) -> bool:
    """True where the caller sees the collection as the registry has it; others are given one of their own each time."""
    return scope.area_code is None and sees_whole(collection, scope)


def is_plain(query: FeatureQuery) -> bool:
    """True where the query asks for no more than a box in degrees, a page and a way of showing."""
    box = query.bbox
    return (
        (box is None or (box.srid == STORED_SRID and not box.crosses_antimeridian))
        and query.geometry is None
        and query.interval is None
        and query.ids is None
        and query.area is None
        and not query.equals
        and query.filter is None
        and not query.terms
        and query.known_at is None
        and not query.relations
        and not query.sort
        and query.nearest is None
        and not query.has_areas
    )


def _given(query: FeatureQuery) -> Values:
    box = query.bbox
    page = (query.limit, query.limit + 1, query.after)
    return page if box is None else (*page, box.min_x, box.min_y, box.max_x, box.max_y)


def _marked(query: FeatureQuery) -> FeatureQuery:
    """A query of the same shape whose values are told from all others: its numbers are objects of their own."""
    box = query.bbox
    own = None
    if box is not None:
        west, south, east, north = (float(repr(side)) for side in (box.min_x, box.min_y, box.max_x, box.max_y))
        own = Bbox(west, south, east, north)
    return replace(query, bbox=own, limit=_LIMIT, after=None if query.after is None else _TEXT)


def _learnt(collection: Collection, sql: Sql, given: Values) -> _Shape:
    """The shape of a statement, from the places at which the values given came out."""
    constants: list[object] = []
    places = []
    for value in sql.values:
        place = next((i for i, one in enumerate(given) if one is value or _is_size(one, value)), None)
        if place is None:
            place = len(given) + len(constants)
            constants.append(value)
        places.append(place)
    fill = itemgetter(*places) if len(places) > 1 else lambda values: tuple(values[place] for place in places)
    return _Shape(collection, sql.fragments, tuple(constants), tuple(places), fill)


def _is_size(one: object, value: object) -> bool:
    return type(one) is int and one == value and one in (_LIMIT, _LIMIT + 1)
