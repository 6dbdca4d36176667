"""Log-in by password: off the event loop, a few at once, and slower with every wrong guess."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog

from cim.db.pool import Database
from cim.errors import TooManyAttempts, Unauthorized
from cim.people.passwords import digest_of_password, is_password
from cim.query.sessions import by_login_sql, guess_sql, guessed_sql, wait_sql

log = structlog.get_logger("login")

AT_ONCE = 2
MAX_WAITING = 50
FREE_FROM_ONE_ADDRESS, FREE = 5, 50
"""Wrong guesses at a login, from one address and from all, before one must wait."""


class Passwords:
    """Checks and makes digests of passwords for one worker."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def verified(self, login: str, password: str, address: str) -> Mapping[str, Any]:
        """The row of whoever has this login and password.

        Raises Unauthorized, which does not tell whether there is such a login, and TooManyAttempts.
        """
        login = login.strip().lower()[:200].replace("\x00", "")
        subjects = {_subject(login, address): FREE_FROM_ONE_ADDRESS, _subject(login): FREE}
        for subject, free in subjects.items():
            if await self._database.fetch_row(guess_sql(subject, free)) is None:
                row = await self._database.fetch_row(wait_sql(subject, free))
                raise TooManyAttempts("too many wrong passwords", max(1, row["seconds"]) if row else 1)
        row = await self._database.fetch_row(by_login_sql(login))
        async with self._turn():
            is_right = await asyncio.to_thread(is_password, password[:1000], row and row["password_hash"])
        if row is None or not is_right:
            log.warning("wrong password", login=login[:80], address=address)
            raise Unauthorized("login and password do not belong together, or one of them is suspended")
        await self._database.execute(guessed_sql(list(subjects)))
        return dict(row)

    async def is_right(self, password: str, digest: str | None) -> bool:
        """True for the password of the digest."""
        async with self._turn():
            return await asyncio.to_thread(is_password, password[:1000], digest)

    async def digest(self, password: str) -> str:
        """What is stored of a password."""
        async with self._turn():
            return await asyncio.to_thread(digest_of_password, password)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= MAX_WAITING:
            raise TooManyAttempts("too many log in at this moment", 2)
        self._waiting += 1
        try:
            async with self._at_once:
                yield
        finally:
            self._waiting -= 1


def _subject(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
