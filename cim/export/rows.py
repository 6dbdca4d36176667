"""Rows of an export as the database streams them by binary COPY: never more in memory than one batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from cim.errors import OutsideCrs, Unavailable
from cim.export.request import ExportRequest
from cim.model import Kind
from cim.sql import Sql

BATCH_ROWS = 5_000
BATCH_BYTES = 16 * 1024 * 1024

Advance = Callable[[int], None]
"""Told the number of rows after each batch; it raises to stop the writing."""

_TYPES = {
    Kind.TEXT: "text",
    Kind.INTEGER: "int8",
    Kind.NUMBER: "float8",
    Kind.BOOLEAN: "bool",
    Kind.DATE: "date",
    Kind.INSTANT: "timestamptz",
    Kind.JSON: "text",
}
SESSION = "-c TimeZone=UTC -c jit=off -c client_connection_check_interval=2s -c application_name=opencim-export"


class Source:
    """The rows of one export on a connection of its own."""

    def __init__(self, url: str, request: ExportRequest, advance: Advance) -> None:
        self._request, self._advance = request, advance
        self._connection = psycopg.connect(url, autocommit=True, options=SESSION, connect_timeout=10)
        self.rows = 0
        self.error: Exception | None = None
        """What stopped the rows: libraries that draw them pass on its text only."""

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def count(self, timeout_s: float) -> int | None:
        """Rows that there will be; None where counting them takes longer than `timeout_s`."""
        try:
            with self._connection.transaction():
                self._connection.execute(f"SET LOCAL statement_timeout = {int(timeout_s * 1000)}".encode())
                row = self._run(self._request.count).fetchone()
        except psycopg.errors.QueryCanceled:
            return None
        return int(row[0]) if row else None

    def geometry_types(self) -> tuple[set[str], bool]:
        """Types of geometry among the rows, in PostGIS's capitals; whether there are rows without one."""
        types = {row[0] for row in self._run(self._request.types).fetchall()}
        return types - {None}, None in types

    def _run(self, sql: Sql) -> psycopg.Cursor[Any]:
        text, values = sql.compile_psycopg()
        return self._connection.execute(text.encode(), values)

    def texts(self) -> Iterator[list[bytes]]:
        """Batches of features as text."""
        for batch in self._batches(["bytea"], place=0):
            yield [row[0] for row in batch]

    def batches(self) -> Iterator[list[tuple[Any, ...]]]:
        """Batches of rows: id, values of the columns, place."""
        request = self._request
        types = ["text", *(_TYPES[column.kind] for column in request.columns)]
        if request.places is None:
            types.append("bytea")
        elif len(request.places) == 1:
            types.append("text")
        elif request.places:
            types += ["float8", "float8"]
        yield from self._batches(types, place=len(types) - 1)

    def _batches(self, types: list[str], *, place: int) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of `types`, the value at `place` being the large one."""
        try:
            yield from self._copied(types, place)
        except Exception as error:
            self.error = error
            raise

    def _copied(self, types: list[str], place: int) -> Iterator[list[tuple[Any, ...]]]:
        text, values = self._request.statement.compile_psycopg()
        batch: list[tuple[Any, ...]] = []
        size = 0
        with (
            translated(),
            self._connection.cursor() as cursor,
            cursor.copy(b"COPY (" + text.encode() + b") TO STDOUT (FORMAT BINARY)", values) as copy,
        ):
            copy.set_types(types)
            for row in copy.rows():
                batch.append(row)
                value = row[place]
                size += len(value) if isinstance(value, bytes | str) else 0
                if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
                    yield self._counted(batch)
                    batch, size = [], 0
            if batch:
                yield self._counted(batch)

    def _counted(self, batch: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        self.rows += len(batch)
        self._advance(self.rows)
        return batch


@contextmanager
def translated() -> Iterator[None]:
    """A block whose database errors become errors of `cim.errors`."""
    try:
        yield
    except psycopg.errors.InternalError_ as error:  # PostGIS has no code of its own for it
        if "transform:" not in str(error):
            raise
        raise OutsideCrs("coordinates have no place in the system asked for; ask for another crs") from error
    except psycopg.OperationalError as error:
        raise Unavailable("the database went away while the file was written") from error
