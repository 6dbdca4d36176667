"""Who starts and stops the private cluster, and who only uses it.

One process owns it (`cim serve`, `cim run`): it starts PostgreSQL and stops it at its end. Any number of commands use it
meanwhile; where nobody owns it the first of them starts it and the last one out stops it. `cim db start` keeps it
running until `cim db stop`. All this is held by locks, which the kernel takes back from a process however it ends.
"""

import fcntl
import logging
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import psycopg

from cim.db.embedded import START_TIMEOUT_S, Cluster, make_folder, unwritable
from cim.errors import SetupProblem

_OWNER = "owner.lock"
_USERS = "users.lock"
_CHANGE = "change.lock"
_KEPT = "kept"

WATCH_S = 2.0
"""How often an owner looks whether its server is there; also the pause between attempts to start it again."""

_log = logging.getLogger(__name__)


@contextmanager
def owned(cluster: Cluster, *, is_watched: bool = False) -> Iterator[str]:
    """The cluster, started for this process and stopped at the end; yields the URL.

    `is_watched`: started again, by a thread, when it was killed meanwhile. Raises SetupProblem naming the process
    that owns it already.
    """
    with _changing(cluster):
        owner = _lock(cluster, _OWNER, fcntl.LOCK_EX)
        if owner is None:
            raise SetupProblem(
                f"the city in {cluster.folder} is in use by process {owner_of(cluster)}; stop that one, or set "
                "CIM_DATA_DIR to another folder"
            )
    try:
        with _using(cluster) as url, _watched(cluster) if is_watched else nullcontext():
            yield url
    finally:
        try:
            with _changing(cluster):
                if not _is_kept(cluster):
                    cluster.stop()
        finally:
            os.ftruncate(owner, 0)
            os.close(owner)


@contextmanager
def used(cluster: Cluster) -> Iterator[str]:
    """The cluster as it runs, or started and, by the last who uses it, stopped; yields the URL."""
    try:
        with _using(cluster) as url:
            yield url
    finally:
        with _changing(cluster):
            if _is_free(cluster, _USERS) and not _is_kept(cluster):
                cluster.stop()


def keep(cluster: Cluster) -> None:
    """Start the cluster where it does not run, and leave it running until `stop`."""
    with _changing(cluster):
        cluster.start()
        (cluster.folder / _KEPT).write_text(cluster.server_mark())


def stop(cluster: Cluster) -> None:
    """Stop a cluster that nobody uses. Raises SetupProblem naming the process that owns it, or that others use it."""
    if not cluster.server_mark():
        return
    with _changing(cluster):
        if not _is_free(cluster, _OWNER):
            raise SetupProblem(f"process {owner_of(cluster)} serves the city in {cluster.folder}; stop that one")
        if not _is_free(cluster, _USERS):
            raise SetupProblem(f"other commands are at work in {cluster.folder}; try again when they have ended")
        cluster.stop()


def owner_of(cluster: Cluster) -> str:
    """The number of the process that wrote itself into the owner's lock file, `?` where none did."""
    return _writer(cluster, _OWNER)


@contextmanager
def _using(cluster: Cluster) -> Iterator[str]:
    """Started where it does not run, and known as used until the block ends."""
    with _changing(cluster):
        users = _lock(cluster, _USERS, fcntl.LOCK_SH)
        assert users is not None, "the lock is held alone only while changing"
        try:
            cluster.start()
        except BaseException:
            os.close(users)
            raise
    try:
        yield cluster.url()
    finally:
        os.close(users)


@contextmanager
def _watched(cluster: Cluster) -> Iterator[None]:
    """A server that ends though nobody asked it to (killed for its memory, say) is started again."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(WATCH_S):
            if cluster.is_alive():
                continue
            try:
                with _changing(cluster):
                    if not is_over.is_set():
                        cluster.start()
                        _log.warning("PostgreSQL had ended and was started again")
            except (SetupProblem, psycopg.Error, subprocess.TimeoutExpired) as error:
                _log.error("PostgreSQL has ended and does not start; trying again: %s", error)

    thread = threading.Thread(target=watch, name="watch-postgresql", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def _changing(cluster: Cluster) -> Iterator[None]:
    """Alone in starting, stopping, and in looking at who uses the cluster; waits for its turn."""
    deadline = time.monotonic() + START_TIMEOUT_S + 60
    while (lock := _lock(cluster, _CHANGE, fcntl.LOCK_EX)) is None:
        if time.monotonic() > deadline:
            who = _writer(cluster, _CHANGE)
            raise SetupProblem(f"process {who} has been starting or stopping {cluster.folder} for minutes; look there")
        time.sleep(0.1)
    try:
        yield
    finally:
        os.close(lock)


def _is_kept(cluster: Cluster) -> bool:
    """True when `keep` was asked of the server that runs now, not of an earlier one."""
    try:
        return (cluster.folder / _KEPT).read_text() == cluster.server_mark() != ""
    except OSError:
        return False


def _is_free(cluster: Cluster, name: str) -> bool:
    """True when nobody holds that lock; asked only while changing, as asking takes it for a moment."""
    lock = _lock(cluster, name, fcntl.LOCK_EX, is_written=False)
    if lock is None:
        return False
    os.close(lock)
    return True


def _writer(cluster: Cluster, name: str) -> str:
    try:
        return (cluster.folder / name).read_text().strip() or "?"
    except OSError:
        return "?"


def _lock(cluster: Cluster, name: str, kind: int, *, is_written: bool = True) -> int | None:
    """A held lock on a file of the folder, or None when another process holds it.

    Held alone, the file names this process, unless `is_written` is false.
    """
    try:
        make_folder(cluster.folder)
        descriptor = os.open(cluster.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise unwritable(cluster.folder, error) from error
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        if kind == fcntl.LOCK_EX and is_written:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise unwritable(cluster.folder, error) from error
    return descriptor
