"""The sample city and its small files go through the loaders whole, every field recognised."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from cim.cli.sample import LOADS, SOURCE
from cim.settings import Settings
from loaders.base import SourceOptions
from loaders.run import LoadRequest, load_source
from sample_data.generate import write_city
from sample_data.plan import plan_city
from sample_data.small_files import FOLDER

Load = Callable[..., Any]

BUILDINGS = {
    "buildings.geojson": {"name", "name_en", "address", "use", "height_m", "floors_above", "floors_below"},
    "buildings.geojsonl": {"use", "height_m", "floors_above"},
    "buildings.gpkg": {"name", "use", "height_m", "floors_above", "floors_below", "status", "completed_on"},
    "buildings_shp.zip": {"name", "use", "height_m", "floors_above", "year_built"},
    "buildings.fgb": {"name", "use", "height_m", "floors_above", "year_built"},
    "buildings.parquet": {"name", "name_en", "address", "use", "height_m", "floors_above", "status", "completed_on"},
    "buildings.kml": {"name", "use", "height_m", "floors_above"},
}


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def load(database_url: str) -> Load:
    def run(kind: str, path: Path, source: str = "sample"):
        request = LoadRequest(kind=kind, path=path, options=SourceOptions(), source=source, loaded_by="test")
        with psycopg.connect(database_url, autocommit=True) as writing:
            return load_source(writing, Settings(), request)

    return run


@pytest.mark.parametrize("name", BUILDINGS)
def test_buildings_of_every_format_load_with_their_fields(load, connection, name):
    load("areas", FOLDER / "areas.geojson")
    account = load("buildings", FOLDER / name)
    assert (account.read, account.inserted, account.rejected) == (120, 120, 0)
    row = connection.execute("SELECT * FROM cim.building WHERE id = 'sample.B000060'").fetchone()
    assert row["area_code"].startswith("4403")
    for field in BUILDINGS[name]:
        filled = connection.execute(f"SELECT count({field}) AS n FROM cim.building").fetchone()["n"]
        assert filled >= (90 if field in ("completed_on", "year_built") else 120), field
    assert load("buildings", FOLDER / name).unchanged == 120


@pytest.mark.parametrize("name", ["sensors.csv", "sensors.xlsx"])
def test_sensors_of_every_format_load_with_their_fields(load, connection, name):
    account = load("sensors", FOLDER / name)
    assert (account.read, account.inserted, account.rejected) == (150, 150, 0)
    filled = connection.execute(
        "SELECT count(*) FILTER (WHERE kind <> 'other') AS kind, count(observed_property) AS observed_property, "
        "count(unit_of_measurement) AS unit, count(operator) AS operator, count(status) AS status, "
        "count(installed_on) AS installed, count(latest_result) AS result, count(latest_time) AS time, "
        "count(*) FILTER (WHERE latest_time > '2026-10-31T23:00Z') AS recent FROM cim.sensor"
    ).fetchone()
    recent = filled.pop("recent")
    assert set(filled.values()) == {150}, filled
    assert 120 < recent <= 150


def test_cameras_load_from_wkt(load, connection):
    account = load("cameras", FOLDER / "cameras_wkt.csv")
    assert (account.inserted, account.rejected) == (40, 0)
    row = connection.execute(
        "SELECT count(direction_deg) AS direction, count(field_of_view_deg) AS view, count(range_m) AS range, "
        "count(operator) AS operator, count(geom) AS place FROM cim.camera"
    ).fetchone()
    assert set(row.values()) == {40}


def test_imagery_loads_from_the_folder_and_from_stac(load, connection):
    assert load("imagery", FOLDER / "imagery").inserted == 4
    rows = connection.execute(
        "SELECT source_id, crs, datetime, ST_Area(geom::geography) AS m2 FROM cim.imagery"
    ).fetchall()
    assert {r["crs"] for r in rows} == {"EPSG:4326", "EPSG:4547", "EPSG:32650"}
    assert all(r["datetime"] is not None for r in rows)
    strip = next(r for r in rows if r["crs"] == "EPSG:32650")
    assert strip["m2"] < 0.8 * (240 * 5) * (208 * 5)
    assert load("imagery", FOLDER / "stac" / "centre_2026.json", "stac").inserted == 1


def test_the_command_loads_the_city_and_its_catalogue(cim, connection, tmp_path):
    ran = cim("sample", "--out", tmp_path / "city", "--buildings", "150", "--load", "--json")
    assert ran.code == 0, ran.err
    loaded = {one["kind"]: one["inserted"] for one in json.loads(ran.out.splitlines()[-1])["loaded"]}
    assert (loaded["buildings"], loaded["sensors"], loaded["cameras"], loaded["imagery"]) == (150, 150, 30, 4)
    row = connection.execute("SELECT count(*) AS n FROM cim.service WHERE state = 'published'").fetchone()
    assert 20 < row["n"] <= 30
    again = cim("sample", "--out", tmp_path / "city", "--buildings", "150", "--load", "--json")
    assert again.code == 0, again.err
    assert all(one["unchanged"] == one["read"] for one in json.loads(again.out.splitlines()[-1])["loaded"])


def test_a_generated_city_loads_whole_and_every_feature_knows_its_community(load, connection, tmp_path):
    write_city(plan_city(500, 600, 100), tmp_path)
    assert SOURCE == "sample"
    for kind, name in LOADS:
        account = load(kind, tmp_path / name)
        assert account.rejected == 0, kind
        assert account.inserted == account.read
    for table, count in (("building", 500), ("sensor", 600), ("camera", 100)):
        row = connection.execute(
            f"SELECT count(*) AS n, count(*) FILTER (WHERE length(area_code) = 12) AS placed FROM cim.{table}"
        ).fetchone()
        assert (row["n"], row["placed"]) == (count, count)
