"""Rows into a collection's table: COPY to a temporary table, set-based merge, rejections, account.

One `Ingest` is one load run on one psycopg connection. Each batch is one transaction (`merge`), or the whole
run is (`replace`, `dry run`). The account of a batch is checked by the database itself:
`read = inserted + updated + unchanged + rejected` is a CHECK constraint of `cim.load_batch`.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb, set_json_dumps

from cim.db.account import Account, account_of
from cim.db.areas import retag_all
from cim.db.changes import record_load
from cim.db.indexes import drop_indexes_if_empty, ensure_indexes
from cim.db.load_runs import RunRequest, begin, fail
from cim.db.merge import Merge
from cim.db.rejected import reject, repeated
from cim.db.spared import has_edits, rejection, spare
from cim.errors import LoadBusy
from cim.model.collection import LEADING
from cim.sql import Identifier, Sql

log = logging.getLogger(__name__)
set_json_dumps(lambda value: orjson.dumps(value, default=str, option=orjson.OPT_SERIALIZE_NUMPY))

MERGE_TRIES = 5
"""Times a batch is tried when another load gets in its way (deadlock, serialization)."""


@dataclass(frozen=True, slots=True)
class BatchRows:
    """One batch: `block` is a binary COPY stream of `LEADING` and the properties; `rejections` have the fields of load_rejection."""

    number: int
    read: int
    accepted: int
    repaired: int
    rejections: Sequence[dict[str, Any]]
    bounds: tuple[float, float, float, float] | None
    block: bytes


@contextmanager
def dry(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Nothing that the block writes on an autocommit `connection` is kept, nor seen by others meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
            connection.execute("ROLLBACK")


class Ingest:
    """A load run. Use as a context manager: leaving it by an exception marks the run failed, resumable."""

    def __init__(self, connection: psycopg.Connection[Any], request: RunRequest) -> None:
        self._connection = connection
        self._request = request
        self._properties = tuple(request.collection.names())
        self._is_whole = request.mode == "replace" or request.is_dry
        self.run_id = 0
        self.done_batches = 0
        self._skipped = 0
        self._needs_extent = False
        self._is_first = False
        self._added = self._written = 0
        self._bounds: tuple[float, float, float, float] | None = None

    def __enter__(self) -> "Ingest":
        if not self._connection.autocommit:
            raise ValueError("Ingest needs an autocommit connection")
        self._lock()
        run = begin(self._connection, self._request, is_whole=self._is_whole)
        self.run_id, self.done_batches = run.id, run.done_batches
        self._execute(self._stage_table())
        self._execute(Sql.of('CREATE TEMPORARY TABLE IF NOT EXISTS seen (id text COLLATE "C" PRIMARY KEY)'))
        self._execute(Sql.of("TRUNCATE seen"))
        self._is_first = not self._has_rows()
        if self._is_whole:
            if self._connection.info.transaction_status == TransactionStatus.IDLE:
                self._execute(Sql.of("BEGIN"))
        elif not self.done_batches:
            drop_indexes_if_empty(self._connection, self._request.collection)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is not None:
                self._fail(error)
        finally:
            if not self._connection.closed:
                self._execute(Sql.of("SELECT pg_advisory_unlock_all()"))

    def _execute(self, sql: Sql) -> psycopg.Cursor[Any]:
        text, values = sql.compile_psycopg()
        return self._connection.execute(text.encode(), values)

    def _count(self, sql: Sql) -> int:
        """How many rows a statement wrote or gave."""
        return self._execute(sql).rowcount

    @property
    def _sql(self) -> Merge:
        return Merge(self._request.collection, self.run_id, self._properties)

    def _lock(self) -> None:
        key = f"{self._request.collection.id}/{self._request.source}"
        row = self._execute(Sql.of("SELECT pg_try_advisory_lock(hashtextextended({}, 4403))", key)).fetchone()
        if not row or not row[0]:
            raise LoadBusy(
                f"source '{self._request.source}' is being loaded into {self._request.collection.id} by another process; "
                "wait for it, or give another --source name"
            )

    def _has_rows(self) -> bool:
        """True when the collection holds rows of this source, whose ids all begin with its key and a dot."""
        key = self._request.source
        found = self._execute(
            Sql.of(
                "SELECT EXISTS (SELECT FROM {}.{} WHERE id >= {} AND id < {})",
                *self._request.collection.table,
                key + ".",
                key + "/",
            )
        ).fetchone()
        return bool(found and found[0])

    def _stage_table(self) -> Sql:
        self._execute(Sql.of("DROP TABLE IF EXISTS pg_temp.stage"))
        return Sql.of(
            "CREATE TEMPORARY TABLE stage AS SELECT {} FROM {}.{} WITH NO DATA",
            self._columns(),
            *self._request.collection.table,
        )

    def _columns(self) -> Sql:
        """Columns of a block, which are those of the stage."""
        return Sql.join(", ", [Sql.of("{}", Identifier(n)) for n in (*LEADING, *self._properties)])

    def take(self, batch: BatchRows) -> None:
        """Merge one batch, or only remember its ids when an earlier try of this run has committed it."""
        if batch.number <= self.done_batches:
            self._stage(batch)
            self._execute(Sql.of("INSERT INTO seen SELECT id FROM stage ON CONFLICT DO NOTHING"))
            self._skipped += 1
            return
        for attempt in range(1, MERGE_TRIES + 1):
            try:
                with self._connection.transaction():
                    self._merge(batch)
                return
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                if attempt == MERGE_TRIES:
                    raise
                log.warning("a batch is tried again", extra={"run": self.run_id, "batch": batch.number})

    def _stage(self, batch: BatchRows) -> None:
        self._execute(Sql.of("TRUNCATE stage"))
        self._copy(Sql.of("stage"), batch.block)

    def _copy(self, table: Sql, block: bytes) -> None:
        text, _ = Sql.of("COPY {} ({}) FROM STDIN (FORMAT binary)", table, self._columns()).compile_psycopg()
        with self._connection.cursor() as cursor, cursor.copy(text.encode()) as copy:
            copy.write(block)

    def _insert(self, batch: BatchRows, *, is_staged: bool) -> int:
        """Store the rows whose id is new; gives how many. The stage holds the batch where some are not."""
        table = Sql.of("{}.{}", *self._request.collection.table)
        if self._is_first and not is_staged:
            try:
                with self._connection.transaction():
                    self._copy(table, batch.block)
            except psycopg.errors.UniqueViolation:
                log.info("a source repeats an id", extra={"run": self.run_id, "batch": batch.number})
            else:
                return batch.accepted
        if not is_staged:
            self._stage(batch)
        columns = self._columns()
        return self._execute(
            Sql.of("INSERT INTO {} ({}) SELECT {} FROM stage ON CONFLICT (id) DO NOTHING", table, columns, columns)
        ).rowcount

    def _merge(self, batch: BatchRows) -> None:
        run_id = self.run_id
        if not self._is_whole:  # a try that failed leaves no trace
            self._added, self._written, self._bounds = 0, 0, None
        rejections = list(batch.rejections)
        has_edits = self._has_edits()
        if has_edits:
            self._stage(batch)
            rejections.extend(self._spare_edited())
        inserted = self._insert(batch, is_staged=has_edits)
        updated = unchanged = 0
        if inserted < batch.accepted:
            rejections.extend(repeated(self._execute(self._sql.repeated()).fetchall()))
            refused = len(rejections) - len(batch.rejections)
            unchanged = batch.accepted - refused - inserted
            if self._count(self._sql.remember_unchanged()) < unchanged and self._count(self._sql.lock_changed()):
                late = self._spare_edited()  # edits that came in between
                rejections.extend(late)
                self._execute(self._sql.keep_changed())
                updated = self._count(self._sql.update())
                unchanged -= len(late) + updated
        if self._request.mode == "replace" and not self._is_first:
            self._execute(Sql.of("INSERT INTO seen SELECT id FROM stage ON CONFLICT DO NOTHING"))
        rejected = len({r["row"] for r in rejections if r["is_rejected"]})
        reject(self._connection, run_id, rejections)
        self._execute(
            Sql.of(
                "INSERT INTO cim.load_batch (load_run_id, number, read, inserted, updated, unchanged, rejected, repaired, bounds) "
                "VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {})",
                run_id,
                batch.number,
                batch.read,
                inserted,
                updated,
                unchanged,
                rejected,
                batch.repaired,
                None if batch.bounds is None else list(batch.bounds),
            )
        )
        self._needs_extent = self._needs_extent or updated > 0
        if inserted or updated:
            self._grow(inserted, updated, batch.bounds)

    def _has_edits(self) -> bool:
        found = self._execute(has_edits(self._request.collection, self._request.source)).fetchone()
        return bool(found and found[0])

    def _spare_edited(self) -> list[dict[str, Any]]:
        """Take edited features out of the stage; as rejections those of which the source says something new."""
        stored, loaded = (Sql.of("NOT ({})", self._sql.differs(alias)) for alias in ("t", "h"))
        rows = self._execute(spare(self._request.collection, stored, loaded)).fetchall()
        return [rejection(*row) for is_new, *row in rows if is_new]

    def _grow(self, inserted: int, updated: int, bounds: tuple[float, float, float, float] | None) -> None:
        """Take note of what was written. A run that is one transaction does so at its end: others wait from then on."""
        self._added += inserted
        self._written += inserted + updated
        self._bounds = _around(self._bounds, bounds)
        if not self._is_whole:
            self._record()

    def _record(self) -> None:
        """One change of the collection: what was written since the last one."""
        request = self._request
        if self._written:
            self._execute(record_load(request.collection.id, self._added, self._bounds, self.run_id, request.loaded_by))
            self._notify()
        self._added = self._written = 0
        self._bounds = None

    def _notify(self) -> None:
        self._execute(Sql.of("SELECT pg_notify('cim_registry', {})", self._request.collection.id))

    def expect(self, rows: int | None) -> None:
        """Keep how many rows the source says it has."""
        self._execute(Sql.of("UPDATE cim.load_run SET expected = {} WHERE id = {}", rows, self.run_id))

    def note(self, notes: Sequence[str]) -> None:
        """Keep what was assumed or derived with the run."""
        self._execute(Sql.of("UPDATE cim.load_run SET notes = {} WHERE id = {}", Jsonb(list(notes)), self.run_id))

    def keep_stac_collections(self, documents: Iterable[dict[str, Any]]) -> None:
        """Store STAC collection documents that the source carried, by their id."""
        for document in documents:
            self._execute(
                Sql.of(
                    "INSERT INTO cim.stac_collection (id, document, load_run_id) VALUES ({}, {}, {}) ON CONFLICT (id) DO UPDATE "
                    "SET document = EXCLUDED.document, load_run_id = EXCLUDED.load_run_id, recorded_at = now() "
                    "WHERE stac_collection.document IS DISTINCT FROM EXCLUDED.document",
                    str(document["id"]),
                    Jsonb(document),
                    self.run_id,
                )
            )

    def complete(self) -> Account:
        """End the run: in replace mode delete what the source no longer has; give the account from SQL.

        Areas bring all other collections in step before their run counts as completed: one that is killed in between is
        gone on with by the next.
        """
        ensure_indexes(self._connection, self._request.collection)
        with self._connection.transaction():
            deleted = self._delete_missing() if self._request.mode == "replace" and not self._is_first else 0
            self._record()
            if deleted or self._needs_extent:
                self._recompute_extent()
            if (
                self._request.collection.kind == "areas"
                and not self._request.is_dry
                and (deleted or self._has_written())
            ):
                retag_all(self._connection, self.run_id, self._request.loaded_by)
            self._execute(
                Sql.of(
                    "UPDATE cim.load_run SET state = 'completed', ended_at = now(), error = NULL, deleted = {} WHERE id = {}",
                    deleted,
                    self.run_id,
                )
            )
            self._update_valid_time()
            self._notify()
        account = account_of(self._connection, self.run_id, skipped_batches=self._skipped)
        if self._is_whole:
            self._execute(Sql.of("ROLLBACK") if self._request.is_dry else Sql.of("COMMIT"))
            if self._request.is_dry:
                self._execute(Sql.of("DELETE FROM cim.load_run WHERE id = {}", self.run_id))
        return account

    def _has_written(self) -> bool:
        """True when a batch of this run, also of an earlier try, has changed something."""
        found = self._execute(
            Sql.of(
                "SELECT EXISTS (SELECT FROM cim.load_batch WHERE load_run_id = {} AND inserted + updated > 0)",
                self.run_id,
            )
        ).fetchone()
        return bool(found and found[0])

    def _delete_missing(self) -> int:
        lock, keep, delete = self._sql.missing(self._request.source)
        self._execute(lock)
        self._execute(keep)
        deleted = self._execute(delete).rowcount
        self._added -= deleted
        self._written += deleted
        return deleted

    def _recompute_extent(self) -> None:
        self._execute(
            Sql.of(
                "UPDATE cim.collection_stats SET version = version + 1, bounds = (SELECT ST_MakeEnvelope(ST_XMin(e), ST_YMin(e), "
                "ST_XMax(e), ST_YMax(e), 4326) FROM (SELECT ST_Extent(geom) AS e FROM {}.{}) AS extent) WHERE collection_id = {}",
                *self._request.collection.table,
                self._request.collection.id,
            )
        )

    def _update_valid_time(self) -> None:
        self._execute(
            Sql.of(
                "UPDATE cim.collection_stats SET (valid_from, valid_to) = (SELECT min(valid_from), "
                "CASE WHEN bool_or(valid_to IS NULL) THEN NULL ELSE max(valid_to) END FROM {}.{}) WHERE collection_id = {}",
                *self._request.collection.table,
                self._request.collection.id,
            )
        )

    def _fail(self, error: BaseException) -> None:
        if self._connection.closed or self._connection.broken or not self.run_id:
            return
        self._connection.execute("ROLLBACK")
        ensure_indexes(self._connection, self._request.collection)
        if self._request.is_dry:
            self._execute(Sql.of("DELETE FROM cim.load_run WHERE id = {}", self.run_id))
            return
        fail(self._connection, self.run_id, error)


def _around(
    one: tuple[float, float, float, float] | None, other: tuple[float, float, float, float] | None
) -> tuple[float, float, float, float] | None:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])
