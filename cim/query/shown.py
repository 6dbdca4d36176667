"""What features show beside their own properties: the distance of the nearest, the names of their areas."""

from dataclasses import replace

from cim.model import Collection, Scope
from cim.query.area_names import SHOWN_AREA, names_of
from cim.query.feature_query import FeatureQuery
from cim.query.nearest import SHOWN_DISTANCE
from cim.sql import Sql


def as_shown(collection: Collection, scope: Scope, query: FeatureQuery) -> tuple[Collection, Scope, FeatureQuery]:
    """What features are written as: with what `query` adds, where no property is called so."""
    wanted = (*([SHOWN_DISTANCE] if query.nearest else []), *([SHOWN_AREA] if query.has_areas else []))
    added = tuple(one for one in wanted if not collection.has(one.name))
    if not added:
        return collection, scope, query
    shown = None if query.shown is None else (*query.shown, *(one.name for one in added))
    return replace(collection, properties=(*collection.properties, *added)), scope, replace(query, shown=shown)


def area_column(collection: Collection, scope: Scope, query: FeatureQuery) -> Sql:
    """`, <names> AS area` over the rows of `feature`, where features show it; else the empty statement."""
    if not query.has_areas or collection.has(SHOWN_AREA.name):
        return Sql()
    return Sql.of(", {} AS {}", names_of(scope), SHOWN_AREA.column)
