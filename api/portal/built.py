"""The built page: where it is, its messages and files by name, and whether its sources have changed since."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

SOURCES = ("src", "i18n", "swagger")
"""Folders of `web` that a build is made of, as `web/build.mjs` names them."""


def dist_folder() -> Path | None:
    """Folder of the built page: `web/dist` of the repository or `static` in the package; None when not built."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / "web" / "dist", package / "static"):
        if (folder / "manifest.json").is_file():
            return folder
    return None


def messages_of(lang: str, part: str = "*") -> Mapping[str, str]:
    """Messages of the portal in a language, all or those of one file; empty without a build."""
    folder = dist_folder()
    return {} if folder is None else _messages(folder, lang, part, _built(folder))


def files_of(folder: Path) -> Mapping[str, str]:
    """Built files by the names that pages know them by."""
    return _files(folder, _built(folder))


def is_stale(folder: Path) -> bool:
    """True where the sources are beside the build, and are not those that it was made of."""
    return _sources_of(folder, _built(folder)) not in (None, _digest(folder.parent))


def _built(folder: Path) -> int:
    return (folder / "manifest.json").stat().st_mtime_ns


@cache
def _messages(folder: Path, lang: str, part: str, _: int) -> Mapping[str, str]:
    """The sources' own where they are there: a message that was added needs no build."""
    sources = folder.parent / "i18n"
    messages: dict[str, str] = {}
    for path in sorted(((sources if sources.is_dir() else folder / "i18n") / lang).glob(f"{part}.json")):
        messages |= json.loads(path.read_bytes())
    return messages


@cache
def _files(folder: Path, _: int) -> Mapping[str, str]:
    files: dict[str, str] = json.loads((folder / "manifest.json").read_bytes())["files"]
    return files


@cache
def _sources_of(folder: Path, _: int) -> str | None:
    """The digest of what the build was made of; None in a package, which has no sources beside it."""
    if not (folder.parent / SOURCES[0]).is_dir():
        return None
    return str(json.loads((folder / "manifest.json").read_bytes()).get("sources", ""))


def _digest(web: Path) -> str:
    """SHA-256 over the sources' paths and contents, as the build writes it into its manifest."""
    digest = hashlib.sha256()
    paths = [path for name in SOURCES for path in (web / name).rglob("*") if path.is_file() and path.name[0] != "."]
    for name, path in sorted((path.relative_to(web).as_posix(), path) for path in paths):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
