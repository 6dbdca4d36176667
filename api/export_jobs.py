"""Exports as jobs: a file in `exports/<digest>/`, written by a process of its own, kept until it expires.

The id in an export's address is random and is the right to it; the database and the folder know its digest only.
`.todo` in a folder says that its file is still to be made.
"""

import asyncio
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import orjson

from api.exports import Export
from api.uploads import storage_errors
from api.work import Locks, Workshop, ended, started
from cim.db import exports
from cim.db.pool import Database
from cim.errors import (
    CimError,
    ExportFailed,
    InsufficientStorage,
    NotFound,
    NotWritable,
    OutsideCrs,
    TooManyExports,
    Unavailable,
)
from cim.export.request import Column, ExportRequest
from cim.query.counts import number_matched
from cim.query.features import shown_properties
from cim.query.output.csv import place_names
from cim.query.output.files import PLACE_BY_CELLS
from cim.query.output.statement import export_count_sql, export_sql, geometry_types_sql
from cim.query.shown import as_shown
from cim.settings import Settings

AT_ONCE = 2
RETRY_S = 10
WATCH_EVERY_S = 1.0
SWEEP_EVERY_S = 60.0
ABANDONED_S = 3600.0

Row = Any

_FAILURES = {kind.code: kind for kind in (NotWritable, InsufficientStorage, OutsideCrs, Unavailable)}


def failure_of(row: Row) -> CimError:
    """What a failed export told, to be raised."""
    told = orjson.loads(row["error"])
    return _FAILURES.get(told["code"], ExportFailed)(told["detail"])


class Exports:
    """The exports of this node; each worker has one, they share folder and table."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self.folder = settings.data_dir / "exports"
        self._work = Workshop(self.folder, AT_ONCE, self._waiting, _is_ready, self._make)
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to make what waits, that of a former run first."""
        self._work.open()
        self._sweeper = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        """Stop; exports that run are made anew with the next start."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self._work.close()

    async def create(self, export: Export, file_name: str) -> str:
        """Queue an export; gives its id. Raises InsufficientStorage, TooManyExports, Unavailable."""
        if await asyncio.to_thread(self._room) <= 0:
            raise InsufficientStorage("the quota for exported files is used up (setting CIM_EXPORT_QUOTA_BYTES)")
        export_id = secrets.token_urlsafe(20)
        digest = exports.digest_of(export_id)
        row = await self._database.fetch_row(
            exports.create(
                digest,
                export.collection.id,
                export.output.f,
                orjson.dumps(request_of(export).to_dict()).decode(),
                file_name,
                export.scope.caller,
                None if export.query.nearest else number_matched(export.collection, export.query, export.scope),
                self._settings.export_ttl_s,
            )
        )
        if row is None:
            await self._refuse(export.scope.caller)
        try:
            with storage_errors():
                folder = self.folder / digest
                folder.mkdir(parents=True)
                (folder / ".todo").touch()
        except (CimError, OSError):
            await self._database.execute(exports.forget(digest))
            raise
        self._work.wake()
        return export_id

    async def _refuse(self, caller: str) -> NoReturn:
        row = await self._database.fetch_one(exports.unfinished_of(caller))
        most = exports.most_of(caller)
        if row["unfinished"] >= most:
            who = "you have" if caller else "callers without a key have"
            raise TooManyExports(f"{who} {row['unfinished']} exports that are not finished, and {most} may be", RETRY_S)
        raise Unavailable(f"{exports.MAX_WAITING} exports wait already; try again later")

    async def find(self, export_id: str) -> Row:
        """The export. Raises NotFound for one that there is not, or no longer."""
        row = await self._database.fetch_row(exports.find(exports.digest_of(export_id)))
        if row is None:
            raise NotFound("export", "of this id; it may have expired")
        return row

    def path_of(self, export_id: str) -> Path:
        """Where its file is, once it is completed."""
        return self.folder / exports.digest_of(export_id) / "file"

    async def settled(self, export_id: str, timeout_s: float) -> Row:
        """The export when it has ended, or after a while."""
        deadline, pause_s = time.monotonic() + timeout_s, 0.05
        while True:
            row = await self.find(export_id)
            if row["state"] not in ("queued", "running") or time.monotonic() > deadline:
                return row
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.3, 0.5)

    async def cancel(self, export_id: str) -> None:
        """Give it up: its process ends within `WATCH_EVERY_S`, its file goes. Raises NotFound."""
        await self.find(export_id)
        digest = exports.digest_of(export_id)
        await self._database.execute(exports.cancel(digest))
        folder = self.folder / digest
        if not _is_ready(folder):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        self._work.wake()

    async def forget(self, export_id: str) -> None:
        """Remove it, its file and its row: nobody was told its address."""
        digest = exports.digest_of(export_id)
        await asyncio.to_thread(shutil.rmtree, self.folder / digest, ignore_errors=True)
        with suppress(Unavailable):  # it expires
            await self._database.execute(exports.forget(digest))

    def _room(self) -> int:
        used = 0
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):
                used += path.stat().st_size if path.is_file() else 0
        return self._settings.export_quota_bytes - used

    def _waiting(self) -> Iterable[Path]:
        found = []
        for mark in self.folder.glob("*/.todo"):
            with suppress(FileNotFoundError):
                found.append((mark.stat().st_mtime, mark.parent))
        return [folder for _, folder in sorted(found)]

    async def _make(self, folder: Path, locks: Locks) -> None:
        """One export to its end: completed, failed or given up."""
        digest = folder.name
        if await self._database.fetch_row(exports.begin(digest)) is not None:
            code = await self._written(folder, locks)
            reason = {"code": "export-failed", "detail": f"the writing process ended with exit code {code}"}
            await self._database.execute(exports.fail(digest, orjson.dumps(reason).decode()))  # unless it told better
        row = await self._database.fetch_row(exports.find(digest))
        if row is not None and row["state"] == "completed":
            (folder / ".todo").unlink(missing_ok=True)
        else:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _written(self, folder: Path, locks: Locks) -> int | None:
        """Run the writing process, and end it when its export is no longer wanted; its exit code."""
        room = max(1, await asyncio.to_thread(self._room))
        more = {"CIM_EXPORT_ROOM": str(room), "TMPDIR": str(folder), "CPL_TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
        arguments = [folder.name, str(folder)]
        process = await started("cim.export.child", arguments, self._settings, locks, more, is_heard=False)
        try:
            while process.returncode is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_EVERY_S):
                        await process.wait()
                        break
                row = await self._database.fetch_row(exports.find(folder.name))
                if row is None or row["state"] == "cancelled":
                    await ended(process)
        except BaseException:
            await ended(process)
            raise
        return process.returncode

    async def _sweep(self) -> None:
        """Remove what has expired, now and then."""
        while True:
            with suppress(CimError, OSError):
                gone = await self._database.fetch_rows(exports.forget_expired())
                for row in gone:
                    await asyncio.to_thread(shutil.rmtree, self.folder / row["digest"], ignore_errors=True)
                await self._clear_abandoned()
            await asyncio.sleep(min(SWEEP_EVERY_S, self._settings.export_ttl_s))

    async def _clear_abandoned(self) -> None:
        """Remove folders that no row knows: of a database that was made anew."""
        if not self.folder.is_dir():
            return
        old = [p for p in self.folder.iterdir() if p.is_dir() and time.time() - p.stat().st_mtime > ABANDONED_S]
        known = {row["digest"] for row in await self._database.fetch_rows(exports.known([p.name for p in old]))}
        for folder in old:
            if folder.name not in known:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _is_ready(folder: Path) -> bool:
    return (folder / ".todo").exists()


def request_of(export: Export) -> ExportRequest:
    """What the writing process is told: compiled here, so the rights of who asks are in it."""
    collection, query, scope, output = export.collection, export.query, export.scope, export.output
    shown_as, _, shown = as_shown(collection, scope, query)
    text = output.text
    return ExportRequest(
        output=output.f,
        suffix=output.suffix,
        collection=collection.id,
        title=collection.title_en,
        statement=export_sql(collection, query, scope, output),
        count=export_count_sql(collection, query, scope),
        types=geometry_types_sql(collection, query, scope),
        columns=tuple(
            Column(p.name, p.kind, p.title_zh, p.title_en, p.unit)
            for p in shown_properties(shown_as, scope, shown=shown.shown)
        ),
        places=place_names(shown_as, scope, shown) if output.f in PLACE_BY_CELLS else None,
        geometry_type=collection.geometry_type,
        srid=query.crs.srid,
        head="" if text is None else export.head().decode(),
        separator="" if text is None else text.separator,
        tail="" if text is None else text.tail.decode(),
        is_text=text is not None,
    )
