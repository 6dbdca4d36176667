"""A document of a harvest as it came, read with care: XML without a DTD, JSON that is not nested without end."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from cim.errors import SetupProblem, SourceRefused, TooNested

MAX_DEPTH = 64
MAX_ELEMENTS = 2_000_000

_DECLARED = re.compile(r'^\s*<\?xml[^>]{0,300}?encoding\s*=\s*["\']([A-Za-z0-9._-]{1,40})["\']')
_PROLOG = re.compile(r"^\s*<\?xml[^>]{0,500}\?>")
_DOCTYPE = re.compile(r"<!DOCTYPE[^\[>]{0,2000}(?:\[(.{0,20000}?)\]\s*)?>", re.DOTALL)
_ENCODINGS = frozenset(
    ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "iso-8859-15", "windows-1252", "gbk", "gb2312",
     "gb18030", "big5", "utf-16")
)  # fmt: skip


@dataclass
class Document:
    """Bytes and the address they came from."""

    url: str
    body: bytes = field(repr=False)
    media_type: str = ""

    @property
    def is_xml(self) -> bool:
        """True where it looks like XML."""
        return _text_head(self.body).lstrip("\ufeff \t\r\n").startswith("<")

    @cached_property
    def xml(self) -> Any:
        """The root element; None where it is no XML. Raises SourceRefused for XML that is broken or unsafe."""
        return parse_xml(self.body) if self.is_xml else None

    @cached_property
    def json(self) -> Any:
        """The JSON value; None where it is none. Raises TooNested."""
        if self.is_xml:
            return None
        return parse_json(self.body)

    @property
    def root(self) -> str:
        """Local name of the root element; empty where it is no XML."""
        return "" if self.xml is None else local(self.xml)

    def member(self, name: str) -> Any:
        """A member of the JSON object; None where there is none."""
        return self.json.get(name) if isinstance(self.json, dict) else None


def parse_json(body: bytes) -> Any:
    """The value; None for what is no JSON. Raises TooNested."""
    try:
        value = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            raise TooNested("the JSON is nested too deeply") from error
        return None
    _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            raise TooNested(f"the JSON is nested deeper than {MAX_DEPTH} levels")
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        depth += 1


def _text_head(body: bytes) -> str:
    return _decoded_start(body[:200])


def _decoded_start(head: bytes) -> str:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head[: len(head) // 2 * 2].decode("utf-16", "replace")
    return head.decode("utf-8", "replace")


def _text_of(body: bytes) -> str:
    """The text, by its byte order mark or by what it declares; nothing in it is hidden by an encoding."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    else:
        match = _DECLARED.match(body[:400].decode("latin-1").removeprefix("\xef\xbb\xbf"))
        encoding = match[1].lower() if match else "utf-8"
    if encoding not in _ENCODINGS:
        raise SourceRefused(f"XML in the encoding '{encoding}' is not taken")
    try:
        return body.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise SourceRefused(f"the XML is not in the encoding {encoding} that it declares") from error


def parse_xml(body: bytes) -> Any:
    """The root element (lxml). A DTD never reaches the parser: one that declares entities is refused, one that only names
    the grammar (as WMS 1.1.1 must) is cut out, so that no entity and no address in it means anything.

    Raises SourceRefused.
    """
    try:
        from lxml import etree
    except ImportError as error:
        raise SetupProblem("harvests need the package lxml: pip install 'opencim[harvest]'") from error
    text = _PROLOG.sub("", _text_of(body), count=1)
    match = _DOCTYPE.search(text)
    if match is not None:
        if "<!ENTITY" in (match[1] or "").upper() or "%" in (match[1] or ""):
            raise SourceRefused("the XML declares entities in a DTD, which are not taken")
        text = text[: match.start()] + text[match.end() :]
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise SourceRefused("the XML holds a DTD that is not taken")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, dtd_validation=False,
        remove_comments=True, remove_pis=True, recover=False,
    )  # fmt: skip
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise SourceRefused(f"the XML cannot be read: {str(error)[:200]}") from error
    if sum(1 for _ in root.iter()) > MAX_ELEMENTS:
        raise SourceRefused(f"the XML has more than {MAX_ELEMENTS:,} elements")
    return root


def local(element: Any) -> str:
    """The local name of an element."""
    return str(element.tag).rpartition("}")[2]


def path_of(names: str) -> str:
    """`a/b` as lxml looks for it in whatever namespace."""
    return "/".join(name if name in (".", "..", "*") or not name else f"{{*}}{name}" for name in names.split("/"))


def text_at(element: Any, *paths: str) -> str | None:
    """The text of the first element at one of the paths (`Service/Title`) that has any."""
    for names in paths:
        for one in element.iterfind(path_of(names)):
            text = " ".join("".join(one.itertext()).split())
            if text:
                return text
    return None


def texts_at(element: Any, names: str) -> list[str]:
    """The texts of all elements at the path."""
    texts = (" ".join("".join(one.itertext()).split()) for one in element.iterfind(path_of(names)))
    return [text for text in texts if text]


def attribute(element: Any, name: str) -> str | None:
    """An attribute by its local name."""
    if element is None:
        return None
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return str(value)
    return None
