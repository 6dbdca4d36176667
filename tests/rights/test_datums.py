"""Coordinates are served as what they are, whatever system and datum they came in (catalogue B48)."""

from pathlib import Path

import httpx2
import psycopg
import pytest
from pyproj import Transformer

from cim.errors import InvalidParameter, SourceRefused
from cim.settings import Settings
from loaders.base import SourceOptions
from loaders.run import LoadRequest, load_source
from tests.problems import assert_problem

CRS84 = "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"
TIANANMEN = (116.404, 39.915)
TO_4547 = Transformer.from_crs("EPSG:4326", "EPSG:4547", always_xy=True)

AS_FLAGGED = {
    "plain": (TIANANMEN, SourceOptions(lon="x", lat="y", crs="EPSG:4326")),
    # as the public coordtransform examples give the same place
    "gcj02": ((116.41024449916938, 39.91640428150164), SourceOptions(lon="x", lat="y", crs="EPSG:4326", datum="gcj02")),
    "grid": (TO_4547.transform(*TIANANMEN), SourceOptions(lon="x", lat="y", crs="EPSG:4547")),
}


def load(url: str, folder: Path, name: str, place: tuple[float, float], options: SourceOptions) -> None:
    path = folder / f"{name}.csv"
    path.write_text(f"id,x,y\n1,{place[0]!r},{place[1]!r}\n")
    with psycopg.connect(url, autocommit=True) as connection:
        load_source(connection, Settings(), LoadRequest("dataset", path, options, collection_id=name))


@pytest.fixture(scope="module")
def loaded(city, admin: httpx2.Client, module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name, (place, options) in AS_FLAGGED.items():
        load(module_database_url, tmp_path_factory.mktemp(name), name, place, options)
    city.settle(admin)


@pytest.mark.parametrize("name", AS_FLAGGED)
def test_B48_the_same_place_is_served_whatever_it_was_flagged(anyone, loaded, name):
    answer = anyone.get(f"/collections/{name}/items")
    assert answer.headers["content-crs"] == CRS84
    (found,) = answer.json()["features"]
    assert found["geometry"]["coordinates"] == pytest.approx(TIANANMEN, abs=2e-7)
    answer = anyone.get(f"/collections/{name}/items", params={"crs": "EPSG:4547"})
    assert answer.headers["content-crs"] == "<http://www.opengis.net/def/crs/EPSG/0/4547>"
    northing, easting = answer.json()["features"][0]["geometry"]["coordinates"]
    assert (easting, northing) == pytest.approx(TO_4547.transform(*TIANANMEN), abs=0.02)


@pytest.mark.parametrize(
    "crs", ["GCJ02", "EPSG:GCJ02", "EPSG:990001", "http://www.opengis.net/def/crs/OGC/0/GCJ-02", "BD09"]
)
def test_B48_an_offset_is_no_system_that_can_be_asked_for(anyone, loaded, crs):
    refused = anyone.get("/collections/gcj02/items", params={"crs": crs})
    assert_problem(refused, status=400, code="invalid-parameter", parameter="crs")


@pytest.mark.parametrize(
    "options", [{"datum": "beijing54"}, {"datum": "GCJ-03"}, {"crs": "EPSG:990001"}, {"crs": "local grid"}]
)
def test_B48_an_unknown_datum_or_system_is_refused(admin, city, module_database_url, tmp_path, options):
    before = admin.get("/collections").json()
    given = {"crs": "EPSG:4326", **options}
    with pytest.raises((SourceRefused, InvalidParameter)):
        load(module_database_url, tmp_path, "unknown", TIANANMEN, SourceOptions(lon="x", lat="y", **given))
    assert admin.get("/collections").json() == before


def test_B48_an_unknown_datum_is_refused_at_the_door(admin, city):
    before = city.connection.execute("SELECT count(*) FROM cim.load_run").fetchone()
    asked = {"kind": "dataset", "collection": "late", "filename": "late.csv", "datum": "beijing54"}
    refused = admin.post("/admin/loads", params=asked, content=b"id,lon,lat\n1,114,22\n")
    assert_problem(refused, status=400, code="invalid-parameter", parameter="datum")
    assert city.connection.execute("SELECT count(*) FROM cim.load_run").fetchone() == before
