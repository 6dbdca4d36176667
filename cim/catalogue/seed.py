"""Services that come with a node: its own collections, its imagery catalogue, its statistics."""

from cim.catalogue.load import Connection
from cim.catalogue.review import put_directly
from cim.collections import BUILTIN
from cim.db.services import done_here, first_row
from cim.query.services import id_sql, offers_sql, put_organisation_sql

OWNER = ("opencim", "本节点", "This node", None)


def seed_catalogue(connection: Connection) -> None:
    """A published service for each built-in collection, for STAC and for statistics.

    One that a collection has already, of whatever id, stays the only one.
    """
    first_row(connection, put_organisation_sql(*OWNER))
    for collection in BUILTIN:
        _offer(
            connection,
            f"{collection.id}-features",
            "features",
            (f"{collection.title_zh}要素服务", f"{collection.title_en}: features"),
            (collection.description_zh, collection.description_en),
            f"/collections/{collection.id}/items",
            collection.id,
        )
    _offer(
        connection,
        "imagery-stac",
        "stac",
        ("影像目录服务", "Imagery catalogue (STAC)"),
        ("按范围、时间查询影像元数据。", "Imagery metadata by area and time."),
        "/stac",
        "imagery",
    )
    _offer(
        connection,
        "buildings-statistics",
        "statistics",
        ("建筑统计服务", "Statistics of buildings"),
        ("按区划、用途统计建筑数量、占地与建筑面积、高度。", "Count, areas and heights of buildings by area and use."),
        "/collections/buildings/aggregate",
        "buildings",
    )


def _offer(
    connection: Connection,
    service_id: str,
    kind: str,
    titles: tuple[str, str],
    descriptions: tuple[str, str],
    path: str,
    collection_id: str,
) -> None:
    values = {
        "id": service_id,
        "kind": kind,
        "organisation_id": OWNER[0],
        "title_zh": titles[0],
        "title_en": titles[1],
        "description_zh": descriptions[0],
        "description_en": descriptions[1],
        "themes": ["base-geography"],
        "endpoints": [{"url": path, "kind": kind}],
        "collection_id": collection_id,
        "share_class": "unconditional",
        "licence": "CC0-1.0",
        "contact": "admin@localhost",
    }
    if (
        first_row(connection, offers_sql(kind, collection_id)) is None
        and first_row(connection, id_sql(service_id)) is None
    ):
        with connection.transaction():
            done_here(connection, put_directly(values, is_published=True))
