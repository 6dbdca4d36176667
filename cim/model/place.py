"""Names of fields that tell where a thing is: what a dataset has no declaration for."""

import re

_SEPARATORS = re.compile(r"[\s_\-.:]+")
_WHOLE = frozenset(
    (
        *("x", "y", "lon", "lng", "long", "lat", "easting", "northing", "geom", "thegeom", "geometry", "shape"),
        *("location", "position", "place", "site", "street", "road", "mc", "dz", "title"),
        *("名称", "位置", "地点", "点位", "街道", "道路", "标题"),
    )
)
_PARTS = (
    *("longitude", "latitude", "coord", "address", "addr", "postcode", "geohash", "wkt", "bbox", "bounds", "footprint"),
    *("经度", "纬度", "坐标", "地址", "门牌", "邮编", "name", "名称"),
)


def tells_place(name: str, kind: str) -> bool:
    """True for a field that by its name holds coordinates, an address, or the name of a thing that stands somewhere.

    A document (`kind` is json) may hold anything.
    """
    plain = _SEPARATORS.sub("", name.lower())
    return kind == "json" or plain in _WHOLE or any(part in plain for part in _PARTS)
