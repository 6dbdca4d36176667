"""Running `cim` as a user does, and looking at the processes it leaves."""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from cim.db.embedded import Cluster
from tests.conftest import Ran, environment

CIM = [sys.executable, "-m", "cim.cli.main"]


def run_cim(*words: object, timeout_s: float = 120, **settings: str) -> Ran:
    """`cim WORDS` with nothing in the environment but these settings."""
    done = subprocess.run(
        [*CIM, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment(**settings),
        cwd="/",
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A data folder that any account may enter, with a path short enough for a socket; a server in it is ended."""
    folder = Path(tempfile.mkdtemp(prefix="cim-p-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        kill(*server_processes(Cluster(folder)))
        shutil.rmtree(folder, ignore_errors=True)


def server_processes(cluster: Cluster) -> list[psutil.Process]:
    """The postmaster of a cluster and its children; none where it does not run."""
    try:
        pid = int((cluster.data / "postmaster.pid").read_text().split()[0])
        postmaster = psutil.Process(pid)
        if postmaster.name() != "postgres":
            return []
        return [postmaster, *postmaster.children(recursive=True)]
    except (OSError, psutil.NoSuchProcess):
        return []


def kill(*processes: psutil.Process) -> None:
    """kill -9, at once, and wait until they have ended."""
    for process in processes:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    until(lambda: all(map(has_ended, processes)), "the killed processes have ended")


def has_ended(process: psutil.Process) -> bool:
    """True of a process that does nothing any more; nobody need have collected it yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until(is_so: Callable[[], bool], what: str, *, timeout_s: float = 60) -> None:
    """Wait for something that another process brings about."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"still not so after {timeout_s} s: {what}"
        time.sleep(0.05)
