"""Work in folders, done by processes of their own: a few at once on this machine, and every piece survives a restart.

A piece holds a lock on its folder and on one of a few slots. Its process inherits both, so that one which outlives
its killed server is waited for and not started twice.
"""

import asyncio
import fcntl
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import structlog

from cim.errors import CimError, LoadFailed
from cim.settings import Settings

log = structlog.get_logger("work")

LOOK_EVERY_S = 5.0
KILL_AFTER_S = 5.0
WATCH_EVERY_S = 1.0
REQUEST = ".request.json"
"""What is to be done with a numbered folder of work; written last, so that a folder with it is whole."""

Locks = tuple[int, int]


class Workshop:
    """Looks for pieces of work and has each done once, at most `at_once` whatever the number of server workers.

    `waiting` lists the folders of work in their order; `is_ready` says whether one that is locked is still to be
    done; `do` does it, and what it raises leaves the piece to the next look.
    """

    def __init__(
        self,
        folder: Path,
        at_once: int,
        waiting: Callable[[], Iterable[Path]],
        is_ready: Callable[[Path], bool],
        do: Callable[[Path, Locks], Awaitable[None]],
    ) -> None:
        self._folder, self._at_once = folder, at_once
        self._waiting, self._is_ready, self._do = waiting, is_ready, do
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to look for work, that of a former run first."""
        self._loop = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Stop; what runs is ended and done with the next start."""
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
                log.warning("work cannot be read", folder=self._folder.name, error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()

    def _start_what_can(self) -> None:
        if not self._folder.is_dir():
            return
        for folder in self._waiting():
            slot = self._slot()
            if slot is None:
                return
            lock = locked(folder / ".lock")
            if lock is None or not self._is_ready(folder):  # another worker has it, or had it
                for descriptor in (slot, lock):
                    if descriptor is not None:
                        os.close(descriptor)
                continue
            task = asyncio.create_task(self._run(folder, (slot, lock)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _slot(self) -> int | None:
        for number in range(self._at_once):
            slot = locked(self._folder / f"slot-{number}")
            if slot is not None:
                return slot
        return None

    async def _run(self, folder: Path, locks: Locks) -> None:
        """One piece to its end. What could not be ended (no database, no disk) stays, and is tried at the next look."""
        try:
            await self._do(folder, locks)
        except (CimError, OSError, ValueError) as error:
            log.warning("work could not be followed", folder=folder.name[:12], error=str(error))
        else:
            self._wake.set()
        finally:
            for descriptor in locks:
                os.close(descriptor)


def numbered(folder: Path) -> list[Path]:
    """Folders of work that are named by the number of their run, in order."""
    return sorted((path for path in folder.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))


def is_requested(folder: Path) -> bool:
    """True while there is something to be done with it."""
    return (folder / REQUEST).exists()


async def started(
    module: str,
    arguments: Sequence[str],
    settings: Settings,
    locks: Sequence[int],
    more: Mapping[str, str],
    *,
    is_heard: bool,
) -> asyncio.subprocess.Process:
    """A Python process of ours with the database's address, without the settings' key; `is_heard`: its output is read."""
    environment = {name: value for name, value in os.environ.items() if name != "CIM_ADMIN_KEY"}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE if is_heard else asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL if is_heard else None,
        env={**environment, "DATABASE_URL": str(settings.database_url), **more},
        cwd="/",
        pass_fds=locks,
    )


async def followed(
    words: Sequence[str], settings: Settings, locks: Locks, is_over: Callable[[], Awaitable[bool]], named: str
) -> dict[str, Any] | None:
    """Run `cim` with those words to its end, and end it where somebody ended its run (`is_over`).

    Gives the error it told, None where it went well; `named` is what it is called where it told nothing.
    """
    process = await started("cim.cli.main", words, settings, locks, {"NO_COLOR": "1"}, is_heard=True)
    heard = asyncio.create_task(process.communicate())
    try:
        while not (await asyncio.wait({heard}, timeout=WATCH_EVERY_S))[0]:
            with suppress(CimError):  # while the database does not answer nobody ended it
                if await is_over():
                    await ended(process)
        output, _ = heard.result()
    except asyncio.CancelledError:
        await ended(process)
        heard.cancel()
        raise
    if process.returncode in (0, 3):
        return None
    try:
        told = orjson.loads(output.strip().splitlines()[-1])
        error = told.get("error") or told["sources"][0]["error"]
        return {**error, "code": str(error["code"]), "detail": str(error["detail"])}
    except (IndexError, KeyError, ValueError):
        return {"code": "load-failed", "detail": f"the {named} ended with exit code {process.returncode}"}


async def outcome(settings: Settings, words: Sequence[str], *, timeout_s: float) -> dict[str, Any]:
    """What `cim … --json` tells in its last line, run as a process of its own. Raises what it failed with, LoadFailed."""
    process = await started("cim.cli.main", words, settings, (), {"NO_COLOR": "1"}, is_heard=True)
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    except TimeoutError as error:
        await ended(process)
        raise LoadFailed(f"it took more than {timeout_s:.0f} s and was stopped; nothing was kept") from error
    except asyncio.CancelledError:
        await ended(process)
        raise
    try:
        told: dict[str, Any] = orjson.loads(output.strip().splitlines()[-1])
        failure = told.get("error") or next((one["error"] for one in told.get("sources", ()) if one.get("error")), None)
    except (IndexError, KeyError, ValueError) as error:
        raise LoadFailed(f"it ended with exit code {process.returncode}") from error
    if failure is not None:
        raise as_told(failure["code"], failure["detail"])
    return told


def as_told(code: str, detail: str) -> CimError:
    """The error that another process of this node ended with."""
    error = CimError(detail)
    error.code, error.title = code, code.replace("-", " ").capitalize()
    return error


async def ended(process: asyncio.subprocess.Process) -> None:
    """Ask a process to end, and kill it where it does not."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(KILL_AFTER_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def locked(path: Path) -> int | None:
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
