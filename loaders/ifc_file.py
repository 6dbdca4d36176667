"""An IFC file (STEP, ISO 10303-21) opened, or refused with the reason (catalogue B16).

The parser is native code that has died of malformed files; it runs in the reading child only. What can be told from
the text is told before it sees the file.
"""

import re
from pathlib import Path
from typing import Any

import ifcopenshell

from cim.errors import SourceRefused

_ENDS_BYTES = 65_536
_END = re.compile(rb"ENDSEC\s*;\s*END-ISO-10303-21\s*;\s*\Z")
_SCHEMA = re.compile(rb"FILE_SCHEMA\s*\(\s*\(\s*'([^']*)'", re.I)
_COUNT = re.compile(r"Expected (\d+) attribute values, found (\d+) for instance (#\d+)")
_STAMP = re.compile(r"\[(?:error|warning|notice)\]|\[[A-Z]{3}\d+\]|\[\d{4}-\d\d-\d\d[^\]]*\]")
SCHEMAS = ("IFC2X3", "IFC4")


def schema_of(path: Path) -> str:
    """The schema that the header names, e.g. IFC4X3.

    Raises SourceRefused for a header without a schema, another schema, no data section and a missing end.
    """
    size = path.stat().st_size
    with path.open("rb") as source:
        head = source.read(_ENDS_BYTES)
        source.seek(max(0, size - _ENDS_BYTES))
        tail = source.read()
    found = _SCHEMA.search(head)
    if found is None:
        raise SourceRefused(f"{path.name}: the header names no schema (FILE_SCHEMA); the file is cut off or no IFC")
    schema = found.group(1).decode("ascii", "replace").upper()
    if not schema.startswith(SCHEMAS):
        raise SourceRefused(
            f"{path.name} has the schema {schema[:40]}; {' and '.join(SCHEMAS)} (all editions) are read"
        )
    if not re.search(rb"\bDATA\s*;", head):
        raise SourceRefused(f"{path.name} has no DATA section; the file is cut off")
    if not _END.search(tail):
        raise SourceRefused(
            f"{path.name} does not end with ENDSEC; END-ISO-10303-21; it is cut off, export or copy it again"
        )
    return schema


def opened(path: Path) -> Any:
    """The model. Raises SourceRefused with the parser's reason, also for entities with too few or many attributes."""
    schema_of(path)
    ifcopenshell.get_log()  # what was left from an earlier file
    try:
        model = ifcopenshell.open(str(path.absolute()))
    except (ifcopenshell.Error, RuntimeError, OSError, ValueError) as error:
        raise SourceRefused(
            f"{path.name} is malformed: {_reason(ifcopenshell.get_log()) or str(error)[:200]}"
        ) from error
    log = ifcopenshell.get_log()
    wrong = _COUNT.search(log)
    if wrong:
        expected, count, instance = wrong.groups()
        raise SourceRefused(
            f"{path.name} is malformed: {instance} has {count} attributes, its class has {expected}; "
            f"{len(_COUNT.findall(log))} entities are so"
        )
    if "[error]" in log:
        raise SourceRefused(f"{path.name} is malformed: {_reason(log)}")
    return model


def has_raw_text(path: Path) -> bool:
    """True when the file has bytes outside ASCII: STEP writes other letters as \\X2\\…\\X0\\, the parser drops raw ones."""
    with path.open("rb") as source:
        return any(not chunk.isascii() for chunk in iter(lambda: source.read(1 << 20), b""))


def _reason(log: str) -> str:
    """The first error of the parser's log."""
    lines = [line for line in log.splitlines() if line.startswith("[error]")] or log.splitlines()
    return _STAMP.sub("", lines[0]).strip()[:300] if lines else ""
