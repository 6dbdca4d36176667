"""Every real vector and table file is probed and read to its end; the counts are those of the data's own README."""

import geopandas
import numpy as np
import pyarrow.csv
import pytest
import shapely

from cim.errors import DriverRefused, SourceRefused
from tests.formats.reading import read

# file, options, loader, rows with a geometry, rows without, rejections, CRS
FILES = [
    ("buildings/bd_demo_2.json", {}, "GeoJSON", 3076, 0, 0, "OGC:CRS84"),
    ("buildings/ny_254.json", {}, "GeoJSON", 1729, 0, 0, "OGC:CRS84"),
    ("buildings/ny_547.json", {}, "GeoJSON", 1586, 0, 0, "OGC:CRS84"),
    ("buildings/ny_583.json", {}, "GeoJSON", 1451, 0, 0, "OGC:CRS84"),
    ("buildings/nanshan-building.geojson", {}, "GeoJSON", 10, 0, 0, "OGC:CRS84"),
    ("buildings/bubenec.gpkg", {"layer": "buildings"}, "GeoPackage", 144, 0, 0, "EPSG:3857"),
    ("buildings/bubenec.gpkg", {"layer": "streets"}, "GeoPackage", 35, 0, 0, "EPSG:3857"),
    ("buildings/bubenec.gpkg", {"layer": "plots"}, "GeoPackage", 407, 0, 0, "EPSG:3857"),
    ("buildings/kirovo_chepetsk/buildings.shp", {}, "Shapefile", 13716, 0, 0, "EPSG:4326"),
    ("buildings/nyc_subset_overture.parquet", {}, "GeoParquet", 679, 0, 0, "OGC:CRS84"),
    # 494 buildings, five of them with rings of two points
    ("buildings/Helsinki.osm.pbf", {}, "OpenStreetMap PBF", 489, 0, 5, "OGC:CRS84"),
    ("admin/countries.fgb", {}, "FlatGeobuf", 179, 0, 0, "EPSG:4326"),
    ("admin/hk18/Hong_Kong_18_Districts.shp", {}, "Shapefile", 18, 0, 0, "EPSG:4326"),
    ("admin/shanghai_shp/区县界_area.shp", {}, "Shapefile", 17, 0, 0, "EPSG:4326"),
    ("admin/shanghai_shp", {}, "Shapefile", 17, 0, 0, "EPSG:4326"),
    ("admin/sz.json", {}, "GeoJSON", 10, 0, 0, "OGC:CRS84"),
    ("admin/division_provinces.csv", {}, "CSV", 0, 31, 0, None),
    ("admin/division_cities.csv", {}, "CSV", 0, 342, 0, None),
    ("admin/division_areas.csv", {}, "CSV", 0, 2978, 0, None),
    ("admin/division_streets.csv", {}, "CSV", 0, 41352, 0, None),
    ("admin/division_villages_4401_4403.csv", {}, "CSV", 0, 3639, 0, None),
    ("cameras/cameras.geojson", {}, "GeoJSON", 2512, 0, 0, "OGC:CRS84"),
    ("cameras/hk_traffic_cameras.csv", {}, "CSV", 210, 0, 0, "OGC:CRS84"),
    ("formats/dutch_addresses_28992.gpkg", {}, "GeoPackage", 2481, 0, 0, "EPSG:28992"),
    ("formats/ldid_chinese/chinese.shp", {}, "Shapefile", 1, 0, 0, "EPSG:4326"),
    ("requests311/311_Service_Requests.csv", {}, "CSV", 893, 107, 0, "OGC:CRS84"),
    ("sensors/PRSA_Data_Aotizhongxin_20130301-20170228.csv", {}, "CSV", 0, 35064, 0, None),
    ("sensors/PRSA_Data_Dingling_20130301-20170228.csv", {}, "CSV", 0, 35064, 0, None),
    ("sensors/P_BED.csv", {}, "CSV", 0, 7007, 0, None),
    ("sensors/air_quality_long.csv", {}, "CSV", 0, 5272, 0, None),
    ("sensors/air_quality_parameters.csv", {}, "CSV", 0, 7, 0, None),
    ("sensors/air_quality_stations.csv", {}, "CSV", 66, 0, 0, "OGC:CRS84"),
    ("sensors/obs.csv", {}, "CSV", 5, 0, 0, "OGC:CRS84"),
    ("sensors/seattle-weather-hourly-normals.csv", {}, "CSV", 0, 8759, 0, None),
    ("sensors/station_list.csv", {}, "CSV", 79, 0, 0, "OGC:CRS84"),
]


@pytest.mark.parametrize(("name", "options", "loader", "placed", "bare", "rejected", "crs"), FILES)
def test_every_row_is_read_or_rejected(shared_data, name, options, loader, placed, bare, rejected, crs):
    reading = read(shared_data / name, **options)
    assert reading.trouble is None
    assert reading.loader == loader
    assert sum(g is not None for g in reading.geometry) == placed
    assert sum(g is None for g in reading.geometry) == bare
    assert len(reading.rejections) == rejected
    assert reading.info.crs == crs
    assert reading.info.feature_count in (placed + bare + rejected, None)
    assert sorted([*reading.rows, *(r.row for r in reading.rejections)]) == list(range(1, placed + bare + rejected + 1))


@pytest.mark.parametrize(
    "name",
    [
        *("admin/hk18/Hong_Kong_18_Districts.shp", "admin/countries.fgb", "admin/sz.json", "cameras/cameras.geojson"),
        *("formats/dutch_addresses_28992.gpkg", "buildings/nanshan-building.geojson", "buildings/bd_demo_2.json"),
    ],
)
def test_geometries_are_those_that_geopandas_reads(shared_data, name):
    mine = np.array(read(shared_data / name).geometry, dtype=object)
    theirs = geopandas.read_file(shared_data / name).geometry.to_numpy()
    assert shapely.equals_exact(mine, theirs, tolerance=1e-12).all()


def test_overture_geometries_are_those_that_geopandas_reads(shared_data):
    path = shared_data / "buildings/nyc_subset_overture.parquet"
    theirs = geopandas.read_parquet(path)
    reading = read(path, batch_rows=100)
    assert shapely.equals_exact(np.array(reading.geometry), theirs.geometry.to_numpy(), tolerance=0).all()
    assert reading.column("id") == theirs["id"].tolist()
    names = [None if n is None else n["primary"] for n in theirs["names"]]
    assert reading.column("names.primary") == names
    assert any(names)
    assert reading.fields["sources"] == "json"
    assert reading.largest_batch == 100


def test_chinese_text_is_right_where_only_the_language_driver_tells_the_encoding(shared_data):
    shanghai = read(shared_data / "admin/shanghai_shp/区县界_area.shp")
    assert {"宝山区", "闸北区", "崇明县"} <= set(shanghai.column("NAME"))
    assert dict(zip(shanghai.column("ADMINCODE"), shanghai.column("NAME"), strict=True))["310230"] == "崇明县"
    assert read(shared_data / "formats/ldid_chinese/chinese.shp").column("NAME") == ["简体"]


def test_names_by_a_code_page_file_are_right(shared_data):
    assert "黃大仙區" in read(shared_data / "admin/hk18/Hong_Kong_18_Districts.shp").column("TCNAME")
    assert "ТЦ Городок" in read(shared_data / "buildings/kirovo_chepetsk/buildings.shp").column("name")


def test_csv_cells_are_those_that_arrow_reads(shared_data):
    path = shared_data / "requests311/311_Service_Requests.csv"
    reading = read(path)
    types = {name: pyarrow.string() for name in reading.fields}
    theirs = pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(column_types=types))
    assert [{k: v or None for k, v in row.items()} for row in theirs.to_pylist()] == reading.records


def test_kinds_are_those_of_all_values_of_a_column(shared_data):
    air = read(shared_data / "sensors/PRSA_Data_Aotizhongxin_20130301-20170228.csv").fields
    assert air["PM2.5"] == "number"
    assert air["No"] == "integer"
    assert air["wd"] == "text"
    assert read(shared_data / "sensors/air_quality_long.csv").fields["date.utc"] == "instant"


def test_several_layers_and_none_named_is_refused_with_their_names(shared_data):
    with pytest.raises(SourceRefused, match=r"--layer: tessellation, buildings, streets, plots"):
        read(shared_data / "buildings/bubenec.gpkg")


def test_osm_buildings_keep_their_tags(shared_data):
    reading = read(shared_data / "buildings/Helsinki.osm.pbf")
    ids = reading.column("osm_id")
    assert len(set(ids)) == len(ids)
    assert {i[0] for i in ids} == {"w", "r"}
    assert sum(name is not None for name in reading.column("name")) == 82
    assert any(reading.column("building:levels"))
    assert any(reading.column("addr:street"))
    assert set(reading.codes) == {"geometry/invalid"}
    assert "2" in reading.rejections[0].reason
    assert reading.info.licence == "ODbL-1.0"


@pytest.mark.parametrize(
    "name", ["sensors/entitiesDefault.json", "pointcloud/simple.las", "sensors/sta10/thing_complete.json"]
)
def test_a_file_of_another_kind_is_refused_by_what_it_holds(shared_data, name):
    with pytest.raises(DriverRefused, match="not taken here"):
        read(shared_data / name)
