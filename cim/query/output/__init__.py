"""How features leave: `OUTPUTS` is every format, one line each; the first is sent where nothing else is asked for."""

from cim.query.output.csv import CSV
from cim.query.output.files import FLATGEOBUF, GEOPACKAGE, GEOPARQUET, SHAPEFILE, XLSX
from cim.query.output.form import Frame, Output, TextForm
from cim.query.output.geojson import GEOJSON, GEOJSON_SEQ
from cim.query.output.jsonfg import JSON_FG

OUTPUTS = (
    GEOJSON,
    JSON_FG,
    GEOJSON_SEQ,
    CSV,
    XLSX,
    FLATGEOBUF,
    GEOPARQUET,
    GEOPACKAGE,
    SHAPEFILE,
)

__all__ = ["GEOJSON", "OUTPUTS", "Frame", "Output", "TextForm"]
