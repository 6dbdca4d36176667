"""A city for tests: features written as the loader leaves them, statistics in step, workers told."""

import json
import time
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb
from shapely import wkt
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from cim.collections import BUILTIN
from cim.db.registry_write import find_collection, register
from cim.model import Collection, Kind, Property
from cim.sql import Cast, Identifier, Sql

BUILTIN_BY_ID = {c.id: c for c in BUILTIN}


def square(lon: float, lat: float, side: float = 2e-4) -> Polygon:
    """A square whose lower left corner is at a place; `side` in degrees."""
    return box(lon, lat, lon + side, lat + side)


def feature_collections(client: Any) -> list[dict[str, Any]]:
    """The collections of features that the client sees: all but the catalogue, which is one of records."""
    listed = client.get("/collections").json()["collections"]
    return [one for one in listed if one["itemType"] == "feature"]


class City:
    """Builders over one database. Each writes its row, its collection's statistics and a NOTIFY in one transaction."""

    def __init__(self, database_url: str) -> None:
        self.connection = psycopg.connect(database_url, autocommit=True)
        self._number = 0

    def close(self) -> None:
        """End the connection."""
        self.connection.close()

    def run(self, sql: Sql) -> Any:
        """Run a statement; the cursor."""
        text, values = sql.compile_psycopg()
        return self.connection.execute(text.encode(), values)

    def run_text(self, statement: str) -> Any:
        """Run a statement without values; the cursor."""
        return self.connection.execute(statement.encode())

    def collection(self, collection_id: str) -> Collection:
        """The declaration of a registered collection."""
        found = find_collection(self.connection, collection_id)
        assert found is not None
        return found

    def dataset(self, collection_id: str, *properties: Property, geometry_type: str = "Geometry") -> Collection:
        """A new collection, registered as a load of `dataset` does."""
        made = Collection(
            collection_id, "dataset", collection_id, collection_id, "测试", "a test", "dataset", collection_id,
            geometry_type, properties,
        )  # fmt: skip
        register(self.connection, made)
        return made

    def feature(
        self,
        collection: str,
        geometry: BaseGeometry | str | None,
        *,
        source: str = "test",
        key: str | None = None,
        area_code: str | None = None,
        valid_from: datetime | str | None = None,
        valid_to: datetime | str | None = None,
        **properties: Any,
    ) -> str:
        """One row; gives its id. `geometry` is a shapely geometry or WKT in CRS84."""
        self._number += 1
        key = key or f"{self._number:06}"
        declared = self.collection(collection)
        shape = wkt.loads(geometry) if isinstance(geometry, str) else geometry
        kinds = {p.name: p.kind for p in declared.properties}
        values: dict[str, Any] = {
            "id": f"{source}.{key}",
            "source": source,
            "source_id": key,
            "area_code": area_code,
            "valid_from": valid_from,
            "valid_to": valid_to,
        }
        for name, value in properties.items():
            values[name] = Jsonb(value) if kinds[name] is Kind.JSON and value is not None else value
        if shape is not None and declared.geometry_type == "MultiPolygon":
            place = Sql.of("ST_Multi(ST_GeomFromText({}, 4326))", shape.wkt)
        elif shape is not None:
            place = Sql.of("ST_GeomFromText({}, 4326)", shape.wkt)
        else:
            place = Sql.of("NULL")
        with self.connection.transaction():
            self.run(
                Sql.of(
                    "INSERT INTO {}.{} (geom, {}) VALUES ({}, {})",
                    *declared.table,
                    Sql.join(", ", [Sql.of("{}", Identifier(name)) for name in values]),
                    place,
                    Sql.join(", ", [Sql.of("{}", value) for value in values.values()]),
                )
            )
            self.refresh(collection)
        return str(values["id"])

    def building(self, geometry: BaseGeometry | str | None = None, **properties: Any) -> str:
        """A building; of 20 m at a place of its own unless said otherwise."""
        return self.feature(
            "buildings", geometry if geometry is not None else square(114.05 + self._number * 1e-3, 22.54), **properties
        )

    def buildings_sql(self, statement: str) -> None:
        """Many buildings by one statement, then the statistics."""
        with self.connection.transaction():
            self.connection.execute(statement.encode())
            self.refresh("buildings")

    def refresh(self, collection: str) -> None:
        """Bring the statistics of a collection in step with its rows, and tell the workers."""
        declared = self.collection(collection)
        self.run(
            Sql.of(
                "WITH grown AS (UPDATE cim.collection_stats AS s SET feature_count = now.count, bounds = now.bounds, "
                "valid_from = now.first, valid_to = now.last, version = s.version + 1 FROM (SELECT count(*) AS count, "
                "CASE WHEN ST_Extent(geom) IS NOT NULL THEN ST_MakeEnvelope(ST_XMin(ST_Extent(geom)), ST_YMin(ST_Extent(geom)), "
                "ST_XMax(ST_Extent(geom)), ST_YMax(ST_Extent(geom)), 4326) END AS bounds, min(valid_from) AS first, "
                "max(valid_to) AS last FROM {}.{}) AS now WHERE s.collection_id = {} RETURNING collection_id, version) "
                "INSERT INTO cim.change (collection_id, version, recorded_at, changed_by) "
                "SELECT collection_id, version, now(), 'test' FROM grown",
                *declared.table,
                Cast(collection, "text"),
            )
        )
        self.run(Sql.of("SELECT pg_notify('cim_registry', {})", Cast(collection, "text")))

    def count(self, collection: str) -> int:
        """Rows of a collection, counted."""
        declared = self.collection(collection)
        row = self.run(Sql.of("SELECT count(*) FROM {}.{}", *declared.table)).fetchone()
        return int(row[0])

    def settle(self, client: Any) -> None:
        """Return when the server knows every collection as it is; it has a second for that."""
        expected = {
            row[0]: row[1]
            for row in self.connection.execute(
                "SELECT collection_id, feature_count FROM cim.collection_stats"
            ).fetchall()
        }
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            known = {c["id"]: c["itemCount"] for c in feature_collections(client)}
            if known == expected:
                return
            time.sleep(0.02)
        raise AssertionError(f"the server knows {json.dumps(known)}, the database has {json.dumps(expected)}")
