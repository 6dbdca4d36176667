"""What one worker of a node does for all: harvests and probes of health whose time has come, the audit's head day by day."""

import asyncio
from contextlib import suppress

import structlog

from api.heads import Heads
from api.prober import Prober
from api.work import outcome
from cim.db.leader import Leadership
from cim.db.pool import Database
from cim.errors import CimError
from cim.query.harvests import due_sql
from cim.settings import Settings

log = structlog.get_logger("keeper")

LOOK_EVERY_S = 5.0
HARVESTS_AT_ONCE = 2
HARVEST_S = 1800.0


class Keeper:
    """Looks every few seconds for what is due, where this worker leads."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._leadership = Leadership(database)
        self._leads = False
        self._prober = Prober(database, settings)
        self._heads = Heads(database, settings)
        self._loop: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._running: dict[str, asyncio.Task[None]] = {}

    @property
    def leads(self) -> bool:
        """True where it is this worker that does what is done once."""
        return self._leads

    async def open(self) -> None:
        """Begin to look."""
        self._loop = asyncio.create_task(self._look())
        self._probing = asyncio.create_task(self._probe())

    async def close(self) -> None:
        """Stop; harvests that run are ended, and go on where they were with the next run."""
        tasks = [task for task in (self._loop, self._probing, *self._running.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._prober.close()
        await self._leadership.release()

    async def _look(self) -> None:
        while True:
            with suppress(CimError):
                self._leads = await self._leadership.is_held()
                if self._leads:
                    await self._heads.note_due()
                    await self._start_due()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _probe(self) -> None:
        """Probe what is due, where this worker leads; the next look comes when all have answered."""
        if self._settings.health_interval_s <= 0:
            return
        while True:
            count = 0
            with suppress(CimError):
                if self._leads:
                    count = await self._prober.probe_due()
            if count == 0:
                await asyncio.sleep(min(LOOK_EVERY_S, self._settings.health_interval_s))

    async def _start_due(self) -> None:
        free = HARVESTS_AT_ONCE - len(self._running)
        if free <= 0:
            return
        for row in await self._database.fetch_rows(due_sql(HARVESTS_AT_ONCE * 2)):
            if row["id"] not in self._running and free > 0:
                free -= 1
                task = asyncio.create_task(self._harvest(row["id"]))
                self._running[row["id"]] = task
                task.add_done_callback(lambda _, name=row["id"]: self._running.pop(name, None))  # type: ignore[misc]

    async def _harvest(self, harvest_id: str) -> None:
        words = ["catalogue", "harvest", harvest_id, "--json", "--by=schedule"]
        try:
            told = await outcome(self._settings, words, timeout_s=HARVEST_S)
        except CimError as error:
            log.warning("harvest failed", harvest=harvest_id, code=error.code, detail=error.detail[:200])
        else:
            log.info("harvest", harvest=harvest_id, run=told["run"], **told["account"])
