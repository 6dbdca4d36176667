"""The spool: what a worker writes of each call before its answer ends.

`data_dir/spool` holds segments, one open a worker. A segment is `MAGIC`, then frames: length and CRC-32 of the line (four bytes
each, big-endian), then the line, or those of the calls of one day whose answers are sent together. One `write` a frame, so what
was answered survives the end of the process, however it comes; a frame cut short by it belongs to calls that were not
answered. A worker holds a lock (flock) on its open segment as long as it lives: whoever can lock a segment may ship and remove
it, be it of a worker that died.
"""

import errno
import fcntl
import os
import random
import struct
import threading
import time
import zlib
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

from cim.errors import MeterFull

MAGIC = b"cimcall2"
SUFFIX = ".calls"
DAMAGED = ".damaged"
HEAD = struct.Struct(">II")
SEGMENT_BYTES = 4 * 1024**2
"""A segment of this size is closed; what is shipped in one transaction."""
RECKON_BYTES = 256 * 1024
"""Bytes that a worker writes before it looks anew how full the folder is."""
RESERVED_BYTES = 1024
"""What is kept free for each call that is being answered."""


class Spool:
    """The open segment of this process. Its methods may be called from any thread."""

    def __init__(self, folder: Path, max_bytes: int, *, is_synced: bool = False) -> None:
        """`is_synced`: a segment that is closed is on the disk."""
        self.folder = folder
        self._max_bytes = max_bytes
        self._is_synced = is_synced
        self._lock = threading.Lock()
        self._file = -1
        self._path = Path()
        self._size = 0
        self._reckoned = 0
        self._unreckoned = 0
        self._is_failing = False

    def open(self) -> None:
        """Make the folder, and see what it holds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.reckon()

    def close(self) -> None:
        """Close the segment; the process no longer holds it."""
        self.seal()

    @property
    def used_bytes(self) -> int:
        """Bytes of the folder as last reckoned, and what this worker wrote since."""
        return self._reckoned + self._unreckoned

    def check_room(self, in_flight: int) -> None:
        """Raise MeterFull where one more call beside those being answered may find no room for its line."""
        if self._is_failing or self._reckoned + self._unreckoned + (in_flight + 1) * RESERVED_BYTES > self._max_bytes:
            raise MeterFull("calls cannot be counted now, so none is let through; try again in a few seconds")

    def append(self, lines: bytes) -> None:
        """Write one frame; when this returns its calls survive the process. Raises MeterFull where the disk takes no more."""
        frame = HEAD.pack(len(lines), zlib.crc32(lines)) + lines
        with self._lock:
            try:
                if self._file < 0:
                    self._begin()
                written = os.write(self._file, frame)
                if written < len(frame):
                    raise OSError(errno.ENOSPC, "short write")
            except OSError as error:
                self._mend()
                raise MeterFull("the call cannot be counted, so it is not answered; try again later") from error
            self._size += written
            self._unreckoned += written
            if self._size >= SEGMENT_BYTES:
                self._end()
        if self._unreckoned >= RECKON_BYTES:
            self.reckon()

    def sync(self) -> None:
        """Wait until the disk has what was written (`CIM_METER_FSYNC`)."""
        with self._lock:
            if self._file < 0:
                return
            copy = os.dup(self._file)
        try:
            os.fdatasync(copy)
        finally:
            os.close(copy)

    def seal(self) -> None:
        """Close the segment, so that it can be shipped; the next call begins another."""
        with self._lock:
            self._end()

    def reckon(self) -> None:
        """See anew how many bytes the folder holds."""
        total = 0
        with suppress(OSError):
            for entry in os.scandir(self.folder):
                with suppress(FileNotFoundError):
                    total += entry.stat().st_size
        self._reckoned, self._unreckoned = total, 0

    def test(self) -> None:
        """Find out whether a disk that took no more takes some again."""
        if not self._is_failing:
            return
        probe = self.folder / f".probe-{os.getpid()}"
        try:
            probe.write_bytes(b"\0" * RECKON_BYTES)
            self._is_failing = False
        except OSError:
            pass
        finally:
            probe.unlink(missing_ok=True)

    def _begin(self) -> None:
        while True:
            name = f"{time.time_ns() // 1_000_000:013d}-{os.getpid()}-{random.getrandbits(32):08x}{SUFFIX}"
            path = self.folder / name
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_at(file, path):  # else another took the empty file for one of a dead worker, and removed it
                break
            os.close(file)
        self._file, self._path, self._size = file, path, len(MAGIC)
        if os.write(file, MAGIC) < len(MAGIC):
            raise OSError(errno.ENOSPC, "short write")

    def _end(self) -> None:
        if self._file >= 0:
            if self._is_synced:
                os.fdatasync(self._file)
            os.close(self._file)
            self._file = -1

    def _mend(self) -> None:
        """Cut what was half written, and let this segment be: whatever comes of it, a reader knows a torn tail."""
        self._is_failing = True
        if self._file >= 0:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
        self._end()


def is_at(file: int, path: Path) -> bool:
    """True where the open file is the one that the path names."""
    try:
        return os.fstat(file).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


class Damaged(Exception):
    """A segment that is not as it was written, other than at its end. `lines`: the frames before the damage."""

    def __init__(self, lines: list[bytes], offset: int) -> None:
        super().__init__(f"damaged at byte {offset}")
        self.lines = lines


def lines_of(content: bytes) -> list[bytes]:
    """The lines of a segment, as many at once as a frame holds; a frame cut short at the end is left out. Raises Damaged."""
    if not content.startswith(MAGIC):
        if MAGIC.startswith(content):
            return []
        raise Damaged([], 0)
    lines: list[bytes] = []
    offset, end, head = len(MAGIC), len(content), HEAD.size
    while offset + head <= end:
        length, crc = HEAD.unpack_from(content, offset)
        line = content[offset + head : offset + head + length]
        if len(line) < length:
            break
        if length == 0 or zlib.crc32(line) != crc:
            raise Damaged(lines, offset)
        lines.append(line)
        offset += head + length
    return lines


class Segment:
    """A segment whose writer has ended, locked by this process until it is let go or removed."""

    def __init__(self, file: int, path: Path) -> None:
        self._file = file
        self.path = path

    def read(self) -> bytes:
        """All of it."""
        with os.fdopen(os.dup(self._file), "rb") as reader:
            reader.seek(0)
            return reader.read()

    def remove(self) -> None:
        """It is shipped."""
        self.path.unlink(missing_ok=True)

    def set_aside(self) -> None:
        """Keep it for a person to look at; it is not shipped again."""
        self.path.rename(self.path.with_suffix(DAMAGED))

    def close(self) -> None:
        """Let it go."""
        os.close(self._file)


def closed_segments(folder: Path) -> Generator[Segment]:
    """The segments that nobody writes or ships, the oldest first, one locked at a time."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        segment = Segment(file, path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            segment.close()
            continue
        try:
            if is_at(file, path):
                yield segment
        finally:
            segment.close()
