"""CityJSON 1.0, 1.1, 2.0 and CityJSONSeq: one row a building, its parts and levels of detail merged."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cim.errors import SourceRefused
from loaders.base import Batch, Rejection, SourceInfo, SourceOptions
from loaders.cityjson_files import Part, header_of, may_be_cityjson, parts_of
from loaders.cityjson_geometry import BrokenObject, transform_of, vertices_of
from loaders.cityjson_objects import KINDS, buildings_of, other_kinds
from loaders.citymodel_crs import Place, place_of
from loaders.citymodel_footprint import Points
from loaders.citymodel_rows import Building, Row, batch_of, columns_of, fields_of, rejection, row_of

_PROBED_ROWS = 200
BUILDINGS_AT_A_TIME = 5_000


class CityJsonLoader:
    """Buildings of a city model as footprints with heights."""

    name = "CityJSON / CityJSONSeq"

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """Objects are counted by type; the fields are those of all buildings, samples from the first 200.

        Raises SourceRefused without a CRS, for other versions, for a sequence without a header.
        """
        if not may_be_cityjson(path):
            return None
        header, is_sequence = header_of(path)
        place = _place(path, header, is_sequence, options)
        survey = _survey(path, header, is_sequence)
        return SourceInfo(
            id_field="id",
            driver="CityJSONSeq" if is_sequence else "CityJSON",
            layer=None,
            layers=(),
            fields=fields_of(_first_rows(path, header, is_sequence, place), survey.columns),
            geometry_type="MultiPolygon",
            crs=place.crs,
            encoding="UTF-8",
            feature_count=survey.buildings,
            notes=(*place.notes, *survey.notes()),
        )

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """Buildings in file order; the number of a row counts the city objects from 1."""
        header, is_sequence = header_of(path)
        place = _place(path, header, is_sequence, options)
        columns = _survey(path, header, is_sequence).columns
        size = min(batch_rows, BUILDINGS_AT_A_TIME)
        rows: list[Row] = []
        rejections: list[Rejection] = []
        number = 1
        broken: SourceRefused | None = None
        parts = parts_of(path, header, is_sequence)
        while True:
            try:
                part = next(parts, None)
            except SourceRefused as error:
                part, broken = None, error
            if part is None:
                break
            for entry in _entries(part, header, place, number):
                row = _row(entry, place) if isinstance(entry, Building) else entry
                if isinstance(row, Row):
                    rows.append(row)
                else:
                    rejections.append(row)
                if len(rows) + len(rejections) >= size:
                    yield batch_of(rows, rejections, columns)
                    rows, rejections = [], []
            number += max(1, len(part.objects))
        if rows or rejections:
            yield batch_of(rows, rejections, columns)
        if broken:
            raise broken


@dataclass(frozen=True, slots=True)
class _Survey:
    """What a first pass, which looks at no coordinate, finds. `objects` counts buildings and their parts."""

    columns: tuple[str, ...]
    buildings: int
    objects: int
    others: Counter[str]

    def notes(self) -> list[str]:
        """What a user should know of the file."""
        notes = []
        if self.objects > self.buildings:
            notes.append(f"{self.objects - self.buildings} building parts are merged into their buildings")
        if self.others:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.others.most_common(10))
            notes.append(f"{self.others.total()} objects are no buildings and are left out: {kinds}")
        notes.append("footprint_source says what each footprint was made from, height_source what the height")
        return notes


def _survey(path: Path, header: dict[str, Any], is_sequence: bool) -> _Survey:
    others: Counter[str] = Counter()
    found: list[dict[str, Any]] = [{}]
    buildings = objects = 0
    names: tuple[str, ...] = columns_of(())
    try:
        for part in parts_of(path, header, is_sequence):
            others += other_kinds(part.objects)
            objects += sum(isinstance(v, dict) and v.get("type") in KINDS for _, v in part.objects)
            for entry in buildings_of([(i, _bare(o)) for i, o in part.objects], np.empty((0, 3)), 1):
                buildings += 1
                if isinstance(entry, Building):
                    found.append(dict(entry.attributes))
            # names of one part at a time: memory does not grow with the file
            names = tuple(dict.fromkeys([*names, *columns_of(found)]))
            found = []
    except SourceRefused:
        pass  # a sequence that is cut off: reading it says where
    return _Survey(names, buildings, objects, others)


def _first_rows(path: Path, header: dict[str, Any], is_sequence: bool, place: Place) -> list[Row]:
    rows: list[Row] = []
    try:
        for part in parts_of(path, header, is_sequence):
            for entry in _entries(part, header, place, 1):
                row = _row(entry, place) if isinstance(entry, Building) else entry
                rows += [row] if isinstance(row, Row) else []
                if len(rows) >= _PROBED_ROWS:
                    return rows
    except SourceRefused:
        pass
    return rows


def _entries(part: Part, header: dict[str, Any], place: Place, number: int) -> Iterator[Building | Rejection]:
    """Buildings and rejections of a document or feature."""
    if part.broken:
        yield rejection(number, "cityjson/feature", f"line {part.line}", part.broken)
        return
    try:
        scale, translate = transform_of(header)
        vertices: Points = vertices_of(part.document) * scale + translate
    except BrokenObject as error:
        for entry in buildings_of([(i, _bare(o)) for i, o in part.objects], np.empty((0, 3)), number):
            if isinstance(entry, Building):
                entry = rejection(entry.number, error.code, entry.id, str(error), entry.attributes)
            yield entry
        return
    yield from buildings_of(part.objects, vertices[:, [1, 0, 2]] if place.is_north_first else vertices, number)


def _bare(city_object: Any) -> Any:
    """An object without its geometry."""
    return {**city_object, "geometry": []} if isinstance(city_object, dict) else city_object


def _row(building: Building, place: Place) -> Row | Rejection:
    return row_of(building, is_geographic=place.is_geographic, metres_per_height_unit=place.metres_per_height_unit)


def _place(path: Path, header: dict[str, Any], is_sequence: bool, options: SourceOptions) -> Place:
    metadata = header.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    found = metadata.get("referenceSystem") or metadata.get("crs")
    if isinstance(found, dict):  # CityJSON 0.9 and some 1.0: {"epsg": 7415}
        found = f"EPSG:{found.get('epsg')}"
    return place_of(found if isinstance(found, str) else None, options, path.name, _sample(path, header, is_sequence))


def _sample(path: Path, header: dict[str, Any], is_sequence: bool) -> npt.NDArray[np.float64]:
    """Horizontal coordinates of the first vertices, to tell their order."""
    try:
        scale, translate = transform_of(header)
        for part in parts_of(path, header, is_sequence):
            points = (vertices_of(part.document)[:1000] * scale + translate)[:, :2]
            if len(points):
                return points
    except BrokenObject:
        pass  # every building will be rejected for it
    return np.empty((0, 2))
