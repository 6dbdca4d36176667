"""A reader of vector tiles, written from the Mapbox Vector Tile specification 2.1: independent of the encoder under test."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shapely.geometry import LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

Ring = list[tuple[int, int]]


@dataclass(frozen=True)
class Feature:
    """One feature in tile coordinates, y down. `rings`: of an area, as they were written and without their last point."""

    properties: dict[str, Any]
    shape: BaseGeometry
    rings: list[Ring]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        match key & 7:
            case 0:
                value, at = _varint(data, at)
                yield key >> 3, value
            case 2:
                size, at = _varint(data, at)
                yield key >> 3, data[at : at + size]
                at += size
            case wire:
                size = 8 if wire == 1 else 4
                yield key >> 3, data[at : at + size]
                at += size


def _signed(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _value(data: bytes) -> Any:
    for number, value in _fields(data):
        match number:
            case 1:
                return value.decode()
            case 2:
                return struct.unpack("<f", value)[0]
            case 3:
                return struct.unpack("<d", value)[0]
            case 6:
                return _signed(value)
            case 7:
                return bool(value)
            case _:
                return value
    raise AssertionError("a value without a value")


def _packed(data: bytes) -> list[int]:
    numbers, at = [], 0
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(number)
    return numbers


def _parts(commands: list[int]) -> list[Ring]:
    parts: list[Ring] = []
    x = y = at = 0
    while at < len(commands):
        command, count = commands[at] & 7, commands[at] >> 3
        at += 1
        if command == 7:
            continue
        assert command in (1, 2)
        for _ in range(count):
            dx, dy = _signed(commands[at]), _signed(commands[at + 1])
            at += 2
            assert command == 1 or (dx, dy) != (0, 0), "4.3.3.2: a LineTo goes somewhere"
            x, y = x + dx, y + dy
            if command == 1:
                parts.append([])
            parts[-1].append((x, y))
    return parts


def area(ring: Ring) -> float:
    """Twice the signed area by the surveyor's formula: positive for an outer ring (4.3.3.3)."""
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(ring, [*ring[1:], ring[0]], strict=True))


def _shape(kind: int, parts: list[Ring]) -> BaseGeometry:
    if kind == 1:
        points = [Point(part[0]) for part in parts]
        return points[0] if len(points) == 1 else MultiPoint(points)
    if kind == 2:
        lines = [LineString(part) for part in parts]
        return lines[0] if len(lines) == 1 else MultiLineString(lines)
    polygons: list[tuple[Ring, list[Ring]]] = []
    for ring in parts:
        if area(ring) > 0 or not polygons:
            polygons.append((ring, []))
        else:
            polygons[-1][1].append(ring)
    made = [Polygon(outer, holes) for outer, holes in polygons]
    return made[0] if len(made) == 1 else MultiPolygon(made)


def read(data: bytes) -> dict[str, list[Feature]]:
    """Layer → features."""
    layers = {}
    for number, layer in _fields(data):
        assert number == 3
        fields = list(_fields(layer))
        one = dict(fields)
        assert one[15] == 2
        assert one[5] == 4096
        keys = [value.decode() for n, value in fields if n == 3]
        values = [_value(value) for n, value in fields if n == 4]
        features = []
        for feature in (value for n, value in fields if n == 2):
            parts = dict(_fields(feature))
            tags = _packed(parts.get(2, b""))
            properties = {keys[k]: values[v] for k, v in zip(tags[::2], tags[1::2], strict=True)}
            rings = _parts(_packed(parts[4]))
            features.append(Feature(properties, _shape(parts[3], rings), rings if parts[3] == 3 else []))
        layers[one[1].decode()] = features
    return layers
