"""Quotas and rates of grants, exact over any number of workers: calls are leased from PostgreSQL, one by one near the limit.

A worker leases more than it needs only while much is left, and gives back within `HOLD_S` what it did not use. Where nothing
is left but others may still give back, a call waits for that; so a quota of 100 lets 100 through, not fewer.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from cim.db.pool import Database
from cim.db.quota import give_back_sql, take_sql
from cim.errors import CimError, QuotaExceeded
from cim.metering.call import Days, Standing, instant_text

HOLD_S = 1.0
MARGIN_S = 1.0
"""Time for a worker that is busy to give back."""
ASK_AGAIN_S = 0.1
KNOWN_EMPTY_S = 0.5
"""Time for which a worker does not ask again for what was used up."""
MAX_LEASES = 20_000
AHEAD = 3
"""A worker asks for the next lease when one of so many calls of a lease is left, so that its callers need not wait for it."""

DAY_S = 86_400
_SIZES = {"day": (8192, 256), "rate": (4096, 32)}
"""The most calls of a lease, and the part of what is left that it may be."""


class Limits(NamedTuple):
    """What a grant allows: calls of a day of the platform, and calls in some seconds; None for any number."""

    grant_id: str
    quota_day: int | None = None
    rate_calls: int | None = None
    rate_seconds: int | None = None


@dataclass(slots=True)
class _Lease:
    """What a worker has of one limit in one window. `held`: what the database counts as not asked for yet.

    `low`: with so many left the next lease is asked for.
    """

    grant_id: str
    policy: str
    limit: int = 0
    window_s: int = 0
    window: int = -1
    reset_at: int = 0
    left: int = 0
    low: int = 0
    held: int = 0
    leased_at: float = 0.0
    remaining: int = 0
    empty_until: float = 0.0
    waiting: deque[asyncio.Future[bool]] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None

    def enter(self, window: int, reset_at: int) -> None:
        """What was leased of a former window is no longer of use."""
        if self.window != window:
            self.window, self.reset_at = window, reset_at
            self.left = self.held = 0
            self.empty_until = 0.0

    def standing(self) -> Standing:
        return Standing(self.policy, self.limit, self.window_s, self.remaining + self.left, self.reset_at)


class _Entered(NamedTuple):
    """The leases of a grant's limits until the first of their windows ends."""

    limits: Limits
    until: float
    leases: list[_Lease]


class Quotas:
    """The leases of one worker."""

    def __init__(self, database: Database, days: Days) -> None:
        self._database, self._days = database, days
        self._leases: dict[tuple[str, str], _Lease] = {}
        self._entered: dict[str, _Entered] = {}
        self._sweeper: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to give back what is not used."""
        self._sweeper = asyncio.create_task(self._sweep(), name="quotas")

    async def close(self) -> None:
        """Give everything back."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        with suppress(CimError, TimeoutError):
            async with asyncio.timeout(3):
                asking = [one.task for one in self._leases.values() if one.task is not None]
                await asyncio.gather(*asking, return_exceptions=True)
                await self._give_back(self._leases.values())

    async def take(self, limits: Limits) -> tuple[Standing, ...]:
        """Take one call of every limit; where the caller stands then. Raises QuotaExceeded, Unavailable: then none is taken."""
        standing: list[Standing] = []
        try:
            for lease in self._leases_of(limits, time.time()):
                await self._take(lease)
                standing.append(lease.standing())
        except CimError:
            self.put_back(limits.grant_id, standing)
            raise
        return tuple(standing)

    def take_leased(self, limits: Limits, count: int, now: float) -> str | None:
        """Take so many calls of every limit of what is leased at an instant; where the caller stands then, as `RateLimit` has it.

        None, and nothing is taken, where not all of that is to be had.
        """
        leases = self._leases_of(limits, now)
        for lease in leases:
            if lease.left < count:
                return None
        items = []
        for lease in leases:
            before = lease.left
            lease.left = left = before - count
            if left <= lease.low < before:
                self._ask_ahead(lease)
            items.append(f'"{lease.policy}";r={lease.remaining + left};t={int(lease.reset_at - now) + 1}')
        return ", ".join(items)

    def put_back(self, grant_id: str, standing: Iterable[Standing], count: int = 1) -> None:
        """Undo what was taken of some limits, each in the window of its standing, for calls that are not answered after all."""
        for one in standing:
            lease = self._leases.get((grant_id, one.policy))
            if lease is not None and lease.reset_at == one.reset_at:
                lease.left += count

    def standing(self, limits: Limits, now: float) -> list[Standing]:
        """Where the caller stands with every limit."""
        return [lease.standing() for lease in self._leases_of(limits, now)]

    def _leases_of(self, limits: Limits, now: float) -> list[_Lease]:
        """The lease of every limit, in the window of an instant."""
        entered = self._entered.get(limits.grant_id)
        if entered is None or now >= entered.until or entered.limits != limits:
            leases = self._enter(limits, now)
            until = min((lease.reset_at for lease in leases), default=math.inf)
            entered = self._entered[limits.grant_id] = _Entered(limits, until, leases)
        return entered.leases

    def _enter(self, limits: Limits, now: float) -> list[_Lease]:
        leases = []
        if limits.rate_calls is not None and limits.rate_seconds is not None:
            window = int(now) // limits.rate_seconds * limits.rate_seconds
            lease = self._lease(limits.grant_id, "rate", limits.rate_calls, limits.rate_seconds)
            lease.enter(window, window + limits.rate_seconds)
            leases.append(lease)
        if limits.quota_day is not None:
            lease = self._lease(limits.grant_id, "day", limits.quota_day, DAY_S)
            lease.enter(int(self._days.starts(now)), int(self._days.ends(now)))
            leases.append(lease)
        return leases

    def _lease(self, grant_id: str, policy: str, limit: int, window_s: int) -> _Lease:
        lease = self._leases.get((grant_id, policy))
        if lease is None:
            self._make_room()
            lease = self._leases[grant_id, policy] = _Lease(grant_id, policy)
        if lease.limit != limit:  # the grant was changed
            lease.limit, lease.empty_until = limit, 0.0
        lease.window_s = window_s
        return lease

    def _make_room(self) -> None:
        if len(self._leases) >= MAX_LEASES:
            idle = [key for key, one in self._leases.items() if not one.left and not one.waiting and one.task is None]
            for key in idle:
                del self._leases[key]
            self._entered.clear()

    def _ask_ahead(self, lease: _Lease) -> None:
        if lease.task is None and lease.low:
            lease.task = asyncio.create_task(self._ask(lease), name="lease")

    async def _take(self, lease: _Lease) -> None:
        if lease.left > 0:
            lease.left -= 1
            if lease.left == lease.low:
                self._ask_ahead(lease)
            return
        if lease.empty_until > time.monotonic():
            raise exceeded(lease.standing())
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        lease.waiting.append(answer)
        if lease.task is None:
            lease.task = asyncio.create_task(self._ask(lease), name="lease")
        if not await answer:
            raise exceeded(lease.standing())

    async def _ask(self, lease: _Lease) -> None:
        """Ask the database for what waits, until nothing does; where nothing waits, once for the next lease."""
        give_up_at, is_ahead = time.monotonic() + HOLD_S + MARGIN_S, not lease.waiting
        try:
            while lease.waiting or is_ahead:
                is_ahead = False
                want, window, settled = len(lease.waiting), lease.window, max(lease.held - lease.left, 0)
                most, divisor = _SIZES[lease.policy]
                lease.held -= settled
                row = await self._database.fetch_one(
                    take_sql(
                        lease.grant_id,
                        lease.policy,
                        window,
                        lease.limit,
                        want,
                        most=most,
                        divisor=divisor,
                        settled=settled,
                        hold_s=HOLD_S + MARGIN_S,
                    )
                )
                granted = row["granted"]
                self._settle(lease, window, want, granted, row["taken"])
                if granted or not lease.waiting:
                    continue
                if row["is_held"] and time.monotonic() < give_up_at:
                    await asyncio.sleep(ASK_AGAIN_S)
                    continue
                lease.empty_until = time.monotonic() + KNOWN_EMPTY_S
                self._answer(lease, len(lease.waiting), is_granted=False)
        except CimError as error:
            while lease.waiting:
                answer = lease.waiting.popleft()
                if not answer.done():
                    answer.set_exception(error)
        finally:
            lease.task = None
            self._answer(lease, len(lease.waiting), is_granted=False)

    def _settle(self, lease: _Lease, window: int, want: int, granted: int, taken: int) -> None:
        """Hand out what was granted; what is over is kept, in its window."""
        lease.remaining = max(lease.limit - taken, 0)
        over = granted - self._answer(lease, granted, is_granted=True)
        if lease.window == window and over > 0:
            lease.left += over
            lease.low = lease.left // AHEAD
            lease.held += max(granted - want, 0)
            lease.leased_at = time.monotonic()

    def _answer(self, lease: _Lease, count: int, *, is_granted: bool) -> int:
        """Answer at most so many of those who wait and are still there; how many."""
        answered = 0
        while lease.waiting and answered < count:
            answer = lease.waiting.popleft()
            if not answer.done():
                answer.set_result(is_granted)
                answered += 1
        return answered

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(HOLD_S / 4)
            old = time.monotonic() - HOLD_S
            with suppress(CimError):
                await self._give_back([one for one in self._leases.values() if one.left and one.leased_at < old])

    async def _give_back(self, leases: Iterable[_Lease]) -> None:
        for lease in list(leases):
            if not lease.left or lease.task is not None:
                continue
            unused, held = lease.left, lease.held
            lease.left = lease.held = 0
            await self._database.execute(give_back_sql(lease.grant_id, lease.policy, lease.window, unused, held))


def exceeded(standing: Standing) -> QuotaExceeded:
    """What a caller is told whose limit is used up."""
    wait_s = max(1, int(standing.reset_at - time.time()) + 1)
    what = "calls a day" if standing.policy == "day" else f"calls in {standing.window_s} s"
    return QuotaExceeded(
        f"the grant allows {standing.limit:,} {what}, and they are used up; calls are let through again from "
        f"{instant_text(standing.reset_at)}",
        standing=(standing,),
        retry_after_s=wait_s,
        facts={
            "limit": standing.limit,
            "window_s": standing.window_s,
            "reset": instant_text(standing.reset_at),
            "violated-policies": [standing.policy],
        },
    )
