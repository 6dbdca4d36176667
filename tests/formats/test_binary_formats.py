"""FlatGeobuf, GeoPackage and GeoParquet: what goes in comes out, broken geometries cost their row only."""

import json
import struct

import geopandas
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from cim.errors import SourceRefused
from tests.formats.reading import read

GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": []}},
}

SHAPES = [
    shapely.Point(114, 22),
    shapely.from_wkt("POINT Z (1 2 3)"),
    shapely.from_wkt("LINESTRING (0 0, 1 1)"),
    shapely.box(0, 0, 1, 1),
    shapely.from_wkt("POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0), (1 1, 2 1, 2 2, 1 2, 1 1))"),
    shapely.from_wkt("MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5)))"),
    shapely.from_wkt("MULTIPOINT (0 0, 1 1)"),
    shapely.from_wkt("GEOMETRYCOLLECTION (POINT (1 2), GEOMETRYCOLLECTION (LINESTRING (0 0, 1 1)))"),
    shapely.from_wkt("POLYGON EMPTY"),
    None,
]


def geoparquet(path, wkb, geo=None, **columns):
    """A GeoParquet file of raw WKB values."""
    table = pa.table({**columns, "geometry": pa.array(wkb, pa.binary())})
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo or GEO)}), path)
    return path


@pytest.mark.parametrize("suffix", [".fgb", ".gpkg", ".parquet", ".geojson"])
def test_geometries_of_every_kind_and_text_come_back(tmp_path, suffix):
    shapes = [g for g in SHAPES if suffix != ".fgb" or g is None or not g.has_z]  # one dimension a FlatGeobuf
    count = len(shapes)
    frame = geopandas.GeoDataFrame(
        {"n": range(count), "名称": [f"楼{n}" for n in range(count)]}, geometry=shapes, crs=4326
    )
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path, **({"SPATIAL_INDEX": "NO"} if suffix == ".fgb" else {}))
    reading = read(path, batch_rows=4)
    order = np.argsort(reading.column("n"))
    mine = np.array(reading.geometry, dtype=object)[order]
    kept = [g for g in shapes if g is not None and not g.is_empty]
    assert shapely.equals_exact(mine[: len(kept)], np.array(kept), tolerance=1e-12).all()
    assert [reading.column("名称")[i] for i in order] == frame["名称"].tolist()
    assert reading.largest_batch == 4


@pytest.mark.parametrize("suffix", [".fgb", ".gpkg", ".parquet"])
def test_kinds_of_values_are_known(tmp_path, suffix):
    columns = {
        "i": pandas.array([1, None], "Int64"),
        "f": [1.5, np.nan],
        "t": ["a", None],
        "b": [True, False],
        "at": pandas.to_datetime(["2024-05-31T08:00:00+08:00", "2024-06-01T00:00:00+08:00"]),
    }
    frame = geopandas.GeoDataFrame(columns, geometry=[shapely.Point(n, n) for n in (1, 2)], crs=4326)
    path = tmp_path / f"a{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_file(path)
    reading = read(path)
    kinds = {"i": "integer", "f": "number", "t": "text", "b": "boolean", "at": "instant"}
    assert {name: reading.fields[name] for name in kinds} == kinds
    assert sorted(reading.column("i"), key=str) == [1, None]
    first = next(r for r in reading.records if r["t"] == "a")
    assert pandas.Timestamp(first["at"]) == pandas.Timestamp("2024-05-31T00:00:00Z")


def test_broken_wkb_costs_its_row_and_keeps_the_bytes(tmp_path):
    good = shapely.to_wkb(shapely.Point(1, 2))
    two_points = struct.pack("<BIII4d", 1, 3, 1, 2, 0, 0, 1, 1)
    values = [good, good[:-3], b"", b"\x07" * 30, two_points, None, good]
    reading = read(geoparquet(tmp_path / "a.parquet", values, n=list(range(7))))
    assert reading.rows == [1, 6, 7]
    assert set(reading.codes) == {"geometry/invalid"}
    assert reading.rejections[0].original["geometry"]["wkb"] == good[:-3].hex()
    assert reading.rejections[0].original["properties"] == {"n": 1}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [4, 5, 6, 7, 1007, 3007])
@pytest.mark.parametrize("depth", [33, 10_000, 200_000])
def test_B05_wkb_nested_too_deep_never_reaches_the_parser(tmp_path, order, kind, depth):
    head = struct.pack(order + "BII", order == "<", kind, 1)
    deep = head * depth + shapely.to_wkb(shapely.Point(1, 2))
    second = struct.pack("<BII", 1, 7, 2) + shapely.to_wkb(shapely.Point(1, 2)) + deep
    good = shapely.to_wkb(shapely.from_wkt("MULTIPOINT (1 1, 2 2)"))
    reading = read(geoparquet(tmp_path / "a.parquet", [good, deep, second, good]))
    assert reading.rows == [1, 4]
    assert reading.codes == ["geometry/nesting"] * 2


def test_curves_cost_their_row_only(tmp_path):
    arc = struct.pack("<BII6d", 1, 8, 3, 0, 0, 1, 1, 2, 0)
    ring = struct.pack("<BIIBII10d", 1, 10, 1, 1, 8, 5, 0, 0, 1, 1, 2, 0, 1, -1, 0, 0)
    line = shapely.to_wkb(shapely.LineString([(0, 0), (1, 1)]))
    several = struct.pack("<BII", 1, 11, 1) + line
    inside = struct.pack("<BII", 1, 7, 2) + line + arc
    reading = read(geoparquet(tmp_path / "a.parquet", [line, arc, ring, several, inside, line]))
    assert reading.rows == [1, 6]
    assert reading.codes == ["geometry/type"] * 4
    assert "CurvePolygon" in reading.rejections[1].reason


def test_B05_wkb_with_an_unknown_byte_order_inside_is_refused(tmp_path):
    inner = b"\x02" + shapely.to_wkb(shapely.Point(1, 2))[1:]
    reading = read(geoparquet(tmp_path / "a.parquet", [struct.pack("<BII", 1, 7, 1) + inner]))
    assert reading.codes == ["geometry/invalid"]


def test_lists_and_structs_become_fields_and_json(tmp_path):
    columns = {
        "names": pa.array(
            [{"primary": "塔", "common": [("en", "Tower")]}, None],
            pa.struct([("primary", pa.string()), ("common", pa.map_(pa.string(), pa.string()))]),
        ),
        "tags": pa.array([["a", "b"], None]),
        "big": pa.array([2**63 + 1, 2], pa.uint64()),
        "amount": pa.array([1, 2], pa.int32()).cast(pa.decimal128(12, 2)),
        "kind": pa.array(["x", "y"]).dictionary_encode(),
        "raw": pa.array([b"\x01\xff", None], pa.binary()),
    }
    reading = read(geoparquet(tmp_path / "a.parquet", [shapely.to_wkb(shapely.Point(1, 2))] * 2, **columns))
    assert reading.records[0] == {
        "names.primary": "塔",
        "names.common": '[["en","Tower"]]',
        "tags": '["a","b"]',
        "big": str(2**63 + 1),
        "amount": 1.0,
        "kind": "x",
        "raw": "01ff",
    }
    assert reading.records[1]["names.primary"] is None
    assert reading.fields["tags"] == "json"


def test_a_covering_box_is_left_out(tmp_path):
    frame = geopandas.GeoDataFrame({"n": [1]}, geometry=[shapely.Point(1, 2)], crs=4326)
    frame.to_parquet(tmp_path / "a.parquet", write_covering_bbox=True)
    assert list(read(tmp_path / "a.parquet").fields) == ["n"]


def test_plain_parquet_with_degrees_is_placed(tmp_path):
    pq.write_table(pa.table({"id": [1, 2], "lon": [114.1, None], "lat": [22.5, 22.6]}), tmp_path / "a.parquet")
    reading = read(tmp_path / "a.parquet")
    assert (reading.info.geometry_type, reading.info.crs) == ("Point", "OGC:CRS84")
    assert reading.geometry[0].equals(shapely.Point(114.1, 22.5))
    assert reading.geometry[1] is None


@pytest.mark.parametrize(
    ("geo", "said"),
    [
        ({**GEO, "columns": {"geometry": {"encoding": "point"}}}, "only WKB"),
        ({"version": "1.0.0"}, "are not GeoParquet's"),
        ({**GEO, "primary_column": "shape", "columns": {"shape": {"encoding": "WKB"}}}, "'shape' is missing"),
        ({**GEO, "columns": {"geometry": {"encoding": "WKB", "crs": None}}}, "--crs"),
    ],
)
def test_geoparquet_that_cannot_be_read_is_refused_with_the_reason(tmp_path, geo, said):
    with pytest.raises(SourceRefused, match=said):
        read(geoparquet(tmp_path / "a.parquet", [shapely.to_wkb(shapely.Point(1, 2))], geo))


@pytest.mark.parametrize("suffix", [".fgb", ".gpkg", ".parquet", ".shp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_B12_a_truncated_file_never_passes_for_a_whole_one(tmp_path, suffix, share):
    count = 3000
    frame = geopandas.GeoDataFrame({"n": range(count)}, geometry=shapely.points(np.arange(count), 1.0), crs=3857)
    path = tmp_path / f"a{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_file(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    try:
        reading = read(path)
    except SourceRefused:
        return
    whole = sum(g is not None for g in reading.geometry)
    assert whole == count or reading.trouble is not None or len(reading.rejections) + whole < count


def test_a_layer_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    frame = geopandas.GeoDataFrame({"n": [1]}, geometry=[shapely.Point(1, 2)], crs=4326)
    frame.to_file(tmp_path / "a.gpkg", layer="建筑")
    with pytest.raises(SourceRefused, match="its layers: 建筑"):
        read(tmp_path / "a.gpkg", layer="roads")
    assert read(tmp_path / "a.gpkg", layer="建筑").rows == [1]


def test_a_file_geodatabase_is_read_by_layer(tmp_path):
    frame = geopandas.GeoDataFrame(
        {"名称": ["塔", "桥"]}, geometry=[shapely.Point(1, 2), shapely.Point(3, 4)], crs=4490
    )
    path = tmp_path / "a.gdb"
    frame.to_file(path, driver="OpenFileGDB", layer="建筑")
    reading = read(path)
    assert (reading.loader, reading.info.layer, reading.info.crs) == ("File geodatabase", "建筑", "EPSG:4490")
    assert reading.column("名称") == ["塔", "桥"]


def test_a_drawing_is_read_where_its_crs_is_stated(tmp_path):
    path = tmp_path / "a.dxf"
    frame = geopandas.GeoDataFrame(geometry=[shapely.LineString([(505000, 2494000), (505010, 2494010)])])
    frame.to_file(path, driver="DXF")
    with pytest.raises(SourceRefused, match="--crs"):
        read(path)
    reading = read(path, crs="EPSG:4547")
    assert reading.geometry[0].length == pytest.approx(200**0.5)
    assert reading.info.crs == "EPSG:4547"
