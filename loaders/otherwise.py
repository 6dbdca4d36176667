"""Sources that hold no features of a city, and what a user can do with them instead."""

import re
from pathlib import Path

from loaders.sniff import Content, content_of, head_of, xml_root

_SERVICE = (
    "it describes a service, not features. Register the service in the catalogue (POST /catalogue/items), or fetch "
    "its data as GeoJSON or GeoPackage and load that"
)
_RECORD = (
    "it describes data, and does not hold them. Register what it describes in the catalogue (POST /catalogue/items), "
    "and load the files that it links to"
)
_ENTITY = (
    "it holds SensorThings entities. List the things as CSV or GeoJSON with a name and a place, one a row, and load that "
    "as sensors"
)
_UPLINK = "it is a message of a device, not a list of sensors. Load the devices as CSV with a name and a place"

_ROOTS = {
    "Capabilities": _SERVICE,
    "WMS_Capabilities": _SERVICE,
    "WMT_MS_Capabilities": _SERVICE,
    "WFS_Capabilities": _SERVICE,
    "MD_Metadata": _RECORD,
    "GetRecordByIdResponse": _RECORD,
    "GetRecordsResponse": _RECORD,
    "FeatureCollection": "turn GML into a GeoPackage first: ogr2ogr out.gpkg in.gml",
}
"""Root element of an XML document → what to do."""

_MEMBERS = (
    (r'"end_device_ids"|"devEUI"|"uplink_message"|"deviceInfo"', _UPLINK),
    (r'"(?:phenomenonTime|encodingType|FeatureOfInterest|Datastreams|Locations|ObservedProperty)"', _ENTITY),
    (r'"definition"\s*:[^{}]*"name"|"name"\s*:[^{}]*"definition"', _ENTITY),
    (r'"currentVersion"|"serviceDescription"|"stac_version"|"collections"\s*:|"links"\s*:', _SERVICE),
    (r'"dcat:|"conformsTo"|"describedBy"|package_search|"@graph"', _RECORD),
    (
        r'"asset"\s*:[^}]*"version"',
        "it is a 3D Tiles tileset, made to be drawn. Load the footprints that it was made from, or CityJSON, CityGML or IFC",
    ),
)
"""Pattern in the head of a JSON document → what to do; the first that is found."""

_CONTENTS = {
    Content.LAS: "point clouds are not kept. Make footprints or a GeoTIFF of heights from it first, e.g. by pdal",
    Content.ARCHIVE: "unpack it, or pack it as ZIP",
    Content.PDF: "ask for the data behind the document, e.g. as GeoPackage or CSV",
    Content.SQLITE: "turn it into a GeoPackage first: ogr2ogr out.gpkg in.sqlite",
}


def what_else(path: Path) -> str | None:
    """What to do with a source that none of the loaders takes; None where nothing better than their list is known."""
    content = content_of(path)
    if content is Content.XML:
        return _ROOTS.get(xml_root(path))
    if content is Content.JSON:
        head = head_of(path).decode("utf-8", "replace")
        return next((hint for pattern, hint in _MEMBERS if re.search(pattern, head)), None)
    return _CONTENTS.get(content)
