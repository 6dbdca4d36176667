"""The process that writes one export: `python -m cim.export.child DIGEST FOLDER`.

It reads what to write from the table of exports, writes `FOLDER/file`, and tells the table how far it is. It ends
when its export is no longer `running` there.
"""

import errno
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import orjson
import psycopg

from cim.db import exports
from cim.errors import CimError, ExportFailed, InsufficientStorage
from cim.export.request import ExportRequest, request_from
from cim.export.rows import Source
from cim.imports import hide
from cim.settings import Settings
from cim.sql import Sql

WRITERS = {
    "xlsx": ("cim.export.xlsx", "write_xlsx"),
    "fgb": ("cim.export.gdal", "write_flatgeobuf"),
    "parquet": ("cim.export.parquet", "write_parquet"),
    "gpkg": ("cim.export.gdal", "write_geopackage"),
    "shp": ("cim.export.gdal", "write_shapefile"),
}
"""Output → module and function that write it; every other one is text. Libraries are imported when needed."""

TELL_EVERY_S = 1.0
COUNT_TIMEOUT_S = 5.0
FULL_BYTES = 4 * 1024 * 1024
"""With less room than this a failed write is taken for a full disk: libraries do not always say."""
NEAR_BYTES = 64 * 1024
"""A file this near to the largest allowed has reached it: libraries write in blocks."""


class Cancelled(Exception):
    """The export is no longer wanted."""


class Ledger:
    """The row of one export, on a connection of its own."""

    def __init__(self, url: str, digest: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, connect_timeout=10)
        self._digest, self._told = digest, time.monotonic()

    def run(self, sql: Sql) -> tuple[object, ...] | None:
        """Run a statement; its first row."""
        text, values = sql.compile_psycopg()
        cursor = self._connection.execute(text.encode(), values)
        return cursor.fetchone() if cursor.description else None

    def request(self) -> tuple[ExportRequest, int | None]:
        """What to write, and the number of rows where it is known. Raises Cancelled."""
        row = self.run(exports.request_of(self._digest))
        if row is None:
            raise Cancelled
        total = row[1]
        return request_from(orjson.loads(str(row[0]))), total if isinstance(total, int) else None

    def advance(self, rows: int) -> None:
        """Tell the table, at most once a second. Raises Cancelled."""
        if time.monotonic() - self._told > TELL_EVERY_S:
            self._told = time.monotonic()
            self.tell(rows, None)

    def tell(self, rows: int, total: int | None) -> None:
        """Tell the table now. Raises Cancelled."""
        if self.run(exports.progress(self._digest, rows, total)) is None:
            raise Cancelled


def main() -> None:
    """Write it; a failure is told to the table, and ends with exit code 1."""
    digest, folder = sys.argv[1], Path(sys.argv[2])
    hide("geopandas", "pandas")  # pyogrio imports them (2 s) where it finds them, and writes Arrow without
    settings = Settings()
    assert settings.database_url is not None
    url = settings.database_url
    room = int(os.environ["CIM_EXPORT_ROOM"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    ledger = Ledger(url, digest)
    try:
        rows, path = _written(url, ledger, folder)
        size = path.stat().st_size
        if ledger.run(exports.complete(digest, rows, size, settings.export_ttl_s)) is None:
            path.unlink()
    except Cancelled:
        sys.exit(1)
    except CimError as error:
        ledger.run(exports.fail(digest, _told(error)))
        sys.exit(1)
    except Exception:
        ledger.run(exports.fail(digest, _told(ExportFailed("the file could not be written; the log has the reason"))))
        raise


def _written(url: str, ledger: Ledger, folder: Path) -> tuple[int, Path]:
    """Rows and place of the file. Raises CimError, Cancelled."""
    request, total = ledger.request()
    source = Source(url, request, ledger.advance)
    try:
        if total is None:
            ledger.tell(0, source.count(COUNT_TIMEOUT_S))
        part = folder / f"part.{request.suffix}"
        part.unlink(missing_ok=True)
        _guarded(lambda: _writer(request)(source, request, part), source, folder)
        path = folder / "file"
        part.rename(path)
        return source.rows, path
    finally:
        source.close()


def _writer(request: ExportRequest) -> Callable[[Source, ExportRequest, Path], None]:
    module, name = WRITERS.get(request.output, ("cim.export.text", "write_text"))
    writer: Callable[[Source, ExportRequest, Path], None] = getattr(import_module(module), name)
    return writer


def _guarded(write: Callable[[], None], source: Source, folder: Path) -> None:
    """Run `write`. Raises InsufficientStorage for a full disk, and what stopped the rows rather than what a library says."""
    try:
        write()
    except (CimError, Cancelled):
        raise
    except Exception as error:
        if source.error is not None and source.error is not error:
            raise source.error from error
        if _is_full(error, folder):
            raise InsufficientStorage("there is no room for the file; try again when space was made") from error
        raise


def _is_full(error: Exception, folder: Path) -> bool:
    """True when a write failed for want of room: on the disk, or under the limit of this process."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    largest = max((path.stat().st_size for path in folder.rglob("*") if path.is_file()), default=0)
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return shutil.disk_usage(folder).free < FULL_BYTES or largest + NEAR_BYTES > limit


def _told(error: CimError) -> str:
    return orjson.dumps({"code": error.code, "detail": error.detail}).decode()


if __name__ == "__main__":
    main()
