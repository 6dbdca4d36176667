"""Image files and folders of them, told by their first bytes; nothing is opened here."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from cim.errors import DriverRefused, SourceRefused
from loaders.sniff import Content, content_of, describe, xml_root

DRIVERS = {Content.TIFF: "GTiff", Content.JP2: "JP2OpenJPEG"}
IMAGE_SUFFIXES = frozenset({".tif", ".tiff", ".gtiff", ".cog", ".jp2", ".j2k", ".jpx", ".vrt"})
MAX_FILES = 100_000
MAX_DEPTH = 16
_TAKEN = "GeoTIFF, COG and JPEG 2000 are taken"


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
    return content_of(path) is Content.XML and xml_root(path) in ("VRTDataset", "GDAL_WMS", "WCS_GDAL")


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
