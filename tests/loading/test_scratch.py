"""What a killed command leaves in the folder for temporary files, and who removes it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from loaders.scratch import LEFT_S, scratch

HOLD = """
from loaders.scratch import scratch
with scratch("cim-kept-") as folder:
    (folder / "unpacked").write_bytes(bytes(100))
    print(folder, flush=True)
    input()
"""


def aged(folder: Path) -> None:
    """As if it had been made long ago."""
    then = time.time() - LEFT_S - 1
    os.utime(folder, (then, then))


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_gone_with_its_block(there: Path) -> None:
    with scratch("cim-kept-") as folder:
        (folder / "file").write_text("x")
    assert list(there.iterdir()) == []


def test_what_a_killed_command_left_is_removed_by_the_next_and_what_is_in_use_is_not(there: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        held = Path(other.stdout.readline().strip())
        aged(held)
        with scratch("cim-kept-"):
            assert held.exists(), "it is in use, however old"
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert held.exists()
    aged(held)
    (there / "other-folder").mkdir()
    aged(there / "other-folder")
    with scratch("cim-kept-") as mine:
        assert sorted(there.iterdir()) == sorted([mine, there / "other-folder"])


def test_a_folder_that_is_young_stays(there: Path) -> None:
    young = there / "cim-kept-young"
    young.mkdir()
    with scratch("cim-kept-"):
        assert young.exists()
