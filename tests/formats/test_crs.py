"""A CRS is taken from the source, the format's rule or the caller; never guessed (catalogue B06)."""

import json
from functools import lru_cache

import geopandas
import pyproj
import pytest
import shapely

from cim.errors import SourceRefused
from tests.formats.reading import read


@lru_cache
def transformer(source, target):
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def geojson(path, **members):
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [505146.2, 2494893.1]}}
    path.write_text(json.dumps({"type": "FeatureCollection", **members, "features": [feature]}))
    return path


def named(name):
    return {"type": "name", "properties": {"name": name}}


@pytest.mark.parametrize("name", ["urn:ogc:def:crs:EPSG::4547", "EPSG:4547", "urn:ogc:def:crs:EPSG:9.8:4547"])
def test_B06_a_crs_member_counts(tmp_path, name):
    assert read(geojson(tmp_path / "a.json", crs=named(name))).info.crs == "EPSG:4547"


@pytest.mark.parametrize("name", ["EPSG:999999", "urn:ogc:def:crs:EPSG::0", "my grid", "LOCAL"])
def test_B06_an_unknown_crs_is_refused_by_name_unless_one_is_stated(tmp_path, name):
    path = geojson(tmp_path / "a.json", crs=named(name))
    with pytest.raises(SourceRefused, match="no known place") as refused:
        read(path)
    assert "--crs" in refused.value.detail
    reading = read(path, crs="EPSG:4547")
    assert reading.info.crs == "EPSG:4547"
    assert any("is unknown" in note for note in reading.info.notes)


@pytest.mark.parametrize(
    "member", [None, {"type": "link", "properties": {"href": "http://127.0.0.1:1/"}}, "EPSG:4547", 7]
)
def test_B06_a_crs_member_that_names_none_is_refused(tmp_path, member):
    with pytest.raises(SourceRefused, match="CRS"):
        read(geojson(tmp_path / "a.json", crs=member))


def test_B06_a_stated_crs_that_contradicts_the_source_is_refused(tmp_path):
    path = geojson(tmp_path / "a.json", crs=named("EPSG:4547"))
    with pytest.raises(SourceRefused, match=r"is in .*EPSG:4547.*--crs says EPSG:3857"):
        read(path, crs="EPSG:3857")
    assert read(path, crs="EPSG:4547").info.crs == "EPSG:4547"


def test_B06_a_stated_crs_counts_where_the_format_has_only_a_rule(tmp_path):
    reading = read(geojson(tmp_path / "a.json"), crs="EPSG:4547")
    assert reading.info.crs == "EPSG:4547"
    assert reading.geometry[0].x == 505146.2


@pytest.mark.parametrize("crs", ["EPSG:1", "nonsense", "EPSG:", "+proj=nothing"])
def test_B06_a_stated_crs_that_is_unknown_is_refused(tmp_path, crs):
    with pytest.raises(SourceRefused, match="not a CRS that PROJ knows") as refused:
        read(geojson(tmp_path / "a.json"), crs=crs)
    assert refused.value.parameter == "crs"


def test_B06_a_crs_in_feet_is_kept_and_reported(tmp_path):
    frame = geopandas.GeoDataFrame({"n": [1]}, geometry=[shapely.Point(-73.98, 40.75)], crs=4326).to_crs(2263)
    frame.to_file(tmp_path / "a.gpkg")
    reading = read(tmp_path / "a.gpkg")
    assert reading.info.crs == "EPSG:2263"
    assert any("US survey foot" in note for note in reading.info.notes)


@pytest.mark.parametrize("code", [4490, 4526, 4534, 4547, 4554, 2326])
@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".fgb", ".parquet"])
def test_eastings_come_first_whatever_the_definition_says(tmp_path, code, suffix):
    area = pyproj.CRS(code).area_of_use
    lon, lat = (area.west + area.east) / 2, (area.south + area.north) / 2
    x, y = transformer("OGC:CRS84", f"EPSG:{code}").transform(lon, lat)
    frame = geopandas.GeoDataFrame({"n": [1]}, geometry=[shapely.Point(x, y)], crs=code)
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path)
    reading = read(path)
    back = transformer(reading.info.crs, "OGC:CRS84")
    assert back.transform(reading.geometry[0].x, reading.geometry[0].y) == pytest.approx((lon, lat), abs=1e-6)


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet"])
def test_B06_a_file_without_a_crs_is_refused_unless_one_is_stated(tmp_path, suffix):
    frame = geopandas.GeoDataFrame({"n": [1]}, geometry=[shapely.Point(1, 2)])
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        with pytest.warns(UserWarning, match="'crs' was not provided"):
            frame.to_file(path, engine="pyogrio")
    with pytest.raises(SourceRefused, match="--crs"):
        read(path)
    assert read(path, crs="EPSG:4326").info.crs == "EPSG:4326"
