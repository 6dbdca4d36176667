"""Equal questions to an upstream asked at once: the first is sent, the others get its answer where it may be shared.

An answer is shared where it may be kept, and where it is an error; what is no error is kept as well. A flight reads at its own pace,
so that no caller holds up, or takes along, what others wait for: the first gets the answer as it comes, the others when it is whole.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from functools import partial

from api.documents import Whole
from api.gateway.kept import MAX_BODY, KeptAnswer
from api.gateway.relay import Cut, Desk, Relayed, Source, not_whole

UNSHARED_S = 60.0
"""Seconds in which equal questions do not wait for each other, since the answer was not to be shared."""
MAX_UNSHARED = 4_096

Answered = KeptAnswer | Whole | Relayed


@dataclass(frozen=True, slots=True)
class Found:
    """What a question came to, and whether others who ask the same may have it."""

    answer: Answered
    is_shared: bool


Ask = Callable[[], Awaitable[Found]]


class Flights:
    """The questions of one worker that are under way, by everything that the upstream is sent."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._flights: dict[Hashable, Flight] = {}
        self._unshared: dict[Hashable, float] = {}

    async def answer(self, key: Hashable, ask: Ask) -> Answered:
        """The answer to a question: that of an equal one under way, else what `ask` brings. Raises what `ask` raises."""
        if self._unshared.get(key, 0.0) > time.monotonic():
            return (await ask()).answer
        flight = self._flights.get(key)
        if flight is None or flight.is_left:
            flight = self._flights[key] = Flight(ask, self._desk)
            flight.task.add_done_callback(partial(self._landed, key, flight))
            return await flight.first()
        shared = await flight.shared()
        return (await ask()).answer if shared is None else shared

    def _landed(self, key: Hashable, flight: "Flight", _: object) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.is_shared:
            if len(self._unshared) >= MAX_UNSHARED:
                self._unshared.clear()
            self._unshared[key] = time.monotonic() + UNSHARED_S

    async def close(self) -> None:
        """End what is under way."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Flight:
    """One question under way, and the answer as it comes. It ends early when nobody waits for it any more (`is_left`)."""

    def __init__(self, ask: Ask, desk: Desk) -> None:
        loop = asyncio.get_running_loop()
        self.is_shared = True
        self.is_left = False
        self._desk = desk
        self._callers = 0
        self._first: asyncio.Future[Answered] = loop.create_future()
        self._shared: asyncio.Future[KeptAnswer | Whole | None] = loop.create_future()
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._passed = 0
        self._has_first = True
        self._grown = asyncio.Event()
        self._end: Cut | Source | None = None
        self._is_read = False
        self.task = asyncio.create_task(self._fly(ask))

    async def first(self) -> Answered:
        """The answer for the one who asked first, as soon as its head is here."""
        self._callers += 1
        try:
            found = await asyncio.shield(self._first)
        except BaseException:
            self._has_first = False
            if self._first.done() and not self._first.cancelled() and self._first.exception() is None:
                await _dropped(self._first.result())
            self._left()
            raise
        if not (isinstance(found, Relayed) and found.incoming is self):
            self._has_first = False
            self._left()
        return found

    async def shared(self) -> KeptAnswer | Whole | None:
        """The whole answer for one who asks the same; None where each must ask for themselves. Raises as the upstream failed."""
        self._callers += 1
        try:
            found = await asyncio.shield(self._shared)
        finally:
            self._left()
        return found.again() if isinstance(found, Whole) else found

    def _left(self) -> None:
        self._callers -= 1
        if self._callers == 0:
            if not self.task.done():
                self.is_left = True  # who comes now asks anew
                self.task.cancel()
            self._give_back()

    def _give_back(self) -> None:
        if self._is_read and not self._has_first:
            self._desk.give(self._bytes)
            self._bytes, self._pieces = 0, []

    async def _fly(self, ask: Ask) -> None:
        try:
            found = await ask()
            self.is_shared = found.is_shared
            answer = found.answer
            if not found.is_shared:
                self._shared.set_result(None)
                if self._has_first:
                    self._first.set_result(answer)
                else:
                    await _dropped(answer)
            elif isinstance(answer, Relayed):
                self._first.set_result(Relayed(self, answer.status_code, list(answer.raw_headers)))
                await self._read(answer)
            else:
                self._first.set_result(answer.again() if isinstance(answer, Whole) else answer)
                self._shared.set_result(answer)
        except Exception as error:
            for future in (self._first, self._shared):
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # seen: there may be nobody who waits
        finally:
            self._is_read = True
            self._grown.set()
            for future in (self._first, self._shared):
                future.cancel()
            self._give_back()

    async def _read(self, answer: Relayed) -> None:
        """Take the body in. One that is too long is the first one's alone, who reads on from the upstream."""
        source: Source | None = answer.incoming
        try:
            async for data in answer.pieces():
                if self._bytes + len(data) > MAX_BODY or not self._desk.take(len(data)):
                    self.is_shared = False
                    self._pieces.append(data)
                    self._shared.set_result(None)
                    if self._has_first:
                        self._end, source = source, None
                    return
                self._pieces.append(data)
                self._bytes += len(data)
                self._grown.set()
            body = b"".join(self._pieces)
            if answer.keep is not None:
                answer.keep(body)
            fields = [pair for pair in answer.raw_headers if pair[0] != b"content-length" or not body]
            if body:
                fields.append((b"content-length", b"%d" % len(body)))
            self._shared.set_result(Whole(body, answer.status_code, fields))
        except Cut as cut:
            self._end = cut
            self._shared.set_exception(not_whole(cut))
            self._shared.exception()
        finally:
            if source is not None:
                await source.close()

    async def piece(self) -> bytes | None:
        """The next bytes for the one who asked first; None at the end. Raises Cut."""
        while self._passed >= len(self._pieces):
            if self._is_read:
                if isinstance(self._end, Cut):
                    raise self._end
                return None if self._end is None else await self._end.piece()
            self._grown.clear()
            await self._grown.wait()
        self._passed += 1
        return self._pieces[self._passed - 1]

    async def close(self) -> None:
        """The one who asked first has all, or goes."""
        if not self._has_first:
            return
        self._has_first = False
        rest, self._end = self._end, None
        self._left()
        if rest is not None and not isinstance(rest, Cut):
            await rest.close()


async def _dropped(answer: Answered) -> None:
    """Close an answer that nobody takes."""
    if isinstance(answer, Relayed):
        await answer.incoming.close()
