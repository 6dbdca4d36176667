"""Every format, as a page and as a whole download, tells no more than a page of GeoJSON (catalogue B21, B40, B47, B48)."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import geopandas
import httpx2
import pyogrio
import pytest
from pyproj import Transformer
from python_calamine import CalamineWorkbook

from cim.query.output import OUTPUTS
from tests.exports.town import enclosure, fetched, finished
from tests.rights.conftest import Caller
from tests.rights.test_masking import PRECISION_M, cell_of, middle_of
from tests.rights.town import FUTIAN, Town

HOME = "/collections/buildings"
FORMATS = [output.f for output in OUTPUTS]
TEXTS = [output.f for output in OUTPUTS if output.text is not None]
SUFFIX = {output.f: output.suffix for output in OUTPUTS}
Places = dict[str, tuple[float, float] | None]


def read(body: bytes, f: str, folder: Path) -> tuple[Places, set[str]]:
    """Place of each id (None for none, points only), and the names of everything that is told."""
    if f in ("json", "jsonfg", "geojsonl"):
        texts = body.decode().split("\n")[:-1] if f == "geojsonl" else []
        features = [json.loads(text.removeprefix("\x1e")) for text in texts] or json.loads(body)["features"]
        found = {one["id"]: tuple(one["geometry"]["coordinates"]) if one["geometry"] else None for one in features}
        return found, {name for one in features for name in one["properties"]}
    if f in ("csv", "xlsx"):
        rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
        return {r["id"]: (float(r["lon"]), float(r["lat"])) if r["lon"] else None for r in rows}, set(rows[0])
    path = folder / f"x.{SUFFIX[f]}"
    path.write_bytes(body)
    frame = geopandas.read_parquet(path) if f == "parquet" else pyogrio.read_dataframe(path)
    places = {key: (g.x, g.y) if g is not None else None for key, g in zip(frame["id"], frame.geometry, strict=True)}
    return places, set(frame.columns)


def sheet_as_csv(body: bytes, folder: Path) -> bytes:
    path = folder / "x.xlsx"
    path.write_bytes(body)
    with CalamineWorkbook.from_path(str(path)) as book:
        rows = book.get_sheet_by_name(book.sheet_names[0]).to_python()
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


@pytest.fixture(scope="module")
def limited(caller: Caller, town: Town) -> httpx2.Client:
    """A key of one district, without uses, with places by cells."""
    return caller(area_code=FUTIAN, precision_m=PRECISION_M, hidden=["use"])


@pytest.mark.parametrize("f", FORMATS)
def test_B40_B47_every_format_has_the_district_the_cell_and_no_hidden_property(limited, town, tmp_path: Path, f):
    body = fetched(limited, f"{HOME}/export", f=f)
    places, names = read(sheet_as_csv(body, tmp_path) if f == "xlsx" else body, f, tmp_path)
    assert set(places) == set(town.futian)
    for key in town.futian:
        assert places[key] == pytest.approx(cell_of(*middle_of(town.places[key])), abs=1e-6)
    assert {"name", "address", "use", "attributes"}.isdisjoint(names)
    for word in ("深南大道", "福华路", "office", "楼1", "114.0531"):
        assert word.encode() not in body


@pytest.mark.parametrize("f", TEXTS)
def test_B47_a_page_of_any_text_has_the_cell(limited, town, tmp_path: Path, f):
    answer = limited.get(f"{HOME}/items", params={"f": f, "limit": 100})
    places, names = read(answer.content, f, tmp_path)
    assert places[town.futian[0]] == pytest.approx(cell_of(*middle_of(town.places[town.futian[0]])), abs=1e-6)
    assert {"name", "address", "use"}.isdisjoint(names)
    assert "public" not in answer.headers["cache-control"]


def test_B48_an_export_in_another_system_has_the_cell(limited, town, tmp_path: Path):
    transform = Transformer.from_crs(4326, 4547, always_xy=True)
    key = town.futian[0]
    expected = transform.transform(*cell_of(*middle_of(town.places[key])))
    text = fetched(limited, f"{HOME}/export", f="csv", crs="EPSG:4547").decode()
    (row,) = [one for one in csv.DictReader(io.StringIO(text, newline="")) if one["id"] == key]
    assert (float(row["x"]), float(row["y"])) == pytest.approx(expected, abs=0.02)
    (tmp_path / "x.gpkg").write_bytes(fetched(limited, f"{HOME}/export", f="gpkg", crs="EPSG:4547"))
    frame = pyogrio.read_dataframe(tmp_path / "x.gpkg")
    shape = frame[frame["id"] == key].geometry.iloc[0]
    assert (shape.x, shape.y) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("asked", [{"filter": "1=1 OR height_m > 0"}, {"bbox": "-180,-90,180,90"}, {"area": "44"}])
def test_B21_no_question_makes_an_export_of_another_district(limited, town, tmp_path: Path, asked: dict[str, Any]):
    for f in TEXTS:
        assert set(read(fetched(limited, f"{HOME}/export", f=f, **asked), f, tmp_path)[0]) <= set(town.futian)


def test_B40_a_collection_that_does_not_exist_for_a_caller_has_no_export(caller: Caller, town: Town) -> None:
    client = caller(collections=["cameras"])
    for method in ("GET", "POST"):
        answer = client.request(method, f"{HOME}/export", headers={"Prefer": "respond-async"})
        assert answer.status_code == 404


def test_B40_a_hidden_property_is_unknown_to_an_export(limited: Any, town: Town) -> None:
    for query in ("use=office", "filter=use%3D'office'", "properties=use"):
        assert limited.get(f"{HOME}/export?f=gpkg&{query}").status_code == 400, query


def test_B40_the_address_of_a_file_is_the_right_to_it(limited, anyone, town, tmp_path: Path):
    """As it is documented: it was made with the rights of who asked, and is fetched by whom they tell."""
    started = limited.get(f"{HOME}/export", params={"f": "csv"}, headers={"Prefer": "respond-async"})
    address = enclosure(finished(limited, started))
    assert anyone.get(address).content == limited.get(address).content
    assert set(read(anyone.get(address).content, "csv", tmp_path)[0]) == set(town.futian)
    assert anyone.get("/exports").status_code == 404
