"""CityJSON on disk: one document, or a sequence of a header and features, one a line."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from cim.errors import SourceRefused
from loaders.cityjson_objects import Pairs
from loaders.sniff import Content, content_of

MAX_DOCUMENT_BYTES = 512 * 1024**2
MAX_LINE_BYTES = 64 * 1024**2
_ENDS_BYTES = 65_536
_SIGN = re.compile(rb'"type"\s*:\s*"CityJSON(?:Feature)?"|"CityObjects"\s*:\s*\{')
_KEY = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*:\s*\{')
VERSIONS = ("1.0", "1.1", "2.0")


@dataclass(frozen=True, slots=True)
class Part:
    """A document or one feature: its objects as (id, object) pairs, and the mapping its vertices are in.

    `broken` says why a line is no feature; it has no objects then. `line` is 1-based, 0 for a document.
    """

    document: dict[str, Any]
    objects: Pairs
    line: int
    broken: str | None = None


class _Repeated(dict[str, Any]):
    """An object with a name that comes twice; all its pairs."""

    pairs: list[tuple[str, Any]]


def may_be_cityjson(path: Path) -> bool:
    """True when a JSON file's first or last bytes name the type CityJSON or have CityObjects."""
    if path.is_dir() or content_of(path) not in (Content.JSON, Content.JSON_SEQUENCE):
        return False
    with path.open("rb") as source:
        head = source.read(_ENDS_BYTES)
        source.seek(max(0, path.stat().st_size - _ENDS_BYTES))
        return bool(_SIGN.search(head) or _SIGN.search(source.read()))


def header_of(path: Path) -> tuple[dict[str, Any], bool]:
    """The CityJSON object (of a sequence its first line) and whether it is a sequence.

    Raises SourceRefused for a version that is not read, and for a sequence without its header.
    """
    with path.open("rb") as source:
        first = source.readline(MAX_LINE_BYTES).lstrip(b"\x1e\xef\xbb\xbf")
        rest = source.read(4096).strip()
    header = _parsed(first)
    is_sequence = isinstance(header, dict) and bool(rest)
    if not is_sequence:
        header = _document(path)
    assert isinstance(header, dict)
    if header.get("type") != "CityJSON":
        raise SourceRefused(
            f"{path.name} begins with {str(header.get('type'))[:40]}: the first line of a CityJSONSeq is its header, "
            "an object of type CityJSON with the transform and the CRS"
        )
    version = str(header.get("version", ""))
    if not version.startswith(VERSIONS):
        raise SourceRefused(
            f"{path.name} is CityJSON {version[:20] or 'without a version'}; {', '.join(VERSIONS)} are read "
            "(cjio upgrades older files: cjio in.json upgrade save out.json)"
        )
    return header, is_sequence


def parts_of(path: Path, header: dict[str, Any], is_sequence: bool) -> Iterator[Part]:
    """The document as one part, or the features of a sequence one by one.

    Raises SourceRefused at the end when the last line is cut off.
    """
    if not is_sequence:
        yield Part(header, _pairs(header.get("CityObjects"), path), 0)
        return
    with path.open("rb") as source:
        for line, text in enumerate(_lines(source, path), 1):
            if line == 1 or not text.strip():
                continue
            feature = _parsed(text.lstrip(b"\x1e"))
            if isinstance(feature, dict) and feature.get("type") == "CityJSONFeature":
                yield Part(feature, _sequence_pairs(feature, text), line)
            elif feature is None and not text.endswith(b"\n"):
                raise SourceRefused(f"{path.name} is cut off: line {line}, the last one, is no whole JSON")
            else:
                yield Part({}, (), line, "no JSON" if feature is None else "no object of type CityJSONFeature")


def _lines(source: Any, path: Path) -> Iterator[bytes]:
    while text := source.readline(MAX_LINE_BYTES):
        if len(text) == MAX_LINE_BYTES and not text.endswith(b"\n"):
            raise SourceRefused(f"{path.name} has a line of more than {MAX_LINE_BYTES // 2**20} MiB")
        yield text


def _parsed(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _document(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if size > MAX_DOCUMENT_BYTES:
        raise SourceRefused(
            f"{path.name} has {size // 2**20} MiB in one object; up to {MAX_DOCUMENT_BYTES // 2**20} MiB are read. "
            "A CityJSONSeq of any size is: cjseq cat < in.city.json > out.city.jsonl"
        )
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SourceRefused(
            f"{path.name} is no JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    if not isinstance(document, dict):
        raise SourceRefused(f"{path.name} is no CityJSON object")
    if isinstance(document.get("CityObjects"), dict) and _has_repeats(document["CityObjects"], text):
        document["CityObjects"] = _with_repeats(text)
    return document


def _pairs(objects: Any, path: Path) -> Pairs:
    if isinstance(objects, _Repeated):
        return objects.pairs
    if not isinstance(objects, dict):
        raise SourceRefused(f"{path.name} has no CityObjects")
    return list(objects.items())


def _sequence_pairs(feature: dict[str, Any], text: bytes) -> Pairs:
    objects = feature.get("CityObjects")
    if not isinstance(objects, dict):
        return ()
    if _has_repeats(objects, text):
        return _with_repeats(text).pairs
    return list(objects.items())


def _has_repeats(objects: dict[str, Any], text: bytes) -> bool:
    """True when an id may stand twice in the text: a parser keeps the last and says nothing (catalogue B14)."""
    seen: set[bytes] = set()
    names = {name.encode("utf-8", "surrogatepass") for name in objects}
    for match in _KEY.finditer(text):
        name = match.group(1)
        if name in names:
            if name in seen:
                return True
            seen.add(name)
    return False


def _with_repeats(text: bytes) -> _Repeated:
    """`CityObjects` with all its pairs, read by a parser that shows repeated names."""

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        kept = _Repeated(pairs)
        kept.pairs = pairs
        return kept if len(kept) < len(pairs) else dict(kept)

    objects = json.loads(text.lstrip(b"\x1e"), object_pairs_hook=keep)["CityObjects"]
    if isinstance(objects, _Repeated):
        return objects
    kept = _Repeated(objects)
    kept.pairs = list(objects.items())
    return kept
