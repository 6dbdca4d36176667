"""GeoJSON (RFC 7946), and GeoJSON text sequences (RFC 8142)."""

import orjson

from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import feature_text
from cim.query.output.form import Frame, Output, TextForm
from cim.sql import Sql


def _line(collection: Collection, scope: Scope, query: FeatureQuery) -> Sql:
    return feature_text(collection, scope, crs=query.crs, shown=query.shown, has_geometry=query.has_geometry)


def _head(frame: Frame) -> bytes:
    return orjson.dumps({"type": "FeatureCollection", **frame.members})[:-1] + b',"features":['


def _record(collection: Collection, scope: Scope, query: FeatureQuery) -> Sql:
    """The feature between a record separator and a line feed (RFC 8142, 2.1)."""
    return Sql.of("concat(chr(30), {}, chr(10))", _line(collection, scope, query))


GEOJSON = Output(
    "json",
    "application/geo+json",
    "geojson",
    "GeoJSON",
    TextForm(_line, _head, separator=",", tail=b"]}"),
    also_f=("geojson",),
    also=("application/json",),
    has_pages=True,
)
GEOJSON_SEQ = Output(
    "geojsonl",
    "application/geo+json-seq",
    "geojsonl",
    "GeoJSON text sequence",
    TextForm(_record, lambda _: b""),
    also_f=("jsonseq", "geojsonseq"),
    has_pages=True,
)
