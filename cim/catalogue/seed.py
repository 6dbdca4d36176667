"""Services that come with a node and with files: our own collections, and descriptions in YAML."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import yaml

from cim.catalogue.service import checked
from cim.collections import BUILTIN
from cim.errors import InvalidParameter
from cim.query.services import insert_sql, offers_sql, put_organisation_sql, service_sql, update_sql
from cim.sql import Sql

OWNER = ("opencim", "本节点", "This node", None)

Connection = psycopg.Connection[Any]


def seed_catalogue(connection: Connection) -> None:
    """A published service for each built-in collection, for STAC and for statistics.

    One that a collection has already, of whatever id, stays the only one.
    """
    _run(connection, put_organisation_sql(*OWNER))
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
    if _run(connection, offers_sql(kind, collection_id)) is None and _run(connection, insert_sql(values)):
        _publish(connection, service_id)


def _publish(connection: Connection, service_id: str) -> None:
    connection.execute(
        "UPDATE cim.service SET state = 'published', published_at = now() WHERE id = %s AND state = 'draft'",
        [service_id],
    )


def load_services(connection: Connection, organisations: Path, services: Path) -> int:
    """Write the organisations and services of two YAML files; gives how many services were read.

    A service that is there is edited when it differs. Raises InvalidParameter naming the entry at fault.
    """
    with connection.transaction():
        for entry in _entries(organisations, "organisations"):
            name_zh, name_en = str(entry.get("name_zh") or ""), str(entry.get("name_en") or "")
            _run(connection, put_organisation_sql(str(entry["id"]), name_zh, name_en, entry.get("contact")))
        listed = list(_entries(services, "services"))
        for entry in listed:
            _write(connection, entry)
    return len(listed)


def _entries(path: Path, name: str) -> Iterable[Mapping[str, Any]]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries = document.get(name) if isinstance(document, dict) else document
    if not isinstance(entries, list) or not all(isinstance(e, dict) and e.get("id") for e in entries):
        raise InvalidParameter(path.name, type(document).__name__, f"a list '{name}' of entries with an id is needed")
    return entries


def _write(connection: Connection, entry: Mapping[str, Any]) -> None:
    is_published = entry.get("state") == "published"
    values = checked({name: value for name, value in entry.items() if name not in ("state", "keywords", "bbox_crs")})
    if not _run(connection, insert_sql(values)):
        row = _run(connection, Sql.of("SELECT version FROM cim.service WHERE id = {}", values["id"]))
        assert row is not None
        before = _run(connection, service_sql(values["id"]))
        with connection.transaction() as savepoint:
            _run(connection, update_sql(values["id"], row[0], {k: v for k, v in values.items() if k != "id"}))
            after = _run(connection, service_sql(values["id"]))
            if before is not None and after is not None and before[:-4] == after[:-4]:
                raise psycopg.Rollback(savepoint)
    if is_published:
        _publish(connection, str(values["id"]))


def _run(connection: Connection, sql: Sql) -> tuple[Any, ...] | None:
    text, values = sql.compile_psycopg()
    cursor = connection.execute(text.encode(), values)
    return cursor.fetchone() if cursor.description else None
