"""GeoJSON (RFC 7946), bare arrays of features, and GeoJSON text sequences (RFC 8142, and a feature a line)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import orjson

from cim.errors import SourceRefused
from loaders.base import Batch, SourceInfo, SourceOptions
from loaders.encoding import codec_of
from loaders.features import Schema, batch_of
from loaders.jsonscan import MAX_HEAD_BYTES, Document, Lines, Piece, open_text
from loaders.reference import CRS84, by_rule, settle
from loaders.sniff import Content, content_of, head_of

BATCH_BYTES = 64 * 1024 * 1024
"""Text of one batch at most, however few rows that is."""

SCAN_ROWS = 2_000
SCAN_BYTES = 4 * 1024 * 1024

LINE_SUFFIXES = frozenset({".geojsonl", ".geojsons", ".ndjson", ".jsonl", ".ndgeojson", ".geojsonseq"})


@dataclass(frozen=True, slots=True)
class _Scan:
    """What the first pass found. `trouble` says where the document breaks off, if it does."""

    schema: Schema
    shell: dict[str, Any]
    trouble: str | None


@dataclass(frozen=True, slots=True)
class JsonLoader:
    """Features as JSON: a first pass over the file finds all fields and their kinds, a second one reads the rows."""

    name: str
    accepts: Callable[[Path], bool]
    form: Callable[[str, IO[bytes]], Document | Lines]

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """See Loader. A file that breaks off is read up to there; `read` then says where."""
        if not self.accepts(path):
            return None
        scan = _scanned(self, path, options)
        schema = scan.schema
        if not schema.count and scan.shell.get("type") != "FeatureCollection":
            if scan.trouble and b'"FeatureCollection"' in head_of(path):
                raise SourceRefused(scan.trouble)
            return None
        total = schema.count + schema.broken
        if schema.not_text * 10 > total:
            raise SourceRefused(
                f"{path.name}: {schema.not_text} of {total} features are not UTF-8; "
                "state the encoding, e.g. --encoding GB18030",
                parameter="encoding",
            )
        crs, notes = _crs(scan.shell, options, path)
        return SourceInfo(
            driver=self.name,
            layer=None,
            layers=(),
            fields=schema.fields(),
            geometry_type=schema.geometry_type,
            crs=crs,
            encoding=options.encoding or "UTF-8",
            feature_count=total,
            licence=_text(scan.shell.get("license") or scan.shell.get("licence")),
            attribution=_text(scan.shell.get("attribution")),
            notes=(*notes, *([scan.trouble] if scan.trouble else [])),
        )

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """See Loader."""
        fields = _scanned(self, path, options).schema.fields()
        with open_text(path, codec_of(options.encoding)) as source:
            pieces: list[Piece] = []
            row, size = 1, 0
            trouble: SourceRefused | None = None
            try:
                for piece in self.form(path.name, source).pieces():
                    pieces.append(piece)
                    size += len(piece.text)
                    if len(pieces) == batch_rows or size > BATCH_BYTES:
                        yield batch_of(pieces, fields, row)
                        row, size, pieces = row + len(pieces), 0, []
            except (SourceRefused, UnicodeError) as error:
                trouble = _refusal(path, error)
            if pieces:
                yield batch_of(pieces, fields, row)
            if trouble is not None:
                raise SourceRefused(f"{trouble.detail} ({row + len(pieces) - 1} features before it were read)")


def _refusal(path: Path, error: Exception) -> SourceRefused:
    if isinstance(error, SourceRefused):
        return error
    return SourceRefused(f"{path.name} is not in the stated encoding: {error}", parameter="encoding")


def _scanned(loader: JsonLoader, path: Path, options: SourceOptions) -> _Scan:
    facts = path.stat()
    return _scan(loader, path, codec_of(options.encoding), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=4)
def _scan(loader: JsonLoader, path: Path, codec: str | None, size: int, changed_ns: int) -> _Scan:
    """One pass over a file; `size` and `changed_ns` only tell its versions apart."""
    schema, trouble = Schema(), None
    pieces: list[Piece] = []
    held = 0
    with open_text(path, codec) as source:
        form = loader.form(path.name, source)
        try:
            for piece in form.pieces():
                pieces.append(piece)
                held += len(piece.text)
                if len(pieces) == SCAN_ROWS or held > SCAN_BYTES:
                    schema.see(pieces)
                    pieces, held = [], 0
        except (SourceRefused, UnicodeError) as error:
            trouble = _refusal(path, error).detail
    schema.see(pieces)
    try:
        shell = orjson.loads(form.shell) if form.shell and not trouble else {}
    except orjson.JSONDecodeError:
        shell = {}
    return _Scan(schema, _with_crs(shell if isinstance(shell, dict) else {}, form.shell), trouble)


def _with_crs(shell: dict[str, Any], text: bytes) -> dict[str, Any]:
    """The shell of a document that breaks off still has the `crs` that stands before its features."""
    if shell or b'"crs"' not in text:
        return shell
    try:
        found = orjson.loads(text + b"]}")
    except orjson.JSONDecodeError:
        return shell
    return found if isinstance(found, dict) else shell


def _crs(shell: dict[str, Any], options: SourceOptions, path: Path) -> tuple[str, list[str]]:
    """The CRS of the document: its `crs` member (GeoJSON 2008, section 3), else CRS84 (RFC 7946, section 4)."""
    if "crs" not in shell:
        crs, notes = by_rule(CRS84, options, path.name)
        return crs, notes or ["CRS84 by the rule of RFC 7946: the document states no CRS"]
    member = shell["crs"]
    properties = member.get("properties") if isinstance(member, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if member is not None and not isinstance(name, str):
        raise SourceRefused(f"{path.name}: its 'crs' member names no CRS: {orjson.dumps(member)[:120].decode()}")
    crs, notes = settle(_short(name) if isinstance(name, str) else None, options, path.name)
    return crs, notes


def _short(name: str) -> str:
    """urn:ogc:def:crs:EPSG::4490 as EPSG:4490: GeoJSON has easting or longitude first whatever the CRS."""
    parts = name.split(":")
    if name.lower().startswith(("urn:ogc:def:crs:", "urn:x-ogc:def:crs:")) and len(parts) >= 7:
        return f"{parts[4]}:{parts[-1]}"
    return name


def _text(value: Any) -> str | None:
    return value[:500] if isinstance(value, str) and value.strip() else None


def _is_sequence(path: Path) -> bool:
    """True for records that begin with RS, and for a first line that is a whole feature with more after it."""
    content = content_of(path)
    if content is not Content.JSON:
        return content is Content.JSON_SEQUENCE
    with path.open("rb") as source:
        first = source.readline(MAX_HEAD_BYTES)
        is_more = bool(source.read(1))
    try:
        value = orjson.loads(first.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return path.suffix.lower() in LINE_SUFFIXES and b'"CityJSON' not in first[:4096]
    return is_more and isinstance(value, dict) and value.get("type") == "Feature"


GEOJSON_SEQUENCE = JsonLoader("GeoJSONSeq", _is_sequence, Lines)
GEOJSON = JsonLoader("GeoJSON", lambda path: content_of(path) is Content.JSON, Document)
