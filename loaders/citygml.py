"""CityGML 1.0, 2.0 and 3.0: one row a Building, its parts and levels of detail merged."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cim.errors import SourceRefused
from loaders.base import Batch, Rejection, SourceInfo, SourceOptions
from loaders.citygml_building import BrokenBuilding, attributes_of, id_of, model_of
from loaders.citygml_xml import local, member_kinds, members, srs_name, version_of
from loaders.citymodel_crs import Place, place_of
from loaders.citymodel_footprint import Model
from loaders.citymodel_rows import Building, Row, batch_of, columns_of, fields_of, rejection, row_of

_PROBED_ROWS = 50
BUILDINGS_AT_A_TIME = 2_000


class CityGmlLoader:
    """Buildings of CityGML as footprints with heights."""

    name = "CityGML"

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """Objects are counted by type; the fields are those of all buildings, samples from the first 50.

        Raises SourceRefused without a CRS, with a DOCTYPE, and for a file that has no Building.
        """
        version = version_of(path)
        if version is None:
            return None
        kinds = member_kinds(path)
        count = kinds.pop("Building", 0)
        others = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(10))
        if not count:
            raise SourceRefused(
                f"{path.name} is CityGML {version} without a Building ({others or 'no city object at all'}): of CityGML "
                "buildings are read; turn other objects into a GeoPackage first: ogr2ogr out.gpkg in.gml"
            )
        place = _place(path, options)
        rows = [row for n, e in islice(_whole(path), _PROBED_ROWS) if isinstance(row := _row(n, e, place), Row)]
        notes = ["footprint_source says what each footprint was made from, height_source what the height"]
        if others:
            notes.append(f"{kinds.total()} objects are no buildings and are left out: {others}")
        return SourceInfo(
            id_field="id",
            driver=f"CityGML {version}",
            layer=None,
            layers=(),
            fields=fields_of(rows, _columns(path)),
            geometry_type="MultiPolygon",
            crs=place.crs,
            feature_count=count,
            notes=(*place.notes, *notes),
        )

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """Buildings in file order, numbered among the city objects from 1."""
        place = _place(path, options)
        columns = _columns(path)
        size = min(batch_rows, BUILDINGS_AT_A_TIME)
        rows: list[Row] = []
        rejections: list[Rejection] = []
        try:
            for number, element in _buildings(path):
                row = _row(number, element, place)
                if isinstance(row, Row):
                    rows.append(row)
                else:
                    rejections.append(row)
                if len(rows) + len(rejections) >= size:
                    yield batch_of(rows, rejections, columns)
                    rows, rejections = [], []
        except SourceRefused:
            if rows or rejections:
                yield batch_of(rows, rejections, columns)
            raise
        if rows or rejections:
            yield batch_of(rows, rejections, columns)


def _buildings(path: Path) -> Iterator[tuple[int, Any]]:
    for number, element in enumerate(members(path), 1):
        if local(element) == "Building":
            yield number, element


def _whole(path: Path) -> Iterator[tuple[int, Any]]:
    """Buildings up to the end or to where the file breaks off; reading it says where that is."""
    try:
        yield from _buildings(path)
    except SourceRefused:
        return


def _columns(path: Path) -> tuple[str, ...]:
    """The columns of all batches alike: a pass over the file for the names of its attributes."""
    return columns_of(attributes_of(element) for _, element in _whole(path))


def _row(number: int, element: Any, place: Place) -> Row | Rejection:
    identity = id_of(element)
    attributes = attributes_of(element)
    if identity is None:
        return rejection(number, "id/missing", f"object {number}", "a Building without a gml:id", attributes)
    try:
        model = model_of(element, is_north_first=place.is_north_first)
    except BrokenBuilding as error:
        return rejection(number, "citygml/coordinates", identity, str(error), attributes)
    return row_of(
        Building(number, identity, attributes, model),
        is_geographic=place.is_geographic,
        metres_per_height_unit=place.metres_per_height_unit,
    )


def _place(path: Path, options: SourceOptions) -> Place:
    return place_of(srs_name(path), options, path.name, _sample(path))


def _sample(path: Path) -> npt.NDArray[np.float64]:
    """Horizontal coordinates of the first building that has some, as they stand in the file."""
    for _, element in islice(_whole(path), _PROBED_ROWS):
        try:
            model: Model = model_of(element, is_north_first=False)
        except BrokenBuilding:
            continue
        rings = [surface.rings[0][:, :2] for found in model.surfaces.values() for surface in found[:50]]
        if rings:
            return np.concatenate(rings)
    return np.empty((0, 2))
