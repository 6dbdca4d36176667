"""Harvests and loads of services as work: each is a `cim catalogue …` of its own, in `intake/<run id>` until it is done (`api.work`).

A run is queued by a request and done behind it, two at most on this machine. One whose process was killed runs again with the next
start: a harvest goes on where it was, a load begins anew, since it keeps all its rows or none.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response

from api.documents import private_json, url_of
from api.uploads import Store, storage_errors
from api.work import REQUEST, Locks, Workshop, as_told, followed, is_requested, numbered
from cim.db.pool import Database
from cim.errors import Conflict, InvalidParameter
from cim.query.intake import fail_sql, forget_run_sql, run_sql
from cim.settings import Settings
from cim.sql import Sql

log = structlog.get_logger("intake")

AT_ONCE = 2
MAX_WAIT_S = 60
"""The longest that a request waits for its run (`Prefer: wait`)."""
_LOOK_S = 0.1
_GOES_ON = ("queued", "running")


class IntakeJobs:
    """The runs of this machine; each worker has one, they share the folder."""

    def __init__(self, database: Database, settings: Settings, store: Store) -> None:
        self.settings = settings
        self._database, self._store = database, store
        self._work = Workshop(store.intake, AT_ONCE, partial(numbered, store.intake), is_requested, self._do)

    async def open(self) -> None:
        """Begin to look for work, that of a former run first."""
        self._work.open()

    async def close(self) -> None:
        """Stop; what runs is ended, and runs again with the next start."""
        await self._work.close()

    async def queue(self, begin: Sql, words: Sequence[str], file: Path | None = None) -> int:
        """Queue `cim catalogue` with those words, and `file` as its source where it has one; `begin` makes the run. Gives its id."""
        run_id = int((await self._database.fetch_one(begin))["id"])
        try:
            await asyncio.to_thread(self._put, run_id, list(words), file)
        except Exception:
            await self._database.execute(forget_run_sql(run_id))
            raise
        self._work.wake()
        return run_id

    def _put(self, run_id: int, words: list[str], file: Path | None) -> None:
        with self._store.incoming() as folder, storage_errors():
            if file is not None:
                file.rename(folder / file.name)
            request = {"words": words, "file": None if file is None else file.name}
            (folder / REQUEST).write_bytes(orjson.dumps(request))
            self._store.intake.mkdir(parents=True, exist_ok=True)
            folder.rename(self._store.intake / str(run_id))

    async def cancel(self, run_id: int, caller: str) -> None:
        """End a run that waits or runs. Raises Conflict for one that has ended."""
        detail = f"cancelled by {caller}; what was stored before stays"
        if await self._database.fetch_row(fail_sql(run_id, "cancelled", detail)) is None:
            raise Conflict(f"run {run_id} has ended")
        self._work.wake()

    async def row(self, run_id: int, *, wait_s: float = 0.0) -> Any:
        """The run, once it has ended or `wait_s` have passed."""
        deadline = time.monotonic() + wait_s
        while True:
            row = await self._database.fetch_one(run_sql(run_id))
            if row["state"] not in _GOES_ON or time.monotonic() >= deadline:
                return row
            await asyncio.sleep(_LOOK_S)

    async def _do(self, folder: Path, locks: Locks) -> None:
        run_id = int(folder.name)
        if await self._goes_on(run_id):
            request = orjson.loads((folder / REQUEST).read_bytes())
            words = [str(folder / request["file"]) if word == "{file}" else word for word in request["words"]]
            words = ["catalogue", *words, "--json", f"--job={run_id}"]
            error = await followed(words, self.settings, locks, partial(self._is_over, run_id), "run")
            if error is not None:
                await self._database.execute(fail_sql(run_id, error["code"], error["detail"]))
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _is_over(self, run_id: int) -> bool:
        return not await self._goes_on(run_id)

    async def _goes_on(self, run_id: int) -> bool:
        row = await self._database.fetch_row(run_sql(run_id))
        return row is not None and row["state"] in _GOES_ON


def wait_of(request: Request) -> float:
    """Seconds that the caller would wait for the run (`Prefer: wait=…`, RFC 7240, 4.3); 0 where nothing is said."""
    for part in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() == "wait":
            seconds = value.partition(";")[0].strip().strip('"')
            if not (seconds.isascii() and seconds.isdigit() and len(seconds) < 6):
                raise InvalidParameter("Prefer", part.strip()[:80], f"wait= and seconds, at most {MAX_WAIT_S} of them")
            return float(min(int(seconds), MAX_WAIT_S))
    return 0.0


async def run_answer(
    request: Request, jobs: IntakeJobs, run_id: int, show: Callable[[Any], dict[str, Any]], *path: str
) -> Response:
    """202 with the run that was queued; where it ends within what the caller would wait for, 200, or the problem it failed with.

    `show` makes a document of its row; `path`: where runs of its kind are.
    """
    row = await jobs.row(run_id, wait_s=wait_of(request))
    if row["state"] == "failed":
        error = orjson.loads(row["error"])
        raise as_told(error["code"], error["detail"])
    location = url_of(jobs.settings.public_url, *path, str(run_id))
    return private_json(show(row), 202 if row["state"] in _GOES_ON else 200, Location=location)
