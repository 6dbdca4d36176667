"""Heads of the audit as they were noted day by day, in a file of the data folder: outside of what an owner of the database can change.

A line a day: `{"day", "database", "number", "digest", "noted_at"}`. `cim audit verify` compares each with the chain, so that a
tail that was cut, or a chain that was written anew, is found even where its head was changed with it.
"""

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

FILE = "audit-heads.jsonl"


@dataclass(frozen=True, slots=True)
class NotedHead:
    """The last row of the audit on a day of the platform; the digest is hexadecimal."""

    day: str
    database: str
    number: int
    digest: str
    noted_at: str


def note(folder: Path, head: NotedHead) -> None:
    """Append the head, and wait for the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, orjson.dumps(asdict(head)) + b"\n")
        os.fsync(file)
    finally:
        os.close(file)


def noted_heads(folder: Path, database: str) -> list[NotedHead]:
    """The heads that were noted of this database, the first first; a line that a power cut left half written is passed over."""
    try:
        lines: Iterable[bytes] = (folder / FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            one = NotedHead(**orjson.loads(line))
        except (orjson.JSONDecodeError, TypeError):
            continue
        if one.database == database:
            found.append(one)
    return found
