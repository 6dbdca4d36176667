"""Real files that none of us wrote, through the whole pipeline: what is stored of each, and what is not."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from cim.errors import SourceRefused
from tests.loading.conftest import Load

Connection = psycopg.Connection[Any]

FILES = [
    ("areas", "admin/sz.json", {}, 10, 10),
    ("areas", "admin/division_areas.csv", {}, 2978, 2978),
    ("areas", "admin/hk18/Hong_Kong_18_Districts.shp", {}, 18, 18),
    ("areas", "admin/shanghai_shp/区县界_area.shp", {}, 17, 17),
    ("buildings", "buildings/Helsinki.osm.pbf", {}, 494, 478),
    ("buildings", "buildings/bd_demo_2.json", {}, 3076, 3076),
    ("buildings", "buildings/kirovo_chepetsk/buildings.shp", {}, 13_716, 13_710),
    ("buildings", "buildings/bubenec.gpkg", {"layer": "buildings"}, 144, 144),
    ("buildings", "buildings/ny_254.json", {}, 1729, 844),
    ("buildings", "buildings/nyc_subset_overture.parquet", {}, 679, 679),
    ("buildings", "citymodel/3dbag_tile_901_trimmed.city.jsonl", {}, 52, 52),
    ("cameras", "cameras/cameras.geojson", {}, 2512, 2512),
    ("cameras", "cameras/hk_traffic_cameras.csv", {}, 210, 210),
    ("sensors", "sensors/air_quality_stations.csv", {}, 66, 66),
    ("sensors", "sensors/station_list.csv", {}, 79, 79),
    ("imagery", "imagery", {}, 7, 7),
    ("imagery", "imagery/stac_sample-item-collection.json", {}, 10, 10),
]


@pytest.fixture(scope="module")
def connection(module_database_url: str) -> Any:
    """One database for all of them, as a city has."""
    with psycopg.connect(module_database_url, autocommit=True) as opened:
        yield opened


@pytest.mark.parametrize(("kind", "name", "stated", "read", "inserted"), FILES, ids=[f[1] for f in FILES])
def test_a_real_file_is_stored_and_adds_up(
    load: Load,
    connection: Connection,
    shared_data: Path,
    kind: str,
    name: str,
    stated: dict[str, str],
    read: int,
    inserted: int,
) -> None:
    account = load(kind, shared_data / name, **stated)
    assert (account.read, account.inserted, account.rejected) == (read, inserted, read - inserted)
    row = connection.execute(
        "SELECT count(*) FROM cim.load_rejection WHERE load_run_id = %s AND is_rejected", [account.run_id]
    ).fetchone()
    assert row == (read - inserted,)


def test_chinese_names_of_real_files_are_stored_right(load: Load, connection: Connection, shared_data: Path) -> None:
    load("areas", shared_data / "admin/shanghai_shp/区县界_area.shp", source="shanghai")
    names = connection.execute("SELECT name FROM cim.area WHERE id LIKE 'shanghai.%' ORDER BY code").fetchall()
    assert ("崇明县",) in names
    assert ("浦东新区",) in names


def test_the_two_places_of_a_hong_kong_camera_agree(load: Load, connection: Connection, shared_data: Path) -> None:
    """Each camera is given in EPSG:2326 and in WGS 84; two rows are wrong at the publisher."""
    path = shared_data / "cameras/hk_traffic_cameras.csv"
    load("cameras", path, source="degrees")
    load("cameras", path, source="grid", lon="easting", lat="northing", crs="EPSG:2326")
    far = connection.execute(
        "SELECT a.source_id, round(ST_Distance(a.geom::geography, b.geom::geography)) FROM cim.camera AS a "
        "JOIN cim.camera AS b ON b.id = 'grid.' || a.source_id WHERE a.source = 'degrees' "
        "AND ST_Distance(a.geom::geography, b.geom::geography) > 10 ORDER BY 1"
    ).fetchall()
    assert [row[0] for row in far] == ["AID09157", "AID09255"]
    assert far[0][1] == pytest.approx(8306, abs=30)


def test_rough_years_of_openstreetmap_are_kept_as_they_were_said(
    load: Load, connection: Connection, shared_data: Path
) -> None:
    """22 of the buildings say `before 1939`, `after 1905..1908` and the like: no year, and no reason to lose them."""
    load("buildings", shared_data / "buildings/Helsinki.osm.pbf", source="rough")
    said = connection.execute(
        "SELECT attributes ->> 'start_date', year_built, valid_from FROM cim.building WHERE source = 'rough' "
        "AND attributes ->> 'start_date' ~ '^(before|after)' ORDER BY 1"
    ).fetchall()
    assert len(said) == 22
    assert {row[1:] for row in said} == {(None, None)}


def test_names_of_overture_and_regions_of_hong_kong_go_where_they_belong(
    load: Load, connection: Connection, shared_data: Path
) -> None:
    load("buildings", shared_data / "buildings/nyc_subset_overture.parquet", source="nyc")
    named = connection.execute("SELECT name FROM cim.building WHERE source = 'nyc' AND name IS NOT NULL").fetchall()
    assert ("Harrington Park Elementary School",) in named
    load("cameras", shared_data / "cameras/hk_traffic_cameras.csv", source="hk")
    operators = connection.execute(
        "SELECT DISTINCT operator, attributes ->> 'region' FROM cim.camera WHERE source = 'hk' ORDER BY 2"
    ).fetchall()
    assert [row[0] for row in operators] == [None] * len(operators)
    assert ("Kowloon" in {row[1] for row in operators}) is True


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("buildings", "buildings/bubenec.gpkg", "--layer"),
        ("buildings", "citymodel/multi_lod.city.json", "--crs"),
        ("sensors", "sensors/PRSA_Data_Dingling_20130301-20170228.csv", "--lon and --lat.*cim load dataset"),
        ("sensors", "sensors/entitiesDefault.json", "SensorThings entities.*as CSV"),
        ("sensors", "mqtt/milesight_am103_tts_payload.json", "message of a device"),
        ("dataset", "catalogues/wms_geoserver-cap.xml", "describes a service.*/catalogue/items"),
        ("dataset", "catalogues/wmts_koordinates.xml", "describes a service.*/catalogue/items"),
        ("dataset", "catalogues/arcgis_redlands_featureserver.json", "describes a service"),
        ("dataset", "catalogues/iso19139_srv.xml", "describes data.*/catalogue/items"),
        ("dataset", "catalogues/ckan_search_result.json", "describes data"),
        ("dataset", "pointcloud/simple.las", "point clouds are not kept"),
        ("buildings", "tiles3d/TilesetOfTilesets/tileset.json", "3D Tiles"),
        ("buildings", "citymodel/plateau_numazu_52385721_fld_6697.gml", "without a Building"),
    ],
)
def test_a_real_file_that_cannot_be_loaded_says_what_to_do(
    load: Load, shared_data: Path, kind: str, name: str, says: str
) -> None:
    with pytest.raises(SourceRefused, match=says):
        load(kind, shared_data / name)
