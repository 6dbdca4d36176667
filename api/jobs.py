"""The loads of uploads: each is a `cim load` of its own, in `uploads/<run id>` until it is done (`api.work`)."""

import asyncio
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import structlog

from api.uploads import Store
from api.work import REQUEST, Locks, Workshop, followed, is_requested, numbered
from cim.db.pool import Database
from cim.query.loads import fail_sql
from cim.settings import Settings
from cim.sql import Cast, Sql

log = structlog.get_logger("uploads")

AT_ONCE = 2

_ERROR = dict[str, Any]


class Runner:
    """Runs `cim load` for each upload, at most `AT_ONCE` on this machine whatever the number of workers."""

    def __init__(self, database: Database, settings: Settings, store: Store) -> None:
        self._database, self._settings, self._store = database, settings, store
        self._work = Workshop(store.uploads, AT_ONCE, partial(numbered, store.uploads), is_requested, self._run)

    async def open(self) -> None:
        """Begin to look for work, that of a former run first."""
        await asyncio.to_thread(self._store.clear_abandoned)
        self._work.open()

    async def close(self) -> None:
        """Stop; loads that run are ended and go on with the next start."""
        await self._work.close()

    def wake(self) -> None:
        """There is work."""
        self._work.wake()

    async def _run(self, folder: Path, locks: Locks) -> None:
        run_id = int(folder.name)
        if await self._begin(run_id):
            request = orjson.loads((folder / REQUEST).read_bytes())
            error = await self._load(run_id, folder, request, locks)
            if error is not None:
                await self._fail(run_id, error)
        is_done = await self._state(run_id) == "completed"
        await asyncio.to_thread(self._put_away, folder, is_done)

    async def _begin(self, run_id: int) -> bool:
        """Mark the job as running; False when it has ended already, with a server that was killed."""
        tag = await self._database.execute(
            Sql.of(
                "UPDATE cim.load_run SET started_at = CASE state WHEN 'queued' THEN now() ELSE started_at END, "
                "state = 'running' WHERE id = {} AND state IN ('queued', 'running')",
                Cast(run_id, "bigint"),
            )
        )
        return tag == "UPDATE 1"

    async def _state(self, run_id: int) -> str | None:
        row = await self._database.fetch_row(
            Sql.of("SELECT state FROM cim.load_run WHERE id = {}", Cast(run_id, "bigint"))
        )
        return row["state"] if row is not None else None

    async def _load(self, run_id: int, folder: Path, request: Mapping[str, Any], locks: Locks) -> _ERROR | None:
        """Run the command; None when it went well, else the error it told."""
        command = [
            "load",
            request["kind"],
            str(folder / request["file"]),
            "--json",
            f"--job={run_id}",
            *request["options"],
        ]
        return await followed(command, self._settings, locks, partial(self._is_cancelled, run_id), "load")

    async def _is_cancelled(self, run_id: int) -> bool:
        return await self._state(run_id) == "failed"

    async def _fail(self, run_id: int, error: _ERROR) -> None:
        await self._database.execute(fail_sql(run_id, orjson.dumps(error).decode()))
        log.info("load failed", run=run_id, code=error["code"])

    def _put_away(self, folder: Path, is_done: bool) -> None:
        """Take a job out of the work in one step: to the bin, or to quarantine."""
        target = self._store.uploads / f"done-{folder.name}" if is_done else self._store.quarantine / folder.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
        if is_done:
            shutil.rmtree(target, ignore_errors=True)
