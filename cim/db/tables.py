"""Tables as SQLAlchemy / GeoAlchemy2 metadata: the truth of DDL, used by migrations only.

Feature tables share `FIXED_COLUMNS`, then one column a property. `id` is `<source>.<source id>`: the same
row of the same source has the same id on every node and after every reload, and one unique index serves
identity, merge and keyset paging (on Citus it is the distribution column).
"""

from typing import Any

from geoalchemy2 import Geometry
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.types import TypeEngine

from cim.collections import BUILTIN
from cim.db.schema import Xid, code_text, metadata
from cim.model import Collection, Kind
from cim.query.predicate import VALID_TIME

DATASET_SCHEMA = "dataset"

_TYPES: dict[Kind, TypeEngine[Any]] = {
    Kind.TEXT: Text(),
    Kind.INTEGER: BigInteger(),
    Kind.NUMBER: Float(53),
    Kind.BOOLEAN: Boolean(),
    Kind.DATE: Date(),
    Kind.INSTANT: DateTime(timezone=True),
    Kind.JSON: JSONB(),
}


def fixed_columns(geometry_type: str, srid: int) -> list[Column[Any]]:
    """The columns every feature table begins with.

    `attributes`: fields of the source that no property took, as they came. `valid_from`/`valid_to`: valid
    time, half-open, NULL for open. `recorded_at`: when this version was written. `source_row`: 1-based row
    (or feature) number in the source.
    """
    return [
        Column("id", code_text(), primary_key=True),
        Column("source", code_text(), nullable=False),
        Column("source_id", code_text(), nullable=False),
        Column("geom", Geometry(geometry_type, srid=srid, spatial_index=False)),
        Column("area_code", code_text()),
        Column("valid_from", DateTime(timezone=True)),
        Column("valid_to", DateTime(timezone=True)),
        Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("load_run_id", BigInteger()),
        Column("source_row", BigInteger()),
        Column("attributes", JSONB()),
    ]


def feature_tables(collection: Collection, target: MetaData = metadata) -> tuple[Table, Table]:
    """The table of a collection and its history table, with named indexes.

    History keeps every superseded version: the same columns, `superseded_at`, and no unique id.
    """
    name, schema = collection.table_name, collection.table_schema
    properties = [
        Column(p.name, code_text() if p.kind is Kind.TEXT and p.is_indexed else _TYPES[p.kind].copy())
        for p in collection.properties
    ]
    current = Table(name, target, *fixed_columns(collection.geometry_type, collection.srid), *properties, schema=schema)
    if collection.has_time_index:
        Index(f"{name}_geom_time_idx", current.c.geom, text(VALID_TIME), postgresql_using="gist")
    else:
        Index(f"{name}_geom_idx", current.c.geom, postgresql_using="gist")
    # rows without geometry match every box; a GiST index would be read whole to find them
    Index(f"{name}_no_geom_idx", current.c.id, postgresql_where=current.c.geom.is_(None))
    Index(f"{name}_area_code_idx", current.c.area_code)
    Index(f"{name}_recorded_at_idx", current.c.recorded_at, current.c.id)
    for p in collection.properties:
        if p.is_indexed:  # with the id: a sort, and a page of equal values, walk it in order
            Index(f"{name}_{p.name}_idx", current.c[p.name], current.c.id)
    texts = [current.c[p.name] for p in collection.properties if p.is_searchable]
    if texts:
        # what cim/query/text_search.py writes in its condition, letter for letter
        Index(
            f"{name}_text_idx",
            func.cim.bigrams(postgresql.array(texts)),
            postgresql_using="gin",
            postgresql_where=func.coalesce(*texts).is_not(None),
        )
    history = Table(
        f"{name}_history",
        target,
        *[Column(c.name, c.type) for c in current.columns],
        Column("superseded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        schema=schema,
    )
    Index(f"{name}_history_id_idx", history.c.id, history.c.superseded_at)
    Index(f"{name}_history_recorded_at_idx", history.c.recorded_at, history.c.id)
    Index(f"{name}_history_superseded_at_idx", history.c.superseded_at, history.c.id)
    Index(f"{name}_history_area_code_idx", history.c.area_code)
    Index(f"{name}_history_geom_idx", history.c.geom, postgresql_using="gist")
    return current, history


def table_statements(collection: Collection) -> list[str]:
    """`CREATE TABLE IF NOT EXISTS` of a collection's table and of its history."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    tables = feature_tables(collection, MetaData())
    return [str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)) for table in tables]


def index_statements(collection: Collection) -> dict[str, str]:
    """Name → `CREATE INDEX IF NOT EXISTS` of every index of a collection's two tables but the primary key."""
    tables = feature_tables(collection, MetaData())
    ordered = sorted((i for table in tables for i in table.indexes), key=lambda index: str(index.name))
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return {str(i.name): str(CreateIndex(i, if_not_exists=True).compile(dialect=dialect)) for i in ordered}


FIXED_COLUMNS = tuple(c.name for c in fixed_columns("Geometry", 4326))

FEATURE_TABLES = {c.id: feature_tables(c) for c in BUILTIN}

collection_table = Table(
    "collection",
    metadata,
    Column("id", code_text(), primary_key=True),
    Column("declaration", JSONB(), nullable=False, comment="the Collection, as cim.db.registry writes it"),
    Column("is_builtin", Boolean(), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

collection_stats = Table(
    "collection_stats",
    metadata,
    Column("collection_id", code_text(), primary_key=True),
    Column("feature_count", BigInteger(), nullable=False, server_default="0"),
    Column("bounds", Geometry("POLYGON", srid=4326, spatial_index=False)),
    Column("valid_from", DateTime(timezone=True)),
    Column("valid_to", DateTime(timezone=True)),
    Column("version", BigInteger(), nullable=False, server_default="0", comment="grows with every change: the ETag"),
)

change = Table(
    "change",
    metadata,
    Column("collection_id", code_text(), primary_key=True),
    Column("version", BigInteger(), primary_key=True, comment="of collection_stats, in order of commit"),
    Column("recorded_at", DateTime(timezone=True), nullable=False, comment="of the rows it wrote or superseded"),
    Column("load_run_id", BigInteger()),
    Column("changed_by", Text(), nullable=False),
)
Index("change_recorded_at_idx", change.c.collection_id, change.c.recorded_at)

edited = Table(
    "edited",
    metadata,
    Column("collection_id", code_text(), primary_key=True),
    Column("feature_id", code_text(), primary_key=True, comment="of a loaded source, changed or deleted by the API"),
    Column("edited_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("edited_by", Text(), nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("caller", Text(), primary_key=True),
    Column("key", Text(), primary_key=True, comment="Idempotency-Key, kept for 24 hours"),
    Column("digest", LargeBinary(), nullable=False, comment="sha256 of what was asked"),
    Column("answer", JSONB(), nullable=False, comment="status, headers and body that it got"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
Index("idempotency_created_at_idx", idempotency.c.created_at)

load_run = Table(
    "load_run",
    metadata,
    Column("id", BigInteger(), Identity(), primary_key=True),
    Column("collection_id", code_text(), nullable=False),
    Column("source", code_text(), nullable=False),
    Column("kind", Text(), nullable=False),
    Column("state", Text(), nullable=False, server_default="running"),
    Column("mode", Text(), nullable=False, server_default="merge"),
    Column(
        "origin", Text(), nullable=False, comment="path or name as the user gave it, without the folder for uploads"
    ),
    Column("fingerprint", Text(), nullable=False, comment="sha256 of the source's bytes"),
    Column(
        "options", JSONB(), nullable=False, comment="mapping, layer, CRS, datum, encoding … that decide the outcome"
    ),
    Column("notes", JSONB(), nullable=False, server_default="[]", comment="what was assumed or derived"),
    Column("licence", Text()),
    Column("attribution", Text()),
    Column("loaded_by", Text(), nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_at", DateTime(timezone=True)),
    Column("deleted", BigInteger(), nullable=False, server_default="0"),
    Column("error", JSONB()),
    Column("is_dry", Boolean(), nullable=False, server_default="false"),
    Column("expected", BigInteger(), comment="rows that the source says it has; NULL where it does not say"),
    CheckConstraint("state IN ('queued', 'running', 'completed', 'failed')", name="load_run_state_check"),
    CheckConstraint("mode IN ('merge', 'replace')", name="load_run_mode_check"),
)
Index("load_run_source_idx", load_run.c.collection_id, load_run.c.source, load_run.c.id)

load_batch = Table(
    "load_batch",
    metadata,
    Column("load_run_id", BigInteger(), ForeignKey("cim.load_run.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer(), primary_key=True),
    Column("read", BigInteger(), nullable=False),
    Column("inserted", BigInteger(), nullable=False),
    Column("updated", BigInteger(), nullable=False),
    Column("unchanged", BigInteger(), nullable=False),
    Column("rejected", BigInteger(), nullable=False),
    Column("repaired", BigInteger(), nullable=False, server_default="0"),
    Column("committed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column(
        "bounds", ARRAY(Double()), comment="west, south, east, north of the rows that passed the checks, in degrees"
    ),
    CheckConstraint("read = inserted + updated + unchanged + rejected", name="load_batch_adds_up"),
)

load_rejection = Table(
    "load_rejection",
    metadata,
    Column("load_run_id", BigInteger(), ForeignKey("cim.load_run.id", ondelete="CASCADE"), primary_key=True),
    Column("source_row", BigInteger(), primary_key=True),
    Column("code", Text(), primary_key=True, comment="e.g. geometry/invalid, duplicate-id, type/integer"),
    Column("reason", Text(), nullable=False),
    Column("field", Text()),
    Column("value", Text()),
    Column("original", JSONB(), nullable=False, comment="the row as a GeoJSON feature in the source's CRS"),
    Column("is_rejected", Boolean(), nullable=False, comment="false: stored after the repair that `reason` names"),
    Column(
        "bounds", ARRAY(Double()), comment="west, south, east, north in degrees; NULL where the row has no known place"
    ),
)

mapping = Table(
    "mapping",
    metadata,
    Column("kind", code_text(), primary_key=True),
    Column("fields", code_text(), primary_key=True, comment="sorted field names of the source: the key of re-use"),
    Column("mapping", JSONB(), nullable=False),
    Column("saved_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

stac_collection = Table(
    "stac_collection",
    metadata,
    Column("id", code_text(), primary_key=True),
    Column("document", JSONB(), nullable=False),
    Column("load_run_id", BigInteger()),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

secret = Table(
    "secret",
    metadata,
    Column("name", code_text(), primary_key=True, comment="cursor: signs paging cursors of every worker and node"),
    Column("value", LargeBinary(), nullable=False),
)

export = Table(
    "export",
    metadata,
    Column(
        "digest", code_text(), primary_key=True, comment="sha256 of the id in the address, hex: the id is the right"
    ),
    Column("collection_id", code_text(), nullable=False),
    Column("format", Text(), nullable=False),
    Column("state", Text(), nullable=False, server_default="queued"),
    Column("request", JSONB(), nullable=False, comment="the compiled statement, under the rights of who asked"),
    Column("file_name", Text(), nullable=False, comment="as the download is called, without its suffix"),
    Column("done", BigInteger(), nullable=False, server_default="0", comment="rows written"),
    Column("total", BigInteger(), comment="rows that match, where they were counted"),
    Column("bytes", BigInteger()),
    Column("error", JSONB()),
    Column("caller", Text(), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("started_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("state IN ('queued', 'running', 'completed', 'failed', 'cancelled')", name="export_state_check"),
)
Index("export_expires_idx", export.c.expires_at)

kept_text = Table(
    "kept_text",
    metadata,
    Column("form", BigInteger(), primary_key=True),
    Column("id", code_text(), primary_key=True),
    Column("version", Xid(), nullable=False, comment="xmin of the row of which it is the text"),
    Column("recorded_at", DateTime(timezone=True), nullable=False, comment="of that row"),
    Column("body", LargeBinary(), nullable=False),
    prefixes=["UNLOGGED"],
)

kept_form = Table(
    "kept_form",
    metadata,
    Column("form", BigInteger(), primary_key=True, autoincrement=False),
    Column("collection_id", code_text(), nullable=False),
    Column("version", BigInteger(), nullable=False, comment="up to which change the texts are kept"),
    prefixes=["UNLOGGED"],
)
