"""The committed small files are what the generator writes, and show each format."""

import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pystac
import pytest
import rasterio
import shapely
from python_calamine import CalamineWorkbook

from sample_data.small_files import FOLDER, write_files

AS_BYTES = (".geojson", ".geojsonl", ".csv", ".yaml", ".json", ".kml")
AS_LAYERS = ("buildings.gpkg", "buildings.fgb", "buildings_shp.zip")


@pytest.fixture(scope="session")
def again(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("again") / "files"
    write_files(folder)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_the_committed_files_are_all_that_the_generator_writes(again):
    assert names(again) == names(FOLDER)
    assert sum(p.stat().st_size for p in FOLDER.rglob("*")) <= 3_000_000


def test_text_is_the_same_to_the_byte(again):
    compared = [n for n in names(FOLDER) if n.endswith(AS_BYTES)]
    assert len(compared) >= 9
    for name in compared:
        assert (again / name).read_bytes() == (FOLDER / name).read_bytes(), name


@pytest.mark.parametrize("name", AS_LAYERS)
def test_layers_have_the_same_rows(again, name):
    tables = [pyogrio.read_arrow(folder / name)[1] for folder in (again, FOLDER)]
    assert tables[0].num_rows == 120
    assert tables[0].equals(tables[1])


def test_geoparquet_has_the_same_rows_and_metadata(again):
    tables = [pq.read_table(folder / "buildings.parquet") for folder in (again, FOLDER)]
    assert tables[0].equals(tables[1])
    geo = json.loads(tables[0].schema.metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    shapes = shapely.from_wkb(tables[0].column("geometry").to_numpy(zero_copy_only=False))
    assert geo["columns"]["geometry"]["bbox"] == pytest.approx(shapely.total_bounds(shapes).tolist())


def test_pixels_are_the_same(again):
    for name in (n for n in names(FOLDER) if n.endswith((".tif", ".jp2"))):
        with rasterio.open(again / name) as one, rasterio.open(FOLDER / name) as other:
            assert np.array_equal(one.read(), other.read())
            assert one.profile == other.profile


def test_the_workbook_has_the_same_cells(again):
    sheets = [CalamineWorkbook.from_path(f / "sensors.xlsx").get_sheet_by_index(0).to_python() for f in (again, FOLDER)]
    assert sheets[0] == sheets[1]
    assert len(sheets[0]) == 151


def test_the_shapefile_is_gbk_with_chinese_field_names():
    with zipfile.ZipFile(FOLDER / "buildings_shp.zip") as archive:
        dbf = archive.read("建筑物.dbf")
    for field in ("层数", "高度", "用途", "建成年代"):
        assert len(field.encode("gbk")) <= 10
        assert field.encode("gbk") in dbf[:300]


def test_tables_of_points_are_as_offices_write_them():
    data = (FOLDER / "sensors.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(data.decode("utf-8-sig").splitlines()))
    assert len(rows) == 150
    assert 113 < float(rows[0]["经度"]) < 115
    cameras = list(csv.DictReader((FOLDER / "cameras_wkt.csv").read_text("utf-8").splitlines(), delimiter=";"))
    assert shapely.from_wkt(cameras[0]["wkt"].removeprefix("SRID=4326;")).geom_type == "Point"


def test_scenes_are_small_real_geotiffs_of_different_making():
    facts = {}
    for path in sorted((FOLDER / "imagery").glob("*.tif")):
        with rasterio.open(path) as scene:
            assert max(scene.shape) <= 256
            assert scene.dtypes == ("uint8",) * 3
            assert scene.compression.name == "deflate"
            assert scene.tags()["TIFFTAG_DATETIME"][4] == ":"
            facts[path.stem] = (scene.crs.to_epsg(), scene.overviews(1), scene.nodata, scene.read(1))
    assert {fact[0] for fact in facts.values()} == {4326, 4547, 32650}
    assert facts["centre_2026"][1] == [2]
    assert facts["strip_2026"][2] == 0
    assert 0.2 < (facts["strip_2026"][3] == 0).mean() < 0.8
    assert not np.array_equal(facts["centre_2008"][3], facts["centre_2026"][3])


def test_the_stac_item_names_a_scene_and_lies_where_it_lies():
    item = pystac.Item.from_file(str(FOLDER / "stac" / "centre_2026.json"))
    asset = Path(item.assets["visual"].get_absolute_href())
    with rasterio.open(asset) as scene:
        west, south, east, north = rasterio.warp.transform_bounds(scene.crs, 4326, *scene.bounds)
    assert item.bbox == pytest.approx([west, south, east, north], abs=1e-5)
    assert pystac.Collection.from_file(str(FOLDER / "stac" / "collection.json")).id == item.collection_id
