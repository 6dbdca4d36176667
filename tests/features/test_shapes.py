"""Statements that are filled in by shape are those that are put together one by one."""

import pytest

from cim.bbox import Bbox
from cim.collections.buildings import BUILDINGS
from cim.collections.sensors import SENSORS
from cim.crs import CrsList, parse_codes
from cim.model import Scope
from cim.model.collection import Extent
from cim.query import item, items
from cim.query.feature_query import FeatureQuery
from cim.query.item import item_sql
from cim.query.items import PAGE_BYTES, page_sql
from cim.query.output import OUTPUTS

COUNTED = BUILDINGS.with_stats(1_000, Extent((113.7, 22.4, 114.6, 22.9)))
OTHER_CRS = CrsList(parse_codes("4490,3857")).parse("http://www.opengis.net/def/crs/EPSG/0/3857", parameter="crs")
QUERIES = [
    FeatureQuery(),
    FeatureQuery(limit=1),
    FeatureQuery(limit=2, after="b-1"),
    FeatureQuery(bbox=Bbox(113.9, 22.5, 113.91, 22.51)),
    FeatureQuery(bbox=Bbox(0.0, 0.0, 0.0, 0.0), limit=1),
    FeatureQuery(bbox=Bbox(1.0, 1.0, 2.0, 2.0), limit=2),
    FeatureQuery(bbox=Bbox(-180.0, -90.0, 180.0, 90.0), limit=2),
    FeatureQuery(bbox=Bbox(179.0, -90.0, -179.0, 90.0), limit=2),
    FeatureQuery(bbox=Bbox(113.9, 22.5, 113.91, 22.51), after="b-77", limit=10_000),
    FeatureQuery(bbox=Bbox(113.9, 22.5, 113.91, 22.51), crs=OTHER_CRS),
    FeatureQuery(bbox=Bbox(113.9, 22.5, 113.91, 22.51), shown=("name", "use")),
    FeatureQuery(bbox=Bbox(113.9, 22.5, 113.91, 22.51), shown=()),
    FeatureQuery(has_geometry=False),
    FeatureQuery(area="440304", limit=3),
    FeatureQuery(terms=("花园",), limit=3),
]
SCOPES = [
    Scope(),
    Scope(roles=frozenset({"admin"}), caller="a"),
    Scope(area_code="440304"),
    Scope(hidden=frozenset({"name"})),
    Scope(precision_m=500.0),
    Scope(collections=frozenset()),
]


@pytest.mark.parametrize("scope", SCOPES, ids=repr)
@pytest.mark.parametrize("collection", [COUNTED, SENSORS], ids=lambda one: one.id)
def test_a_page_asks_the_same_by_shape(collection, scope):
    for output in [one for one in OUTPUTS if one.has_pages]:
        for _ in range(2):  # the second time by the shapes that the first one left
            for query in QUERIES:
                made = page_sql(collection, query, scope, output)
                assert made == items._composed(collection, query, scope, output, PAGE_BYTES)


@pytest.mark.parametrize("scope", SCOPES, ids=repr)
def test_a_feature_is_asked_for_the_same_by_shape(scope):
    shown = [q for q in QUERIES if q.bbox is None and q.after is None]
    for text in ("b-1", "b-1", "", "id", "4326"):
        for query in shown:
            assert item_sql(COUNTED, [text], scope, query) == item._composed(COUNTED, [text], scope, query)


def test_a_collection_counted_anew_has_shapes_of_its_own():
    narrow = FeatureQuery(bbox=Bbox(113.9, 22.5, 113.91, 22.51))
    before = page_sql(COUNTED, narrow, Scope())
    small = COUNTED.with_stats(1_000, Extent((113.9, 22.5, 113.91, 22.51)))
    assert page_sql(small, narrow, Scope()) != before  # the same box is most of it now
    assert page_sql(COUNTED, narrow, Scope()) == before
