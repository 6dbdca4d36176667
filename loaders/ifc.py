"""IFC models: one row an IfcBuilding, its footprint the hull of its placed elements."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cim.errors import SourceRefused
from loaders.base import Batch, SourceInfo, SourceOptions
from loaders.citymodel_rows import table_of
from loaders.fields import source_fields
from loaders.sniff import Content, content_of

if TYPE_CHECKING:
    from loaders.ifc_buildings import Found


class IfcLoader:
    """Buildings of BIM models. The parser is an optional package (extra `bim`)."""

    name = "IFC"

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """What is in the model; why a building will be rejected (no place, no shape) stands in the notes.

        Raises SourceRefused for a malformed file, for an unknown map CRS, and without the extra `bim`.
        """
        if content_of(path) is not Content.IFC:
            return None
        schema, found, columns = _read(path, options)
        notes = [*found.notes, *(r.reason for r in found.rejections[:5])]
        if found.rows:
            notes.append("footprints are convex hulls of the elements' corners, not outlines")
        return SourceInfo(
            id_field="id",
            driver=f"IFC ({schema})",
            layer=None,
            layers=(),
            fields=source_fields(table_of(found.rows, columns)),
            geometry_type="MultiPolygon",
            crs="EPSG:4326",
            feature_count=found.count,
            notes=tuple(dict.fromkeys(notes)),
        )

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """All buildings of the file in one batch: a model holds one or a few."""
        _, found, columns = _read(path, options)
        geometry: npt.NDArray[Any] = np.empty(len(found.rows), dtype=object)
        geometry[:] = found.shapes
        numbers = np.array(found.numbers, dtype=np.int64)
        yield Batch(table_of(found.rows, columns), geometry, numbers, tuple(found.rejections))


def _read(path: Path, options: SourceOptions) -> "tuple[str, Found, tuple[str, ...]]":
    try:
        # imported for a model only: an optional package, and 0.5 s that other sources need not wait
        from loaders.ifc_buildings import COLUMNS, buildings_of
        from loaders.ifc_file import has_raw_text, opened
    except ModuleNotFoundError as error:
        raise SourceRefused("IFC is read by an optional package: pip install 'opencim[bim]'") from error
    model = opened(path)
    found = buildings_of(model, options, path.name)
    if has_raw_text(path):
        found.notes.append(
            "text that is not ASCII and not written as STEP asks (\\\\X2\\\\…) is left out: export the model again"
        )
    return str(model.schema_identifier), found, COLUMNS
