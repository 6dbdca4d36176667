"""Exports in an order, of the nearest, with the names of areas: in every kind of file; and how many one caller may have."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pyproj
import pytest
from python_calamine import CalamineWorkbook

from tests.city import City, square
from tests.exports.town import fetched
from tests.problems import assert_problem

HEIGHTS = [30.5, None, 7.25, 120.0, 7.25, 99.0]


@pytest.fixture(scope="module")
def tower(city: City, client: Any) -> list[str]:
    """Six buildings in a row to the east, by id."""
    made = [
        city.building(square(114.05 + n * 0.01, 22.54, 0.0005), height_m=height, name=f"楼 <{n}> & _x0041_ \x0b")
        for n, height in enumerate(HEIGHTS)
    ]
    city.settle(client)
    return made


def rows(client: Any, folder: Path, f: str, **parameters: str) -> list[dict[str, Any]]:
    body = fetched(client, "/collections/buildings/export", f=f, **parameters)
    if f == "csv":
        return list(csv.DictReader(io.StringIO(body.decode())))
    if f == "json":
        return [{"id": one["id"], **one["properties"]} for one in json.loads(body)["features"]]
    path = folder / f"x.{f}"
    path.write_bytes(body)
    if f == "parquet":
        return pq.read_table(path).to_pylist()
    header, *cells = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
    return [dict(zip(header, row, strict=True)) for row in cells]


@pytest.mark.parametrize("f", ["csv", "xlsx"])
def test_a_sorted_export_comes_in_order(client: Any, tower: list[str], tmp_path: Path, f: str) -> None:
    found = [row["id"] for row in rows(client, tmp_path, f, sortby="-height_m")]
    assert found == [tower[n] for n in (3, 5, 0, 4, 2, 1)]
    named = [row["id"] for row in rows(client, tmp_path, f, sortby="name", properties="name")]
    assert named == tower


@pytest.mark.parametrize("f", ["json", "parquet"])
def test_an_export_of_the_nearest_says_how_far_they_are(client: Any, tower: list[str], tmp_path: Path, f: str) -> None:
    found = rows(client, tmp_path, f, nearest="114.095,22.54", filter="height_m > 7.25")
    assert [row["id"] for row in found] == [tower[n] for n in (5, 3, 0)]
    edge = square(114.10, 22.54, 0.0005).bounds[0]
    metres = pyproj.Geod(ellps="WGS84").inv(114.095, 22.54, edge, 22.54)[2]
    assert float(found[0]["distance_m"]) == pytest.approx(metres, abs=0.5)


@pytest.mark.parametrize("f", ["csv", "parquet"])
def test_an_export_shows_areas(client: Any, city: City, tower: list[str], tmp_path: Path, f: str) -> None:
    city.connection.execute(
        "INSERT INTO cim.area (id, source, source_id, code, level, name, geom) VALUES "
        "('t.1', 't', '1', '440304', 'district', '福田区', ST_Multi(ST_MakeEnvelope(113, 22, 115, 23, 4326))) ON CONFLICT DO NOTHING"
    )
    city.connection.execute("UPDATE cim.building SET area_code = '440304001' WHERE id = %s", [tower[0]])
    found = {row["id"]: row["area"] for row in rows(client, tmp_path, f, areas="true")}
    value = found[tower[0]]
    assert (json.loads(value) if isinstance(value, str) else value) == {"district": "福田区"}
    assert not found[tower[1]]


def test_a_sheet_holds_what_xml_cannot(client: Any, tower: list[str], tmp_path: Path) -> None:
    names = [row["name"] for row in rows(client, tmp_path, "xlsx", sortby="name")]
    assert names[0].startswith("楼 <0> & _x0041_")


def test_bad_orders_are_refused(client: Any, tower: list[str]) -> None:
    for query, parameter in [("sortby=nothing", "sortby"), ("nearest=1,2&sortby=id", "sortby"), ("areas=yes", "areas")]:
        answer = client.get(f"/collections/buildings/export?f=csv&{query}")
        assert (answer.status_code, answer.json()["parameter"]) == (400, parameter)


def test_one_caller_has_so_many_exports_at_once(client: Any, city: City, tower: list[str]) -> None:
    city.connection.execute(
        "INSERT INTO cim.export (digest, collection_id, format, request, file_name, caller, expires_at) "
        "SELECT 'd' || n, 'buildings', 'csv', '{}', 'x', '', now() + interval '1 hour' FROM generate_series(1, 50) AS n"
    )
    try:
        answer = client.get("/collections/buildings/export?f=gpkg")
        assert_problem(answer, status=429, code="too-many-exports")
        assert int(answer.headers["retry-after"]) > 0
    finally:
        city.connection.execute("DELETE FROM cim.export WHERE digest LIKE 'd%'")
    assert client.get("/collections/buildings/export?f=gpkg").status_code == 200
