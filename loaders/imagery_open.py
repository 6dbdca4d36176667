"""Opening an image without ever following what it names.

GDAL would take a VRT with a URL for a `.tif` and ask that URL (catalogue B11). So the driver is chosen by the first
bytes, GDAL is told that driver alone, and looks at no file beside the image.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from cim.errors import SourceRefused
from loaders.imagery_files import DRIVERS, refusal
from loaders.sniff import content_of

_GDAL = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_HTTP_TIMEOUT": "1",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}",
    "PROJ_NETWORK": "OFF",
    "GDAL_CACHEMAX": 64,
}


@contextmanager
def opened(path: Path) -> Iterator[rasterio.DatasetReader]:
    """The image, read by the driver of its content only.

    Raises DriverRefused for other content, SourceRefused with GDAL's reason when it cannot be read.
    """
    driver = DRIVERS.get(content_of(path))
    if driver is None:
        raise refusal(path)
    try:
        with rasterio.Env(**_GDAL), _quietly(path, driver) as image:
            yield image
    except RasterioError as error:
        raise SourceRefused(f"{path.name} cannot be read: {reason_of(error, path)}") from error


def _quietly(path: Path, driver: str) -> rasterio.DatasetReader:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # an image without a place is refused in words
        return rasterio.open(path.absolute(), driver=driver)


def reason_of(error: BaseException, path: Path) -> str:
    """GDAL's last word on what went wrong, without the folder's name."""
    deepest = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    text = str(deepest).replace(str(path.absolute()), path.name).replace(str(path.parent), "")
    return re.sub(r"\s+", " ", text)[:300]
