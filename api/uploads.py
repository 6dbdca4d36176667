"""A file sent to this node: streamed to disk, counted, and looked at before its load is queued (`api.jobs` runs it).

An upload lives in `<data folder>/uploads/<run id>/` with its `.request.json`; a failed one is kept in
`quarantine/<run id>/`.
"""

import errno
import hashlib
import io
import re
import shutil
import stat
import time
import uuid
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from api.params import check_text
from cim.errors import (
    DecompressedTooLarge,
    DriverRefused,
    InsufficientStorage,
    InvalidBody,
    InvalidParameter,
    SourceRefused,
    TooLarge,
)
from cim.settings import Settings

MAX_FIELDS = 40
MAX_FIELD_BYTES = 64 * 1024
MAX_PART_HEADERS = 20
MAX_PART_HEADER_BYTES = 8 * 1024
MAX_MEMBER_RECORD = 1024
"""Bytes of an archive's table that a member may take on average."""
MAX_NAME_BYTES = 150
ROOM_EVERY_BYTES = 1024 * 1024
"""How often an upload looks again at what is left of the quota: others come in beside it."""
SHAPEFILE = (".shp", ".dbf", ".shx", ".prj", ".cpg", ".sbn", ".sbx", ".qix", ".qpj")
"""Suffixes of the files that make one shapefile and may come together."""
ABANDONED_S = 3600.0
"""A folder that nothing was received into for so long is of a server that was killed."""

_VRT = (b"<OGRVRTDataSource", b"<VRTDataset")


@dataclass(slots=True)
class Upload:
    """A received file with the form's fields; `parts` are the other files of a shapefile, of which `path` is the main one."""

    folder: Path
    path: Path
    fields: dict[str, str] = field(default_factory=dict)
    parts: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that was received."""
        return (self.path, *self.parts)


class Store:
    """The folder of uploads, with its caps."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.uploads = settings.data_dir / "uploads"
        self.quarantine = settings.data_dir / "quarantine"
        self.intake = settings.data_dir / "intake"

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A new folder to receive into; it is gone when the block raises, and when it was not renamed."""
        folder = self.uploads / f"incoming-{uuid.uuid4().hex}"
        try:
            with storage_errors():
                folder.mkdir(parents=True)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def clear_abandoned(self) -> None:
        """Remove what a killed server had received in part, so that it does not count for ever."""
        for folder in self.uploads.glob("incoming-*"):
            with suppress(FileNotFoundError):
                latest = max(p.stat().st_mtime for p in (folder, *folder.rglob("*")))
                if time.time() - latest > ABANDONED_S:
                    shutil.rmtree(folder, ignore_errors=True)

    def room(self) -> int:
        """Bytes that may still come in: the quota less what lies in uploads, quarantine and intake."""
        used = 0
        for top in (self.uploads, self.quarantine, self.intake):
            for path in top.rglob("*"):
                with suppress(FileNotFoundError):  # a load that ended meanwhile takes its file away
                    used += path.stat().st_size if path.is_file() else 0
        return max(0, self._settings.upload_quota_bytes - used)


@contextmanager
def storage_errors() -> Iterator[None]:
    """A full disk becomes InsufficientStorage (catalogue F11)."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise InsufficientStorage("there is no room for the upload; try again when space was made") from error
        raise


class Sink:
    """A file being written, with the caps on its size. `room` says how many bytes may still be stored beside it."""

    def __init__(self, path: Path, max_bytes: int, room: Callable[[], int]) -> None:
        with storage_errors():
            self._file: BinaryIO = path.open("xb")
        self._max, self._room, self._written = max_bytes, room, 0
        self._allowed, self._looked_at = room(), 0

    def write(self, data: bytes) -> None:
        """Append. Raises TooLarge past the cap of one upload, InsufficientStorage past the room."""
        self._written += len(data)
        if self._written > self._max:
            raise TooLarge(f"the file has more than {self._max:,} bytes, the most taken (setting CIM_MAX_UPLOAD_BYTES)")
        if self._written - self._looked_at > ROOM_EVERY_BYTES:
            self._allowed, self._looked_at = self._written - len(data) + self._room(), self._written
        if self._written > self._allowed:
            raise InsufficientStorage("the quota for uploads is used up (setting CIM_UPLOAD_QUOTA_BYTES)")
        with storage_errors():
            self._file.write(data)

    def close(self) -> None:
        """Flush and close; nothing is left unwritten."""
        with storage_errors():
            self._file.close()


def safe_name(name: str | None) -> str:
    """The last part of a file name as sent, without anything a path could be made of. Raises InvalidParameter."""
    last = re.split(r"[/\\]", name or "")[-1].strip()
    last = "".join(c for c in last if c.isprintable())
    if not last or last.startswith("."):
        raise InvalidParameter("filename", name or "", "a file name such as buildings.geojson")
    if len(last.encode()) > MAX_NAME_BYTES:
        stem, dot, suffix = last.rpartition(".")
        tail = f"{dot}{suffix}" if dot and suffix.isascii() and len(suffix) <= 20 else ""
        last = (stem or suffix).encode()[: MAX_NAME_BYTES - len(tail)].decode("utf-8", "ignore") + tail
    return last


def source_key(name: str) -> str:
    """A key `[a-z0-9_-]+` from a file's name; one that loses characters gets a piece of their hash, so names stay apart."""
    stem = name.split(".")[0]
    plain = re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-")[:50]
    if stem.isascii() and plain:
        return plain
    return f"{plain or 'upload'}-{hashlib.sha256(stem.encode()).hexdigest()[:6]}"


async def chunks_of(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes in, without the empty piece at its end."""
    async for chunk in request.stream():
        if chunk:
            yield chunk


async def receive_raw(
    chunks: AsyncIterator[bytes], folder: Path, name: str, store: Store, settings: Settings
) -> Upload:
    """The body is the file."""
    path = folder / safe_name(name)
    sink = Sink(path, settings.max_upload_bytes, store.room)
    try:
        async for chunk in chunks:
            sink.write(chunk)
    finally:
        sink.close()
    return Upload(folder, path)


class _Form:
    """Callbacks of the multipart parser: a file (or those of a shapefile) to disk, small fields to memory, everything counted."""

    def __init__(self, folder: Path, store: Store, settings: Settings) -> None:
        self._folder, self._settings, self._room = folder, settings, store.room
        self.fields: dict[str, str] = {}
        self.paths: list[Path] = []
        self.is_complete = False
        self._sink: Sink | None = None
        self._headers = 0
        self._header_bytes = 0
        self._name, self._value, self._disposition = b"", b"", b""
        self._field: str | None = None
        self._text = bytearray()

    def on_part_begin(self) -> None:
        self._headers, self._header_bytes, self._disposition = 0, 0, b""
        self._text.clear()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._count(end - start)

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._count(end - start)

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_PART_HEADER_BYTES:
            raise InvalidBody(f"the headers of a part have more than {MAX_PART_HEADER_BYTES:,} bytes")

    def on_header_end(self) -> None:
        self._headers += 1
        if self._headers > MAX_PART_HEADERS:
            raise InvalidBody(f"a part has more than {MAX_PART_HEADERS} headers")
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if not name:
            raise InvalidBody("a part of the form has no name")
        self._field = name
        # RFC 7578 forbids `filename*`, and some clients send it for names that are not ASCII
        extended = re.search(rb"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", self._disposition, re.IGNORECASE)
        if b"filename" in options or extended:
            stated = unquote_to_bytes(extended[1]) if extended else options[b"filename"]
            path = self._folder / safe_name(stated.decode("utf-8", "replace"))
            if self.paths and not (path not in self.paths and _is_one_shapefile([*self.paths, path])):
                raise InvalidBody("one file at a time, or those of one shapefile: the form has two others")
            self.paths.append(path)
            self._sink = Sink(path, self._settings.max_upload_bytes, self._room)
        elif len(self.fields) >= MAX_FIELDS:
            raise InvalidBody(f"the form has more than {MAX_FIELDS} fields")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._sink is not None:
            self._sink.write(data[start:end])
            return
        if len(self._text) + end - start > MAX_FIELD_BYTES:
            raise TooLarge(f"the field '{self._field}' has more than {MAX_FIELD_BYTES:,} bytes and is no file")
        self._text += data[start:end]

    def on_part_end(self) -> None:
        if self._sink is not None:
            self._sink.close()
            self._sink = None
        elif self._field is not None:
            if self._field in self.fields:
                raise InvalidBody(f"the field '{self._field}' comes twice")
            try:
                self.fields[self._field] = check_text(self._field, self._text.decode())
            except UnicodeDecodeError as error:
                raise InvalidBody(f"the field '{self._field}' is not UTF-8") from error

    def on_end(self) -> None:
        self.is_complete = True

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()

    def callbacks(self) -> Any:
        """What the parser calls."""
        return {name: getattr(self, name) for name in dir(self) if name.startswith("on_")}


async def receive_form(
    chunks: AsyncIterator[bytes], content_type: str, folder: Path, store: Store, settings: Settings
) -> Upload:
    """A multipart form with one file. Raises InvalidBody for a form that is broken or has no end (catalogue B29)."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise InvalidBody("the multipart form has no boundary of 1 to 70 characters")
    form = _Form(folder, store, settings)
    parser = MultipartParser(boundary, form.callbacks())
    try:
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except MultipartParseError as error:
        raise InvalidBody("the multipart form is malformed") from error
    finally:
        form.close()
    if not form.is_complete:
        raise InvalidBody("the multipart form ends before its last boundary")
    if not form.paths:
        raise InvalidBody("the form has no file: a part with a filename is needed")
    main = next((path for path in form.paths if path.suffix.lower() == SHAPEFILE[0]), form.paths[0])
    return Upload(folder, main, form.fields, tuple(path for path in form.paths if path != main))


def _is_one_shapefile(paths: list[Path]) -> bool:
    """True for files of one name whose suffixes, each once, are a shapefile's."""
    suffixes = [path.suffix.lower() for path in paths]
    return (
        len({path.stem for path in paths}) == 1 and len(set(suffixes)) == len(paths) and set(suffixes) <= {*SHAPEFILE}
    )


def look_at(path: Path, settings: Settings) -> None:
    """Refuse at the door what no loader would take, by its first bytes and an archive's table (catalogue B09–B11).

    Raises DriverRefused, TooLarge, DecompressedTooLarge, SourceRefused. The loading child counts again while unpacking.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise SourceRefused("the file is empty")
    if any(mark in head for mark in _VRT):
        raise DriverRefused("the file is a GDAL VRT, which refers to other files and addresses; send the data itself")
    if head[:4] == b"PK\x03\x04" or head[:4] == b"PK\x05\x06":
        _look_into(path, settings)


class _Sparing(io.FileIO):
    """A file that is not read in pieces larger than the table of an archive may be."""

    def __init__(self, path: Path, settings: Settings) -> None:
        super().__init__(path)
        self._most = max(1 << 17, MAX_MEMBER_RECORD * settings.max_archive_members)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read. Raises DecompressedTooLarge for more than the cap."""
        if size is not None and size > self._most:
            raise DecompressedTooLarge(f"the archive's table of members has {size:,} bytes; {self._most:,} are taken")
        return super().read(size)


def _look_into(path: Path, settings: Settings) -> None:
    try:
        with _Sparing(path, settings) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise SourceRefused("the archive cannot be read; is it complete?") from error
    if len(members) > settings.max_archive_members:
        raise DecompressedTooLarge(
            f"the archive has {len(members):,} members; at most {settings.max_archive_members:,} are taken"
        )
    if sum(member.file_size for member in members) > settings.max_unpacked_bytes:
        raise DecompressedTooLarge(f"the archive's content has more than {settings.max_unpacked_bytes:,} bytes")
    for member in members:
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
            raise SourceRefused(f"a member of the archive would leave its folder: '{name[:100]}'")
        if stat.S_IFMT(member.external_attr >> 16) == stat.S_IFLNK:
            raise SourceRefused(f"a member of the archive is a symbolic link: '{name[:100]}'")
