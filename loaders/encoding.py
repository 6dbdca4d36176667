"""The encoding of text: what is stated, else a ladder that ends with a question to the user, never with a guess.

The ladder: a byte order mark; strict UTF-8 over all of it; strict GB18030 over all of it, where no line is UTF-8;
else refuse. Big5 and
others are read when they are stated.
"""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cim.errors import SourceRefused

BLOCK_BYTES = 1 << 20
MAX_BAD_SHARE = 0.1

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "cp936": "gb18030", "big5": "big5hkscs", "euc_kr": "cp949"}
_NAMES = {"65001": "utf-8", "936": "gb18030", "950": "big5hkscs", "oem": "", "ansi 936": "gb18030", "ansi": ""}


@dataclass(frozen=True, slots=True)
class Encoding:
    """A Python codec, and in words how it was found."""

    codec: str
    reason: str

    @property
    def name(self) -> str:
        """The name to show: UTF-8, GB18030."""
        return self.codec.removesuffix("-sig").upper().replace("BIG5HKSCS", "BIG5")


def codec_of(name: str | None) -> str | None:
    """The Python codec for a stated name, wider where writers call GB18030 "GBK". Raises SourceRefused."""
    if name is None:
        return None
    plain = _NAMES.get(name.strip().lower(), name.strip())
    try:
        found = codecs.lookup(plain).name
        "".encode(found)
    except (LookupError, TypeError, ValueError) as error:
        raise SourceRefused(
            f"--encoding '{name[:40]}' is not known; write e.g. UTF-8, GB18030, Big5", parameter="encoding"
        ) from error
    return _SUPERSETS.get(found, found)


def encoding_of(path: Path, stated: str | None) -> Encoding:
    """The encoding of a text file, found over all of it. Raises SourceRefused with the byte that fits none."""
    if stated is not None:
        codec = codec_of(stated)
        assert codec is not None
        if codec == "utf-8":
            codec = "utf-8-sig"
        return Encoding(codec, f"{stated} as stated by --encoding")
    with path.open("rb") as source:
        head = source.read(4)
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return Encoding(codec, f"{codec.removesuffix('-sig').upper()} by its byte order mark")
    return climb(lambda: _blocks(path), path.name)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while block := source.read(BLOCK_BYTES):
            yield block


def climb(blocks: Callable[[], Iterator[bytes]], name: str) -> Encoding:
    """The first of strict UTF-8 and strict GB18030 that fits all blocks. Raises SourceRefused."""
    at = first_misfit(blocks(), "utf-8")
    if at is None:
        return Encoding("utf-8", "UTF-8: all of it is")
    if is_mixed(blocks()):
        raise SourceRefused(
            f"{name}: byte {at} is not UTF-8, while other lines are: it mixes encodings; "
            "state the one that counts, e.g. --encoding UTF-8 (rows that do not fit it are rejected)",
            parameter="encoding",
        )
    if first_misfit(blocks(), "gb18030") is None:
        return Encoding("gb18030", f"GB18030: all of it is, and byte {at} is not UTF-8; state --encoding if wrong")
    raise SourceRefused(
        f"{name}: byte {at} is not UTF-8, nor is all of it GB18030; "
        "state the encoding, e.g. --encoding GB18030 or --encoding UTF-8 (rows that do not fit it are rejected)",
        parameter="encoding",
    )


def is_mixed(blocks: Iterator[bytes]) -> bool:
    """True when some line is UTF-8 with a character of three bytes or more, which other encodings hardly ever form.

    GB18030 takes nearly any bytes: without this, a file with a few broken lines would be read as mojibake.
    """
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        if any(_is_plainly_utf8(line) for line in lines):
            return True
        rest = rest[-BLOCK_BYTES:]
    return _is_plainly_utf8(rest)


def _is_plainly_utf8(line: bytes) -> bool:
    if line.isascii():
        return False
    try:
        return max(line.decode("utf-8")) > "\u07ff"
    except UnicodeDecodeError:
        return False


def first_misfit(blocks: Iterator[bytes], codec: str) -> int | None:
    """Offset of the first byte that `codec` cannot decode, or None."""
    decoder = codecs.getincrementaldecoder(codec)("strict")
    at = 0
    for block in blocks:
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            return max(0, at - held + error.start)
        at += len(block)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return at
    return None
