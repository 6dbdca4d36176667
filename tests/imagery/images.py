"""Small images made for one test each."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin


def write(path: Path, pixels: Any = None, **facts: Any) -> Path:
    """A GeoTIFF (or what `driver` says) of 40 × 30 valid pixels in UTM zone 50 N near Shenzhen, unless told otherwise."""
    data = np.full((1, 30, 40), 7, np.uint8) if pixels is None else np.atleast_3d(pixels)
    tags = facts.pop("tags", {})
    gcps = facts.pop("gcps", None)
    profile = {
        "driver": "GTiff",
        "count": data.shape[0],
        "height": data.shape[1],
        "width": data.shape[2],
        "dtype": data.dtype,
        "crs": "EPSG:32650",
        "transform": from_origin(180_000, 2_500_000, 10, 10),
        **facts,
    }
    if gcps is not None:
        del profile["crs"], profile["transform"]
    with rasterio.open(path, "w", **{k: v for k, v in profile.items() if v is not None}) as image:
        image.write(data)
        image.update_tags(**tags)
        if gcps is not None:
            image.gcps = gcps
    return path
