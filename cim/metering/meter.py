"""`Meter`: what the gateway asks before a call and tells before its answer ends."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from cim.db.pool import Database
from cim.errors import MeterFull, QuotaExceeded
from cim.metering.call import (
    ANSWERED,
    EPOCH_US,
    QUOTA,
    REFUSED,
    Admitted,
    Call,
    CallIds,
    Days,
    ending,
    line_of,
    line_times,
)
from cim.metering.quota import Limits, Quotas
from cim.metering.shipper import Shipper
from cim.metering.spool import Spool
from cim.settings import Settings

STOP_S = 8.0
TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Repeat:
    """A call that is made again and again with the same answer: what it is held to, and what its lines have in common."""

    limits: Limits | None
    ended: bytes

    @classmethod
    def of(cls, call: Call, limits: Limits | None, *, sent_bytes: int) -> "Repeat":
        """Of a call whose answer has status 200, so many bytes and no rows."""
        return cls(limits, ending(call, status=200, outcome=ANSWERED, sent_bytes=sent_bytes, rows=0))


Passed = tuple[str, str]
"""A call that was let in and counted at once: its id in the ledger, and where the caller stands, as `RateLimit` has it."""

_NO_CALL: Passed = ("", "")


class Meter:
    """The meter of one worker. Calls without limits touch neither the database nor another process."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.days = Days(ZoneInfo(settings.time_zone))
        self.spool = Spool(settings.data_dir / "spool", settings.meter_spool_bytes, is_synced=settings.meter_fsync)
        self._call_ids = CallIds()
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
        try:
            self._write(admitted, status, outcome, sent_bytes, rows)
        except MeterFull:
            self._quotas.put_back(admitted.call.grant_id, admitted.standing)
            raise
        if self._is_synced:
            await self._synced()

    def again(self, asked: Sequence[tuple[Repeat | None, float]]) -> list[Passed | None]:
        """Let in and count, by one write, calls whose answers are sent right behind this; each with its start (`time.perf_counter`).

        None for each that must be admitted: nothing waits here, neither for a lease nor for the disk. What is no call passes.
        """
        passed = [_NO_CALL if repeat is None else None for repeat, _ in asked]
        if self._is_synced or None not in passed:
            return passed
        now, ended = time.time(), time.perf_counter()
        received, wanted, parts = int(now * 1_000_000) - EPOCH_US, _wanted(asked), list[bytes]()
        standing: dict[Limits | None, str | None] = {None: ""}
        try:
            self.spool.check_room(self.in_flight + len(asked))
            for limits, count in wanted.items():
                standing[limits] = self._quotas.take_leased(limits, count, now)
            call_ids = self._call_ids.take(len(asked), self.days.number(now), now)
            for number, (repeat, started) in enumerate(asked):
                if repeat is not None and (left := standing[repeat.limits]) is not None:
                    call_id, begin = call_ids[number]
                    passed[number] = call_id, left
                    parts += (begin, line_times(8, received, 4, (ended - started) * 1000), repeat.ended)
            if parts:
                self.spool.append(b"".join(parts))
        except MeterFull:
            for limits, count in wanted.items():
                if standing.get(limits) is not None:
                    self._quotas.put_back(limits.grant_id, self._quotas.standing(limits, now), count)
            return [_NO_CALL if repeat is None else None for repeat, _ in asked]
        return passed

    async def deny(self, call: Call, *, status: int, outcome: str = REFUSED) -> None:
        """Count a call that was not let through. Raises MeterFull."""
        admitted = self._begun(call)
        self.spool.check_room(self.in_flight)
        self._write(admitted, status, outcome, 0, 0)
        await self._kept()

    def _begun(self, call: Call) -> Admitted:
        now = time.time()
        day = self.days.number(now)
        call_id = self._call_ids.take(1, day, now)[0][0] if call.call_id is None else call.call_id
        return Admitted(call, call_id, day, int(now * 1_000_000), time.perf_counter())

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


def _wanted(asked: Sequence[tuple[Repeat | None, float]]) -> dict[Limits, int]:
    """How many calls want one of each of their limits."""
    wanted: dict[Limits, int] = {}
    for repeat, _ in asked:
        if repeat is not None and repeat.limits is not None:
            wanted[repeat.limits] = wanted.get(repeat.limits, 0) + 1
    return wanted
