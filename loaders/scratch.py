"""Folders for the time of one command; what a killed command left is removed by a later one."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEFT_S = 600
"""A folder that nobody holds and that is older than this was left by a command that was killed."""


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A folder of this process alone, `prefix` and a random end, removed with the block.

    The kernel frees it when the process is killed: the next call with the same prefix removes it then.
    """
    sweep(prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def sweep(prefix: str) -> None:
    """Remove folders of this account that killed commands have left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        try:
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            facts = os.fstat(held)
            if facts.st_uid == os.geteuid() and time.time() - facts.st_mtime > LEFT_S:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # its command is at work
        finally:
            os.close(held)
