"""The features of a JSON document as pieces of bytes, found without parsing and in memory that does not grow.

Brackets outside strings are found by numpy over a block of bytes; nothing recurses, so any depth is safe. A
document is a FeatureCollection, a bare array of features, or one feature or geometry.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from cim.errors import SourceRefused, TooLarge

BLOCK_BYTES = 4 * 1024 * 1024
MAX_FEATURE_BYTES = 512 * 1024 * 1024
MAX_HEAD_BYTES = 64 * 1024 * 1024

_INTERESTING = np.zeros(256, bool)
_INTERESTING[[ord(c) for c in '"{}[]']] = True
_STEP = np.zeros(256, np.int64)
_STEP[[ord("{"), ord("[")]] = 1
_STEP[[ord("}"), ord("]")]] = -1
_FEATURES_KEY = re.compile(rb'"features"\s*:\s*\Z')
_SINGLE = re.compile(rb'"type"\s*:\s*"(?:Feature|(?:Multi)?(?:Point|LineString|Polygon)|GeometryCollection)"')
_SPACE = b" \t\r\n"
NEWLINE = b"\n"


@dataclass(frozen=True, slots=True)
class Piece:
    """One element of the feature array: its bytes, and where it begins (byte from 0, line from 1)."""

    text: bytes
    at: int
    line: int


@dataclass(slots=True)
class Document:
    """A document that is being read. `shell` is all of it but the features, complete once `pieces` has ended."""

    name: str
    source: IO[bytes]
    is_array: bool = False
    shell: bytes = b""

    def pieces(self) -> Iterator[Piece]:
        """The features in file order. Raises SourceRefused, with byte and line, where the document breaks off."""
        buffer, at, line = self._head()
        if not self.shell:
            yield from self._single(buffer)
            return
        first = True
        while True:
            spans, end = _elements(buffer)
            done = 0
            for start, stop in spans:
                gap = buffer[done:start].strip(_SPACE)
                if gap != (b"" if first else b","):
                    raise self._break(at + done, line, gap)
                line += buffer.count(b"\n", done, start)
                yield Piece(buffer[start:stop], at + start, line)
                line += buffer.count(b"\n", start, stop)
                done, first = stop, False
            if end is not None:
                gap = buffer[done:end].strip(_SPACE)
                if gap not in (b"", b","):
                    raise self._break(at + done, line, gap)
                self._end(buffer[end:])
                return
            buffer, at = buffer[done:], at + done
            more = self.source.read(max(BLOCK_BYTES, len(buffer)))
            if not more:
                self._broken_off(buffer, at, line)
            if len(buffer) > MAX_FEATURE_BYTES:
                raise TooLarge(f"{self.name}: the feature at byte {at} is larger than {MAX_FEATURE_BYTES // 2**20} MiB")
            buffer += _completed(more, self.source)

    def _head(self) -> tuple[bytes, int, int]:
        """(bytes after the opening bracket of the feature array, their offset, their line)."""
        buffer = b""
        while more := self.source.read(BLOCK_BYTES):
            buffer += _completed(more, self.source)
            text = buffer.removeprefix(codecs.BOM_UTF8)
            mark = len(buffer) - len(text)
            if (opening := _feature_array(text)) is not None:
                self.is_array = text[:opening].strip(_SPACE) == b""
                self.shell = text[: opening + 1]
                start = mark + opening + 1
                return buffer[start:], start, 1 + buffer.count(b"\n", 0, start)
            if len(buffer) > MAX_HEAD_BYTES:
                break
        return buffer.removeprefix(codecs.BOM_UTF8), 0, 1

    def _single(self, text: bytes) -> Iterator[Piece]:
        """A document without an array of features: one feature or geometry, or something else altogether."""
        if len(text) <= MAX_HEAD_BYTES and _SINGLE.search(text[:100_000]):
            if not _is_complete(text):
                raise SourceRefused(f"{self.name} breaks off at byte {len(text)}, line {1 + text.count(NEWLINE)}")
            yield Piece(text.strip(_SPACE), 0, 1)

    def _end(self, rest: bytes) -> None:
        self.shell += rest
        while more := self.source.read(BLOCK_BYTES):
            self.shell += more
            if len(self.shell) > MAX_HEAD_BYTES:
                raise TooLarge(f"{self.name}: more than {MAX_HEAD_BYTES // 2**20} MiB outside of its features")

    def _break(self, at: int, line: int, gap: bytes) -> SourceRefused:
        found = gap[:40].decode("utf-8", "replace")
        return SourceRefused(f"{self.name}: byte {at}, line {line}: '{found}' where a feature is expected")

    def _broken_off(self, buffer: bytes, at: int, line: int) -> None:
        size = at + len(buffer)
        last = line + buffer.count(b"\n")
        raise SourceRefused(
            f"{self.name} breaks off at byte {size}, line {last}: "
            f"the feature that begins at byte {at + len(buffer) - len(buffer.lstrip(_SPACE + b','))} is not complete"
        )


@dataclass(slots=True)
class Lines:
    """A text sequence that is being read: a feature a line, or records that begin with RS (RFC 8142)."""

    name: str
    source: IO[bytes]
    shell: bytes = b"{}"

    def pieces(self) -> Iterator[Piece]:
        """The features in file order. Raises SourceRefused where the last one is cut off."""
        buffer, at, line = self.source.read(BLOCK_BYTES).removeprefix(codecs.BOM_UTF8), 0, 1
        separator = b"\x1e" if buffer.startswith(b"\x1e") else b"\n"
        while True:
            *whole, rest = buffer.split(separator)
            for text in whole:
                if text.strip(_SPACE):
                    yield Piece(text.strip(_SPACE), at, line)
                at += len(text) + 1
                line += text.count(b"\n") + (separator == b"\n")
            if len(rest) > MAX_FEATURE_BYTES:
                raise TooLarge(f"{self.name}: line {line} is longer than {MAX_FEATURE_BYTES // 2**20} MiB")
            more = self.source.read(max(BLOCK_BYTES, len(rest)))
            if not more:
                break
            buffer = rest + more
        if rest.strip(_SPACE):
            if not _is_complete(rest):
                raise SourceRefused(f"{self.name} breaks off at byte {at + len(rest)}, in line {line}")
            yield Piece(rest.strip(_SPACE), at, line)


def open_text(path: Path, encoding: str | None) -> IO[bytes]:
    """The bytes of a file as UTF-8, whatever `encoding` it is in."""
    source = path.open("rb")
    head = source.read(2)
    source.seek(0)
    if encoding is None and head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        encoding = "utf-16"
    if encoding is None or codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
        return source
    return codecs.EncodedFile(source, "utf-8", encoding, errors="strict")


def _completed(block: bytes, source: IO[bytes]) -> bytes:
    """`block` and as many bytes more as end it outside of an escape."""
    while block.endswith(b"\\"):
        more = source.read(1)
        if not more:
            break
        block += more
    return block


def _brackets(buffer: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(positions, steps +1 or -1) of the brackets outside of strings; `buffer` begins outside of one."""
    if b"\\" in buffer:
        buffer = buffer.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    raw = np.frombuffer(buffer, np.uint8)
    at = np.flatnonzero(_INTERESTING[raw])
    found = raw[at]
    is_quote = found == 0x22
    outside = ((np.cumsum(is_quote) & 1) == 0) & ~is_quote
    at = at[outside]
    return at, _STEP[found[outside]]


def _is_complete(text: bytes) -> bool:
    """True when every bracket that opens also closes."""
    _, steps = _brackets(text)
    return bool(len(steps)) and int(steps.sum()) == 0 and text.rstrip(_SPACE)[-1:] in (b"}", b"]")


def _elements(buffer: bytes) -> tuple[list[tuple[int, int]], int | None]:
    """(start, stop) of each complete element of an array, and where the array's closing bracket is, if it is there."""
    at, steps = _brackets(buffer)
    depth = np.cumsum(steps)
    ends = np.flatnonzero(depth < 0)
    end = int(ends[0]) if len(ends) else None
    at_end, depth, steps = at[:end], depth[:end], steps[:end]
    starts = at_end[(steps == 1) & (depth == 1)]
    stops = at_end[(steps == -1) & (depth == 0)] + 1
    spans = list(zip(starts[: len(stops)].tolist(), stops.tolist(), strict=True))
    return spans, None if end is None else int(at[end])


def _feature_array(text: bytes) -> int | None:
    """Position of the bracket that opens the array of features."""
    if text.lstrip(_SPACE)[:1] == b"[":
        return text.index(b"[")
    at, steps = _brackets(text)
    depth = np.cumsum(steps)
    for position in at[(steps == 1) & (depth == 2)].tolist():
        if text[position : position + 1] == b"[" and _FEATURES_KEY.search(text[max(0, position - 200) : position]):
            return int(position)
    return None
