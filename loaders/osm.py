"""Buildings of OpenStreetMap PBF files: ways and relations with a `building` tag, by GDAL's OSM driver.

`osm_id` is w<id> for a way and r<id> for a relation. Tags that city data use are fields of their own, all
others stay together as JSON in `other_tags`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyogrio

from cim.model import Kind
from loaders.base import Batch, SourceInfo, SourceOptions
from loaders.fields import json_text, source_fields
from loaders.ogr import BREAKS, PROBE_ROWS, batch_of, broken, read_layer
from loaders.reference import CRS84
from loaders.sniff import Content, content_of

LAYER = "multipolygons"

TAGS = (
    *("building:levels", "building:levels:underground", "height", "min_height", "building:height", "building:use"),
    *(
        "building:material",
        "building:part",
        "roof:shape",
        "roof:levels",
        "roof:height",
        "start_date",
        "year_of_construction",
    ),
    *("addr:housenumber", "addr:street", "addr:suburb", "addr:district", "addr:city", "addr:postcode", "addr:full"),
    *("name:zh", "name:en", "operator", "ref", "wikidata"),
)
_KEPT = ("name", "building", "amenity", "office", "shop", "tourism", "historic", "leisure", "man_made", "landuse")
_HOW: dict[str, Any] = {"where": "building IS NOT NULL", "TAGS_FORMAT": "JSON"}


class OsmLoader:
    """Building footprints; other objects of the file are not rows."""

    name = "OpenStreetMap PBF"

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """See Loader. The number of buildings is only known by reading."""
        if content_of(path) is not Content.OSM_PBF:
            return None
        try:
            meta, table = pyogrio.raw.read_arrow(path, layer=LAYER, max_features=PROBE_ROWS, **_HOW)
        except BREAKS as error:
            raise broken(path, error) from error
        sample = _tagged(batch_of(table, meta, 0).table)
        return SourceInfo(
            driver=self.name,
            layer=LAYER,
            layers=(LAYER,),
            fields=source_fields(sample, {"other_tags": Kind.JSON}),
            geometry_type="MultiPolygon",
            crs=CRS84,
            encoding="UTF-8",
            licence="ODbL-1.0",
            attribution="© OpenStreetMap contributors",
            notes=("only ways and relations with a building tag are read", "WGS 84 by the rule of the format"),
        )

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """See Loader. Row numbers count the buildings."""
        for batch in read_layer(path, LAYER, batch_rows, **_HOW):
            yield Batch(_tagged(batch.table), batch.geometry, batch.rows, batch.rejections)


def _tagged(table: pa.Table) -> pa.Table:
    """The fields of this loader from the columns of the driver."""
    ways = pc.binary_join_element_wise("w", table.column("osm_way_id").cast(pa.string()), "")
    relations = pc.binary_join_element_wise("r", table.column("osm_id").cast(pa.string()), "")
    columns: dict[str, Any] = {"osm_id": pc.coalesce(ways, relations)}
    columns |= {name: table.column(name) for name in _KEPT if name in table.column_names}
    tags = [orjson.loads(text) if text else {} for text in table.column("other_tags").to_pylist()]
    columns |= {name: pa.array([tag.pop(name, None) for tag in tags], pa.string()) for name in TAGS}
    for name in table.column_names:
        if name not in columns and name not in ("osm_id", "osm_way_id", "other_tags"):
            for tag, value in zip(tags, table.column(name).to_pylist(), strict=True):
                if value is not None:
                    tag[name] = value
    columns["other_tags"] = pa.array([json_text(tag) if tag else None for tag in tags], pa.string())
    return pa.table(columns)


OSM = OsmLoader()
