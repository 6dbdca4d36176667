"""`Meter`: what the gateway asks before a call and tells before its answer ends."""

import asyncio
import time
from zoneinfo import ZoneInfo

from cim.db.pool import Database
from cim.errors import MeterFull, QuotaExceeded
from cim.metering.call import ANSWERED, QUOTA, REFUSED, Admitted, Call, Days, line_of, new_call_id
from cim.metering.quota import Limits, Quotas
from cim.metering.shipper import Shipper
from cim.metering.spool import Spool
from cim.settings import Settings

STOP_S = 8.0
TOO_MANY = 429


class Meter:
    """The meter of one worker. Calls without limits touch neither the database nor another process."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.days = Days(ZoneInfo(settings.time_zone))
        self.spool = Spool(settings.data_dir / "spool", settings.meter_spool_bytes, is_synced=settings.meter_fsync)
        self._quotas = Quotas(database, self.days)
        self._shipper = Shipper(self.spool, settings, self.days)
        self._is_synced = settings.meter_fsync
        self._syncing: asyncio.Task[None] | None = None
        self._next_sync: asyncio.Task[None] | None = None
        self.in_flight = 0

    async def open(self) -> None:
        """Begin to ship what is spooled, that of dead workers too."""
        self.spool.open()
        self._quotas.open()
        self._shipper.start()

    async def close(self) -> None:
        """Ship once more, give leases back. What cannot be shipped stays for the next worker."""
        await self._quotas.close()
        await asyncio.to_thread(self._shipper.stop, STOP_S)
        self.spool.close()

    async def admit(self, call: Call, limits: Limits | None = None) -> Admitted:
        """Let a call in: it must be ended by `record`, once, before the last byte of its answer is sent.

        Raises QuotaExceeded, which is counted already; MeterFull, Unavailable, which are not counted: nothing was let through.
        """
        admitted = self._begun(call)
        self.spool.check_room(self.in_flight)
        if limits is not None:
            try:
                admitted.standing = await self._quotas.take(limits)
            except QuotaExceeded:
                self._write(admitted, TOO_MANY, QUOTA, 0, 0)
                await self._kept()
                raise
        self.in_flight += 1
        return admitted

    async def record(
        self, admitted: Admitted, *, status: int, sent_bytes: int, rows: int = 0, outcome: str = ANSWERED
    ) -> None:
        """Count an admitted call; when this returns it survives the process. A second time changes nothing. Raises MeterFull."""
        if admitted.is_recorded:
            return
        admitted.is_recorded = True
        self.in_flight -= 1
        self._write(admitted, status, outcome, sent_bytes, rows)
        if self._is_synced:
            await self._synced()

    def count_at_once(self, call: Call, *, status: int, sent_bytes: int, started: float) -> bool:
        """Count a call without limits whose answer is sent right behind this; `started` is of `time.perf_counter`.

        False where it is not counted, and must be admitted.
        """
        if self._is_synced:
            return False
        admitted = self._begun(call)
        duration_ms = (time.perf_counter() - started) * 1000
        try:
            self.spool.check_room(self.in_flight)
            self.spool.append(
                line_of(
                    admitted, status=status, outcome=ANSWERED, sent_bytes=sent_bytes, rows=0, duration_ms=duration_ms
                )
            )
        except MeterFull:
            return False
        return True

    async def deny(self, call: Call, *, status: int, outcome: str = REFUSED) -> None:
        """Count a call that was not let through. Raises MeterFull."""
        admitted = self._begun(call)
        self.spool.check_room(self.in_flight)
        self._write(admitted, status, outcome, 0, 0)
        await self._kept()

    def _begun(self, call: Call) -> Admitted:
        now = time.time()
        call_id = new_call_id() if call.call_id is None else call.call_id
        return Admitted(call, call_id, self.days.of(now), int(now * 1_000_000), time.perf_counter())

    def _write(self, admitted: Admitted, status: int, outcome: str, sent_bytes: int, rows: int) -> None:
        duration_ms = (time.perf_counter() - admitted.started) * 1000
        self.spool.append(
            line_of(admitted, status=status, outcome=outcome, sent_bytes=sent_bytes, rows=rows, duration_ms=duration_ms)
        )

    async def _kept(self) -> None:
        """Where the disk is waited for, wait until it has what was written."""
        if self._is_synced:
            await self._synced()

    async def _synced(self) -> None:
        """Wait until the disk has it; calls that end together wait for one flush."""
        if self._next_sync is None:
            self._next_sync = asyncio.create_task(self._sync_after(self._syncing))
        await asyncio.shield(self._next_sync)

    async def _sync_after(self, running: asyncio.Task[None] | None) -> None:
        if running is not None:
            await asyncio.gather(running, return_exceptions=True)
        self._syncing, self._next_sync = asyncio.current_task(), None
        await asyncio.to_thread(self.spool.sync)
