"""Unpacking of ZIP archives that strangers sent: counted while it runs, nothing outside of the job's folder.

Zipped shapefiles, KMZ and archives of other sources become a file or folder for the loaders. Spreadsheets are
ZIP too and stay as they are.
"""

import errno
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from cim.errors import DecompressedTooLarge, InsufficientStorage, SourceRefused, TooLarge
from cim.quoting import quoted
from loaders.sniff import Content, content_of

BLOCK_BYTES = 1 << 20
MAX_NAME_BYTES = 240

_SIDE_FILES = frozenset({".dbf", ".shx", ".prj", ".cpg", ".sbn", ".sbx", ".qix", ".qpj", ".cst", ".txt", ".xml", ".md"})


def unpacked(path: Path, scratch: Path, max_bytes: int, max_members: int) -> Path:
    """`path` itself, or what is in the archive `path`: its one file, or a new folder in `scratch` with all of it.

    Raises DecompressedTooLarge past `max_bytes` of content, TooLarge past `max_members`, SourceRefused for
    a member that would leave the folder, is no plain file, is encrypted or broken. Nothing is left behind then.
    """
    if path.is_dir() or content_of(path) is not Content.ZIP:
        return path
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if _is_spreadsheet(members):
                return path
            if len(members) > max_members:
                raise TooLarge(f"{path.name} has {len(members)} members; at most {max_members} are taken")
            folder = Path(tempfile.mkdtemp(prefix="unpacked-", dir=scratch))
            try:
                _unpack(archive, members, folder, max_bytes)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    except zipfile.BadZipFile as error:
        raise SourceRefused(f"{path.name} is a broken ZIP archive: {error}") from error
    return _source_in(folder)


def _is_spreadsheet(members: list[zipfile.ZipInfo]) -> bool:
    names = {member.filename for member in members[:1000]}
    return "xl/workbook.xml" in names or "xl/workbook.bin" in names or {"mimetype", "content.xml"} <= names


def _unpack(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path, max_bytes: int) -> None:
    left = max_bytes
    for member in members:
        name = member_name(member)
        target = folder / _safe(name, member)
        if member.is_dir() or name.endswith("/"):
            _made(target, name)
            continue
        if name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith("._"):
            continue
        _made(target.parent, name)
        try:
            with archive.open(member) as source, target.open("xb") as sink:
                left -= _copy(source, sink, left, archive.filename or "the archive", max_bytes)
        except FileExistsError as error:
            raise SourceRefused(f"the archive holds {quoted(name)} twice") from error
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise SourceRefused(f"member {quoted(name)} of the archive is broken: {error}") from error
        except (NotImplementedError, RuntimeError) as error:
            raise SourceRefused(f"member {quoted(name)} of the archive cannot be unpacked: {error}") from error
        except OSError as error:
            raise _storage(error, name) from error


def _storage(error: OSError, name: str) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InsufficientStorage(f"no space left to unpack {quoted(name)}")
    if error.errno == errno.EFBIG:
        return DecompressedTooLarge(f"member {quoted(name)} is larger than one file may be")
    return SourceRefused(f"member {quoted(name)} of the archive cannot be written: {error.strerror}")


def _made(folder: Path, name: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _storage(error, name) from error


def _copy(source: IO[bytes], sink: IO[bytes], left: int, archive: str, max_bytes: int) -> int:
    copied = 0
    while block := source.read(BLOCK_BYTES):
        copied += len(block)
        if copied > left:
            raise DecompressedTooLarge(
                f"{os.path.basename(archive)} holds more than {max_bytes} bytes when unpacked (setting CIM_MAX_UNPACKED_BYTES)"
            )
        sink.write(block)
    return copied


def member_name(member: zipfile.ZipInfo) -> str:
    """The name of a member; without the UTF-8 flag, its bytes as UTF-8, else GB18030, else code page 437."""
    if member.flag_bits & 0x800:
        return member.filename.replace("\\", "/")
    raw = member.orig_filename.encode("cp437", "replace") if hasattr(member, "orig_filename") else b""
    for codec in ("utf-8", "gb18030"):
        try:
            return raw.split(b"\x00")[0].decode(codec).replace("\\", "/")
        except UnicodeDecodeError:
            continue
    return member.filename.replace("\\", "/")


def _safe(name: str, member: zipfile.ZipInfo) -> PurePosixPath:
    """The path below the folder. Raises SourceRefused for everything but a plain file or folder inside."""
    parts = PurePosixPath(name)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a symbolic link" if kind == stat.S_IFLNK else "no plain file"
        raise SourceRefused(f"member {quoted(name)} of the archive is {what}; only files and folders are taken")
    if not parts.parts or parts.is_absolute() or ".." in parts.parts or re.match(r"[A-Za-z]:", name):
        raise SourceRefused(f"member {quoted(name)} of the archive would leave its folder")
    if "\x00" in name or any(len(part.encode("utf-8", "replace")) > MAX_NAME_BYTES for part in parts.parts):
        raise SourceRefused(f"member {quoted(name)} of the archive has a name that is too long or holds a NUL")
    if member.flag_bits & 0x1:
        raise SourceRefused(f"member {quoted(name)} of the archive is encrypted: unpack it first")
    return parts


def _source_in(folder: Path) -> Path:
    """The one source of an unpacked archive: its only file, only shapefile, KMZ's main document, or the folder."""
    inner = folder
    while len(entries := list(inner.iterdir())) == 1 and entries[0].is_dir() and not _is_source_folder(entries[0]):
        inner = entries[0]
    if len(entries) == 1 and _is_source_folder(entries[0]):
        return entries[0]
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if (inner / "doc.kml") in files:
        return inner / "doc.kml"
    if not files:
        raise SourceRefused("the archive holds no file")
    mains = [file for file in files if file.suffix.lower() not in _SIDE_FILES]
    if len(mains) == 1:
        return mains[0]
    return files[0] if len(files) == 1 else inner


def _is_source_folder(path: Path) -> bool:
    return path.is_dir() and path.suffix.lower() == ".gdb"
