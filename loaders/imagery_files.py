"""Image files of a folder, and opening one without ever following what it names.

GDAL would take a VRT with a URL for a `.tif` and ask that URL (catalogue B11). So the driver is chosen by the first
bytes, GDAL is told that driver alone, and looks at no file beside the image.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from cim.errors import DriverRefused, SourceRefused
from loaders.sniff import Content, content_of, describe, xml_root

DRIVERS = {Content.TIFF: "GTiff", Content.JP2: "JP2OpenJPEG"}
IMAGE_SUFFIXES = frozenset({".tif", ".tiff", ".gtiff", ".cog", ".jp2", ".j2k", ".jpx", ".vrt"})
MAX_FILES = 100_000
MAX_DEPTH = 16
_TAKEN = "GeoTIFF, COG and JPEG 2000 are taken"

_GDAL = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_HTTP_TIMEOUT": "1",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}",
    "PROJ_NETWORK": "OFF",
    "GDAL_CACHEMAX": 64,
}


@dataclass(slots=True)
class Found:
    """`images` and `refused` (named like an image, holding something else), in order; `others` by suffix."""

    images: list[Path] = field(default_factory=list)
    refused: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def is_image(path: Path) -> bool:
    """True when the first bytes are of an image format that is taken."""
    return content_of(path) in DRIVERS


def refusal(path: Path) -> DriverRefused:
    """Why a file with an image's name is not opened."""
    return DriverRefused(f"{path.name} holds {describe(path)}; {_TAKEN}")


def is_virtual(path: Path) -> bool:
    """True for XML that makes GDAL read other places: a raster VRT, a WMS or WCS description."""
    return content_of(path) is Content.XML and xml_root(path) in ("VRTDataset", "GDAL_WMS", "WCS_GDAL", "Capabilities")


def find(folder: Path) -> Found:
    """Files below `folder`, links left out. Raises SourceRefused beyond the caps on count and depth."""
    found = Found()
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(n for n in folders if not n.startswith(".") and not Path(parent, n).is_symlink())
        if folders and len(Path(parent).relative_to(folder).parts) >= MAX_DEPTH:
            raise SourceRefused(f"folders are nested deeper than {MAX_DEPTH}; load the inner folder by itself")
        for name in sorted(names):
            path = Path(parent, name)
            if name.startswith(".") or path.is_symlink() or not path.is_file():
                continue
            _sort_in(path, found)
    return found


def _sort_in(path: Path, found: Found) -> None:
    if is_image(path):
        found.images.append(path)
    elif path.suffix.lower() in IMAGE_SUFFIXES:
        found.refused.append(path)
    else:
        found.others[path.suffix.lower() or "no suffix"] += 1
    if len(found.images) + len(found.refused) + found.others.total() > MAX_FILES:
        raise SourceRefused(f"the folder holds more than {MAX_FILES:,} files; load its parts one by one")


@contextmanager
def opened(path: Path) -> Iterator[rasterio.DatasetReader]:
    """The image, read by the driver of its content only.

    Raises DriverRefused for other content, SourceRefused with GDAL's reason when it cannot be read.
    """
    driver = DRIVERS.get(content_of(path))
    if driver is None:
        raise refusal(path)
    try:
        with rasterio.Env(**_GDAL), rasterio.open(path.absolute(), driver=driver) as image:
            yield image
    except RasterioError as error:
        raise SourceRefused(f"{path.name} cannot be read: {reason_of(error, path)}") from error


def reason_of(error: BaseException, path: Path) -> str:
    """GDAL's last word on what went wrong, without the folder's name."""
    deepest = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    text = str(deepest).replace(str(path.absolute()), path.name).replace(str(path.parent), "")
    return re.sub(r"\s+", " ", text)[:300]
