"""What a caller may not see is in no export, in whatever format, and in none that was made for them before."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyogrio
import pytest

from tests.exports.town import enclosure, fetched, finished
from tests.rights.conftest import Caller
from tests.rights.town import FUTIAN, Town

FORMATS = ("csv", "json", "jsonfg", "geojsonl", "xlsx", "gpkg", "fgb", "parquet", "shp")
TRUE_PLACE = b"114.0531"


@pytest.fixture(scope="module")
def limited(caller: Caller, town: Town) -> Any:
    """A key of one district, without heights, with places by cells of a kilometre."""
    return caller(area_code=FUTIAN, hidden=["height_m"], precision_m=1000)


def rows(body: bytes, folder: Path, f: str) -> list[dict[str, Any]]:
    """Properties of the features in an export."""
    if f == "csv":
        return list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    if f in ("json", "jsonfg"):
        return [{"id": one["id"], **one["properties"]} for one in json.loads(body)["features"]]
    if f == "geojsonl":
        found = [json.loads(record) for record in body.split(b"\x1e")[1:]]
        return [{"id": one["id"], **one["properties"]} for one in found]
    path = folder / {"shp": "x.zip"}.get(f, f"x.{f}")
    path.write_bytes(body)
    if f == "xlsx":
        from python_calamine import CalamineWorkbook

        with CalamineWorkbook.from_path(str(path)) as book:
            head, *values = book.get_sheet_by_name(book.sheet_names[0]).to_python()
        return [dict(zip(head, row, strict=True)) for row in values]
    if f == "parquet":
        import pyarrow.parquet as pq

        return pq.read_table(path).to_pylist()
    return pyogrio.read_arrow(path, read_geometry=False)[1].to_pylist()


@pytest.mark.parametrize("f", FORMATS)
def test_an_export_holds_what_the_caller_may_see(limited: Any, town: Town, tmp_path: Path, f: str) -> None:
    """B40, B47."""
    body = fetched(limited, "/collections/buildings/export", f=f)
    found = rows(body, tmp_path, f)
    assert {row["id"] for row in found} == set(town.futian)
    assert "height_m" not in found[0]
    assert TRUE_PLACE not in body


def test_places_of_an_export_are_those_of_a_page(limited: Any, town: Town, tmp_path: Path) -> None:
    """B47."""
    features = limited.get("/collections/buildings/items?limit=100").json()["features"]
    page = {one["id"]: one["geometry"]["coordinates"] for one in features}
    table = csv.DictReader(io.StringIO(limited.get("/collections/buildings/export?f=csv").text))
    assert {row["id"]: [float(row["lon"]), float(row["lat"])] for row in table} == page
    (tmp_path / "x.gpkg").write_bytes(fetched(limited, "/collections/buildings/export", f="gpkg"))
    frame = pyogrio.read_dataframe(tmp_path / "x.gpkg")
    for made, place in zip(frame["id"], frame.geometry, strict=True):
        assert [place.x, place.y] == pytest.approx(page[made], abs=1e-6)


def test_a_collection_that_does_not_exist_for_a_caller_has_no_export(caller: Caller, town: Town) -> None:
    client = caller(collections=["cameras"])
    for method in ("GET", "POST"):
        answer = client.request(method, "/collections/buildings/export", headers={"Prefer": "respond-async"})
        assert answer.status_code == 404


def test_a_hidden_property_is_unknown_to_an_export(limited: Any, town: Town) -> None:
    for query in ("height_m=10", "filter=height_m%3E1", "properties=height_m"):
        assert limited.get(f"/collections/buildings/export?f=gpkg&{query}").status_code == 400, query


def test_the_address_of_a_file_is_the_right_to_it(limited: Any, anyone: Any, town: Town) -> None:
    """As it is documented: it was made with the rights of who asked, and is fetched by whom they tell."""
    asked = limited.get("/collections/buildings/export?f=csv", headers={"Prefer": "respond-async"})
    address = enclosure(finished(limited, asked))
    assert anyone.get(address).content == limited.get(address).content
    assert set(town.futian) == {row["id"] for row in csv.DictReader(io.StringIO(anyone.get(address).text))}
