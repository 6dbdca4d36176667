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
    QUOTA,
    REFUSED,
    Admitted,
    Call,
    CallIds,
    Days,
    ending,
    line,
    line_of,
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


@dataclass(slots=True)
class _Taken:
    """What some calls take of their limits; `standing` is None where not all of it was to be had."""

    limits: Limits
    count: int = 1
    standing: str | None = None


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
        refused = [_NO_CALL if repeat is None else None for repeat, _ in asked]
        if self._is_synced or None not in refused:
            return refused
        now, ended = time.time(), time.perf_counter()
        day, received_us = self.days.number(now), int(now * 1_000_000)
        passed, lines, taken = list(refused), [], dict[int, _Taken]()
        try:
            self.spool.check_room(self.in_flight + len(asked))
            self._take(asked, now, taken)
            call_ids = self._call_ids.take(len(asked))
            for number, ((repeat, started), (call_id, identity)) in enumerate(zip(asked, call_ids, strict=True)):
                if repeat is None:
                    continue
                standing = "" if repeat.limits is None else taken[id(repeat.limits)].standing
                if standing is not None:
                    passed[number] = (call_id, standing)
                    lines.append(line(day, identity, received_us, (ended - started) * 1000, repeat.ended))
            if lines:
                self.spool.append(b"".join(lines))
        except MeterFull:
            for one in taken.values():
                if one.standing is not None:
                    self._quotas.put_back(one.limits.grant_id, self._quotas.standing(one.limits, now), one.count)
            return refused
        return passed

    def _take(self, asked: Sequence[tuple[Repeat | None, float]], now: float, taken: dict[int, _Taken]) -> None:
        """Take what calls want of each of their limits at once; `taken` has them by their identity."""
        for repeat, _ in asked:
            if repeat is not None and (limits := repeat.limits) is not None:
                if (one := taken.get(id(limits))) is None:
                    taken[id(limits)] = _Taken(limits)
                else:
                    one.count += 1
        for one in taken.values():
            one.standing = self._quotas.take_leased(one.limits, one.count, now)

    async def deny(self, call: Call, *, status: int, outcome: str = REFUSED) -> None:
        """Count a call that was not let through. Raises MeterFull."""
        admitted = self._begun(call)
        self.spool.check_room(self.in_flight)
        self._write(admitted, status, outcome, 0, 0)
        await self._kept()

    def _begun(self, call: Call) -> Admitted:
        now = time.time()
        call_id = self._call_ids.take(1)[0][0] if call.call_id is None else call.call_id
        return Admitted(call, call_id, self.days.number(now), int(now * 1_000_000), time.perf_counter())

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
