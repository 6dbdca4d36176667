"""CityGML as XML: what a file is, before a parser sees it, and a parser that follows nothing.

A document type declaration is refused outright: entities (catalogue B07, B08) are declared nowhere else.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from cim.errors import SourceRefused
from loaders.sniff import Content, content_of

_HEAD_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 22
_OVERLAP = 4096
_NAMESPACE = re.compile(rb"http://www\.opengis\.net/citygml/(?:building/)?(\d\.\d)")
_ROOT = re.compile(rb"<([A-Za-z_][\w.:-]*)")
_ENCODING = re.compile(rb"""^<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)["']""")
_SRS_NAME = re.compile(rb"""srsName\s*=\s*["']([^"']{1,300})["']""")
_MEMBER = re.compile(
    rb"<(?:[\w.-]+:)?(?:cityObjectMember|featureMember)\b[^>]*>\s*(?:<!--.*?-->\s*)*<(?:[\w.-]+:)?([A-Za-z_]\w*)", re.S
)
_PLAIN_ENCODINGS = re.compile(
    rb"utf-?8|us-ascii|iso-8859-\d+|windows-125\d|shift_jis|euc-jp|gbk|gb2312|gb18030|big5", re.I
)
MEMBERS = ("{*}cityObjectMember", "{*}featureMember")


def version_of(path: Path) -> str | None:
    """The version of a CityGML file, None for a file of another kind.

    Raises SourceRefused for a document type declaration or an encoding in which one could hide.
    """
    if path.is_dir() or content_of(path) is not Content.XML:
        return None
    with path.open("rb") as source:
        head = source.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
    if b"CityModel" not in head.replace(b"\x00", b"") or b"citygml" not in head.replace(b"\x00", b""):
        return None
    encoding = _ENCODING.match(head)
    if b"\x00" in head or (encoding and not _PLAIN_ENCODINGS.fullmatch(encoding.group(1))):
        raise SourceRefused(f"{path.name} is XML in an encoding that is not read here; save it as UTF-8")
    root = _after_prolog(head)
    if root.startswith(b"<!"):
        raise SourceRefused(f"{path.name} has a document type declaration (DOCTYPE), which is not read; remove it")
    name = _ROOT.match(root)
    if name is None or name.group(1).rpartition(b":")[2] != b"CityModel":
        return None
    found = _NAMESPACE.search(head)
    return found.group(1).decode() if found else None


def _after_prolog(head: bytes) -> bytes:
    """What follows the XML declaration, comments and processing instructions, read in order as a parser does."""
    rest = head.lstrip()
    while rest.startswith((b"<?", b"<!--")):
        _, _, rest = rest.partition(b"?>" if rest.startswith(b"<?") else b"-->")
        rest = rest.lstrip()
    return rest


def srs_name(path: Path) -> str | None:
    """The first srsName of the file, commonly that of its envelope."""
    for _, chunk in _chunks(path):
        found = _SRS_NAME.search(chunk)
        if found:
            return found.group(1).decode("utf-8", "replace")
    return None


def member_kinds(path: Path) -> Counter[str]:
    """The city objects of the file by type, by a scan of its bytes."""
    kinds: Counter[str] = Counter()
    for overlap, chunk in _chunks(path):
        kinds.update(m.group(1).decode() for m in _MEMBER.finditer(chunk) if m.end() > overlap)
    return kinds


def _chunks(path: Path) -> Iterator[tuple[int, bytes]]:
    """(how much of it was in the chunk before, chunk) over the file."""
    kept = b""
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            yield len(kept), kept + chunk
            kept = (kept + chunk)[-_OVERLAP:]


def members(path: Path) -> Iterator[Any]:
    """Each city object as an element, which is emptied afterwards: memory does not grow with the file.

    Nothing outside the file is read: no entity, no DTD, no network. Raises SourceRefused with the line of a break.
    """
    parser = etree.iterparse(
        str(path),
        events=("end",),
        tag=MEMBERS,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        for _, member in parser:
            if member.getroottree().docinfo.internalDTD is not None:
                raise SourceRefused(f"{path.name} has a document type declaration (DOCTYPE), which is not read")
            yield from (child for child in member if isinstance(child.tag, str))
            member.clear()
            while member.getprevious() is not None:
                del member.getparent()[0]
    except etree.XMLSyntaxError as error:
        said = next((e for e in parser.error_log if e.line), None)
        line, reason = (said.line, said.message) if said else (error.lineno, error.msg)
        raise SourceRefused(f"{path.name} breaks off: line {line}: {str(reason)[:200]}") from error


def local(element: Any) -> str:
    """The name of an element without its namespace; empty for a comment."""
    return str(element.tag).rpartition("}")[2] if isinstance(element.tag, str) else ""
