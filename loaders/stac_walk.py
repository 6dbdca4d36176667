"""STAC documents on disk: one file, or a catalogue followed through its relative links, never beyond its folder."""

import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from cim.errors import SourceRefused
from loaders.sniff import Content, content_of
from loaders.stac_items import is_item

ROOT_NAMES = ("catalog.json", "collection.json")
MAX_DOCUMENT_BYTES = 256 * 1024**2
MAX_DOCUMENTS = 200_000
MAX_DEPTH = 24
_HEAD_BYTES = 1 << 20


@dataclass(slots=True)
class Skipped:
    """Links that were not followed, by reason."""

    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed STAC document and its folder below the root, as posix text."""

    content: dict[str, Any]
    folder: str
    name: str


def may_be_stac(path: Path) -> bool:
    """True when a JSON file's first megabyte names a STAC version: cheap, before anything is parsed."""
    if content_of(path) is not Content.JSON:
        return False
    with path.open("rb") as source:
        return b'"stac_version"' in source.read(_HEAD_BYTES)


def load(path: Path) -> dict[str, Any] | None:
    """The STAC document in a file, None when it is JSON of another kind.

    Raises SourceRefused when it is too large or no JSON.
    """
    size = path.stat().st_size
    if size > MAX_DOCUMENT_BYTES:
        raise SourceRefused(
            f"{path.name} has {size // 2**20} MiB; a STAC document of at most {MAX_DOCUMENT_BYTES // 2**20} MiB is read"
        )
    try:
        document = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise SourceRefused(
            f"{path.name} is no JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    if not isinstance(document, dict):
        return None
    if is_item(document) or is_item_collection(document) or is_catalogue(document):
        return document
    return None


def is_item_collection(document: dict[str, Any]) -> bool:
    """True for a FeatureCollection whose features are STAC items."""
    features = document.get("features")
    return (
        document.get("type") == "FeatureCollection"
        and isinstance(features, list)
        and (any(is_item(f) for f in features[:20]) or (not features and "stac_version" in document))
    )


def is_catalogue(document: dict[str, Any]) -> bool:
    """True for a Catalog or a Collection; before 1.0.0 neither had a type, and a Collection had an extent."""
    if not isinstance(document.get("stac_version"), str) or not isinstance(document.get("id"), str):
        return False
    return document.get("type") in ("Catalog", "Collection") or ("type" not in document and "links" in document)


def is_collection(document: dict[str, Any]) -> bool:
    """True for a Collection."""
    return is_catalogue(document) and (document.get("type") == "Collection" or "extent" in document)


def documents(path: Path, skipped: Skipped) -> Iterator[Document]:
    """The document in `path` (or the catalogue of a folder, or its loose documents) and all it links to below.

    Each file is read once, whatever links to it. Raises SourceRefused beyond the caps on number and depth.
    """
    root = (path if path.is_dir() else path.parent).resolve()
    starts = _starts(path)
    seen: set[Path] = set()
    waiting = [(start, 0) for start in reversed(starts)]
    while waiting:
        current, depth = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        if len(seen) > MAX_DOCUMENTS:
            raise SourceRefused(f"the catalogue has more than {MAX_DOCUMENTS:,} documents; load its parts one by one")
        if depth > MAX_DEPTH:
            raise SourceRefused(f"the catalogue is nested deeper than {MAX_DEPTH}: {current.name}")
        content = load(current)
        if content is None:
            skipped.reasons["are no STAC documents"] += 1
            continue
        folder = current.parent.relative_to(root).as_posix()
        yield Document(content, "" if folder == "." else folder, current.name)
        if is_catalogue(content):
            waiting += [(p, depth + 1) for p in reversed(_linked(content, current, root, skipped))]


def _starts(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path.resolve()]
    for name in ROOT_NAMES:
        if (path / name).is_file():
            return [(path / name).resolve()]
    return loose(path)


def loose(folder: Path) -> list[Path]:
    """STAC documents that lie in a folder without a catalogue."""
    return [p.resolve() for p in sorted(folder.iterdir()) if p.suffix == ".json" and p.is_file() and may_be_stac(p)]


def _linked(content: dict[str, Any], current: Path, root: Path, skipped: Skipped) -> list[Path]:
    """Files that `child` and `item` links name. Anything but a relative path inside `root` is skipped."""
    found = []
    for link in content.get("links") or []:
        if (
            not isinstance(link, dict)
            or link.get("rel") not in ("child", "item")
            or not isinstance(link.get("href"), str)
        ):
            continue
        parts = urllib.parse.urlsplit(link["href"])
        if parts.scheme or parts.netloc or not parts.path:
            skipped.reasons["lead elsewhere (only relative links are followed)"] += 1
            continue
        target = (current.parent / urllib.parse.unquote(parts.path)).resolve()
        if not target.is_relative_to(root):
            skipped.reasons["lead out of the source's folder"] += 1
        elif not target.is_file():
            skipped.reasons["name a file that is not there"] += 1
        else:
            found.append(target)
    return found
