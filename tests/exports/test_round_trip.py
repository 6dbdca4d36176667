"""Every format, read back by programs that are not ours: rows, geometry, system, texts, nulls, dates, long numbers."""

import csv
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from pyproj import CRS, Transformer
from python_calamine import CalamineWorkbook

from tests.city import City
from tests.exports.town import NAMES, POLYGON, PROPERTIES, fetched, town, values
from tests.platform.programs import run_cim

CENTIMETRE = 2e-7
"""In degrees."""

FILES = {"gpkg": "x.gpkg", "fgb": "x.fgb", "parquet": "x.parquet", "shp": "x.zip"}


@pytest.fixture(scope="module")
def plots(city: City, client: Any) -> dict[str, Any]:
    """Ten features with polygons, the last without anything."""
    made = town(city, "plots", "Geometry")
    city.settle(client)
    return made


@pytest.fixture(scope="module")
def posts(city: City, client: Any) -> dict[str, Any]:
    """Ten features with points."""
    made = town(city, "posts", "Point")
    city.settle(client)
    return made


def stored(body: bytes, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(body)
    return path


def frame(path: Path, f: str) -> Any:
    if f == "parquet":
        return geopandas.read_parquet(path)
    return pyogrio.read_dataframe(path)


def records(path: Path, f: str) -> list[dict[str, Any]]:
    """Values by the property's name in the order of ids; a shapefile's by its `fields.txt`."""
    table = pq.read_table(path) if f == "parquet" else pyogrio.read_arrow(path, read_geometry=False)[1]
    full = {name: name for name in table.column_names}
    if f == "shp":
        with zipfile.ZipFile(path) as archive:
            lines = archive.read("fields.txt").decode().splitlines()
        full |= {line.split("\t")[0]: line.split("\t")[1] for line in lines if line.count("\t") == 4}
    rows = [{full[name]: value for name, value in row.items()} for row in table.to_pylist()]
    return sorted(rows, key=lambda row: row["id"])


@pytest.mark.parametrize("f", FILES)
def test_a_file_holds_what_was_asked_for(client: Any, plots: Any, tmp_path: Path, f: str) -> None:
    path = stored(fetched(client, "/collections/plots/export", f=f), tmp_path, FILES[f])
    table = frame(path, f).sort_values("id").reset_index(drop=True)
    assert list(table["id"]) == sorted(plots)
    for made, shape in zip(table.geometry, plots.values(), strict=True):
        if shape is None:
            assert made is None
        else:
            assert shapely.hausdorff_distance(made, shape) < CENTIMETRE
    assert table.crs == CRS.from_epsg(4326)
    rows = records(path, f)
    assert [row["name"] for row in rows[:8]] == NAMES[:8]
    assert rows[8]["name"] in ("", None) if f == "shp" else rows[8]["name"] == ""
    for number, row in enumerate(rows[:9]):
        expected = values(number)
        assert row["registration_code"] == expected["registration_code"]
        assert row["registration_note"] == expected["registration_note"]
        assert row["height_m"] == pytest.approx(expected["height_m"])
        built = row["built"]  # FlatGeobuf has no days, only times
        assert (built.date() if f == "fgb" else built) == expected["built"]
        assert bool(row["is_open"]) == expected["is_open"]
        assert json.loads(row["more"]) == expected["more"]
        seen = datetime.fromisoformat(row["seen"]) if isinstance(row["seen"], str) else row["seen"]
        assert (seen if seen.tzinfo else seen.replace(tzinfo=UTC)) == expected["seen"]
    assert [rows[9][p.name] for p in PROPERTIES] == [None] * len(PROPERTIES)


@pytest.mark.parametrize("f", [*FILES, "csv", "jsonfg", "json"])
def test_coordinates_come_in_the_system_asked_for(client: Any, plots: Any, tmp_path: Path, f: str) -> None:
    answer = fetched(client, "/collections/plots/export", f=f, crs="EPSG:4547", registration_note="备注 1")
    to_plane = Transformer.from_crs(4326, 4547, always_xy=True)
    place = shapely.transform(shapely.from_wkt(POLYGON), to_plane.transform, interleaved=False)
    if f in FILES:
        table = frame(stored(answer, tmp_path, FILES[f]), f)
        assert table.crs == CRS.from_epsg(4547)
        made = table.geometry[0]
    elif f == "csv":
        made = shapely.from_wkt(next(csv.DictReader(io.StringIO(answer.decode())))["geometry"])
    else:  # northing first, as the authority says
        feature = json.loads(answer)["features"][0]
        made = shapely.geometry.shape(feature["place" if f == "jsonfg" else "geometry"])
        made = shapely.transform(made, lambda xy: xy[:, ::-1])
    assert shapely.hausdorff_distance(made, place) < 0.002  # metres


def test_geoparquet_says_where_its_rows_are(client: Any, plots: Any, tmp_path: Path) -> None:
    path = stored(fetched(client, "/collections/plots/export", f="parquet"), tmp_path, "x.parquet")
    geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    about = geo["columns"][geo["primary_column"]]
    assert about["encoding"] == "WKB"
    assert about["geometry_types"] == ["MultiPolygon", "Polygon"]
    assert about["bbox"] == pytest.approx([114.05, 22.54, 114.21, 22.61])
    assert about["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    assert len(geopandas.read_parquet(path, bbox=(114.19, 22.5, 114.3, 22.7))) == 5


def test_a_shapefile_says_what_its_names_are(client: Any, plots: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(fetched(client, "/collections/plots/export", f="shp"))) as archive:
        assert {n.rpartition(".")[2] for n in archive.namelist()} == {"shp", "shx", "dbf", "prj", "cpg", "txt"}
        assert archive.read("plots.cpg").decode().strip() == "UTF-8"
        text = archive.read("fields.txt").decode()
    assert "registra_2\tregistration_note\t登记备注" in text


def test_a_shapefile_of_several_kinds_is_refused_with_what_to_use(city: City, client: Any) -> None:
    city.dataset("mixed")
    city.feature("mixed", "POINT(1 1)")
    city.feature("mixed", "LINESTRING(1 1, 2 2)")
    city.settle(client)
    answer = client.get("/collections/mixed/export", params={"f": "shp"})
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/not-writable")
    assert "LINESTRING, POINT" in answer.json()["detail"]
    assert "gpkg" in answer.json()["detail"]


def sheet(body: bytes, folder: Path) -> list[dict[str, Any]]:
    with CalamineWorkbook.from_path(str(stored(body, folder, "x.xlsx"))) as book:
        head, *rows = book.get_sheet_by_name(book.sheet_names[0]).to_python()
        fields = book.get_sheet_by_name("fields").to_python()
    assert fields[0] == ["property", "名称", "title", "unit"]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_a_spreadsheet_keeps_long_numbers_and_runs_no_formulas(client: Any, posts: Any, tmp_path: Path) -> None:
    """B45."""
    rows = sorted(sheet(fetched(client, "/collections/posts/export", f="xlsx"), tmp_path), key=lambda row: row["id"])
    assert [row["id"] for row in rows] == sorted(posts)
    assert [row["name"] for row in rows[:3]] == NAMES[:3]
    assert [row["name"] for row in rows[3:8]] == ["'=1+1", "'+86 755", "'-5", "'@sum", "''=kept"]
    assert rows[2]["registration_code"] == "440300000000000003"
    assert (rows[2]["lon"], rows[2]["lat"]) == pytest.approx((114.02, 22.5))
    assert str(rows[2]["built"])[:10] == "1999-12-29"
    assert rows[2]["seen"] == "2024-05-01T12:02:00Z"
    assert rows[1]["height_m"] == pytest.approx(3.3)
    assert set(rows[9].values()) - {rows[9]["id"]} <= {"", "2020-01-01T00:00:00Z"}


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("path", ["export", "items"])
def test_csv_has_quoted_texts_and_inert_formulas(client: Any, posts: Any, path: str) -> None:
    """B45."""
    answer = client.get(f"/collections/posts/{path}", params={"f": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = table(answer.text)
    assert list(rows[0])[-2:] == ["lon", "lat"]
    assert [row["id"] for row in rows] == sorted(posts)
    assert [row["name"] for row in rows[:3]] == NAMES[:3]
    assert [row["name"] for row in rows[3:8]] == ["'=1+1", "'+86 755", "'-5", "'@sum", "''=kept"]
    assert rows[3]["registration_code"] == "440300000000000004"
    assert (float(rows[3]["lon"]), float(rows[3]["lat"])) == (114.03, 22.5)
    assert (rows[3]["built"], rows[3]["seen"], rows[3]["is_open"]) == (
        "1999-12-28",
        "2024-05-01T12:03:00+00:00",
        "false",
    )
    assert json.loads(rows[3]["more"]) == {"楼层": 3}
    assert (rows[9]["name"], rows[9]["lon"], rows[9]["height_m"]) == ("", "", "")
    assert answer.text.count('\r\n"test.') == 10


def test_csv_for_spreadsheets_begins_with_a_mark(client: Any, posts: Any) -> None:
    for path in ("export", "items"):
        body = client.get(f"/collections/posts/{path}", params={"f": "csv", "bom": "true"}).content
        assert body.startswith(b'\xef\xbb\xbf"id",')
    answer = client.get("/collections/posts/export", params={"f": "json", "bom": "true"})
    assert (answer.status_code, answer.json()["parameter"]) == (400, "bom")


@pytest.mark.parametrize(
    ("f", "media_type"), [("geojsonl", "application/geo+json-seq"), ("jsonseq", "application/geo+json-seq")]
)
def test_a_text_sequence_has_a_feature_a_record(client: Any, plots: Any, f: str, media_type: str) -> None:
    """RFC 8142."""
    for path in ("export", "items"):
        answer = client.get(f"/collections/plots/{path}", params={"f": f})
        assert answer.headers["content-type"] == media_type
        records = answer.content.split(b"\x1e")
        assert records[0] == b""
        assert all(record.endswith(b"\n") for record in records[1:])
        assert [json.loads(record)["id"] for record in records[1:]] == sorted(plots)
        assert json.loads(records[3])["properties"]["name"] == "two\nlines"


def test_json_fg_says_where_and_when(client: Any, plots: Any) -> None:
    """OGC 21-045r1, core."""
    for path in ("export", "items"):
        answer = client.get(f"/collections/plots/{path}", headers={"Accept": "application/vnd.ogc.fg+json"})
        assert answer.headers["content-type"] == "application/vnd.ogc.fg+json"
        document = answer.json()
        assert document["conformsTo"] == ["http://www.opengis.net/spec/json-fg-1/1.0/conf/core"]
        assert document["featureType"] == "plots"
        feature = document["features"][1]
        assert feature["time"] == {"interval": ["2020-01-01T00:00:00Z", ".."]}
        assert feature["place"] is None
        assert feature["geometry"]["type"] == "Polygon"
    swapped = client.get("/collections/plots/items", params={"f": "jsonfg", "crs": "EPSG:4326"}).json()
    assert swapped["coordRefSys"] == "http://www.opengis.net/def/crs/EPSG/0/4326"
    assert swapped["features"][1]["geometry"] is None
    assert swapped["features"][1]["place"]["coordinates"][0][0] == [22.54, 114.05]


def test_pages_of_any_text_go_on_by_the_link_header(client: Any, posts: Any) -> None:
    seen, address = [], "/collections/posts/items?f=csv&limit=4"
    while address:
        answer = client.get(address)
        seen += [row["id"] for row in table(answer.text)]
        address = answer.links.get("next", {}).get("url")
    assert seen == sorted(posts)


def test_every_column_of_a_collection_is_there(client: Any, plots: Any) -> None:
    expected = ["id", *(p.name for p in PROPERTIES), "area_code", "valid_from", "valid_to", "geometry"]
    assert list(table(client.get("/collections/plots/export?f=csv").text)[0]) == expected


@pytest.mark.parametrize(("f", "name"), [("csv", "again.csv"), ("xlsx", "sheet.xlsx")])
def test_our_own_import_restores_every_name(
    city: City, client: Any, posts: Any, module_database_url: str, tmp_path: Path, f: str, name: str
) -> None:
    """B45: what was made inert for spreadsheets is what it was."""
    path = stored(fetched(client, "/collections/posts/export", f=f), tmp_path, name)
    options = [] if f == "csv" else ["--layer", "posts"]
    done = run_cim(
        *("load", "dataset", str(path), "--collection", f"loaded_{f}", *options),
        DATABASE_URL=module_database_url,
    )
    assert done.code == 0, done.err
    rows = city.connection.execute(
        f"SELECT name, registration_code::text, ST_X(geom), is_open::text FROM dataset.loaded_{f} ORDER BY source_row"
    ).fetchall()
    assert sorted(row[0] or "" for row in rows) == sorted(name or "" for name in NAMES)
    assert {row[1] for row in rows} - {None} == {str(values(n)["registration_code"]) for n in range(9)}
    assert sorted(row[2] for row in rows if row[2]) == pytest.approx([114 + n / 100 for n in range(9)])


@pytest.mark.parametrize("f", ["csv", "json", "jsonfg", "geojsonl", "xlsx", "gpkg"])
def test_only_what_is_wanted_is_written(client: Any, posts: Any, tmp_path: Path, f: str) -> None:
    body = fetched(client, "/collections/posts/export", f=f, properties="name,built", skipGeometry="true")
    if f == "csv":
        assert list(table(body.decode())[0]) == ["id", "name", "built"]
    elif f == "xlsx":
        assert list(sheet(body, tmp_path)[0]) == ["id", "name", "built"]
    elif f == "gpkg":
        rows = records(stored(body, tmp_path, "x.gpkg"), f)
        assert set(rows[0]) == {"id", "name", "built"}
    else:
        first = body.split(b"\x1e")[1] if f == "geojsonl" else json.dumps(json.loads(body)["features"][0])
        feature = json.loads(first)
        assert (set(feature["properties"]), feature["geometry"]) == ({"name", "built"}, None)
        if f == "jsonfg":
            assert feature["time"] == {"interval": ["2020-01-01T00:00:00Z", ".."]}
