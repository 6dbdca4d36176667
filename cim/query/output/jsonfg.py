"""OGC Features and Geometries JSON (OGC 21-045r1, JSON-FG 1.0), conformance class core.

`geometry` holds WGS 84 with longitude first; coordinates of any other system stand in `place`, and `geometry` is
null then. `time` is the valid time, its end not included.
"""

from functools import lru_cache
from typing import Any

import orjson

from cim.crs import CRS84, Crs
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import geometry_text, properties_text, shown_properties
from cim.query.output.form import Frame, Output, TextForm
from cim.sql import Identifier, Sql

CORE = "http://www.opengis.net/spec/json-fg-1/1.0/conf/core"

_DIMENSIONS = {
    **dict.fromkeys(("Point", "MultiPoint"), 0),
    **dict.fromkeys(("LineString", "MultiLineString"), 1),
    **dict.fromkeys(("Polygon", "MultiPolygon"), 2),
}


def _line(collection: Collection, scope: Scope, query: FeatureQuery) -> Sql:
    names = tuple(p.name for p in shown_properties(collection, scope, shown=query.shown))
    return _text(names, query.crs, query.has_geometry)


@lru_cache(maxsize=1024)
def _text(names: tuple[str, ...], crs: Crs, has_geometry: bool) -> Sql:
    place, geometry = Sql.of("'null'"), Sql.of("'null'")
    if has_geometry and crs.is_stored:
        geometry = geometry_text()
    elif has_geometry:
        place = geometry_text(crs)
    return Sql.of(
        """concat('{"type":"Feature","id":', to_json(id), ',"time":', {}, ',"place":', {}, ',"geometry":', {}, """
        """',"properties":', {}, '}')""",
        Sql.of(
            """CASE WHEN valid_from IS NULL AND valid_to IS NULL THEN 'null' ELSE concat('{"interval":[', """
            """COALESCE({}, '".."'), ',', COALESCE({}, '".."'), ']}') END""",
            _stamp("valid_from"),
            _stamp("valid_to"),
        ),
        place,
        geometry,
        properties_text(names),
    )


def _stamp(column: str) -> Sql:
    """The instant as JSON, by `Z` as the standard asks; every session of ours is in UTC."""
    return Sql.of("""replace(to_json({})::text, '+00:00"', 'Z"')""", Identifier(column))


def _head(frame: Frame) -> bytes:
    head: dict[str, Any] = {
        "type": "FeatureCollection",
        "conformsTo": [CORE],
        "featureType": frame.collection.id,
        "coordRefSys": (CRS84 if frame.query.crs.is_stored else frame.query.crs).uri,
    }
    dimension = _DIMENSIONS.get(frame.collection.geometry_type)
    if dimension is not None:
        head["geometryDimension"] = dimension
    return orjson.dumps({**head, **frame.members})[:-1] + b',"features":['


JSON_FG = Output(
    "jsonfg",
    "application/vnd.ogc.fg+json",
    "fg.json",
    "JSON-FG",
    TextForm(_line, _head, separator=",", tail=b"]}", needs=("valid_from", "valid_to")),
    has_pages=True,
)
