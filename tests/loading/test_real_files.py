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
    ("buildings", "buildings/Helsinki.osm.pbf", {}, 494, 456),
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


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("buildings", "buildings/bubenec.gpkg", "--layer"),
        ("buildings", "citymodel/multi_lod.city.json", "--crs"),
        ("sensors", "sensors/PRSA_Data_Dingling_20130301-20170228.csv", "--lon and --lat"),
        ("sensors", "sensors/entitiesDefault.json", "Taken are"),
        ("buildings", "citymodel/plateau_numazu_52385721_fld_6697.gml", "without a Building"),
    ],
)
def test_a_real_file_that_cannot_be_loaded_says_what_to_do(
    load: Load, shared_data: Path, kind: str, name: str, says: str
) -> None:
    with pytest.raises(SourceRefused, match=says):
        load(kind, shared_data / name)
