"""What the raw database runs: the statement that our planner makes, and a plain one by hand; the quicker one counts.

Text bodies come back as text, for pgbench has bytes in hexadecimal; of a tile only the length comes back, for the same
reason (in favour of the raw database, by about a hundredth).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import orjson

from cim.bbox import Bbox
from cim.interval import parse_interval
from cim.model import Collection, Scope
from cim.query.aggregate import Aggregation, aggregate_sql
from cim.query.feature_query import FeatureQuery
from cim.query.features import feature_text, shown_columns
from cim.query.grids import BUFFER, EXTENT, TileCoord
from cim.query.grouping import parse_groupings
from cim.query.item import item_sql
from cim.query.items import page_sql
from cim.query.kept import form_of
from cim.query.measures import default_measures, measured
from cim.query.stac import items_sql
from cim.query.tiles import tile_properties, tile_sql
from cim.sql import Identifier, Sql
from tools.bench.places import Box, Places
from tools.bench.raw import KEPT, Statement

EVERYBODY = Scope()
PAGE = ("returned", "last", "has_more")
"""What stands beside the body of a page: pruned, it would be for nothing there and not here."""
WORLD_M = 40_075_016.685578488


def _plan(places: Iterable[Sql], *others: str, name: str = "plan") -> Statement:
    """Our planner's statements, the body as text, and the `others` columns that the server asks for."""
    columns = Sql.join("", [Sql.of(", {}", Identifier(name)) for name in others])
    text = "SELECT convert_from(body, 'UTF8'){} FROM ({}) AS made"
    return Statement(name, tuple(Sql.of(text, columns, one) for one in places))


def _pages(buildings: Collection, queries: Sequence[FeatureQuery]) -> tuple[Statement, ...]:
    """Our planner's pages, the text of each feature made for it, and as the server has them, from texts that are kept."""
    kept = replace(buildings, kept_form=form_of(buildings))
    return (
        _plan((page_sql(buildings, query, EVERYBODY) for query in queries), *PAGE),
        _plan((page_sql(kept, query, EVERYBODY) for query in queries), *PAGE, name=KEPT),
    )


def _page(buildings: Collection, condition: Sql, limit: int) -> Sql:
    """A page without bookkeeping: no next page, no count, no cut at a size."""
    return Sql.of(
        "SELECT string_agg(body, ',') FROM (SELECT {} AS body FROM (SELECT id, geom, {} FROM {}.{} WHERE {} "
        "ORDER BY id LIMIT {}) AS page) AS made",
        feature_text(buildings, EVERYBODY),
        shown_columns(buildings, EVERYBODY),
        *buildings.table,
        condition,
        limit,
    )


def _envelope(box: Box) -> Sql:
    return Sql.of("(SELECT ST_MakeEnvelope({}, {}, {}, {}, 4326))", *box)


def _polygon(text: str) -> Sql:
    return Sql.of("(SELECT ST_SetSRID(ST_GeomFromGeoJSON({}::text), 4326))", text)


def in_boxes(boxes: Sequence[Box], limit: int, buildings: Collection) -> tuple[Statement, ...]:
    """A page of the features in each box."""
    touching = [
        _page(buildings, Sql.of("geom && {} AND ST_Intersects(geom, {})", _envelope(b), _envelope(b)), limit)
        for b in boxes
    ]
    return (
        *_pages(buildings, [FeatureQuery(bbox=Bbox(*box), limit=limit) for box in boxes]),
        Statement("plain", tuple(touching)),
    )


def by_id(places: Places, buildings: Collection) -> tuple[Statement, ...]:
    """One feature each."""
    text, table = feature_text(buildings, EVERYBODY, is_whole=True), buildings.table
    plain = [Sql.of("SELECT {} FROM {}.{} WHERE id = {}", text, *table, one) for one in places.ids]
    planned = _plan((item_sql(buildings, [one], EVERYBODY) for one in places.ids), "version")
    return planned, Statement("plain", tuple(plain))


def within(places: Places, buildings: Collection) -> tuple[Statement, ...]:
    """All features that touch each polygon."""
    texts = [orjson.dumps({"type": "Polygon", "coordinates": [ring]}).decode() for ring in places.rings]
    plain = [
        _page(buildings, Sql.of("geom && {} AND ST_Intersects(geom, {})", _polygon(t), _polygon(t)), 10_000)
        for t in texts
    ]
    return (
        *_pages(buildings, [FeatureQuery(geometry=text, limit=10_000) for text in texts]),
        Statement("plain", tuple(plain)),
    )


def tiles(coords: Sequence[tuple[int, int, int]], buildings: Collection) -> tuple[Statement, ...]:
    """The tiles: our planner's, and the best known over a table in EPSG:3857 (scaled; clipped only at the edge)."""
    planned = [
        Sql.of(
            "SELECT octet_length(body), taken, stamp FROM ({}) AS made",
            tile_sql(buildings, FeatureQuery(), EVERYBODY, TileCoord(*one)),
        )
        for one in coords
    ]
    return Statement("plan", tuple(planned)), Statement(
        "best known", tuple(_best_tile(buildings, *one) for one in coords)
    )


def _best_tile(buildings: Collection, zoom: int, row: int, col: int) -> Sql:
    size = WORLD_M / 2**zoom
    west, north = -WORLD_M / 2 + col * size, WORLD_M / 2 - row * size
    inside = Sql.of("(SELECT ST_TileEnvelope({}, {}, {}))", zoom, col, row)
    around = Sql.of("(SELECT ST_TileEnvelope({}, {}, {}, margin => {}::float8 / {}))", zoom, col, row, BUFFER, EXTENT)
    return Sql.of(
        "SELECT octet_length(ST_AsMVT(drawn, 'buildings', {}, 'shape')) FROM (SELECT id{}, CASE WHEN geom @ {} "
        "THEN ST_TransScale(geom, {}, {}, {}, {}) ELSE ST_AsMVTGeom(geom, {}, {}, {}, true) END AS shape "
        "FROM peer.building_tiles WHERE geom && {} ORDER BY id) AS drawn",
        EXTENT,
        Sql.join("", [Sql.of(", {}", p.column) for p in tile_properties(buildings, EVERYBODY)]),
        inside,
        -west,
        -north,
        EXTENT / size,
        -EXTENT / size,
        inside,
        EXTENT,
        BUFFER,
        around,
    )


def statistics(places: Places, buildings: Collection) -> tuple[Statement, ...]:
    """Number, sums and extremes of each district by use."""
    groupings = parse_groupings(buildings, EVERYBODY, "use")
    wanted = default_measures(buildings, EVERYBODY)
    measures = Sql.join(
        "", [Sql.of(", count({}), sum({}), min({}), max({})", *(p.column,) * 4) for p in measured(buildings, EVERYBODY)]
    )
    plain = [
        Sql.of(
            "SELECT use, count(*){} FROM cim.building WHERE area_code >= {} AND area_code < {} GROUP BY use",
            measures,
            code,
            code + ":",
        )
        for code in places.districts
    ]
    planned = [
        aggregate_sql(Aggregation(buildings, FeatureQuery(area=code), EVERYBODY, groupings, wanted))
        for code in places.districts
    ]
    return Statement("plan", tuple(planned)), Statement("plain", tuple(plain))


def scenes(places: Places, imagery: Collection) -> tuple[Statement, ...]:
    """Ten items a search: our planner's, and the best known over a flat table that keeps the item's text."""
    planned = [
        items_sql(
            FeatureQuery(bbox=Bbox(*box), interval=parse_interval(when)), None, EVERYBODY, "http://127.0.0.1", imagery
        )
        for box, when in places.searches
    ]
    kept = []
    for box, when in places.searches:
        interval = parse_interval(when)
        kept.append(
            Sql.of(
                "SELECT string_agg(body, ',') FROM (SELECT body FROM peer.scene WHERE geom && {} "
                "AND taken >= {} AND taken <= {} ORDER BY id LIMIT 10) AS page",
                _envelope(box),
                interval.begin,
                interval.end,
            )
        )
    return _plan(planned, "returned", "last_id", "has_more"), Statement("best known", tuple(kept))


def every_feature(buildings: Collection) -> Sql:
    """The text of every feature, in no order: what COPY writes."""
    return Sql.of("SELECT {} FROM {}.{}", feature_text(buildings, EVERYBODY), *buildings.table)
