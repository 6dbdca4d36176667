"""Files that a library writes: what each is called, and the rows it needs from the database (`cim.export` writes them).

Rows come as `COPY` gives them: `id`, the properties, then the geometry as WKB, or its cells for a spreadsheet. The
axes of all are easting or longitude first, as these formats ask.
"""

from cim.model import Collection, Kind, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import shown_properties
from cim.query.output.csv import place_cells
from cim.query.output.form import Output, geometry_xy
from cim.sql import Identifier, Sql

XLSX = Output("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", "Excel (XLSX)")
FLATGEOBUF = Output("fgb", "application/vnd.flatgeobuf", "fgb", "FlatGeobuf", also_f=("flatgeobuf",))
GEOPARQUET = Output("parquet", "application/vnd.apache.parquet", "parquet", "GeoParquet", also_f=("geoparquet",))
GEOPACKAGE = Output("gpkg", "application/geopackage+sqlite3", "gpkg", "GeoPackage", also_f=("geopackage",))
SHAPEFILE = Output(
    "shp", "application/zip", "shp.zip", "Shapefile (zipped)", also_f=("shapefile",), also=("application/x-shapefile",)
)

PLACE_BY_CELLS = (XLSX.f,)
"""Outputs without a geometry type: their rows end with the cells of `csv.place_cells`."""


def row_columns(collection: Collection, scope: Scope, query: FeatureQuery, output: Output) -> Sql:
    """What stands behind SELECT for a row of a file."""
    shown = shown_properties(collection, scope, shown=query.shown)
    cells = [Sql.of("id"), *(_value(p.column, p.kind) for p in shown)]
    if output.f in PLACE_BY_CELLS:
        cells += place_cells(collection, query)
    elif query.has_geometry:
        cells.append(Sql.of("ST_AsBinary({}, 'NDR')", geometry_xy(query.crs)))
    else:
        cells.append(Sql.of("NULL::bytea"))
    return Sql.join(", ", cells)


def _value(column: Identifier, kind: Kind) -> Sql:
    return Sql.of("{}::text" if kind is Kind.JSON else "{}", column)
