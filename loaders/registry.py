"""All source kinds, in the order in which they are asked. A new one is one line here and one file beside it."""

from pathlib import Path

from cim.errors import DriverRefused, SourceRefused
from loaders.base import Loader, SourceInfo, SourceOptions
from loaders.citygml import CityGmlLoader
from loaders.cityjson import CityJsonLoader
from loaders.delimited import DELIMITED
from loaders.geojson import GEOJSON, GEOJSON_SEQUENCE
from loaders.ifc import IfcLoader
from loaders.imagery import ImageryLoader
from loaders.kml import KML
from loaders.ogr import DXF, FILE_GEODATABASE, FLATGEOBUF, GEOPACKAGE
from loaders.osm import OSM
from loaders.otherwise import what_else
from loaders.parquet import PARQUET
from loaders.shapefile import SHAPEFILE
from loaders.sniff import Content, content_of, describe
from loaders.spreadsheet import SPREADSHEET
from loaders.stac import StacLoader

LOADERS: tuple[Loader, ...] = (
    # these know their JSON, XML and folders, and go before those that take any
    StacLoader(),
    ImageryLoader(),
    CityJsonLoader(),
    CityGmlLoader(),
    IfcLoader(),
    FLATGEOBUF,
    PARQUET,
    GEOPACKAGE,
    SHAPEFILE,
    OSM,
    KML,
    FILE_GEODATABASE,
    DXF,
    GEOJSON_SEQUENCE,
    GEOJSON,
    SPREADSHEET,
    DELIMITED,
)


def choose(path: Path, options: SourceOptions) -> tuple[Loader, SourceInfo]:
    """The first loader that takes the source, and what it found.

    Raises DriverRefused with what was found and what is taken when none does; SourceRefused from a loader
    whose format it is but which cannot read it as it is.
    """
    if not path.exists():
        raise SourceRefused(f"there is no file or folder {path.name}")
    for loader in LOADERS:
        info = loader.probe(path, options)
        if info is not None:
            return loader, info
    if content_of(path) is Content.EMPTY:
        raise SourceRefused(f"{path.name} is empty")
    if (hint := what_else(path)) is not None:
        raise DriverRefused(f"{path.name} holds {describe(path)}, which is not taken here: {hint}")
    names = ", ".join(dict.fromkeys(loader.name for loader in LOADERS))
    raise DriverRefused(f"{path.name} holds {describe(path)}, which is not taken here. Taken are: {names}")
