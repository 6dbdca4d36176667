"""The loads of uploads: each is a `cim load` of its own, a few at once, and every one survives a restart.

What is in `uploads/<run id>` is work. A job holds a lock on its folder and on one of a few slots; the command
inherits both, so that a load which outlives its killed server is waited for and not started twice.
"""

import asyncio
import fcntl
import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import structlog

from api.uploads import Store
from cim.db.pool import Database
from cim.errors import CimError
from cim.settings import Settings
from cim.sql import Cast, Sql

log = structlog.get_logger("uploads")

AT_ONCE = 2
LOOK_EVERY_S = 5.0

_ERROR = dict[str, str]


class Runner:
    """Runs `cim load` for each upload, at most `AT_ONCE` on this machine whatever the number of workers."""

    def __init__(self, database: Database, settings: Settings, store: Store) -> None:
        self._database, self._settings, self._store = database, settings, store
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to look for work, that of a former run first."""
        await asyncio.to_thread(self._store.clear_abandoned)
        self._loop = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Stop; loads that run are ended and go on with the next start."""
        tasks = [task for task in (self._loop, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """There is work."""
        self._wake.set()

    async def _look(self) -> None:
        while True:
            self._wake.clear()
            try:
                self._start_what_can()
            except OSError as error:
                log.warning("uploads cannot be read", error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()

    def _start_what_can(self) -> None:
        if not self._store.uploads.is_dir():
            return
        waiting = sorted((p for p in self._store.uploads.iterdir() if p.name.isdecimal()), key=lambda p: int(p.name))
        for folder in waiting:
            slot = self._slot()
            if slot is None:
                return
            lock = _locked(folder / ".lock")
            if lock is None or not (folder / ".request.json").exists():  # another worker has it, or had it
                for descriptor in (slot, lock):
                    if descriptor is not None:
                        os.close(descriptor)
                continue
            task = asyncio.create_task(self._run(folder, slot, lock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _slot(self) -> int | None:
        for number in range(AT_ONCE):
            slot = _locked(self._store.uploads / f"slot-{number}")
            if slot is not None:
                return slot
        return None

    async def _run(self, folder: Path, slot: int, lock: int) -> None:
        """One job to its end. What could not be ended (no database, no disk) stays, and is tried at the next look."""
        run_id = int(folder.name)
        try:
            if await self._begin(run_id):
                request = orjson.loads((folder / ".request.json").read_bytes())
                error = await self._load(run_id, folder, request, (slot, lock))
                if error is not None:
                    await self._fail(run_id, error)
            is_done = await self._state(run_id) == "completed"
            await asyncio.to_thread(self._put_away, folder, is_done)
        except (CimError, OSError, ValueError) as error:
            log.warning("a load could not be followed", run=run_id, error=str(error))
        else:
            self._wake.set()
        finally:
            os.close(lock)
            os.close(slot)

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

    async def _load(
        self, run_id: int, folder: Path, request: Mapping[str, Any], locks: tuple[int, int]
    ) -> _ERROR | None:
        """Run the command; None when it went well, else the error it told."""
        command = [
            "load",
            request["kind"],
            str(folder / request["file"]),
            "--json",
            f"--job={run_id}",
            *request["options"],
        ]
        environment = {name: value for name, value in os.environ.items() if name != "CIM_ADMIN_KEY"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cim.cli.main", *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**environment, "DATABASE_URL": str(self._settings.database_url), "NO_COLOR": "1"},
            cwd="/",
            pass_fds=locks,
        )
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            raise
        if process.returncode in (0, 3):
            return None
        try:
            told = orjson.loads(output.strip().splitlines()[-1])
            error = told.get("error") or told["sources"][0]["error"]
            return {"code": str(error["code"]), "detail": str(error["detail"])}
        except (IndexError, KeyError, ValueError):
            return {"code": "load-failed", "detail": f"the load ended with exit code {process.returncode}"}

    async def _fail(self, run_id: int, error: _ERROR) -> None:
        await self._database.execute(
            Sql.of(
                "UPDATE cim.load_run SET state = 'failed', ended_at = now(), error = {} WHERE id = {} AND state <> 'completed'",
                Cast(orjson.dumps(error).decode(), "jsonb"),
                Cast(run_id, "bigint"),
            )
        )
        log.info("load failed", run=run_id, code=error["code"])

    def _put_away(self, folder: Path, is_done: bool) -> None:
        """Take a job out of the work in one step: to the bin, or to quarantine."""
        target = self._store.uploads / f"done-{folder.name}" if is_done else self._store.quarantine / folder.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
        if is_done:
            shutil.rmtree(target, ignore_errors=True)


def _locked(path: Path) -> int | None:
    """A lock file held by this process, or None when another holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
