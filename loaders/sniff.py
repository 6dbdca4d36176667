"""What a file holds, by its first bytes; the name is never believed (catalogue B11)."""

import re
from enum import StrEnum
from pathlib import Path

from cim.errors import SourceRefused

HEAD_BYTES = 4096
MAX_SPACE_BLOCKS = 256


class Content(StrEnum):
    """Kinds of content that are told apart. The value is how a user is told what was found."""

    EMPTY = "nothing (it is empty)"
    FOLDER = "a folder"
    JSON = "JSON"
    JSON_SEQUENCE = "a JSON text sequence"
    XML = "XML"
    GEOPACKAGE = "a GeoPackage"
    SQLITE = "an SQLite database"
    FLATGEOBUF = "FlatGeobuf"
    PARQUET = "Parquet"
    SHAPEFILE = "a shapefile"
    SHAPEFILE_INDEX = "a shapefile index"
    OSM_PBF = "OpenStreetMap PBF"
    ZIP = "a ZIP archive"
    SPREADSHEET = "a spreadsheet"
    ARCHIVE = "a compressed archive (only ZIP is unpacked)"
    TIFF = "a TIFF image"
    JP2 = "a JPEG 2000 image"
    IFC = "an IFC model"
    DXF = "a DXF drawing"
    PDF = "a PDF document"
    LAS = "a LAS point cloud"
    PROGRAM = "a program"
    TEXT = "text"
    BINARY = "binary data of no known format"


_MAGIC: tuple[tuple[bytes, Content], ...] = (
    (b"fgb\x03fgb", Content.FLATGEOBUF),
    (b"PAR1", Content.PARQUET),
    (b"PARE", Content.PARQUET),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Content.SPREADSHEET),
    (b"PK\x03\x04", Content.ZIP),
    (b"PK\x05\x06", Content.ZIP),
    (b"\x1f\x8b", Content.ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", Content.ARCHIVE),
    (b"Rar!\x1a\x07", Content.ARCHIVE),
    (b"BZh", Content.ARCHIVE),
    (b"\xfd7zXZ\x00", Content.ARCHIVE),
    (b"II*\x00", Content.TIFF),
    (b"MM\x00*", Content.TIFF),
    (b"II+\x00", Content.TIFF),
    (b"MM\x00+", Content.TIFF),
    (b"\x00\x00\x00\x0cjP  ", Content.JP2),
    (b"\xff\x4f\xff\x51", Content.JP2),
    (b"ISO-10303-21", Content.IFC),
    (b"AutoCAD Binary DXF", Content.DXF),
    (b"%PDF", Content.PDF),
    (b"LASF", Content.LAS),
    (b"\x7fELF", Content.PROGRAM),
    (b"MZ\x90\x00", Content.PROGRAM),
)

_NOT_ELEMENTS = re.compile(rb"<!--.*?-->|<\?.*?\?>|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>", re.S)

_SPREADSHEET_MEMBERS = (b"xl/", b"[Content_Types].xml", b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet")


def content_of(path: Path) -> Content:
    """The kind of content of a file or folder. Raises SourceRefused when it cannot be read at all."""
    if path.is_dir():
        return Content.FOLDER
    head = head_of(path)
    if not head:
        return Content.EMPTY
    if head[:4] in (b"\x00\x00\x27\x0a",):
        return Content.SHAPEFILE_INDEX if path.suffix.lower() == ".shx" else Content.SHAPEFILE
    for magic, content in _MAGIC:
        if head.startswith(magic):
            return _zip_content(head) if content is Content.ZIP else content
    if head.startswith(b"SQLite format 3\x00"):
        is_geopackage = head[68:72] in (b"GPKG", b"GP10", b"GP11") or b"gpkg_contents" in head
        return Content.GEOPACKAGE if is_geopackage else Content.SQLITE
    if head[4:6] == b"\x0a\x09" and head[6:15] == b"OSMHeader":
        return Content.OSM_PBF
    return _text_content(head)


def head_of(path: Path) -> bytes:
    """The first bytes of a file, without white space before its text. Raises SourceRefused when it cannot be opened."""
    try:
        with path.open("rb") as source:
            head = source.read(HEAD_BYTES)
            for _ in range(MAX_SPACE_BLOCKS):
                if head.strip() or not head:
                    break
                head = source.read(HEAD_BYTES)
            return head
    except OSError as error:
        raise SourceRefused(f"{path.name} cannot be read: {error.strerror}") from error


def xml_root(path: Path) -> str:
    """The name of the first element of an XML file, without its prefix; empty where there is none."""
    text = _NOT_ELEMENTS.sub(b"", _as_utf8(head_of(path))).lstrip()
    found = re.match(rb"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)[\s/>]", text)
    return found.group(1).decode() if found else ""


def describe(path: Path) -> str:
    """What was found, for a message: the kind of content, for XML its root element."""
    content = content_of(path)
    if content is Content.XML:
        return f"XML with the root element {xml_root(path) or '(none)'}"
    if content is Content.JSON:
        head = " ".join(_as_utf8(head_of(path))[:80].decode("utf-8", "replace").split())
        return f"JSON that is no GeoJSON ({head}…)"
    return content.value


def _zip_content(head: bytes) -> Content:
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if name.startswith((b"xl/", b"[Content_Types].xml")) or _SPREADSHEET_MEMBERS[2] in head[:200]:
        return Content.SPREADSHEET
    return Content.ZIP


def _as_utf8(head: bytes) -> bytes:
    """Text of a head in UTF-16 or with a byte order mark as plain UTF-8 bytes."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            return head[2:].decode(encoding, "replace").encode()
    return head.removeprefix(b"\xef\xbb\xbf")


def _text_content(head: bytes) -> Content:
    text = _as_utf8(head)
    start = text.lstrip()[:1]
    if text[:1] == b"\x1e":
        return Content.JSON_SEQUENCE
    if start in (b"{", b"["):
        return Content.JSON
    if start == b"<":
        return Content.XML
    if re.match(rb"\s*(?:999\s*\r?\n[^\n]*\n\s*)*0\s*\r?\n\s*SECTION\s*\r?\n", text):
        return Content.DXF
    if b"\x00" in text or sum(byte < 9 for byte in text) > 2:
        return Content.BINARY
    return Content.TEXT if text.strip() else Content.EMPTY
