"""What the child says to its parent: one JSON head and one block of bytes after another, over a pipe."""

import struct
from dataclasses import dataclass
from typing import IO, Any

import orjson

_SIZES = struct.Struct("<IQ")


@dataclass(frozen=True, slots=True)
class Frame:
    """`head["type"]` is info, batch, end or error; `block` the rows of a batch as text for COPY."""

    head: dict[str, Any]
    block: bytes = b""


def write_frame(sink: IO[bytes], head: dict[str, Any], block: bytes | memoryview = b"") -> None:
    """Append one frame."""
    text = orjson.dumps(head, default=str, option=orjson.OPT_SERIALIZE_NUMPY)
    sink.write(_SIZES.pack(len(text), len(block)))
    sink.write(text)
    sink.write(block)
    sink.flush()


def read_frame(source: IO[bytes]) -> Frame | None:
    """The next frame, or None where the stream ends, in the middle of a frame too (the child died)."""
    sizes = source.read(_SIZES.size)
    if len(sizes) < _SIZES.size:
        return None
    head_size, block_size = _SIZES.unpack(sizes)
    head = source.read(head_size)
    block = source.read(block_size)
    if len(head) < head_size or len(block) < block_size:
        return None
    return Frame(orjson.loads(head), block)
