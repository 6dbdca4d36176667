"""One image → one row of imagery: place, bands, resolution, time, the asset."""

from pathlib import Path
from typing import Any

import pyproj
import rasterio
from affine import Affine
from pyproj.exceptions import CRSError
from rasterio.errors import RasterioError
from rasterio.transform import from_gcps

from cim.errors import SourceRefused
from loaders.base import SourceOptions
from loaders.imagery_footprint import ground_sample_distance_m, on_earth, valid_pixels
from loaders.imagery_open import opened, reason_of
from loaders.imagery_rows import Described
from loaders.imagery_time import taken
from loaders.reference import HOW, settle

MAX_BANDS = 500


def describe_image(path: Path, href: str, options: SourceOptions) -> Described:
    """The image as a row; `href` is its path as the row names it.

    Raises SourceRefused when it cannot be read, has no place on Earth, or no valid pixel.
    """
    with opened(path) as image:
        try:
            return _described(image, path, href, options)
        except RasterioError as error:
            raise SourceRefused(f"{path.name} is damaged: {reason_of(error, path)}") from error


def _described(image: rasterio.DatasetReader, path: Path, href: str, options: SourceOptions) -> Described:
    transform, found_crs, notes = _georeference(image, path)
    code, crs_notes = settle(found_crs, options, path.name)
    crs = pyproj.CRS.from_user_input(code)
    crs = crs.sub_crs_list[0] if crs.is_compound else crs
    pixels, outline_note = valid_pixels(image)
    if pixels is None:
        raise SourceRefused(f"{path.name} has no valid pixel: its mask or nodata value covers all of it")
    tags = {**image.tags(), **image.tags(ns="IMAGERY")}
    time = taken(tags, path.stem, options.timezone)
    if time is None:
        notes.append("no time in the metadata or the file name: datetime is empty")
    elif time.is_zone_assumed:
        notes.append(f"time from {time.source} without a zone, read as UTC; another zone by --timezone")
    row = {
        "id": href.replace("/", "~"),
        "title": path.stem,
        "datetime": time.at if time else None,
        "start_datetime": time.begin if time else None,
        "end_datetime": time.end if time else None,
        "gsd_m": ground_sample_distance_m((image.width, image.height), transform, crs),
        "cloud_cover_percent": _percent(tags.get("CLOUDCOVER")),
        "platform": tags.get("SATELLITEID") or None,
        "crs": code,
        "width": image.width,
        "height": image.height,
        "bands": [_band(image, number) for number in range(1, min(image.count, MAX_BANDS) + 1)],
        "assets": {"data": {"href": href, "type": _media_type(image), "title": path.name, "roles": ["data"]}},
        "stac_properties": {
            "proj:shape": [image.height, image.width],
            "proj:transform": list(transform)[:6],
            **({"datetime_source": time.source} if time else {}),
        },
    }
    everything = [*notes, *crs_notes, *([outline_note] if outline_note else [])]
    return Described(row, on_earth(pixels, transform, crs), tuple(everything))


def _georeference(image: rasterio.DatasetReader, path: Path) -> tuple[Affine, str | None, list[str]]:
    """The transform from pixels, the CRS as WKT where there is one, and notes.

    In this order: the image's own transform, ground control points, a world file beside it.
    """
    own_crs = image.crs.to_wkt() if image.crs else None
    if not image.transform.is_identity:
        return image.transform, own_crs or _prj_beside(path), []
    points, points_crs = image.gcps
    if len(points) >= 3:
        note = f"placed by {len(points)} ground control points, as the best affine fit"
        return from_gcps(points), points_crs.to_wkt() if points_crs else own_crs, [note]
    world = _world_file(path)
    if world is not None:
        return world[0], own_crs or _prj_beside(path), [f"placed by the world file {world[1]}"]
    rpc = " (only a camera model, RPC: orthorectify it first)" if image.rpcs else ""
    raise SourceRefused(f"{path.name} has no place: no georeference, control points or world file{rpc}")


def _world_file(path: Path) -> tuple[Affine, str] | None:
    suffix = path.suffix
    for candidate in (f"{suffix[:2]}{suffix[-1:]}w", f"{suffix}w", ".wld"):
        beside = path.with_suffix(candidate)
        if beside.is_file() and not beside.is_symlink() and beside.stat().st_size < 1000:
            try:
                a, d, b, e, x, y = (float(line.replace(",", ".")) for line in beside.read_text("latin-1").split()[:6])
            except ValueError as error:
                raise SourceRefused(f"{beside.name} is no world file: six numbers are needed") from error
            # the world file names the middle of the first pixel, a transform its corner
            return Affine(a, b, x - (a + b) / 2, d, e, y - (d + e) / 2), beside.name
    return None


def _prj_beside(path: Path) -> str | None:
    beside = path.with_suffix(".prj")
    if not beside.is_file() or beside.is_symlink() or beside.stat().st_size > 100_000:
        return None
    try:
        return str(pyproj.CRS.from_user_input(beside.read_text("latin-1").strip()).to_wkt())
    except CRSError as error:
        raise SourceRefused(f"{beside.name} holds no CRS that PROJ knows; {HOW}", parameter="crs") from error


def _percent(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value <= 100 else None


def _band(image: rasterio.DatasetReader, number: int) -> dict[str, Any]:
    """A band in the words of STAC 1.1 (`name data_type nodata unit`), with the raster's scale and offset."""
    index = number - 1
    description = image.descriptions[index]
    nodata = image.nodatavals[index]
    band = {
        "name": description or f"b{number}",
        "data_type": image.dtypes[index],
        "nodata": "nan" if nodata is not None and nodata != nodata else nodata,
        "scale": image.scales[index],
        "offset": image.offsets[index],
        "unit": image.units[index],
        "colour": image.colorinterp[index].name,
    }
    return {key: value for key, value in band.items() if value is not None}


def _media_type(image: rasterio.DatasetReader) -> str:
    if image.driver == "JP2OpenJPEG":
        return "image/jp2"
    return "image/tiff; application=geotiff" + ("; profile=cloud-optimized" if _is_cloud_optimized(image) else "")


def _is_cloud_optimized(image: rasterio.DatasetReader) -> bool:
    """True when GDAL wrote it as COG, or it is tiled and its overviews follow its directory in the file's head."""
    if image.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG":
        return True
    levels = len(image.overviews(1))
    is_small = max(image.width, image.height) <= 512
    is_tiled = image.block_shapes[0][1] != image.width
    if not is_tiled or not (levels or is_small):
        return False
    directories = [image.get_tag_item("IFD_OFFSET", "TIFF", bidx=1)]
    directories += [image.get_tag_item("IFD_OFFSET", "TIFF", bidx=1, ovr=level) for level in range(levels)]
    first_block = image.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1)
    if None in directories or first_block is None:
        return False
    offsets = [int(d) for d in directories]
    return offsets == sorted(offsets) and offsets[-1] < int(first_block)
