"""KML: every placemark of every folder is a row, extended data are fields under their own names.

Parsed by expat as a stream. GDAL's driver would rename fields that are not ASCII, so that two Chinese names of
one length become one field. Documents with a document type are refused before (entities, catalogue B07, B08).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import shapely
from shapely.errors import ShapelyError

from cim.errors import SourceRefused
from loaders.base import Batch, Rejection, SourceField, SourceInfo, SourceOptions
from loaders.encoding import codec_of
from loaders.jsonscan import open_text
from loaders.kinds import KindFinder
from loaders.reference import CRS84
from loaders.sniff import Content, content_of, head_of, xml_root
from loaders.wkb import MAX_NESTING

BLOCK_BYTES = 1 << 20
MAX_DEPTH = 200
SCAN_ROWS = 5_000

_FIXED = ("id", "name", "description", "folder", "address", "phoneNumber", "when", "begin", "end")
_TEXTS = frozenset({"name", "description", "address", "phoneNumber"})
_DECLARED = re.compile(rb"<\?xml[^>]*encoding=[\"']([\w.-]+)[\"']")


class _Broken(ValueError):
    """A geometry that is none."""


@dataclass(slots=True)
class _Placemark:
    """One row before its geometry is made."""

    values: dict[str, str]
    shape: ElementTree.Element | None
    is_too_deep: bool = False


@dataclass(slots=True)
class _Target:
    """What the parser calls: collects placemarks, one at a time, and remembers the folders around them."""

    found: list[_Placemark] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    builder: ElementTree.TreeBuilder | None = None
    depth: int = 0
    is_too_deep: bool = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        name = tag.rpartition("}")[2]
        self.path.append(name)
        if self.builder is None and name == "Placemark":
            self.builder, self.depth, self.is_too_deep = ElementTree.TreeBuilder(), 0, False
        if self.builder is not None:
            self.depth += 1
            if self.depth <= MAX_DEPTH:
                self.builder.start(name, attributes)
            else:
                self.is_too_deep = True
        elif name == "Folder":
            self.folders.append("")

    def data(self, text: str) -> None:
        """Text inside an element."""
        if self.builder is not None and self.depth <= MAX_DEPTH:
            self.builder.data(text)
        elif self.builder is None and self.path[-2:] == ["Folder", "name"]:
            self.folders[-1] += text

    def end(self, tag: str) -> None:
        """An element ends."""
        name = self.path.pop()
        if self.builder is None:
            if name == "Folder":
                self.folders.pop()
            return
        if self.depth <= MAX_DEPTH:
            self.builder.end(name)
        self.depth -= 1
        if self.depth == 0:
            placemark = _placemark(self.builder.close(), "/".join(f.strip() for f in self.folders))
            placemark.is_too_deep = self.is_too_deep
            self.found.append(placemark)
            self.builder = None

    def close(self) -> None:
        """The document ends."""


def _placemark(element: ElementTree.Element, folder: str) -> _Placemark:
    values: dict[str, str] = {"id": element.get("id", ""), "folder": folder}
    shape = None
    for child in element:
        if child.tag in _TEXTS:
            values[child.tag] = (child.text or "").strip()
        elif child.tag in _SHAPES:
            shape = child
        elif child.tag in ("TimeStamp", "TimeSpan"):
            values |= {part.tag: (part.text or "").strip() for part in child}
        elif child.tag == "ExtendedData":
            values |= _extended(child)
    return _Placemark({name: value for name, value in values.items() if value}, shape)


def _extended(element: ElementTree.Element) -> dict[str, str]:
    """Data/value and SchemaData/SimpleData; a name that a placemark has itself is called `data_<name>`."""
    values: dict[str, str] = {}
    for item in element.iter():
        name = item.get("name")
        if name and item.tag in ("Data", "SimpleData"):
            text = item.text if item.tag == "SimpleData" else item.findtext("value")
            values[f"data_{name}" if name in _FIXED else name] = (text or "").strip()
    return values


def _placemarks(path: Path) -> Iterator[_Placemark]:
    """The placemarks in file order. Raises SourceRefused, with the line, where the document is not well-formed."""
    declared = _DECLARED.search(head_of(path))
    codec = codec_of(declared.group(1).decode()) if declared else None
    target = _Target()
    parser = ElementTree.XMLParser(target=target, encoding="utf-8")  # noqa: S314 - no document type, see probe
    try:
        with open_text(path, codec) as source:
            while block := source.read(BLOCK_BYTES):
                parser.feed(block)
                yield from target.found
                target.found.clear()
            parser.close()
    except ElementTree.ParseError as error:
        yield from target.found
        raise SourceRefused(f"{path.name} is not well-formed: line {error.position[0]}: {error.msg[:150]}") from error
    except UnicodeError as error:
        raise SourceRefused(f"{path.name} is not in the encoding that it declares: {error}") from error


def _positions(element: ElementTree.Element) -> list[tuple[float, ...]]:
    """longitude,latitude[,altitude] tuples between white space."""
    text = element.findtext("coordinates") or ""
    try:
        positions = [tuple(float(number) for number in item.split(",") if number) for item in text.split()]
    except ValueError as error:
        raise _Broken(f"coordinates: {str(error)[:100]}") from error
    if any(len(position) < 2 for position in positions):
        raise _Broken("a coordinate with fewer than two numbers")
    width = min((len(position) for position in positions), default=2)
    return [position[: min(width, 3)] for position in positions]


def _polygon(element: ElementTree.Element) -> shapely.Geometry:
    rings = [
        _positions(ring)
        for boundary in ("outerBoundaryIs", "innerBoundaryIs")
        for ring in element.findall(f"{boundary}/LinearRing")
    ]
    if not rings or not rings[0]:
        return shapely.Polygon()
    if any(ring[0] != ring[-1] for ring in rings if ring):
        raise _Broken("a ring that is not closed")
    return shapely.Polygon(rings[0], rings[1:])


def _several(element: ElementTree.Element, depth: int) -> shapely.Geometry:
    if depth > MAX_NESTING:
        raise _Broken(f"geometries nested deeper than {MAX_NESTING}")
    parts = [_shape(child, depth + 1) for child in element if child.tag in _SHAPES]
    kinds = {part.geom_type for part in parts}
    if len(kinds) == 1 and (multi := _MULTI.get(next(iter(kinds)))):
        return multi(parts)
    return shapely.GeometryCollection(parts)


def _shape(element: ElementTree.Element, depth: int = 1) -> shapely.Geometry:
    """A geometry. Raises _Broken."""
    try:
        if element.tag == "MultiGeometry":
            return _several(element, depth)
        if element.tag == "Polygon":
            return _polygon(element)
        positions = _positions(element)
        if element.tag == "Point":
            return shapely.Point(positions[0]) if positions else shapely.Point()
        return shapely.LineString(positions)
    except (ShapelyError, ValueError) as error:
        raise _Broken(str(error)[:150]) from error


_SHAPES = frozenset({"Point", "LineString", "LinearRing", "Polygon", "MultiGeometry"})
_MULTI = {"Point": shapely.MultiPoint, "LineString": shapely.MultiLineString, "Polygon": shapely.MultiPolygon}


@dataclass(frozen=True, slots=True)
class _Scan:
    fields: tuple[SourceField, ...]
    count: int
    geometry_type: str | None
    trouble: str | None


class KmlLoader:
    """KML 2.2 documents; a KMZ is unpacked before."""

    name = "KML"

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """See Loader. Longitude and latitude of WGS 84 by the rule of the format."""
        if content_of(path) is not Content.XML or xml_root(path) != "kml":
            return None
        refuse_entities(path)
        scan = _scanned(path)
        return SourceInfo(
            driver=self.name,
            layer=None,
            layers=(),
            fields=scan.fields,
            geometry_type=scan.geometry_type,
            crs=CRS84,
            encoding="UTF-8",
            feature_count=scan.count,
            notes=("WGS 84 by the rule of the format", *([scan.trouble] if scan.trouble else [])),
        )

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """See Loader. Row numbers count the placemarks."""
        names = [f.name for f in _scanned(path).fields]
        stream = _placemarks(path)
        first = 1
        while True:
            placemarks, trouble = _some(stream, batch_rows)
            if placemarks:
                yield _batch(placemarks, names, first)
            first += len(placemarks)
            if trouble is not None:
                raise SourceRefused(f"{trouble.detail} ({first - 1} placemarks before it were read)")
            if not placemarks:
                return


def _some(stream: Iterator[_Placemark], count: int) -> tuple[list[_Placemark], SourceRefused | None]:
    """Up to `count` placemarks, and what ended the document before."""
    found: list[_Placemark] = []
    try:
        for placemark in islice(stream, count):
            found.append(placemark)
    except SourceRefused as error:
        return found, error
    return found, None


def _scanned(path: Path) -> _Scan:
    facts = path.stat()
    return _scan(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=2)
def _scan(path: Path, size: int, changed_ns: int) -> _Scan:
    """One pass for the fields; `size` and `changed_ns` only tell a file's versions apart."""
    finder = KindFinder([])
    kinds: set[str] = set()
    stream, trouble, count = _placemarks(path), None, 0
    while trouble is None:
        placemarks, trouble = _some(stream, SCAN_ROWS)
        if not placemarks:
            break
        count += len(placemarks)
        seen = {name for placemark in placemarks for name in placemark.values}
        extended = dict.fromkeys(name for p in placemarks for name in p.values if name not in _FIXED)
        known = [*finder.names, *(name for name in (*_FIXED, *extended) if name in seen)]
        finder.names = list(dict.fromkeys(known))
        finder.see(_table(placemarks, finder.names))
        kinds |= {p.shape.tag for p in placemarks if p.shape is not None}
    types = {"LinearRing": "LineString", "MultiGeometry": "Geometry"}
    kind = types.get(only := next(iter(kinds)), only) if len(kinds) == 1 else "Geometry" if kinds else None
    return _Scan(finder.fields(), count, kind, trouble.detail if trouble else None)


def _table(placemarks: Sequence[_Placemark], names: Sequence[str]) -> pa.Table:
    return pa.table({name: pa.array([p.values.get(name) for p in placemarks], pa.string()) for name in names})


def _batch(placemarks: Sequence[_Placemark], names: Sequence[str], first: int) -> Batch:
    good: list[_Placemark] = []
    rows: list[int] = []
    shapes: list[Any] = []
    rejections: list[Rejection] = []
    for row, placemark in enumerate(placemarks, first):
        try:
            if placemark.is_too_deep:
                raise _Broken(f"elements nested deeper than {MAX_DEPTH}")
            shapes.append(None if placemark.shape is None else _shape(placemark.shape))
        except _Broken as error:
            code = "geometry/nesting" if "nested" in str(error) else "geometry/invalid"
            original = {"type": "Feature", "geometry": None, "properties": dict(placemark.values)}
            rejections.append(Rejection(row, code, str(error), "geometry", None, original))
            continue
        good.append(placemark)
        rows.append(row)
    geometry = np.empty(len(shapes), dtype=object)
    geometry[:] = shapes
    return Batch(_table(good, names), geometry, np.array(rows, dtype=np.int64), tuple(rejections))


def refuse_entities(path: Path) -> None:
    """Raise SourceRefused when an XML file declares a document type: entities are never expanded."""
    tail = b""
    with path.open("rb") as source:
        while block := source.read(BLOCK_BYTES):
            text = (tail + block).replace(b"\x00", b"").upper()
            if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
                raise SourceRefused(f"{path.name} declares a document type or entities, which are not taken")
            tail = block[-32:]


KML = KmlLoader()
