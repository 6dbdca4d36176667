"""STAC documents out of the imagery collection, put together in the database (STAC 1.0.0, STAC API 1.0.0)."""

from collections.abc import Mapping
from functools import lru_cache

from cim.collections.imagery import IMAGERY
from cim.crs import DEGREE_DECIMALS
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.masking import sees_whole
from cim.query.predicate import row_rule, where
from cim.query.source import rows
from cim.sql import Cast, Sql

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
EO = "https://stac-extensions.github.io/eo/v1.1.0/schema.json"

COLUMN_OF: Mapping[str, str] = {
    "id": "id",
    "collection": "stac_collection",
    "geometry": "geometry",
    "datetime": "datetime",
    "start_datetime": "start_datetime",
    "end_datetime": "end_datetime",
    "title": "title",
    "gsd": "gsd_m",
    "platform": "platform",
    "eo:cloud_cover": "cloud_cover_percent",
}
"""What a filter may name of an item, by the names that items have → what the collection of imagery calls it."""

_TOLD = Sql.of(
    "(SELECT jsonb_object_agg(key, value) FROM jsonb_each(d.document) "
    "WHERE key IN ('title', 'description', 'keywords', 'license', 'providers'))::text"
)
"""What a source says of a collection, without extent, summaries and assets: they tell of items that the caller may not see."""

_INSTANT = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _instant(column: str) -> Sql:
    return Sql.of(_INSTANT, Sql.of(column))


def _escaped(column: str) -> Sql:
    """A path part of an address, percent-encoded (RFC 3986, 2.3)."""
    return Sql.of(
        "CASE WHEN {} ~ '^[A-Za-z0-9._~-]+$' THEN {} ELSE (SELECT string_agg(CASE WHEN c ~ '[A-Za-z0-9._~-]' THEN c "
        "ELSE regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\\1', 'g') END, '') "
        "FROM regexp_split_to_table({}, '') AS c) END",
        *[Sql.of(column)] * 3,
    )


@lru_cache(maxsize=4)
def _item_text(base: str) -> Sql:
    """Expression over a row of imagery: the item as text. `base` is the address of this node."""
    states_projection = Sql.of("COALESCE(stac_properties ->> 'stac_extensions', '') LIKE '%/projection/%'")
    has_code = Sql.of("(crs ~ '^[A-Z]+:[0-9A-Za-z]+$' AND NOT ({}))", states_projection)
    root = Sql.of("({} || '/stac')", Cast(base, "text"))
    home = Sql.of("({} || '/collections/' || {})", root, _escaped("stac_collection"))
    extensions = Sql.of(
        "(SELECT COALESCE(jsonb_agg(DISTINCT e), '[]') FROM jsonb_array_elements("
        "CASE WHEN jsonb_typeof(stac_properties -> 'stac_extensions') = 'array' THEN stac_properties -> 'stac_extensions' "
        "ELSE '[]' END || CASE WHEN {} THEN jsonb_build_array({}::text) ELSE '[]' END "
        "|| CASE WHEN cloud_cover_percent IS NOT NULL THEN jsonb_build_array({}::text) ELSE '[]' END) AS e)",
        has_code,
        PROJECTION,
        EO,
    )
    properties = Sql.of(
        "(COALESCE(stac_properties, '{ }'::jsonb) - 'links' - 'stac_extensions' - 'stac_version' "
        "|| jsonb_strip_nulls(jsonb_build_object('title', title, 'start_datetime', {}, 'end_datetime', {}, 'gsd', gsd_m, "
        "'platform', platform, 'eo:cloud_cover', cloud_cover_percent, 'proj:code', CASE WHEN {} THEN crs END)) "
        "|| jsonb_build_object('datetime', {}))",
        _instant("start_datetime"),
        _instant("end_datetime"),
        has_code,
        _instant("datetime"),
    )
    links = Sql.of(
        "json_build_array("
        "json_build_object('rel', 'self', 'type', 'application/geo+json', 'href', {} || '/items/' || {}), "
        "json_build_object('rel', 'parent', 'type', 'application/json', 'href', {}), "
        "json_build_object('rel', 'collection', 'type', 'application/json', 'href', {}), "
        "json_build_object('rel', 'root', 'type', 'application/json', 'href', {}))",
        home,
        _escaped("id"),
        home,
        home,
        root,
    )
    return Sql.of(
        """concat('{"type":"Feature","stac_version":"1.0.0","stac_extensions":', {}, ',"id":', to_json(id), """
        """',"collection":', to_json(stac_collection), ',"geometry":', COALESCE(ST_AsGeoJSON(geom, {}), 'null'), """
        """CASE WHEN geom IS NOT NULL THEN concat(',"bbox":[', ST_XMin(geom), ',', ST_YMin(geom), ',', ST_XMax(geom), ',', """
        """ST_YMax(geom), ']') END, ',"properties":', {}, ',"links":', {}, ',"assets":', COALESCE(assets, '{ }'::jsonb), '}')""",
        extensions,
        Cast(DEGREE_DECIMALS, "int"),
        properties,
        links,
    )


def items_sql(
    query: FeatureQuery, collections: tuple[str, ...] | None, scope: Scope, base: str, imagery: Collection = IMAGERY
) -> Sql:
    """One row: `body` (items joined by commas; NULL for none), `returned`, `last_id`, `has_more`."""
    condition = where(imagery, query, scope, is_page=True)
    if collections is not None:
        condition = Sql.of("{} AND {}", condition, _of(collections))
    # the LIMIT keeps `made` a step of its own, so that the text of an item is made once
    return Sql.of(
        "WITH page AS MATERIALIZED (SELECT * FROM {} AS feature WHERE {} ORDER BY id LIMIT {}) "
        "SELECT convert_to(string_agg(body, ','), 'UTF8') AS body, count(*) AS returned, max(id) AS last_id, "
        "(SELECT count(*) FROM page) > count(*) AS has_more FROM (SELECT id, {} AS body FROM page LIMIT {}) AS made",
        rows(imagery, query, scope),
        condition,
        Cast(query.limit + 1, "bigint"),
        _item_text(base),
        Cast(query.limit, "bigint"),
    )


def _of(collections: tuple[str, ...]) -> Sql:
    """One of the collections; of a single one the index gives the items in the order of their ids."""
    if len(collections) == 1:
        return Sql.of("stac_collection = {}", Cast(collections[0], "text"))
    return Sql.of("stac_collection = ANY({})", Cast(list(collections), "text[]"))


def item_sql(collection_id: str, item_id: str, scope: Scope, base: str, imagery: Collection = IMAGERY) -> Sql:
    """One row `body`, the item; none when there is none that the caller may see."""
    return Sql.of(
        "SELECT convert_to({}, 'UTF8') AS body FROM {} AS feature WHERE id = {} AND stac_collection = {} AND ({})",
        _item_text(base),
        rows(imagery, FeatureQuery(), scope),
        item_id,
        collection_id,
        where(imagery, FeatureQuery(), scope),
    )


def collections_sql(scope: Scope, collection_id: str | None = None, imagery: Collection = IMAGERY) -> Sql:
    """A row for each STAC collection: id, number of items, extent, and the document a source gave (text or NULL).

    A collection that a source described but that has no items is listed too, for those who see every item as it is.
    """
    rule = row_rule(imagery, scope)
    sees_all = not rule and sees_whole(imagery, scope)
    conditions = [
        Sql.of("stac_collection IS NOT NULL"),
        *([rule] if rule else []),
        *([Sql.of("stac_collection = {}", collection_id)] if collection_id else []),
    ]
    return Sql.of(
        "SELECT COALESCE(i.id, d.id) AS id, COALESCE(i.items, 0) AS items, i.min_lon, i.min_lat, i.max_lon, i.max_lat, "
        "i.begin, i.until, {} AS document FROM (SELECT stac_collection AS id, count(*) AS items, "
        "min(ST_XMin(geom)) AS min_lon, min(ST_YMin(geom)) AS min_lat, max(ST_XMax(geom)) AS max_lon, max(ST_YMax(geom)) AS max_lat, "
        "min(COALESCE(start_datetime, datetime)) AS begin, max(COALESCE(end_datetime, datetime)) AS until "
        "FROM {} AS feature WHERE {} GROUP BY stac_collection) AS i {} JOIN (SELECT * FROM cim.stac_collection WHERE {}) AS d "
        "ON d.id = i.id ORDER BY 1",
        Sql.of("d.document::text") if sees_all else _TOLD,
        rows(imagery, FeatureQuery(), scope),
        Sql.join(" AND ", conditions),
        # what a source says of a collection is nobody's who sees none of its items
        Sql.of("FULL" if sees_all else "LEFT"),
        Sql.of("id = {}", collection_id) if collection_id else Sql.of("TRUE"),
    )
