"""Rejected rows go out, are mended by hand, and come back as the rows that they are."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyogrio
import pytest
import shapely
import xlsxwriter

from cim.cells import inert
from cim.db.rejections import FORMS, written
from tests.loading.conftest import Load, feature, write_geojson

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def connection(module_database_url: str) -> Any:
    """One database: every test has a source key of its own."""
    with psycopg.connect(module_database_url, autocommit=True) as opened:
        yield opened


def out(connection: Connection, run: int, form: str) -> str:
    return b"".join(written(connection, run, FORMS[form])).decode("utf-8-sig")


def as_xlsx(text: str, path: Path) -> Path:
    """What an office makes of a CSV: a workbook in which numbers are numbers."""
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        for number, record in enumerate(csv.reader(io.StringIO(text, newline=""))):
            sheet.write_row(number, 0, [float(cell) if cell.isdigit() else cell for cell in record])
    return path


def as_csv(text: str, path: Path) -> Path:
    path.write_text("\ufeff" + text, encoding="utf-8", newline="")
    return path


GRID = "名称,高程,东坐标,北坐标\na,10,500000,2500000\n-b,abc,500100,2500100\nc,30,500200,2500200\n"


@pytest.mark.parametrize("back", [as_csv, as_xlsx])
def test_a_row_without_an_id_comes_back_from_a_table_as_the_row_it_was(
    load: Load, connection: Connection, tmp_path: Path, back: Callable[[str, Path], Path]
) -> None:
    source = f"grid-{back.__name__}"
    path = tmp_path / "stations.csv"
    path.write_text(GRID, encoding="utf-8")
    first = load("sensors", path, crs="EPSG:4547", source=source)
    assert (first.inserted, first.rejected) == (2, 1)
    text = out(connection, first.run_id, "csv")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["cim_row"], row["cim_code"], row["名称"], row["高程"]) == ("2", "type/number", "'-b", "abc")
    mended = back(text.replace('"abc"', '"20"'), tmp_path / f"mended.{back.__name__.removeprefix('as_')}")
    second = load("sensors", mended, crs="EPSG:4547", source=source)
    assert (second.read, second.inserted, second.updated, second.rejected) == (1, 1, 0, 0)
    stored = connection.execute(
        "SELECT source_id, name, elevation_m, attributes FROM cim.sensor WHERE source = %s ORDER BY source_row",
        [source],
    ).fetchall()
    assert [row[:3] for row in stored] == [("1", "a", 10.0), ("2", "-b", 20.0), ("3", "c", 30.0)]
    assert [set(row[3]) for row in stored] == [{"东坐标", "北坐标"}] * 3
    path.write_text(GRID.replace("abc", "20"), encoding="utf-8")
    whole = load("sensors", path, crs="EPSG:4547", source=source)
    assert (whole.unchanged, whole.updated, whole.inserted) == (3, 0, 0)


@pytest.mark.parametrize("form", ["geojson", "csv"])
def test_a_footprint_in_a_grid_comes_back_to_its_place(
    load: Load, connection: Connection, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "town.gpkg"
    square = shapely.to_wkb(shapely.box(500_000, 2_500_000, 500_020, 2_500_020))
    pyogrio.raw.write(
        path,
        np.array([square, square], dtype=object),
        [np.array(["good", "bad"], dtype=object), np.array(["12", "high"], dtype=object)],
        ["楼名", "高度"],
        geometry_type="Polygon",
        crs="EPSG:4547",
        driver="GPKG",
    )
    words = ("height_m=高度",)
    first = load("buildings", path, source=f"town-{form}", map_words=words)
    assert (first.inserted, first.rejected) == (1, 1)
    back = tmp_path / f"back.{form}"
    back.write_text(out(connection, first.run_id, form).replace("high", "30"), encoding="utf-8")
    second = load("buildings", back, source=f"town-{form}", map_words=words)
    assert (second.inserted, second.updated, second.rejected) == (1, 0, 0)
    apart = connection.execute(
        "SELECT count(*), max(ST_Distance(geom, (SELECT geom FROM cim.building WHERE source = %s LIMIT 1))), max(height_m) "
        "FROM cim.building WHERE source = %s",
        [f"town-{form}"] * 2,
    ).fetchone()
    assert apart is not None
    assert (apart[0], apart[2]) == (2, 30.0)
    assert apart[1] == 0


def test_a_row_that_is_added_to_mended_ones_is_told_to_go_elsewhere(
    load: Load, connection: Connection, tmp_path: Path
) -> None:
    path = tmp_path / "some.csv"
    path.write_text("name,elevation,lon,lat\na,1,114,22\nb,x,114,22\n", encoding="utf-8")
    first = load("sensors", path, source="added")
    text = out(connection, first.run_id, "csv").replace('"x"', '"1"') + ",,,,,,new,2,114,22\r\n"
    second = load("sensors", as_csv(text, tmp_path / "mended.csv"), source="added")
    assert (second.inserted, second.rejected) == (1, 1)
    assert "cim_row" in out(connection, second.run_id, "json")


def test_features_come_back_as_geojson_with_why_they_went(load: Load, connection: Connection, tmp_path: Path) -> None:
    path = write_geojson(tmp_path / "b.geojson", [feature(None, height="9"), feature(None, height="nine", lon=114.2)])
    first = load("buildings", path, source="felt", map_words=("height_m=height",))
    document = json.loads(out(connection, first.run_id, "geojson"))
    assert "crs" not in document
    (one,) = document["features"]
    assert (one["properties"]["cim_row"], one["properties"]["cim_code"]) == (2, "type/number")
    one["properties"]["height"] = "8"
    again = load("buildings", write_geojson(tmp_path / "mended.geojson", [one]), source="felt")
    assert (again.inserted, again.updated) == (1, 0)
    heights = connection.execute(
        "SELECT source_id, height_m, attributes FROM cim.building WHERE source = 'felt' ORDER BY 1"
    ).fetchall()
    assert heights == [("1", 9.0, None), ("2", 8.0, None)]


def test_B45_a_cell_is_no_formula_and_a_number_stays_one() -> None:
    assert [inert(text, may_be_number=True) for text in ("=1+1", "+cmd|x", "-b", "@sum", "\tx")] == [
        "'=1+1",
        "'+cmd|x",
        "'-b",
        "'@sum",
        "'\tx",
    ]
    assert [inert(text, may_be_number=True) for text in ("-118.25", "+3", "-1e5", "a=b", "")] == [
        "-118.25",
        "+3",
        "-1e5",
        "a=b",
        "",
    ]
