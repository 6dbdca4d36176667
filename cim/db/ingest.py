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
from cim.db.changes import record_load
from cim.db.indexes import drop_indexes_if_empty, ensure_indexes
from cim.db.spared import has_edits, is_edited, rejection, spare
from cim.errors import LoadBusy, NotFound
from cim.model.collection import LEADING, Collection
from cim.sql import Identifier, Sql

log = logging.getLogger(__name__)
set_json_dumps(lambda value: orjson.dumps(value, default=str, option=orjson.OPT_SERIALIZE_NUMPY))

MERGE_TRIES = 5
"""Times a batch is tried when another load gets in its way (deadlock, serialization)."""

_COMPARED = ("geom", "area_code", "valid_from", "valid_to", "attributes")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What identifies a load run: the same request after a kill goes on with the same run."""

    collection: Collection
    source: str
    origin: str
    fingerprint: str
    options: dict[str, Any]
    loaded_by: str
    mode: str = "merge"
    licence: str | None = None
    attribution: str | None = None
    is_dry: bool = False
    job_id: int | None = None


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
        self._find_or_make_run()
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

    def _lock(self) -> None:
        key = f"{self._request.collection.id}/{self._request.source}"
        row = self._execute(Sql.of("SELECT pg_try_advisory_lock(hashtextextended({}, 4403))", key)).fetchone()
        if not row or not row[0]:
            raise LoadBusy(
                f"source '{self._request.source}' is being loaded into {self._request.collection.id} by another process; "
                "wait for it, or give another --source name"
            )

    def _find_or_make_run(self) -> None:
        request = self._request
        if request.job_id is not None:
            self._take_job(request.job_id)
            return
        found = self._execute(
            Sql.of(
                "SELECT id FROM cim.load_run WHERE collection_id = {} AND source = {} AND fingerprint = {} "
                "AND options = {}::jsonb AND mode = {} AND state IN ('running', 'failed') "
                "AND id = (SELECT max(id) FROM cim.load_run WHERE collection_id = {} AND source = {} AND NOT is_dry)",
                request.collection.id,
                request.source,
                request.fingerprint,
                Jsonb(request.options),
                request.mode,
                request.collection.id,
                request.source,
            )
        ).fetchone()
        if found and not self._is_whole:
            self.run_id = found[0]
            done = self._execute(
                Sql.of("SELECT count(*) FROM cim.load_batch WHERE load_run_id = {}", self.run_id)
            ).fetchone()
            self.done_batches = done[0] if done else 0
            self._execute(
                Sql.of(
                    "UPDATE cim.load_run SET state = 'running', error = NULL, ended_at = NULL WHERE id = {}",
                    self.run_id,
                )
            )
            return
        row = self._execute(
            Sql.of(
                "INSERT INTO cim.load_run (collection_id, source, kind, mode, origin, fingerprint, options, licence, "
                "attribution, loaded_by, is_dry) VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}) RETURNING id",
                request.collection.id,
                request.source,
                request.collection.kind,
                request.mode,
                request.origin,
                request.fingerprint,
                Jsonb(request.options),
                request.licence,
                request.attribution,
                request.loaded_by,
                request.is_dry,
            )
        ).fetchone()
        assert row is not None
        self.run_id = row[0]

    def _take_job(self, job_id: int) -> None:
        request = self._request
        taken = self._execute(
            Sql.of(
                "UPDATE cim.load_run SET state = 'running', collection_id = {}, source = {}, mode = {}, fingerprint = {}, "
                "options = {}, error = NULL, ended_at = NULL WHERE id = {} AND state IN ('queued', 'running') RETURNING id",
                request.collection.id,
                request.source,
                request.mode,
                request.fingerprint,
                Jsonb(request.options),
                job_id,
            )
        ).fetchone()
        if taken is None:
            raise NotFound("queued load", job_id)
        self.run_id = job_id
        done = self._execute(Sql.of("SELECT count(*) FROM cim.load_batch WHERE load_run_id = {}", job_id)).fetchone()
        self.done_batches = done[0] if done else 0

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
            rejections.extend(self._repeated())
            refused = len(rejections) - len(batch.rejections)
            unchanged = batch.accepted - refused - inserted
            if self._remember_unchanged() < unchanged and self._lock_changed():
                late = self._spare_edited()  # edits that came in between
                rejections.extend(late)
                updated = self._update()
                unchanged -= len(late) + updated
        if self._request.mode == "replace" and not self._is_first:
            self._execute(Sql.of("INSERT INTO seen SELECT id FROM stage ON CONFLICT DO NOTHING"))
        rejected = len({r["row"] for r in rejections if r["is_rejected"]})
        self._reject(rejections)
        self._execute(
            Sql.of(
                "INSERT INTO cim.load_batch (load_run_id, number, read, inserted, updated, unchanged, rejected, repaired) "
                "VALUES ({}, {}, {}, {}, {}, {}, {}, {})",
                run_id,
                batch.number,
                batch.read,
                inserted,
                updated,
                unchanged,
                rejected,
                batch.repaired,
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
        stored, loaded = (Sql.of("NOT ({})", self._differs(alias)) for alias in ("t", "h"))
        rows = self._execute(spare(self._request.collection, stored, loaded)).fetchall()
        return [rejection(*row) for is_new, *row in rows if is_new]

    def _repeated(self) -> list[dict[str, Any]]:
        """Take rows whose id an earlier batch of this run had out of the stage, as rejections."""
        rows = self._execute(
            Sql.of(
                "WITH repeated AS (DELETE FROM stage AS s USING {}.{} AS t WHERE t.id = s.id "
                "AND ((t.load_run_id = {} AND t.source_row <> s.source_row) OR EXISTS (SELECT FROM seen WHERE seen.id = s.id)) "
                "RETURNING s.*) SELECT source_row, source_id, jsonb_build_object('type', 'Feature', 'geometry', "
                "ST_AsGeoJSON(geom)::jsonb, 'properties', to_jsonb(repeated) - 'geom') FROM repeated",
                *self._request.collection.table,
                self.run_id,
            )
        ).fetchall()
        reason = "an earlier row of the source has the same id"
        return [
            {
                "row": row,
                "code": "duplicate-id",
                "reason": reason,
                "field": "id",
                "value": value,
                "original": feature,
                "is_rejected": True,
            }
            for row, value, feature in rows
        ]

    def _differs(self, alias: str = "t") -> Sql:
        """True where the stored row (`t`, or the one of another alias) and the staged row `s` say different things."""
        compared = (*_COMPARED, *self._properties)
        theirs = Sql.join(", ", [Sql.of("{}.{}", Identifier(alias), Identifier(n)) for n in compared])
        ours = Sql.join(", ", [Sql.of("s.{}", Identifier(n)) for n in compared])
        return Sql.of("ROW({}) IS DISTINCT FROM ROW({})", theirs, ours)

    def _remember_unchanged(self) -> int:
        """Mark staged rows that are stored just so as seen; gives how many."""
        return self._execute(
            Sql.of(
                "INSERT INTO seen SELECT t.id FROM {}.{} AS t JOIN stage AS s USING (id) "
                "WHERE t.load_run_id IS DISTINCT FROM {} AND NOT ({}) ON CONFLICT DO NOTHING",
                *self._request.collection.table,
                self.run_id,
                self._differs(),
            )
        ).rowcount

    def _changed(self) -> Sql:
        return Sql.of("t.load_run_id IS DISTINCT FROM {} AND {}", self.run_id, self._differs())

    def _lock_changed(self) -> int:
        """Keep others from the rows that are to be written anew; gives how many."""
        return self._execute(
            Sql.of(
                "SELECT FROM {}.{} AS t JOIN stage AS s USING (id) WHERE {} FOR UPDATE OF t",
                *self._request.collection.table,
                self._changed(),
            )
        ).rowcount

    def _update(self) -> int:
        """Write changed rows anew, their former version to history; gives how many."""
        table = self._request.collection.table
        changed = self._changed()
        self._execute(
            Sql.of(
                "INSERT INTO {}.{} ({}) SELECT {} FROM {}.{} AS t JOIN stage AS s USING (id) WHERE {}",
                *self._request.collection.history_table,
                self._history_columns(),
                Sql.join(", ", [Sql.of("t.{}", Identifier(n)) for n in self._all_columns()]),
                *table,
                changed,
            )
        )
        written = (*LEADING[2:], *self._properties)
        assignments = Sql.join(", ", [Sql.of("{} = s.{}", Identifier(n), Identifier(n)) for n in written])
        return self._execute(
            Sql.of(
                "UPDATE {}.{} AS t SET {}, recorded_at = now() FROM stage AS s WHERE t.id = s.id AND {}",
                *table,
                assignments,
                changed,
            )
        ).rowcount

    def _all_columns(self) -> tuple[str, ...]:
        return (*LEADING, "recorded_at", *self._properties)

    def _history_columns(self) -> Sql:
        return Sql.join(", ", [Sql.of("{}", Identifier(n)) for n in self._all_columns()])

    def _reject(self, rejections: Iterable[dict[str, Any]]) -> None:
        rows = {(r["row"], r["code"]): r for r in rejections}
        if not rows:
            return
        statement = b"COPY cim.load_rejection (load_run_id, source_row, code, reason, field, value, original, is_rejected) FROM STDIN"
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for r in rows.values():
                texts = [_storable(r[k]) for k in ("code", "reason", "field", "value")]
                original = Jsonb(_storable_json(r["original"]))
                copy.write_row((self.run_id, r["row"], *texts, original, r["is_rejected"]))

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
        """End the run: in replace mode delete what the source no longer has; give the account from SQL."""
        ensure_indexes(self._connection, self._request.collection)
        with self._connection.transaction():
            deleted = self._delete_missing() if self._request.mode == "replace" and not self._is_first else 0
            self._record()
            if deleted or self._needs_extent:
                self._recompute_extent()
            self._execute(
                Sql.of(
                    "UPDATE cim.load_run SET state = 'completed', ended_at = now(), deleted = {} WHERE id = {}",
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

    def _delete_missing(self) -> int:
        table, names = self._request.collection.table, self._history_columns()
        gone = Sql.of(
            "t.id >= {} AND t.id < {} AND NOT EXISTS (SELECT FROM seen WHERE seen.id = t.id) AND NOT {}",
            self._request.source + ".",
            self._request.source + "/",
            is_edited(self._request.collection, Sql.of("t.id")),
        )
        self._execute(Sql.of("SELECT FROM {}.{} AS t WHERE {} FOR UPDATE", *table, gone))
        self._execute(
            Sql.of(
                "INSERT INTO {}.{} ({}) SELECT {} FROM {}.{} AS t WHERE {}",
                *self._request.collection.history_table,
                names,
                names,
                *table,
                gone,
            )
        )
        deleted = self._execute(Sql.of("DELETE FROM {}.{} AS t WHERE {}", *table, gone)).rowcount
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
        facts = {
            "code": getattr(error, "code", "interrupted"),
            "detail": getattr(error, "detail", "the load was stopped"),
        }
        self._execute(
            Sql.of(
                "UPDATE cim.load_run SET state = 'failed', ended_at = now(), error = {} WHERE id = {}",
                Jsonb(facts),
                self.run_id,
            )
        )


def _around(
    one: tuple[float, float, float, float] | None, other: tuple[float, float, float, float] | None
) -> tuple[float, float, float, float] | None:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _storable(text: str | None) -> str | None:
    """Text that PostgreSQL takes: NUL shown as ␀, lone surrogates as �."""
    if text is None:
        return None
    return str(text).replace("\x00", "␀").encode("utf-8", "replace").decode()


def _storable_json(value: Any) -> Any:
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, dict):
        return {str(_storable(str(k))): _storable_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_storable_json(v) for v in value]
    return value
