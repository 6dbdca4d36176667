"""GeoTIFF, COG and JPEG 2000, and folders of them: one row an image, its footprint in EPSG:4326."""

from collections.abc import Iterator
from pathlib import Path

import shapely

from cim.errors import SourceRefused
from loaders.base import Batch, Rejection, SourceInfo, SourceOptions
from loaders.imagery_files import DRIVERS, IMAGE_SUFFIXES, Found, find, is_virtual, refusal
from loaders.imagery_rows import Described, Row, batch_of, fields
from loaders.sniff import Content, content_of

IMAGES_AT_A_TIME = 500
"""Opening an image costs milliseconds to seconds, so batches of images are smaller than those of rows."""


class ImageryLoader:
    """Images read through rasterio, by the driver of their content only."""

    name = "GeoTIFF / COG / JPEG 2000"

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """One image is read for its row; of a folder the files are listed only.

        Raises DriverRefused for a file that is named like an image and holds something else, SourceRefused
        for one image that cannot be read or placed.
        """
        if path.is_dir():
            return _probe_folder(path)
        content = content_of(path)
        if content not in DRIVERS:
            if path.suffix.lower() in IMAGE_SUFFIXES or is_virtual(path):
                raise refusal(path)
            return None
        described = _describe(path, path.name, options)
        return _info("JPEG 2000" if content is Content.JP2 else "GeoTIFF", 1, described.row, described.notes)

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """One row a file in the order of the paths; a file that cannot be read becomes a rejection."""
        found = find(path) if path.is_dir() else Found(images=[path])
        paths = sorted([*found.images, *found.refused])
        size = min(batch_rows, IMAGES_AT_A_TIME)
        for start in range(0, len(paths), size):
            yield _batch(path, paths[start : start + size], start, options)


def _probe_folder(folder: Path) -> SourceInfo | None:
    found = find(folder)
    if not found.images:
        if found.refused and not found.others:
            raise refusal(found.refused[0])
        return None
    notes = []
    if found.others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in found.others.most_common(8))
        notes.append(f"{found.others.total()} files are no images and are left out: {kinds}")
    return _info("Folder of images", len(found.images) + len(found.refused), None, tuple(notes))


def _info(driver: str, count: int, first: Row | None, notes: tuple[str, ...]) -> SourceInfo:
    return SourceInfo(
        id_field="id",
        driver=driver,
        layer=None,
        layers=(),
        fields=fields(first),
        geometry_type="Polygon",
        crs="EPSG:4326",
        feature_count=count,
        notes=notes,
    )


def _batch(root: Path, paths: list[Path], start: int, options: SourceOptions) -> Batch:
    rows: list[Row] = []
    shapes: list[shapely.Geometry | None] = []
    numbers: list[int] = []
    rejections: list[Rejection] = []
    for number, path in enumerate(paths, start + 1):
        href = path.relative_to(root).as_posix() if root.is_dir() else path.name
        described = _described(path, href, options, number)
        if isinstance(described, Rejection):
            rejections.append(described)
            continue
        rows.append(described.row)
        shapes.append(described.footprint)
        numbers.append(number)
    return batch_of(rows, shapes, numbers, rejections)


def _described(path: Path, href: str, options: SourceOptions, number: int) -> Described | Rejection:
    try:
        return _describe(path, href, options)
    except SourceRefused as error:
        properties = {"id": href.replace("/", "~"), "href": href}
        original = {"type": "Feature", "geometry": None, "properties": properties}
        return Rejection(number, f"image/{error.code}", error.detail, value=href[:200], original=original)


def _describe(path: Path, href: str, options: SourceOptions) -> Described:
    from loaders.imagery_facts import describe_image  # GDAL starts for images only

    return describe_image(path, href, options)
