"""Statements that bring the rows of a stage into a collection's table: what is new there, the same, changed, gone."""

from dataclasses import dataclass

from cim.db.spared import is_edited
from cim.model.collection import LEADING, Collection
from cim.sql import Identifier, Sql

_COMPARED = ("geom", "area_code", "valid_from", "valid_to", "attributes")


@dataclass(frozen=True, slots=True)
class Merge:
    """Of one run into one collection. `stage` holds a batch, `seen` the ids that the source was found to have."""

    collection: Collection
    run_id: int
    properties: tuple[str, ...]

    def repeated(self) -> Sql:
        """Take rows whose id an earlier batch of this run had out of the stage: number, id and feature of each."""
        return Sql.of(
            "WITH repeated AS (DELETE FROM stage AS s USING {}.{} AS t WHERE t.id = s.id "
            "AND ((t.load_run_id = {} AND t.source_row <> s.source_row) OR EXISTS (SELECT FROM seen WHERE seen.id = s.id)) "
            "RETURNING s.*) SELECT source_row, source_id, jsonb_build_object('type', 'Feature', 'geometry', "
            "ST_AsGeoJSON(geom)::jsonb, 'properties', to_jsonb(repeated) - 'geom') FROM repeated",
            *self.collection.table,
            self.run_id,
        )

    def differs(self, alias: str = "t") -> Sql:
        """True where the stored row (`t`, or the one of another alias) and the staged row `s` say different things."""
        compared = (*_COMPARED, *self.properties)
        theirs = Sql.join(", ", [Sql.of("{}.{}", Identifier(alias), Identifier(n)) for n in compared])
        ours = Sql.join(", ", [Sql.of("s.{}", Identifier(n)) for n in compared])
        return Sql.of("ROW({}) IS DISTINCT FROM ROW({})", theirs, ours)

    def remember_unchanged(self) -> Sql:
        """Mark staged rows that are stored just so as seen."""
        return Sql.of(
            "INSERT INTO seen SELECT t.id FROM {}.{} AS t JOIN stage AS s USING (id) "
            "WHERE t.load_run_id IS DISTINCT FROM {} AND NOT ({}) ON CONFLICT DO NOTHING",
            *self.collection.table,
            self.run_id,
            self.differs(),
        )

    def changed(self) -> Sql:
        """True of a stored row that is to be written anew."""
        return Sql.of("t.load_run_id IS DISTINCT FROM {} AND {}", self.run_id, self.differs())

    def lock_changed(self) -> Sql:
        """Keep others from the rows that are to be written anew."""
        return Sql.of(
            "SELECT FROM {}.{} AS t JOIN stage AS s USING (id) WHERE {} FOR UPDATE OF t",
            *self.collection.table,
            self.changed(),
        )

    def keep_changed(self) -> Sql:
        """Rows that are to be written anew, as they are, to history."""
        return Sql.of(
            "INSERT INTO {}.{} ({}) SELECT {} FROM {}.{} AS t JOIN stage AS s USING (id) WHERE {}",
            *self.collection.history_table,
            self._stored_columns(),
            Sql.join(", ", [Sql.of("t.{}", Identifier(n)) for n in self._stored_names()]),
            *self.collection.table,
            self.changed(),
        )

    def update(self) -> Sql:
        """Write changed rows anew."""
        written = (*LEADING[2:], *self.properties)
        assignments = Sql.join(", ", [Sql.of("{} = s.{}", Identifier(n), Identifier(n)) for n in written])
        return Sql.of(
            "UPDATE {}.{} AS t SET {}, recorded_at = now() FROM stage AS s WHERE t.id = s.id AND {}",
            *self.collection.table,
            assignments,
            self.changed(),
        )

    def missing(self, source: str) -> tuple[Sql, Sql, Sql]:
        """Three statements on the rows of the source that it no longer has: lock them, keep them as history, delete them."""
        table, names = self.collection.table, self._stored_columns()
        gone = Sql.of(
            "t.id >= {} AND t.id < {} AND NOT EXISTS (SELECT FROM seen WHERE seen.id = t.id) AND NOT {}",
            source + ".",
            source + "/",
            is_edited(self.collection, Sql.of("t.id")),
        )
        history = self.collection.history_table
        return (
            Sql.of("SELECT FROM {}.{} AS t WHERE {} FOR UPDATE", *table, gone),
            Sql.of("INSERT INTO {}.{} ({}) SELECT {} FROM {}.{} AS t WHERE {}", *history, names, names, *table, gone),
            Sql.of("DELETE FROM {}.{} AS t WHERE {}", *table, gone),
        )

    def _stored_names(self) -> tuple[str, ...]:
        return (*LEADING, "recorded_at", *self.properties)

    def _stored_columns(self) -> Sql:
        return Sql.join(", ", [Sql.of("{}", Identifier(n)) for n in self._stored_names()])
