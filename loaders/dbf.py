"""The text of a dBASE table as a shapefile has it: which encoding, and which records do not fit it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cim.errors import SourceRefused
from loaders.encoding import Encoding, climb, codec_of, first_misfit

BLOCK_RECORDS = 20_000

LANGUAGE_DRIVERS = {
    0x01: "cp437",
    0x02: "cp850",
    0x03: "cp1252",
    0x13: "cp932",
    0x26: "cp866",
    0x4D: "gb18030",
    0x4E: "cp949",
    0x4F: "big5hkscs",
    0x50: "cp874",
    0x65: "cp866",
    0x78: "big5hkscs",
    0x79: "cp949",
    0x7A: "gb18030",
    0x7B: "cp932",
    0x7C: "cp874",
    0xC8: "cp1250",
    0xC9: "cp1251",
    0xCA: "cp1254",
    0xCB: "cp1253",
}
"""Byte 29 → codec. 0x00 and 0x57 ("the machine's ANSI page") say nothing about the file and are left out."""


@dataclass(frozen=True, slots=True)
class Table:
    """A .dbf file: `text_fields` are (offset, length) in a record of the fields that hold text."""

    path: Path
    records: int
    header_bytes: int
    record_bytes: int
    language_driver: int
    text_fields: tuple[tuple[int, int], ...]
    names: bytes

    def blocks(self) -> Iterator[np.ndarray[tuple[int, int], np.dtype[np.uint8]]]:
        """`(n, record_bytes) uint8` of consecutive records."""
        with self.path.open("rb") as source:
            source.seek(self.header_bytes)
            while block := source.read(BLOCK_RECORDS * self.record_bytes):
                whole = len(block) // self.record_bytes
                if not whole:
                    return
                yield np.frombuffer(block, np.uint8, whole * self.record_bytes).reshape(whole, self.record_bytes)

    def texts(self) -> Iterator[bytes]:
        """All text of the table in pieces that each end at the end of a value."""
        yield self.names
        for block in self.blocks():
            for offset, length in self.text_fields:
                lines = np.full((len(block), length + 1), 10, np.uint8)
                lines[:, :length] = block[:, offset : offset + length]
                yield lines.tobytes()


def open_table(path: Path) -> Table:
    """The layout of a .dbf file. Raises SourceRefused when it is none."""
    with path.open("rb") as source:
        head = source.read(32)
        if len(head) < 32:
            raise SourceRefused(f"{path.name} is not a dBASE table")
        records, header_bytes, record_bytes = struct.unpack_from("<IHH", head, 4)
        rest = source.read(max(0, header_bytes - 32))
    offset, fields, names = 1, [], []
    for start in range(0, len(rest) - 31, 32):
        field = rest[start : start + 32]
        if field[0] == 0x0D:
            break
        if field[11:12] == b"C":
            length = field[16] + 256 * field[17]
            fields.append((offset, length))
        else:
            length = field[16]
        names.append(field[:11].split(b"\x00")[0])
        offset += length
    if record_bytes == 0 or offset > record_bytes:
        raise SourceRefused(f"{path.name} is not a dBASE table: its fields are longer than its records")
    return Table(path, records, header_bytes, record_bytes, head[29], tuple(fields), b"\n".join(names) + b"\n")


def encoding_of_table(table: Table, code_page: str | None, stated: str | None) -> Encoding:
    """The stated encoding, else that of the .cpg (`code_page`), else of the language driver, else the ladder's."""
    if stated is not None:
        codec = codec_of(stated)
        assert codec is not None
        return Encoding(codec, f"{stated} as stated by --encoding")
    named = _code_page(code_page)
    if named is not None:
        return Encoding(named, f"{code_page} by the .cpg file")
    by_driver = LANGUAGE_DRIVERS.get(table.language_driver)
    if by_driver is not None:
        return Encoding(by_driver, f"{by_driver.upper()} by byte 29 of the .dbf (0x{table.language_driver:02X})")
    return climb(table.texts, table.path.name)


def _code_page(text: str | None) -> str | None:
    """The codec that a .cpg names; None where it names none that is known."""
    if text is None:
        return None
    word = text.strip().lower().removeprefix("ansi ").removeprefix("cp").strip()
    for name in (text.strip(), f"cp{word}", word):
        try:
            return codec_of(name)
        except SourceRefused:
            continue
    return None


def is_also_utf8(table: Table) -> bool:
    """True when the table has text beyond ASCII and all of it is strict UTF-8."""
    return not all(text.isascii() for text in table.texts()) and first_misfit(table.texts(), "utf-8") is None


def unreadable_records(table: Table, codec: str) -> dict[int, str]:
    """Record number (from 0, deleted ones counted) → what is wrong, for records with text that `codec` refuses."""
    if all(first_misfit(iter([text]), codec) is None for text in table.texts()):
        return {}
    found: dict[int, str] = {}
    first = 0
    for block in table.blocks():
        for offset, length in table.text_fields:
            for index, value in enumerate(np.ascontiguousarray(block[:, offset : offset + length])):
                raw = value.tobytes()
                if not raw.isascii():
                    try:
                        raw.split(b"\x00")[0].rstrip().decode(codec)
                    except UnicodeDecodeError as error:
                        found[first + index] = f"byte {error.start} of '{raw.decode(codec, 'replace').strip()[:60]}'"
        first += len(block)
    return found
